"""TOML files: read with the line of every key at hand, and written.

``tomllib`` says no lines once a file is read, and neither does *tomlkit*, which keeps the layout but not the
position. So the text is cut into statements, each as long as ``tomllib`` needs to accept it alone: what a statement
is, and which keys it sets, is decided by the parser itself. Writing has its own few lines because the standard
library has none; a test reads back whatever is written.
"""

from __future__ import annotations

import codecs
import functools
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import broken_link, find_beside, one_line, typed_address, write_text_atomic
from chimera_core.files.text import DEEPEST, check_depth, read_bytes

Keys = tuple[str | int, ...]
"""Where a value lies: keys of tables and indices of lists."""

LARGEST_BYTES = 1 << 20
_MOST_PARTS = (
    50  # of a key with dots. Time and memory of the parser go with the square: 20,000 parts took 1.6 GB
)
_LARGEST_NUMBER = 1 << 64
_BUDGET_CHARACTERS, _DEEPEST = 2 << 20, 12  # beyond these no line is said, and nothing takes long
# Every alternative matches to its end or to the end of line or text, so that no text is gone through twice.
_STRING = re.compile(
    rb"""\"{3}(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)|'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)"""
    rb"""|"(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?|\#[^\n]*+""",
    re.DOTALL,
)


@dataclass(frozen=True)
class TomlFile:
    """What a file says. ``what`` is how messages call it: ``registry``, ``config file``."""

    path: Path
    what: str
    table: dict[str, Any] = field(repr=False)
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        """The file as messages name it."""
        return f"{self.what} {one_line(self.path)}"

    def line_of(self, keys: Keys) -> int | None:
        """Find the line where a value is set, or else that of the nearest table around it; None: nowhere."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self._lines:
                return self._lines[keys[:length]]
        return None

    def place(self, keys: Keys) -> str:
        """Name file and line of a value."""
        line = self.line_of(keys)
        return self.name if line is None else f"{self.name} line {line}"

    @functools.cached_property
    def _lines(self) -> dict[Keys, int]:
        found: dict[Keys, int] = {}
        for line, keys in _keys_by_line(self.text):
            found.setdefault(keys, line)
        return found


def read_toml(path: Path, *, what: str, paths_beside: bool = False) -> TomlFile:
    """Read a file, in UTF-8 or, as some editors of Windows write, UTF-16; a byte order mark is skipped.

    Args:
        paths_beside: relative paths that lead nowhere from the current folder are looked for beside the file.
    Raises:
        ConfigError: it is missing, no file, too large or no TOML; with the line where there is one.
    """
    name = f"{what} {one_line(path)}"
    try:
        if not path.exists():
            if address := typed_address(path):
                raise ConfigError(f"{address}, so download the file first")
            raise ConfigError(f"{broken_link(path) or f'{name} does not exist'}: name a TOML file")
        if not path.is_file():  # a pipe or device may never end
            raise ConfigError(f"{name} is not a file: name a TOML file")
        data = read_bytes(path, most_bytes=LARGEST_BYTES, mend="name a TOML file")
        is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_wide else "utf-8-sig").replace("\r\n", "\n")
        _check_text(text)
        table = tomllib.loads(text)
        _check_values(TomlFile(path, what, table, text))
        return TomlFile(path, what, find_beside(table, path.parent) if paths_beside else table, text)
    except DataError as error:
        raise ConfigError(f"{what} {error}") from None
    # tomllib lets through the ValueError of an integer of 5000 digits.
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{name} cannot be read ({one_line(error, limit=200)}): mend the file") from None


def write_toml(path: Path, table: Mapping[str, Any], *, comment: str = "") -> None:
    """Write a table whole or not at all; ``None`` has no place in TOML and is left out.

    Raises:
        RunError: if the disk refuses.
    """
    head = "".join(f"# {one_line(line)}\n" for line in comment.splitlines())
    write_text_atomic(path, head + to_toml(table))


def to_toml(table: Mapping[str, Any]) -> str:
    """Write a table as TOML: plain values first, then tables. Tables inside lists stay on one line."""
    return "\n".join(_sections(table, ())).lstrip("\n") + "\n"


def _check_text(text: str) -> None:
    """Refuse what would take the parser long, before it begins."""
    plain = _STRING.sub(b"s", text.encode(errors="surrogatepass"))
    check_depth(plain)
    # What has most dots between these is a key; a number has one.
    if any(part.count(b".") >= _MOST_PARTS for part in re.split(rb"[\n=,\[\]{}]", plain)):
        raise ValueError(f"a key of more than {_MOST_PARTS} parts")


def _check_values(file: TomlFile) -> None:
    """Refuse tables that dotted keys and brackets together nest too deep, and numbers that no option takes."""
    waiting: list[tuple[Keys, Any]] = [((), file.table)]
    while waiting:
        keys, value = waiting.pop()
        wrong = ""
        if len(keys) > DEEPEST:
            wrong = f"tables deeper than {DEEPEST}"
        elif isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
            wrong = f"a number of {value.bit_length():,} bits is out of range"
        if wrong:
            where = one_line(".".join(map(str, keys[:_DEEPEST])), limit=120)
            raise ConfigError(f"{file.place(keys)}: {where}: {wrong}: mend the file")
        waiting += [((*keys, key), inner) for key, inner in _items(value)]


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _sections(table: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[str]:
    plain = {k: v for k, v in table.items() if v is not None and not isinstance(v, Mapping)}
    if at and (plain or not any(isinstance(v, Mapping) for v in table.values())):
        yield f"\n[{'.'.join(map(_key, at))}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _sections(value, (*at, key))


def _key(key: str) -> str:
    is_bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if is_bare else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return "{" + ", ".join(inside) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    # JSON's strings are TOML's, but that it leaves DEL, C1 controls and marks of direction as they are.
    return "".join(
        c if c.isprintable() or "\ud800" <= c <= "\udfff" else f"\\U{ord(c):08X}"
        for c in json.dumps(str(value), ensure_ascii=False)
    )


def _keys_by_line(text: str) -> Iterator[tuple[int, Keys]]:
    """Go through a file that is valid as a whole: (line from 1, keys of a value that is set there)."""
    lines = text.split("\n")
    table: Keys = ()
    counts: dict[Keys, int] = {}  # how many [[items]] an array has so far
    start, budget = 0, _BUDGET_CHARACTERS
    while start < len(lines):
        head = lines[start].strip()
        if not head or head.startswith("#"):
            start += 1
            continue
        end, parsed = start, None
        while parsed is None:
            end += 1
            statement = "\n".join(lines[start:end])
            budget -= len(statement)
            if end > len(lines) or budget < 0:
                return
            try:
                parsed = tomllib.loads(statement)
            except (ValueError, RecursionError):
                continue
        if head.startswith("["):
            table = _header(parsed, counts)
            yield from ((start + 1, table[:length]) for length in range(1, len(table) + 1)[:_DEEPEST])
        else:
            yield from ((start + 1, (*table, *keys)) for keys in _all_keys(parsed))
        start = end


def _header(parsed: dict[str, Any], counts: dict[Keys, int]) -> Keys:
    """Give the full keys of the table that ``[a.b]`` or ``[[a.b]]`` opens, with the index of every array's item."""
    keys: Keys = ()
    value: Any = parsed
    while isinstance(value, dict) and value:
        ((key, value),) = value.items()
        keys = (*keys, key)
        if isinstance(value, list):  # [[...]]: another item of this array
            counts[keys] = counts.get(keys, 0) + 1
            value = value[0]
        if keys in counts:
            keys = (*keys, counts[keys] - 1)
    return keys


def _all_keys(parsed: Any) -> Iterator[Keys]:
    waiting: list[tuple[Keys, Any]] = [((), parsed)]
    while waiting:
        keys, value = waiting.pop()
        if keys:
            yield keys
        if len(keys) < _DEEPEST:
            waiting += [((*keys, key), inner) for key, inner in _items(value)]
