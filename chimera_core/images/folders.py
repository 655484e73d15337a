"""Walk folders as people have them: with links that lead in circles, and what a NAS or a system puts among pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chimera_core.errors import DataError
from chimera_core.files.atomic import AnyPath, quote
from chimera_core.images.readers import is_read

DEEPEST = 32
"""Folders below the first that are looked into, unless the caller wants fewer."""
_MOST_LINKED = (
    20_000  # folders reached by links; 1,000 classes by links are usual, links to links to folders are not
)

# Of Synology, QNAP and NetApp, of Windows, of macOS and its archives, of Linux, of programs.
_SYSTEM = frozenset(
    (
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@sharebin",
        "@tmp",
        "#recycle",
        "#snapshot",
        "~snapshot",
        "$recycle.bin",
        "recycled",
        "recycler",
        "system volume information",
        "__macosx",
        "network trash folder",
        "temporary items",
        "lost+found",
        "__pycache__",
    )
)


@dataclass(frozen=True)
class Pictures:
    """The picture files below a folder.

    Args:
        files: of each the parts of its path below the folder, sorted.
        passed_over: folders with a system's name, and links that lead back into a folder above them.
    """

    files: tuple[tuple[str, ...], ...]
    passed_over: tuple[Path, ...]


def is_system_folder(name: str) -> bool:
    """Return whether a folder of this name holds what a system or a program keeps for itself: ``@eaDir``, ``.cache``."""
    return (
        name.startswith(".") or name.lower() in _SYSTEM or bool(re.fullmatch(r"found\.\d{3}", name.lower()))
    )


def pictures_below(root: AnyPath, *, deepest: int = DEEPEST) -> Pictures:
    """List picture files by their endings; hidden ones are left out.

    Args:
        root: the folder.
        deepest: how many folders down to look; 0: in this one only.
    Raises:
        DataError: if a folder cannot be read, or links multiply without end.
    """
    files: list[tuple[str, ...]] = []
    passed_over: list[Path] = []
    for parts, names in walk(root, deepest=deepest, pass_over=passed_over.append):
        files += ((*parts, name) for name in names if is_picture_name(name))
    return Pictures(tuple(sorted(files)), tuple(passed_over))


def is_picture_name(name: str) -> bool:
    """Return whether a file's name is that of a picture: a known ending, and not hidden."""
    return not name.startswith(".") and is_read(os.path.splitext(name)[1])


def walk(
    root: AnyPath, *, deepest: int = DEEPEST, pass_over: Callable[[Path], object] | None = None
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Go through folders in order, through links too, but never into a folder above.

    Args:
        pass_over: is called with system folders, which are left out, and with links that lead back; None: system
            folders are gone through as others are, and one that cannot be read counts as empty.
    Returns:
        Of each folder the parts of its path below ``root``, and the names of what in it is no folder.
    Raises:
        DataError: if a folder cannot be read, or links multiply without end.
    """
    linked = 0
    # A folder to look into, and the (device, inode) of those above it, the first one's own too.
    first = frozenset(filter(None, map(_identity, Path(os.path.realpath(root)).parents)))
    waiting: list[tuple[tuple[str, ...], frozenset[tuple[int, int]]]] = [((), first)]
    while waiting:
        parts, above = waiting.pop()
        place = os.path.join(root, *parts)
        try:
            found = os.stat(place)
            with os.scandir(place) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if pass_over is None:
                continue
            raise DataError(
                f"{quote(place)} cannot be read ({error.strerror}): change its permissions"
            ) from error
        above |= {(found.st_dev, found.st_ino)}
        folders = [entry for entry in inside if _is_folder(entry)]
        names = {entry.name for entry in folders}
        yield parts, [entry.name for entry in inside if entry.name not in names]
        below = []
        for entry in folders:
            if pass_over is not None and is_system_folder(entry.name):
                if not entry.name.startswith("."):  # hidden: nobody expects it
                    pass_over(Path(entry.path))
            elif entry.is_symlink() and _identity(entry.path) in above:
                if pass_over is not None:
                    pass_over(Path(entry.path))
            elif len(parts) < deepest:
                linked += entry.is_symlink()
                below.append(((*parts, entry.name), above))
        if linked > _MOST_LINKED:
            raise DataError(
                f"links in {quote(root)} lead to more than {_MOST_LINKED:,} folders, such as {quote(place)}: "
                "name a folder further down, or remove links that lead to one another"
            )
        waiting += reversed(below)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _identity(path: AnyPath) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
