"""What is known about a picture: its terms, its author, where it is from. A small TOML file beside it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from chimera_core.files.atomic import one_line
from chimera_core.files.toml import read_toml, write_toml

SUFFIX = ".toml"
LONGEST = 500
"""Characters of a value that are read; what is longer is cut."""


@dataclass(frozen=True)
class PictureRecord:
    """Terms and origin of a picture; empty where nothing is known.

    Args:
        licence: an SPDX identifier, or a few words.
        attribution: whom to name.
        source: address of the page that it is from.
        original: its file name there.
        added: the day it came into the library, as 2026-05-31.
    """

    licence: str = ""
    attribution: str = ""
    source: str = ""
    original: str = ""
    added: str = ""


def record_file(picture: Path) -> Path:
    """Name the file of a picture's record: ``eagle.jpg.toml`` of ``eagle.jpg``."""
    return picture.with_name(picture.name + SUFFIX)


def read_record(picture: Path) -> PictureRecord:
    """Read the record beside a picture; an empty one if there is none. Keys that are not ours are passed over.

    Raises:
        ConfigError: if there is one that cannot be read.
    """
    file = record_file(picture)
    if not os.path.lexists(file) or file.is_symlink():
        return PictureRecord()
    table = read_toml(file, what="record").table
    known = {field.name for field in fields(PictureRecord)}
    return PictureRecord(
        **{key: one_line(value, limit=LONGEST) for key, value in table.items() if key in known}
    )


def write_record(picture: Path, record: PictureRecord) -> None:
    """Write the record beside a picture, without what is not known.

    Raises:
        RunError: if the disk refuses.
    """
    write_toml(record_file(picture), {key: value for key, value in asdict(record).items() if value})
