"""The folder of one studio: uploads and pictures, seen by its owner alone, gone with the process. Torch-free."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from chimera_core.errors import RunError
from chimera_core.files.atomic import disk_trouble, quote
from chimera_core.files.leftovers import temporary_name, writer_is_gone
from chimera_core.files.own_folders import remove_tree

_NAME = "chimera-studio"


def make_private_folder(below: Path | None = None) -> Path:
    """Make a folder that nobody else can read, and remove those that killed studios left.

    Args:
        below: the system's folder of temporary files when None.
    Raises:
        RunError: if the disk refuses.
    """
    place = Path(os.path.realpath(below or tempfile.gettempdir()))
    remove_abandoned(place)
    folder = place / temporary_name(_NAME)
    try:
        os.mkdir(folder, 0o700)  # refuses what is there already, a link too
    except OSError as error:
        raise RunError(
            f"cannot make the folder {quote(folder)}: {disk_trouble(error)}: set TMPDIR to one that you can write"
        ) from error
    return folder


def remove_abandoned(place: Path) -> None:
    """Remove the folders of studios that have ended without doing so; those of other users are left alone."""
    for folder in place.glob(f".{_NAME}.*.tmp"):
        with suppress(OSError):
            found = os.lstat(folder)
            is_mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if stat.S_ISDIR(found.st_mode) and is_mine and writer_is_gone(folder.name):
                remove_tree(folder, within=place)


def remove_private_folder(folder: Path) -> None:
    """Remove a studio's folder with all that is in it."""
    if folder.name.startswith(f".{_NAME}."):
        remove_tree(folder, within=folder.parent)
