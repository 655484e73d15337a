"""``chimera report``: the report of a comparison, made anew from what was measured; and what it says as a pilot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import describe_folder, one_line, quote
from chimera_core.options.config import suggest
from chimera_core.runs.record import find_run


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN...")
@click.option(
    "--power",
    is_flag=True,
    help="Write nothing; take RUN for a pilot, and say how many pairs, seeds and viewers show a difference.",
)
@click.option(
    "--difference",
    type=click.FloatRange(0, min_open=True),
    default=0.05,
    show_default=True,
    help="With --power: the difference in score that is to be seen.",
)
@click.option(
    "--choices",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --power: viewers' choices as CSV (columns x, y, viewer-NAME); repeatable.",
)
@click.option(
    "--share",
    type=click.FloatRange(0.5, 1, min_open=True),
    default=0.6,
    show_default=True,
    help="With --power: the share of viewers' choices that is to be told from a half.",
)
@click.option(
    "--tests",
    type=click.IntRange(1),
    help="With --power: correct for so many comparisons.  [default: of all fusers with each other]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def report(
    ctx: click.Context,
    runs: tuple[str, ...],
    power: bool,
    difference: float,
    choices: tuple[Path, ...],
    share: float,
    tests: int | None,
    as_json: bool,
) -> None:
    """Write the report of each comparison again: report.html, sheet.png and report.md.

    RUN is the folder of a `chimera compare`, or its name. Nothing is computed: the page is made of comparison.json and
    the pictures beside it.
    """
    if not runs and not (power and choices):
        raise click.MissingParameter(ctx=ctx, param=next(p for p in ctx.command.params if p.name == "runs"))
    if power:
        _show_power(ctx, runs, choices, difference=difference, share=share, tests=tests, as_json=as_json)
        return
    if choices:
        raise ConfigError("--choices is for --power: add that")
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


def _show_power(
    ctx: click.Context,
    runs: tuple[str, ...],
    choices: tuple[Path, ...],
    *,
    difference: float,
    share: float,
    tests: int | None,
    as_json: bool,
) -> None:
    from chimera_core.report.choices import read_choices
    from chimera_core.report.pilot import plan_of, plan_of_choices
    from chimera_core.report.reading import read_comparison

    if len(runs) > 1:
        raise ConfigError(f"--power takes one pilot, but {len(runs)} runs were given: name one")
    folders = [_find(name, plugin_host(ctx).settings.path("runs")) for name in runs]
    cast = read_choices(choices) if choices else None
    found = {
        "score": plan_of(read_comparison(folders[0]), difference=difference, tests=tests)
        if folders
        else None,
        "choices": plan_of_choices(cast, share=share, tests=tests) if cast is not None else None,
    }
    if as_json:
        print_json(found)
        return
    if found["score"]:
        _print_pairs(found["score"])
    if found["choices"]:
        _print_choices(found["choices"])


def _print_pairs(found: dict[str, Any]) -> None:
    seeds = list(found["fusers"][0]["pairs"])
    rows = [
        (
            one_line(f"{row['a']} - {row['b']}", limit=60),
            *(_figure(row[key]) for key in ("difference", "sd_parents", "sd_seeds", "shown_by_pilot")),
            *(f"{_count(row['pairs'][s])} ({_count(row['pairs_to_be_safe'][s])})" for s in seeds),
        )
        for row in found["fusers"]
    ]
    for kind in ("pairs", "pairs_to_be_safe"):
        most = {s: [row[kind][s] for row in found["fusers"]] for s in seeds}
        needed = [_count(None if None in most[s] else max(most[s])) for s in seeds]
        rows.append(("all of them" + ("" if kind == "pairs" else ", to be safe"), "", "", "", "", *needed))
    pilot = found["pilot"]
    click.echo(
        f"pairs of parents that show a difference of {found['difference']:g} in score with 80 % power at p < {found['level']:.2g} "
        f"(Wilcoxon), by a pilot of {pilot['pairs']} pairs and {pilot['seeds']} seeds; in brackets, to be safe:"
    )
    columns = [f"{s} seed{'' if s == '1' else 's'}" for s in seeds]
    print_table(("fusers", "difference", "sd parents", "sd seeds", "pilot shows", *columns), rows)
    _print_remarks(found)


def _print_choices(found: dict[str, Any]) -> None:
    pilot = found["pilot"]
    click.echo(
        f"choices, each of other parents, that show that viewers choose a fuser in {found['share']:.0%} with 80 % power at "
        f"p < {found['level']:.2g} (binomial, majorities), by {pilot['choices']} choices of {pilot['viewers']} viewers, whose "
        f"votes on one choice correlate by {found['correlation']:.2f}:"
    )
    rows = [
        (viewers, _count(count), _count(None if count is None else count * int(viewers)))
        for viewers, count in found["choices"].items()
    ]
    print_table(("viewers", "choices", "votes"), rows)
    _print_remarks(found)


def _print_remarks(found: dict[str, Any]) -> None:
    for line in found["remarks"]:
        click.echo(line)


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _count(value: int | None) -> str:
    return "over 2,000" if value is None else f"{value:,}"


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
