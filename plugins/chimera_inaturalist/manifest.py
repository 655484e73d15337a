"""``attribution.csv``: a line for every photograph, written before the photograph is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from chimera_core.api import DataError, atomic_path, csv_text, one_line, plain_cell
from chimera_inaturalist.config import class_name

MANIFEST = "attribution.csv"
MOST_BYTES = 200_000_000
_FILE = re.compile(r"([^/\\]+)/([0-9]{1,18})\.(jpg|png|gif|webp)")


@dataclass(frozen=True)
class Row:
    """One photograph. The fields are the columns, in their order.

    ``file`` is CLASS/PHOTO.jpg; ``taxon`` the scientific name; ``source_url`` the page of the observation;
    ``photo_url`` where the file came from.
    """

    file: str
    taxon: str
    photo_id: str
    observation_id: str
    licence: str
    attribution: str
    source_url: str
    photo_url: str

    @property
    def class_name(self) -> str:
        """The class, which is the folder."""
        return self.file.partition("/")[0]


COLUMNS = tuple(field.name for field in fields(Row))


def read_rows(root: Path) -> tuple[dict[str, Row], int]:
    """Read the manifest of a folder.

    Returns:
        The rows by photo id, in their order, whether their photographs are here or not; and how many lines make no
        sense, such as those that name a file elsewhere.
    Raises:
        DataError: if there is one that cannot be read.
    """
    path = root / MANIFEST
    try:
        if not path.exists():
            return {}, 0
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise DataError(f"'{path}' is not a table that this source wrote: move it away and download anew")
        text = path.read_text(encoding="utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise DataError(
                f"'{path}' has other columns than {','.join(COLUMNS)}: move it away and download anew"
            )
        lines = list(table)
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or one_line(error, limit=120)
        raise DataError(f"'{path}' cannot be read ({reason}): move it away and download anew") from error
    rows, strange = {}, 0
    for line in lines:
        row = Row(*(plain_cell(line[column] or "") for column in COLUMNS)) if None not in line else None
        if row is None or not _makes_sense(row) or row.photo_id in rows:
            strange += 1
        else:
            rows[row.photo_id] = row
    return rows, strange


def write_rows(root: Path, rows: Iterable[Row]) -> None:
    """Write the manifest whole or not at all.

    Raises:
        RunError: if the disk refuses.
    """
    text = csv_text(COLUMNS, (astuple(row) for row in rows))
    with atomic_path(root / MANIFEST) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def _makes_sense(row: Row) -> bool:
    match = _FILE.fullmatch(row.file)
    return bool(
        match
        and match[1] == class_name(match[1])
        and match[2] == row.photo_id
        and re.fullmatch(r"[0-9]{1,18}", row.observation_id)
        and row.licence
    )
