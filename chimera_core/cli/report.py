"""``chimera report``: the report of a comparison, made anew from what was measured."""

from __future__ import annotations

from pathlib import Path

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import describe_folder, quote
from chimera_core.options.config import suggest
from chimera_core.runs.record import find_run


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def report(ctx: click.Context, runs: tuple[str, ...], as_json: bool) -> None:
    """Write the report of each comparison again: report.html, sheet.png and report.md.

    RUN is the folder of a `chimera compare`, or its name. Nothing is computed: the page is made of comparison.json and
    the pictures beside it.
    """
    below = plugin_host(ctx).settings.path("runs")
    # All names first: a wrong third one must not be found after two pages were written.
    folders = [_find(name, below) for name in runs]

    from chimera_core.report.page import MARKDOWN, SHEET, write_report
    from chimera_core.report.reading import read_comparison

    if len(folders) > 1:
        for folder in folders:
            read_comparison(folder)
    written = []
    for folder in folders:
        page = write_report(folder)
        written.append(
            {"report": str(page), "sheet": str(folder / SHEET), "markdown": str(folder / MARKDOWN)}
        )
        if not as_json:
            click.echo(str(page))
    if as_json:
        print_json(written)


def _find(name: str, below: Path) -> Path:
    """Find a run; one that is not there is an error that names the nearest."""
    from chimera_core.report.record import FILE

    folder = find_run(name, below)
    if folder is not None:
        return folder
    path = Path(name).expanduser()
    if (path / FILE).exists():  # a copy of a comparison without its record is enough for its report
        return path
    if path.exists():
        raise ConfigError(
            f"{quote(name)} is not a comparison, {describe_folder(path)}: name the folder of a `chimera compare`"
        )
    known = [run.parent.name for run in below.glob(f"*/{FILE}")] if below.is_dir() else []
    raise ConfigError(
        f"there is no run {quote(name)}: name a folder, or a comparison in {quote(below)}"
        + suggest(name, known)
    )
