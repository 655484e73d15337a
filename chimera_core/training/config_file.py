"""``config.toml``: every resolved value of a training; ``--config`` of it runs the same again."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.errors import ConfigError
from chimera_core.files import one_line, quote, write_text_atomic

FILE = "config.toml"


def write_config(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as TOML; None is left out, which means the default.

    Raises:
        RunError: if the disk refuses.
    """
    write_text_atomic(path, to_toml(values))


def read_config(path: Path) -> dict[str, Any]:
    """Read a file of options.

    Raises:
        ConfigError: if it is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ConfigError(f"there is no file of options {quote(path)}: check its name") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{quote(path)} cannot be read ({one_line(error, limit=200)}): mend it") from None


def to_toml(values: Mapping[str, Any]) -> str:
    """Spell nested plain values as TOML."""
    return "\n".join(_lines(values, ())) + "\n"


def _lines(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [
        f"{_key(k)} = {_value(v)}" for k, v in values.items() if not isinstance(v, Mapping) and v is not None
    ]
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = (*path, key)
            lines += ["", f"[{'.'.join(map(_key, inner))}]", *_lines(value, inner)]
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    # JSON's escapes are TOML's, but for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
