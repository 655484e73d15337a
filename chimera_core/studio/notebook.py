"""The studio in a notebook: a process of its own beside the kernel, and its page below the cell. Torch-free."""

from __future__ import annotations

import html
import importlib.util
import json
import subprocess
import weakref
from typing import IO

from chimera_core.errors import ConfigError, RunError
from chimera_core.processes import python_command

NEEDS_EXTRA = "the studio needs the extra: pip install 'chimera-toolkit[studio]'"


class NotebookStudio:
    """A studio beside a notebook; it ends with ``close``, with this object, or with the kernel.

    ``address`` opens it in a browser.
    """

    def __init__(self, address: str, process: subprocess.Popen[str], *, height: int) -> None:
        self.address = address
        self._height = height
        self._end = weakref.finalize(self, _end, process)

    def close(self) -> None:
        """End it; what was uploaded goes with it."""
        self._end()

    def _repr_html_(self) -> str:
        address = html.escape(self.address, quote=True)
        return (
            f'<iframe src="{address}" width="100%" height="{self._height}" title="Chimera Studio" '
            f'allow="camera; clipboard-read; clipboard-write" style="border:0"></iframe><p><a href="{address}" '
            f'target="_blank">{address}</a></p>'
        )


def open_studio(*, height: int = 900) -> NotebookStudio:
    """Open the studio; the last line of a cell shows its page below.

    Args:
        height: of the page in the notebook, in pixels.
    Raises:
        ConfigError: if Gradio is not installed.
        RunError: if it does not start.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError(NEEDS_EXTRA)
    process = subprocess.Popen(
        python_command("-m", "chimera_core.studio.beside"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RunError(
            f"the studio ended with code {process.wait()} before it was ready: see its error above"
        )
    return NotebookStudio(json.loads(line)["address"], process, height=height)


def _end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        _close(stream)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()
