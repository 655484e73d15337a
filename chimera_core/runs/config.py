"""``config.toml``: every resolved value of a training; ``--config`` of it runs the same again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.files.toml import TomlFile, read_toml, write_toml

FILE = "config.toml"


def write_config(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as TOML; None is left out, which means the default.

    Raises:
        RunError: if the disk refuses.
    """
    write_toml(path, values)


def read_config(path: Path) -> dict[str, Any]:
    """Read a file of options; relative paths are looked for beside it, too.

    Raises:
        ConfigError: if it is missing or no TOML, with the line where there is one.
    """
    return open_config(path).table


def open_config(path: Path) -> TomlFile:
    """Read a file of options as ``read_config`` does, with the lines of its values."""
    return read_toml(path, what="file of options", paths_beside=True)
