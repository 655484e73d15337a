"""Write files whole or not at all, and name them safely in one-line messages."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chimera_core.errors import ConfigError, RunError
from chimera_core.files.leftovers import is_temporary, temporary_name, writer_is_gone

AnyPath = str | os.PathLike[str]

LINK_OUT = (
    "it is or lies behind a link that leaves its folder: remove the link, or name the place it leads to"
)


def one_line(text: object, *, limit: int | None = None) -> str:
    """Return text that prints on one line and cannot move the cursor, colour or reorder the terminal.

    Args:
        text: anything with a ``str``; a file name may hold newlines, escapes and undecodable bytes.
        limit: the most characters to return; longer text ends in an ellipsis. None: all of it.
    Returns:
        The text with every unprintable character written as a Python escape such as ``\\n``.
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def clean_lines(text: str) -> str:
    """Return text in which nothing can move the cursor, colour or reorder the terminal; lines and tabs stay."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(c if c in "\n\t" else one_line(c) for c in text)


def quote(text: object) -> str:
    """Return ``one_line`` of a path, name or value in single quotes, for use inside a message."""
    return f"'{one_line(text)}'"


def disk_trouble(error: OSError | ValueError) -> str:
    """Say in words why the disk refused, and the mend: ``the disk is full: free some space ...``."""
    if isinstance(error, ValueError):  # what Python raises for a NUL in a path
        return f"{one_line(error)}: choose another name"
    name = errno.errorcode.get(error.errno or 0, "")
    # Pillow raises OSErrors without a number; their own text is all there is.
    return (
        _TROUBLES.get(name) or f"{one_line(error.strerror or error, limit=200)}: try another folder or disk"
    )


def broken_link(path: AnyPath) -> str:
    """Report that a path is a link to nothing, and to what; empty if it is not."""
    try:
        if os.path.islink(path) and not os.path.exists(path):
            return f"{quote(path)} is a broken link: there is no {quote(os.readlink(path))}"
    except (OSError, ValueError):
        pass
    return ""


def describe_folder(path: AnyPath) -> str:
    """Say in a few words what is at the place of a folder, for messages that name what was expected there.

    Returns:
        ``there is no such folder``, ``it is a file``, ``it is empty``, ``it holds a.txt, b, c and 12 more``, or why
        it cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    except NotADirectoryError:
        return "it is a file" if os.path.isfile(path) else "a part of the path is a file, not a folder"
    except FileNotFoundError:
        if is_address(path):
            return "it is an address, which is not read"
        return "it is a broken link" if broken_link(path) else "there is no such folder"
    except PermissionError:
        return "permission denied"
    except (OSError, ValueError) as error:
        return one_line(getattr(error, "strerror", None) or error, limit=200).lower()
    if not names:
        return "it is empty"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "it holds " + ", ".join(one_line(name, limit=40) for name in names[:3]) + more


def is_path_option(name: str) -> bool:
    """Return whether an option says where files lie: ``root``, ``cat_root``, ``labels_file``."""
    return name.endswith(("root", "folder", "path", "file"))


def _is_full(value: Any) -> bool:
    return isinstance(value, str) and os.path.isabs(value)


def is_address(path: AnyPath) -> bool:
    """Return whether a path is an address, such as ``https://example.org/cat.jpg``; a path has shortened its ``//``."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(path)))  # C:/ is a disk


def typed_address(path: AnyPath) -> str:
    """Report that a path is an address, as it was typed; empty if it is none."""
    if not is_address(path):
        return ""
    typed = re.sub(r"^([^:/]+):/(?!/)", r"\1://", os.fspath(path))
    return f"{quote(typed)} is an address: addresses are not read"


def spell_paths(options: Mapping[str, Any], *, also: Collection[str] = ()) -> dict[str, Any]:
    """Spell in full the options that say where files lie, so that they mean the same in any working folder.

    Args:
        options: plain values.
        also: names of options that are paths by their type, see ``path_fields``.
    """
    return {
        key: os.path.abspath(os.path.expanduser(value))
        if (is_path_option(key) or key in also) and isinstance(value, str) and value
        else value
        for key, value in options.items()
    }


def refuse_inputs(outputs: Iterable[AnyPath], inputs: Iterable[tuple[str, AnyPath]]) -> None:
    """Refuse an output that would replace what it is made from, by whatever name it goes.

    A link, a hard link, another spelling, or other letters on a disk that does not tell them apart: the same file.

    Args:
        outputs: files to be written. Only those that are there already can be an input.
        inputs: what each is, as the message names it, and where it lies; gone through only if an output is there.
    Raises:
        ConfigError: naming the output.
    """
    there = {key: output for output in outputs if (key := _identity(output)) is not None}
    if not there:
        return
    for what, path in inputs:
        if (found := there.get(_identity(path))) is not None:
            raise ConfigError(f"output {quote(found)} is {what}, which would be lost: name another")


def leads_out(path: AnyPath, root: AnyPath) -> bool:
    """Return whether a path, its links resolved, lies outside a folder. Neither need exist."""
    real, home = os.path.realpath(path), os.path.realpath(root)
    try:
        return os.path.commonpath([real, home]) != home
    except ValueError:  # on two drives
        return True


def without_places(value: Any) -> Any:
    """Leave out of plain values all that says where files lie, however deep: what is left is what they are.

    Places are options of such names, and full paths by any name, as an option whose type is ``Path`` has them.
    """
    if isinstance(value, Mapping):
        return {k: without_places(v) for k, v in value.items() if not (is_path_option(str(k)) or _is_full(v))}
    if isinstance(value, (list, tuple)):
        return [without_places(v) for v in value if not _is_full(v)]
    return value


def find_beside(value: Any, folder: AnyPath, *, key: str = "") -> Any:
    """Let the relative paths of a file of options mean what lies beside it, where the current folder has no such thing.

    Args:
        value: what the file says: tables, lists, plain values.
        key: of the value. Paths are options that say where something lies, and whatever else names a file or folder by
            a path of several parts, or by an ending.
    Returns:
        The same with those paths found; all else stays as it is, so that what is nowhere is named as it was written.
    """
    if isinstance(value, Mapping):
        return {name: find_beside(inner, folder, key=str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [find_beside(inner, folder, key=key) for inner in value]
    if not isinstance(value, str) or not value or len(value) > 4096 or "\0" in value:
        return value
    is_path = is_path_option(key) or os.path.dirname(value) or os.path.splitext(value)[1]
    if not is_path or os.path.lexists(os.path.expanduser(value)):
        return value
    beside = os.path.join(folder, value)
    return beside if os.path.exists(beside) else value


@contextmanager
def atomic_path(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well it becomes ``path``.

    Readers see the old file or the whole new one. Whatever ends the block early, Ctrl-C too, the old
    file stays and nothing is left behind; what a killed process left in this folder is removed. The block
    should only write: every ``OSError`` in it counts as trouble with this file.

    Args:
        path: the file to write. A symbolic link within its own folder stays, the file it points to is
            replaced; a link that leaves the folder is refused. The permissions of a file that is replaced are
            kept.
    Returns:
        A context manager whose value is an existing, empty file beside it to write into, named by ``temporary_name``.
    Raises:
        RunError: if the file cannot be written, with the reason and the mend.
    """
    with _half_written(path) as (temporary, target, mode):
        sweep_once(target.parent)
        # Some libraries put a file of their own in its place, which nobody else may read.
        allowed = os.stat(temporary).st_mode & 0o777 if mode is None else mode
        yield temporary
        # Without fsync a power cut after the rename can leave an empty file under the right name.
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, allowed)
        os.replace(temporary, target)


