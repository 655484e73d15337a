"""The tables of measured figures in docs, each written from one file here.

FOLDER/NAME.json becomes TABLES["FOLDER-NAME"]; FOLDER is the page. A file holds

- ``source``: where its figures come from; and ``command``, ``seed``, ``budget`` and ``conditions`` as far as they are known;
- ``columns``: a ``title`` each, and for figures a ``format``: a Python format string, or several, of which the one with as many
  fields as a cell has numbers is used. ``join`` stands between the parts of a cell that is a list of repetitions (seeds, runs);
  ``leading_zero`` false writes .58;
- ``rows``: lists of cells. A cell is words, a number, a list of numbers (an interval is a list within it) or null (empty);
  ``{"value": ..., "format": ...}`` where its form is not the column's, ``{"bold": ...}`` for a cell or a whole row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from string import Formatter
from typing import Any

HERE = Path(__file__).parent


def table(kept: dict[str, Any]) -> str:
    """Write a table in Markdown.

    Args:
        kept: what a file holds, see above.
    Raises:
        ValueError: if a row has not one cell per column, or no format has as many fields as a cell has numbers.
    """
    columns = kept["columns"]
    lines = [_line([column["title"] for column in columns]), "|" + "---|" * len(columns)]
    for row in kept["rows"]:
        cells = [{"bold": cell} for cell in row["bold"]] if isinstance(row, dict) else row
        if len(cells) != len(columns):
            raise ValueError(f"row {cells} has {len(cells)} cells for {len(columns)} columns")
        lines.append(_line([_cell(cell, column) for cell, column in zip(cells, columns, strict=True)]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _cell(cell: Any, column: dict[str, Any]) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, dict):
        if "bold" in cell:
            return f"**{_cell(cell['bold'], column)}**"
        return _cell(cell["value"], {**column, "format": cell["format"]})
    if "join" in column:
        return column["join"].join(
            _figures(part, column) for part in (cell if isinstance(cell, list) else [cell])
        )
    return _figures(cell, column)


def _figures(cell: Any, column: dict[str, Any]) -> str:
    numbers = list(_flat(cell))
    formats = column.get("format", [])
    for text in [formats] if isinstance(formats, str) else formats:
        if sum(field is not None for _, field, _, _ in Formatter().parse(text)) == len(numbers):
            written = text.format(*numbers)
            return written if column.get("leading_zero", True) else written.removeprefix("0")
    raise ValueError(
        f"{cell} has {len(numbers)} numbers, no format of column {column['title']!r} has as many fields"
    )


def _flat(cell: Any) -> Iterator[int | float]:
    if isinstance(cell, list):
        for part in cell:
            yield from _flat(part)
    else:
        yield cell


def _table_of(path: Path) -> str:
    return table(json.loads(path.read_text(encoding="utf-8")))


TABLES = {
    f"{path.parent.name}-{path.stem}": partial(_table_of, path) for path in sorted(HERE.glob("*/*.json"))
}
