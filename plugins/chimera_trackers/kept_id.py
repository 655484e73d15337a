"""A tracker's own id of a run, kept in the run's folder, so that a resumed training goes on in the same one."""

from __future__ import annotations

import re
from pathlib import Path

from chimera_core.api import atomic_path

_LONGEST = 64


def read_id(folder: Path, tracker: str) -> str | None:
    """Read the id under which a tracker knows the run; None: it does not yet, or the file holds something else."""
    try:
        with _file(folder, tracker).open("rb") as file:
            text = file.read(_LONGEST + 2).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.fullmatch(rf"[A-Za-z0-9_-]{{1,{_LONGEST}}}", text) else None


def write_id(folder: Path, tracker: str, known_as: str) -> None:
    """Keep the id.

    Raises:
        RunError: if the disk refuses.
    """
    with atomic_path(_file(folder, tracker)) as path:
        path.write_text(known_as + "\n", encoding="utf-8", newline="\n")


def _file(folder: Path, tracker: str) -> Path:
    return folder / f"{tracker}-id.txt"
