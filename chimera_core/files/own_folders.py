"""Folders of our own (runs, packed data, assets, the library), which a stranger may have filled with links.

What lies in them is read through ``inside``, and written or removed by the functions here and ``files.atomic_path``, so
that nothing outside is read, written or removed. The folder itself may lie behind a link: that is its owner's choice.
Torch-free.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, Literal

from chimera_core.errors import DataError, RunError
from chimera_core.files.atomic import LINK_OUT, AnyPath, atomic_path, disk_trouble, leads_out, quote
from chimera_core.files.names import name_trouble, same_file


def inside(root: AnyPath, name: AnyPath) -> Path:
    """Give a file or folder below ``root`` for reading, its links resolved first.

    Args:
        name: relative to it, as a record or manifest names it. It need not exist.
    Returns:
        ``root / name``.
    Raises:
        DataError: if the name is absolute, goes up, or leads out of the folder by a link.
    """
    path = Path(root) / relative_name(os.fspath(name))
    if leads_out(path, root):
        raise DataError(f"{quote(path)} is not read: {LINK_OUT}")
    return path


def relative_name(name: str) -> str:
    """Check that the name of a file in somebody's list cannot leave the folder of the list, on any system.

    Links are not looked at: in a folder of data they are its owner's, who may keep the images elsewhere.

    Raises:
        DataError: if it is empty, absolute, goes up with ``..``, or holds a NUL.
    """
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    strange = not name or "\0" in name or windows.drive or windows.root or posix.root
    if strange or ".." in windows.parts or ".." in posix.parts:
        raise DataError(f"{quote(name)} lies outside the folder that names it: name a file below")
    return name


def check_file_part(name: str, *, what: str) -> str:
    """Check that a word which others choose can be a part of a file's name.

    Raises:
        DataError: if it is empty, too long, hidden, or no system takes a file whose name begins so.
    """
    # What follows it saves a final dot, and "aux" alone, but not "aux.2".
    trouble = "it is empty or hidden" if not name or name[0] == "." else name_trouble(f"{name}-")
    trouble = trouble or ("it is longer than 100 characters" if len(name) > 100 else "")
    if trouble:
        raise DataError(f"{what} {quote(name[:100])} cannot be part of a file's name ({trouble}): rename it")
    return name


def check_file_parts(names: Iterable[str], *, what: str) -> tuple[str, ...]:
    """Check words that shall be parts of files' names in one folder: each, and that no two mean one file.

    Raises:
        DataError: as ``check_file_part``, or if two differ in capitals or in how accents are spelled only.
    """
    checked = tuple(check_file_part(name, what=what) for name in names)
    if twins := same_file(checked):
        raise DataError(
            f"{what}s {quote(twins[0])} and {quote(twins[1])} would be one file on disks of Windows and macOS, "
            "which tell no capitals apart: rename one"
        )
    return checked


def make_folder(folder: AnyPath, *, within: AnyPath | None = None, mend: str = "") -> Path:
    """Make a folder, and those above it.

    Args:
        folder: need not exist.
        within: a folder that it must not leave through links. None: it is the user who named it.
        mend: what else the user can do when the disk refuses, such as ``set CHIMERA_CACHE``.
    Raises:
        RunError: if the disk refuses, a file is in the way, or a link leads out of ``within``.
    """
    also = f", or {mend}" if mend else ""
    try:
        if within is not None and leads_out(folder, within):
            raise RunError(f"cannot write into {quote(folder)}: {LINK_OUT}")
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        what = "a broken link" if os.path.islink(folder) else "a file"
        raise RunError(
            f"cannot make the folder {quote(folder)}: {what} is in the way: remove it{also}"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"cannot make the folder {quote(folder)}: {disk_trouble(error)}{also}") from error
    return Path(folder)


def open_own(path: AnyPath, mode: Literal["new", "append"], *, buffered: bool = False) -> BinaryIO:
    """Open a file that grows while it is written: a log, or a half of a download.

    Args:
        path: the file. Its folder is one of our own, made by ``make_folder``.
        mode: ``append`` writes behind what is there; ``new`` removes that first. The file can be read, too.
        buffered: keep small writes until ``flush``. Not: what was written is in the file, whatever comes.
    Raises:
        RunError: if it is a link, a folder, pipe or device, or the disk refuses.
    """
    place = Path(path)
    try:
        refuse_link(place)
        if mode == "append" and place.exists() and place.stat().st_nlink > 1:
            # A hard link may be a file elsewhere; written through a copy, the other name keeps what it has.
            with atomic_path(place) as temporary:
                shutil.copyfile(place, temporary)
        if mode == "new":
            place.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | (os.O_APPEND if mode == "append" else os.O_EXCL)
        # A pipe that nobody reads would block; the flags are missing on Windows.
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(place, flags, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise RunError(f"cannot write {quote(path)}: it is a device or pipe: remove it")
        return open(descriptor, "ab+" if mode == "append" else "wb+", buffering=-1 if buffered else 0)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write {quote(path)}: {disk_trouble(error)}") from error


def refuse_link(path: AnyPath) -> None:
    """Refuse a link where a file of our own grows: it could be changed under the writer's hands.

    Raises:
        RunError: naming it.
    """
    if os.path.islink(path):
        raise RunError(f"cannot write {quote(path)}: it is a link: remove it")


def remove_file(path: AnyPath, *, within: AnyPath) -> None:
    """Remove a file, or a link itself; one that is not there is fine.

    Raises:
        RunError: if its folder leads out of ``within`` by a link, or the disk refuses.
    """
    _check_folder_of(path, within)
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot remove {quote(path)}: {disk_trouble(error)}") from error


def remove_half_written(folder: Path, *, within: AnyPath, older_s: float = 0.0) -> None:
    """Remove all files that are being written, from a folder where nobody else writes; what the disk keeps stays.

    Args:
        folder: whose own files are meant.
        within: a folder that they must not leave through links.
        older_s: spare those that were written to in so many last seconds.
    """
    for path in folder.glob(".*.tmp"):
        with suppress(OSError, RunError):
            if time.time() - path.lstat().st_mtime >= older_s:
                remove_file(path, within=within)


def remove_tree(folder: AnyPath, *, within: AnyPath) -> None:
    """Remove a folder with all that is in it, following no link; what the disk keeps stays without a word.

    Raises:
        RunError: if the folder above it leads out of ``within`` by a link.
    """
    _check_folder_of(folder, within)
    if os.path.islink(folder):
        with suppress(OSError):
            os.unlink(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def move(path: AnyPath, to: AnyPath, *, within: AnyPath) -> None:
    """Give a file or folder another name, replacing a file of that name.

    Raises:
        RunError: if one of the two leads out of ``within``, or the disk refuses.
    """
    _check_folder_of(path, within)
    _check_folder_of(to, within)
    try:
        os.replace(path, to)
    except OSError as error:
        raise RunError(f"cannot write {quote(to)}: {disk_trouble(error)}") from error


def _check_folder_of(path: AnyPath, within: AnyPath) -> None:
    if leads_out(os.path.dirname(os.fspath(path)) or os.curdir, within):
        raise RunError(f"cannot change {quote(path)}: {LINK_OUT}")
