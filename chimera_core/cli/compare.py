"""``chimera compare``: many fusers on the same parents, one report."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._progress import progress
from chimera_core.files.atomic import one_line
from chimera_core.runs.record import place_run

if TYPE_CHECKING:
    from chimera_core.compare.run import ComparisonOutcome
    from chimera_core.report.record import Fuser, Place

_GIB = 1 << 30
_MOST_JOBS = 8


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path), metavar="EXPERIMENT.toml")
@click.option(
    "--run",
    "run_name",
    help="Folder of the results, or its name in ./chimera-runs.  [default: the experiment's name]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help=f"Processes that make creatures at once.  [default: one per core, {_MOST_JOBS} at most; 1 on a GPU]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--cell-minutes",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Time limit per creature in minutes; one that takes longer is marked failed.",
)
@click.option(
    "--cell-memory",
    type=click.FloatRange(0, min_open=True),
    help="Memory limit per worker in GiB; a creature that exceeds it is marked failed.  [default: an equal share of what "
    "is free]",
)
@click.option(
    "--ray",
    help="Make creatures on the Ray cluster at this address (auto, HOST:PORT, or local for one here); its machines must "
    "see the run's folder and the parents.",
)
@click.option("--retry-failed", is_flag=True, help="Make failed creatures again.")
@click.option(
    "--dry-run", is_flag=True, help="Check everything, estimate the time by short trials, and stop."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def compare(
    ctx: click.Context,
    experiment: Path,
    run_name: str | None,
    jobs: int | None,
    device: str,
    cell_minutes: float,
    cell_memory: float | None,
    ray: str | None,
    retry_failed: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compare fusers on the same parents, weights and seeds, as an experiment file says.

    What was made before is kept: a second call goes on where the first ended, and a changed line makes only what it
    touches. A creature that fails becomes a row with its reason.
    """
    let_waiting_threads_sleep()
    from chimera_core.compare.estimate import estimate_cost
    from chimera_core.compare.experiment.plan import check_experiment, check_folder
    from chimera_core.compare.making.work import Working
    from chimera_core.compare.run import run_comparison

    host = plugin_host(ctx)
    checked = check_experiment(experiment, host)
    folder = place_run(run_name or checked.file.top.name, host.settings.path("runs"))
    check_folder(folder, checked.file.top.name, checked.named)
    working = Working(
        jobs=jobs or _default_jobs(device),
        device=device,
        cell_s=cell_minutes * 60,
        memory=int((cell_memory or 0) * _GIB),
        registries=tuple(map(str, ctx.find_root().params.get("registry", ()))),
        ray=ray,
    )
    if dry_run:
        found = estimate_cost(checked, folder, working)
        for line in found.remarks:
            _notify(line)
        if as_json:
            print_json(vars(found) | {"run": str(folder), "jobs": working.jobs})
            return
        print_table(("fuser", "creatures to make"), [[one_line(f), str(n)] for f, n in found.fusers.items()])
        for training in found.trainings:
            click.echo(f"to train first: {one_line(training)}")
        measuring = "an unknown time" if found.measuring_s is None else f"about {found.measuring_s:.0f} s"
        untried = (
            ", without the trainings and the creatures that need them (a training's own --dry-run estimates it)"
            if found.trainings
            else ""
        )
        click.echo(
            f"{found.waiting} of {found.cells} creatures are to be made: {found.seconds:.0f} s at most by short trials"
            f"{untried}, in {working.jobs} processes; measuring them takes {measuring} more"
        )
        return
    command = " ".join(["chimera", *map(one_line, sys.argv[1:])])
    outcome = run_comparison(
        checked,
        folder,
        working,
        command=command,
        retry_failed=retry_failed,
        progress=progress,
        notify=_notify,
    )
    _show(outcome, folder, as_json)


def _show(outcome: ComparisonOutcome, folder: Path, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "run": str(folder),
                "report": None if outcome.report is None else str(outcome.report),
                "cells": outcome.cells,
                "made": outcome.made,
                "failed": outcome.failed,
                "not_applicable": outcome.without,
                "measured": outcome.measured,
                "ranking": [place.model_dump(mode="json") for place in outcome.record.ranking],
            }
        )
        return
    fusers = {fuser.id: fuser for fuser in outcome.record.fusers}
    rows = [_row(place, fusers[place.fuser]) for place in outcome.record.ranking]
    print_table(("", "fuser", "score", "95 %", "pairs", "s/image", "not told apart from", ""), rows)
    click.echo(str(outcome.report or folder))
    if outcome.failed:
        _notify(
            f"{outcome.failed} of {outcome.cells} creatures failed: see results.csv; --retry-failed tries them again"
        )


def _row(place: Place, fuser: Fuser) -> list[str]:
    seconds = fuser.cost.seconds_per_image
    return [
        str(place.rank),
        one_line(place.fuser) + (" (control)" if fuser.is_control else ""),
        "n/a" if place.mean is None else f"{place.mean:.3f}",
        "" if place.low is None else f"{place.low:.3f} to {place.high:.3f}",
        str(place.pairs),
        "" if seconds is None else f"{seconds:.2g}",
        one_line(", ".join(place.tied_with), limit=60),
        one_line("; ".join(fuser.warnings), limit=80),
    ]


def _default_jobs(device: str) -> int:
    if device.startswith(("cuda", "mps")):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_JOBS, cores)


def _notify(line: str) -> None:
    print(f"chimera: {one_line(line)}", file=sys.stderr)
