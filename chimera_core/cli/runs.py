"""``chimera runs``: what lies in the folder of runs, and how each stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli.parsing.groups import Group
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.atomic import one_line, quote
from chimera_core.options.config import suggest
from chimera_core.runs.record import RECORD, find_run, read_run_record, run_holder, run_status

_COLUMNS = ("run", "kind", "status", "images", "source", "device", "written")
_SHOWN = ("kind", "images", "source", "device", "written")


@click.group(cls=Group)
def runs() -> None:
    """List runs, and show what one is."""


@runs.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def list_runs(ctx: click.Context, as_json: bool) -> None:
    """List the runs in ./chimera-runs, the newest first.

    Status: running, done, stopped (by the clock), interrupted, failed; died: its process ended without a word, and
    --resume goes on from the last checkpoint; damaged: its record cannot be read.
    """
    below = plugin_host(ctx).settings.path("runs")
    found = [_row(path.parent) for path in below.glob(f"*/{RECORD}")] if below.is_dir() else []
    found.sort(key=lambda row: (str(row["written"]), row["run"]), reverse=True)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo(f"no runs in {one_line(below)}")
        return
    print_table(
        _COLUMNS, [[one_line("" if row[c] is None else row[c], limit=60) for c in _COLUMNS] for row in found]
    )


@runs.command()
@click.argument("name", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show what a run says of itself, and who works in it. RUN is a folder, or a name in ./chimera-runs."""
    below = plugin_host(ctx).settings.path("runs")
    folder = find_run(name, below)
    if folder is None:
        known = [path.parent.name for path in below.glob(f"*/{RECORD}")] if below.is_dir() else []
        raise ConfigError(
            f"there is no run {quote(name)}: name a folder, or a run in {quote(below)}" + suggest(name, known)
        )
    record = read_run_record(folder)
    record["status"] = run_status(folder, record)
    holder = run_holder(folder)
    record = {"run": str(folder), "worked_on_by": None if holder is None else str(holder), **record}
    if as_json:
        print_json(record)
        return
    for key, value in record.items():
        if not isinstance(value, (dict, list)) and value is not None:
            click.echo(f"{one_line(key)}: {one_line(value)}")


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run": folder.name, "status": "damaged", **dict.fromkeys(_SHOWN)}
    try:
        record = read_run_record(folder)
    except ChimeraError:
        return row
    plain = {k: v for k in _SHOWN if isinstance(v := record.get(k), (str, int, float))}
    return {**row, **plain, "status": run_status(folder, record)}
