"""The installed ``chimera studio`` in a process of its own, with a stranger's plugin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from toys.studio_plugin import write_tint_plugin


@dataclass
class Served:
    """A studio in a process of its own."""

    address: str
    process: subprocess.Popen[str]
    folder: Path
    environ: dict[str, str]

    @property
    def private(self) -> Path:
        """Its private folder."""
        (found,) = Path(self.environ["TMPDIR"]).glob(".chimera-studio.*.tmp")
        return found


def start_studio(folder: Path, *more: str) -> Served:
    """Start the installed command, with its own runs and folder of temporary files."""
    pytest.importorskip("gradio", reason="gradio is not installed: extra 'studio'")
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "tmp").mkdir()
    plugin = write_tint_plugin(place / "plugin")
    environ = os.environ | {
        "PYTHONPATH": str(plugin),
        "TMPDIR": str(place / "tmp"),
        "CHIMERA_LIBRARY": str(place / "library"),
        # A proxy that nobody serves: whatever asks the network fails, and is seen.
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    with open(place / "stderr", "w") as errors:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "chimera"),
                "studio",
                "--json",
                "--no-browser",
                "--port",
                "0",
                *more,
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=place,
            env=environ,
        )
    assert process.stdout is not None
    text = ""
    while "}" not in text:
        line = process.stdout.readline()
        assert line, (place / "stderr").read_text()
        text += line
    return Served(json.loads(text)["address"], process, place, environ)


def end_studio(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    served.process.communicate(timeout=30)
