"""Tables and JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from chimera_core.cli._streams import terminal_of
from chimera_core.files.atomic import one_line


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, and nothing else goes there."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").startswith("utf")
    text = json.dumps(value, indent=2, ensure_ascii=not is_unicode)
    # JSON leaves C1 controls and marks of direction as they are, and its escapes are others than Python's.
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
    click.echo(text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout: plain columns that a person and ``awk`` can read."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(Text(one_line(name)))
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console = Console(file=terminal_of(sys.stdout))
    console.width = console.width if console.is_terminal else 160
    console.print(table)
