"""The run folder: what one command produced, and enough to know how."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core import __version__
from chimera_core.errors import ConfigError, RunError
from chimera_core.files import disk_trouble, quote, write_text_atomic
from chimera_core.plugins import PluginHost
from chimera_core.toml_files import write_toml

RECORD = "run.json"
_VERSIONS_OF = ("torch", "torchvision", "timm", "numpy", "pillow", "opencv-python-headless")


def make_run_folder(path: Path) -> Path:
    """Make the folder of a run, with the folders above it where they are missing.

    Raises:
        ConfigError: if a file is in the way.
        RunError: if the disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(
            f"the run folder {quote(path)} lies at or under a file: name another with --run"
        ) from None
    except OSError as error:
        raise RunError(f"the run folder {quote(path)} cannot be made: {disk_trouble(error)}") from None
    return path


def write_run_record(
    folder: Path, host: PluginHost, *, status: str, seed: int, device: str, **facts: Any
) -> None:
    """Write ``run.json``: status, command, seed, commit, versions, device, plugins, and the given facts."""
    record: Mapping[str, Any] = {
        "status": status,
        "command": ["chimera", *sys.argv[1:]],
        "seed": seed,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_commit": _git_commit(),
        "versions": versions(),
        "device": device,
        "plugins": [
            {"name": r.name, "distribution": r.distribution, "version": r.version, "status": r.status}
            for r in host.records
        ],
        **facts,
    }
    write_text_atomic(folder / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def read_run_record(folder: Path) -> dict[str, Any]:
    """Read what a run says of itself.

    Raises:
        ConfigError: if there is no run, or its record is damaged.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"there is no run {quote(folder)}: check its name") from None
    except (OSError, ValueError):
        raise ConfigError(f"{quote(path)} is damaged: it is no record of a run") from None
    return record


def find_run(name: str, runs: Path) -> Path | None:
    """Look a run up: a folder, or a name below the folder of runs; None if there is none."""
    for folder in (Path(os.path.expanduser(name)), runs / name):
        if name and (folder / RECORD).is_file():
            return folder
    return None


def place_run(name: str, runs: Path) -> Path:
    """Say where a run of this name lies: a bare name below the folder of runs, a path where it says."""
    path = Path(os.path.expanduser(name))
    return runs / name if len(path.parts) == 1 and name not in (".", "..") else path


def write_run_config(folder: Path, command: str, **values: Any) -> None:
    """Write ``config.toml``: every resolved value, so that ``chimera COMMAND --config`` of it runs the same again.

    Args:
        folder: of the run.
        command: e.g. ``"fuse"`` or ``"encoder train"``.
        values: by the names of the command's options, with _ for -; components as ``use.component_table`` gives them.
    """
    again = f"chimera {command} --config {quote(folder / 'config.toml')}"
    comment = f"Every value of this run, with chimera-toolkit {__version__}. The same again: {again}"
    write_toml(folder / "config.toml", {"command": command, **values}, comment=comment)


def versions() -> dict[str, str]:
    """Give the versions of Chimera, Python and the libraries that numbers depend on, without importing them."""
    found = {"chimera-toolkit": __version__, "python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git_commit() -> str | None:
    """Name the commit of the checkout that this code runs from; None when it is installed."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        shown = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return shown.stdout.strip() or None