def check_writable(path: AnyPath) -> None:
    """Make and remove a temporary file beside ``path``: permission bits alone prove little.

    Raises:
        RunError: if ``atomic_path`` could not write there.
    """
    with _half_written(path):
        pass


def sweep_once(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder; each folder is looked through once in a process.

    A half-written file whose writer runs elsewhere, where nothing tells whether it lives, stays for a day.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if not is_temporary(entry.name):
                continue
            with suppress(OSError):
                gone = writer_is_gone(entry.name)
                if gone or (
                    gone is None and time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY_S
                ):
                    os.unlink(entry.path)


_DAY_S = 86400.0
# A folder of 100,000 pictures is gone through once, not with each of them.
_swept: set[Path] = set()


def write_text_atomic(path: AnyPath, text: str) -> None:
    """Write UTF-8 text whole or not at all, with its newlines as they are on every system.

    Raises:
        RunError: if the file cannot be written, or the text holds undecodable bytes of a file name.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        bad = quote(text[max(error.start - 20, 0) : error.end])
        raise RunError(f"cannot write {quote(path)}: {bad} is not Unicode: rename that file") from None
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _identity(path: AnyPath) -> object:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    # Some network disks number no files.
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.normcase(os.path.realpath(path))


def _target(path: AnyPath) -> tuple[Path, int | None]:
    """Return the real file to replace, and its permission bits if it exists."""
    try:
        target = Path(os.path.realpath(path))
        if os.path.islink(path) and leads_out(path, os.path.dirname(path) or os.curdir):
            raise RunError(f"cannot write {quote(path)}: {LINK_OUT}")
        found = os.stat(target)
    except FileNotFoundError:
        return target, None
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write {quote(path)}: {disk_trouble(error)}") from error
    # Replacing is renaming: as root, writing to /dev/null would turn the device into a file.
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or pipe"
        raise RunError(f"cannot write {quote(path)}: it is {kind}: name a file")
    return target, stat.S_IMODE(found.st_mode)


@contextmanager
def _half_written(path: AnyPath) -> Iterator[tuple[Path, Path, int | None]]:
    """Yield an empty file, what it may become and that one's permission bits; the file is gone after the block."""
    target, mode = _target(path)
    temporary = target.parent / temporary_name(target.name)
    try:
        # Not tempfile.mkstemp: its files are 0600, and the umask that new files should follow cannot be
        # read without changing it for every thread.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary, target, mode
    except OSError as error:
        raise RunError(f"cannot write {quote(path)}: {disk_trouble(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


_TROUBLES = {
    "ENOSPC": "the disk is full: free some space or write elsewhere",
    "EDQUOT": "your disk quota is used up: free some space or write elsewhere",
    "EFBIG": "the file grows above the size allowed: raise the limit (ulimit -f) or write less",
    "EACCES": "permission denied: choose a folder you may write to",
    "EPERM": "permission denied: choose a folder you may write to",
    "EROFS": "the disk is read-only: choose another folder",
    "ENOENT": "there is no such folder: make it first",
    "ENOTDIR": "a part of the path is a file, not a folder: choose another folder",
    "ENAMETOOLONG": "the name is too long: choose a shorter one",
    "ELOOP": "its symbolic links lead in a circle: choose another path",
}
