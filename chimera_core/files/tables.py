"""Tables of comma-separated values that spreadsheets open without running what a stranger wrote. Torch-free."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from chimera_core.files.atomic import one_line

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_GUARD = "'"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table, every cell on one line.

    A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and formulas start programs
    and send data away. Such a cell, if it is no number, gets an apostrophe before it, which spreadsheets take for "this is
    text" (OWASP, CSV injection).

    Args:
        columns: their names.
        rows: plain values; None is an empty cell.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_guarded(name) for name in columns])
    writer.writerows([_guarded(value) for value in row] for row in rows)
    return text.getvalue()


def plain_cell(text: str) -> str:
    """Give a cell of ``csv_text`` as it was before it was guarded."""
    return text[1:] if text.startswith(_GUARD) and text[1:].startswith(_BEGINS_A_FORMULA) else text


def _guarded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # Spaces before it do not keep a spreadsheet from reading a formula.
    if value.lstrip(" ").startswith(_BEGINS_A_FORMULA) and not _is_number(value):
        value = _GUARD + value
    return one_line(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
