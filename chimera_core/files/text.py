"""Text that others may have written, read with limits on length, depth and numbers. Torch-free.

A stranger's run folder may hold a pipe for ``run.json``, a device for ``config.toml``, or brackets that no parser
survives. So only regular files are opened, no more is read than the kind of file may have, and what a parser would
stumble over is counted before it begins. TOML has its own reader on top of this: ``toml.py``.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import stat
from collections.abc import Callable
from typing import Any

from chimera_core.errors import DataError
from chimera_core.files.atomic import AnyPath, one_line, quote

MOST_BYTES = 16 << 20
LARGE_BYTES = 1 << 30
"""For the lists of our own that grow with the data: a million file names take about 60 MB."""
DEEPEST = 100
"""Tables and lists within each other; those that we write have 10 at most."""

_MEND = "remove it, or get it anew"
_LONGEST_NUMBER = 300  # digits: every such integer fits into a float
_OPENING, _CLOSING = b"[{", b"]}"
_NO_BRACKETS = bytes(set(range(256)) - set(_OPENING + _CLOSING))
_STEPS = {**dict.fromkeys(_OPENING, 1), **dict.fromkeys(_CLOSING, -1)}
# Every alternative matches to its end or to the end of the text, so that no text is gone through twice.
_JSON_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def read_bytes(path: AnyPath, *, most_bytes: int = MOST_BYTES, mend: str = _MEND) -> bytes:
    """Read a regular file of limited length, whatever else lies there under its name.

    Args:
        path: the file; links are followed, see ``own_folders.inside``.
    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file. The caller knows what that means.
        DataError: it is no regular file (a folder, pipe, device), too long, or the disk refuses.
    """
    try:
        _check_regular(os.stat(path).st_mode)
        with open(path, "rb", opener=_open) as file:
            info = os.fstat(file.fileno())
            _check_regular(info.st_mode)
            # Some files of the system claim no length.
            data = b"" if info.st_size > most_bytes else file.read(max(info.st_size, 1 << 20) + 1)
        if max(info.st_size, len(data)) > most_bytes:
            raise ValueError(f"more than {most_bytes:,} bytes")
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{quote(path)} cannot be read ({one_line(why, limit=120)}): {mend}") from None
    return data


def read_text(path: AnyPath, *, most_bytes: int = MOST_BYTES, mend: str = _MEND) -> str:
    """Read a file of UTF-8; a byte order mark is skipped. Raises as ``read_bytes``, and DataError if it is no text."""
    return _decoded(path, read_bytes(path, most_bytes=most_bytes, mend=mend), mend)


def read_json(
    path: AnyPath,
    *,
    most_bytes: int = MOST_BYTES,
    mend: str = _MEND,
    constant: Callable[[str], Any] = float,
) -> Any:
    """Read a file of JSON.

    Args:
        constant: what stands for ``NaN`` and ``Infinity``, which Python writes though JSON has none.
    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file.
        DataError: as ``read_bytes``, or it is no JSON, nested too deep, or a number in it is out of range.
    """
    text = _decoded(path, read_bytes(path, most_bytes=most_bytes, mend=mend), mend)
    try:
        return parse_json(text, constant=constant)
    except ValueError as error:
        raise DataError(
            f"{quote(path)} is damaged or cut short ({one_line(error, limit=120)}): {mend}"
        ) from None


def read_json_table(path: AnyPath, *, most_bytes: int = MOST_BYTES, mend: str = _MEND) -> dict[str, Any]:
    """Read a file of JSON that is one table; raises as ``read_json``."""
    table = read_json(path, most_bytes=most_bytes, mend=mend)
    if not isinstance(table, dict):
        raise DataError(f"{quote(path)} is damaged (it is not a table): {mend}")
    return table


def parse_json(text: str, *, constant: Callable[[str], Any] = float) -> Any:
    """Parse JSON that came from elsewhere than a file of ours: a header, a note in a picture.

    Raises:
        ValueError: it is none, nested too deep, or a number in it is out of range.
    """
    data = text.encode(errors="surrogatepass")
    if data.count(b"[") + data.count(b"{") > DEEPEST:
        check_depth(_JSON_STRING.sub(b"", data))
    return json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=constant)


def check_depth(data: bytes) -> None:
    """Refuse text whose brackets nest too deep, before a parser goes down into it.

    Args:
        data: the text, without its strings.
    Raises:
        ValueError: saying how deep it may be.
    """
    brackets = data.translate(None, delete=_NO_BRACKETS)
    if any(depth > DEEPEST for depth in itertools.accumulate(map(_STEPS.__getitem__, brackets))):
        raise ValueError(f"brackets deeper than {DEEPEST}")


def _open(path: str, flags: int) -> int:
    # Between two looks the file may have become a pipe that nobody writes to; Windows has no such flag.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ValueError(f"it is {'a folder' if stat.S_ISDIR(mode) else 'a pipe or device'}, not a file")


def _decoded(path: AnyPath, data: bytes, mend: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except ValueError:
        raise DataError(f"{quote(path)} is damaged (it is not text in UTF-8): {mend}") from None


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits):,} digits is out of range")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {one_line(digits, limit=20)} is out of range")
    return number
