"""What every command that trains does with its run: find and take its folder, start its processes, train, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json
from chimera_core.cli._packing import warn_of_losses
from chimera_core.cli._progress import progress
from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import one_line
from chimera_core.plugins.discovery import PluginHost
from chimera_core.processes import is_worker
from chimera_core.runs.record import (
    check_free,
    find_run,
    is_untouched,
    make_run_folder,
    note_death,
    place_run,
    read_run_record,
    run_status,
)

if TYPE_CHECKING:
    from chimera_core.cli._training_request import TrainingRequest
    from chimera_core.options.training import ImageTraining
    from chimera_core.training.learner import TrainingPlan
    from chimera_core.training.loop import Outcome

Report = Callable[[float, float], None]
"""Called with (done, total)."""
Best = Mapping[str, Any]


def train_run(
    ctx: click.Context,
    request: TrainingRequest[Any],
    plan_training: Callable[[Report], TrainingPlan],
    *,
    describe_best: Callable[[Best], str],
) -> None:
    """Train what a command line asks for, in as many processes, and print how it ended.

    Args:
        plan_training: checks it and prepares all; it is given what to call with the progress of packing.
        describe_best: what is known of the best weights -> words.
    """
    from chimera_core.training import launch
    from chimera_core.training.resumed_options import check_same_data
    from chimera_core.training.run import run_training

    config: ImageTraining = request.config
    folder, is_first = request.folder, launch.rank() == 0
    with progress("preparing images", quiet=not is_first, unit="images") as report:
        plan = plan_training(report)
    if is_first:
        warn_of_losses(plan.data.lost, config.source.short_name)
    if request.resume:
        check_same_data(folder, plan.data.images, config.source.short_name)
    elif not is_worker():
        folder = take_folder(folder, is_named=request.is_named)
    if config.devices > 1 and not is_worker():
        del plan
        _start_processes(ctx, config.devices, folder)
    with progress("training", quiet=not is_first, unit="images") as report:
        outcome = run_training(
            plan, folder, plugin_host(ctx), resume=request.resume, progress=report, notify=notify
        )
    if is_first:
        _show_outcome(outcome, folder, request.as_json, describe_best)
    if outcome.status == "interrupted":
        ctx.exit(130)


def notify(line: str) -> None:
    """Print a remark of a training on stderr."""
    print(f"chimera: {one_line(line)}", file=sys.stderr)


def find_folder(run_name: str | None, host: PluginHost, *, resume: bool, dry_run: bool, stem: str) -> Path:
    """Return where the run lies, and refuse one that is there without ``--resume``, or not there with it.

    A run that another process works in is refused at once, before minutes go into its data.
    """
    runs = host.settings.path("runs")
    if resume:
        if run_name is None:
            raise ConfigError("--resume needs --run: which run is to go on?")
        found = find_run(run_name, runs)
        if found is None:
            raise ConfigError(
                f"there is no run '{run_name}' to resume: check its name, or leave out --resume"
            )
        if not dry_run and not is_worker():
            check_free(found)
            if run_status(found, read_run_record(found)) == "died":
                notify("the process that trained this run last ended without a word")
        return found
    if run_name is None:
        return next(p for k in range(1, 1_000_000) if not (p := runs / f"{stem}-{k}").exists())
    folder = place_run(run_name, runs)
    if not dry_run and not is_worker() and not is_untouched(folder):
        check_free(folder)
        raise ConfigError(
            f"the run '{folder}' is there already: go on with --resume, or name another with --run"
        )
    return folder


def take_folder(folder: Path, *, is_named: bool) -> Path:
    """Make the folder of a new run, and give it; another number where a name that nobody chose has gone meanwhile."""
    stem, _, number = folder.name.rpartition("-")
    while not is_named:
        make_run_folder(folder.parent)
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number = str(int(number) + 1)
            folder = folder.with_name(f"{stem}-{number}")
        except OSError:  # the caller says it well
            break
    return folder


def _start_processes(ctx: click.Context, devices: int, folder: Path) -> None:
    """Run this command line once per device, in processes that train together, and leave with what they say."""
    from chimera_core.training import launch

    arguments = sys.argv[1:] if "--run" in sys.argv else [*sys.argv[1:], "--run", str(folder)]
    try:
        code = launch.run_processes(devices, ["-m", "chimera_core.cli", *arguments])
    except RunError as error:
        note_death(folder, str(error))
        raise
    note_death(folder, f"its processes ended with code {code}")
    ctx.exit(code)


def _show_outcome(
    outcome: Outcome, folder: Path, as_json: bool, describe_best: Callable[[Best], str]
) -> None:
    if outcome.status == "interrupted":
        notify(f"interrupted after {outcome.images:,} images; go on with --run {folder} --resume")
    if as_json:
        print_json(
            {
                "run": str(folder),
                "status": outcome.status,
                "images": outcome.images,
                "wall_s": round(outcome.wall_s, 2),
                "best": outcome.best,
                "final": outcome.final,
            }
        )
        return
    click.echo(str(folder))
    best = "" if outcome.best is None else describe_best(outcome.best)
    print(f"{best}{outcome.images:,} images in {outcome.wall_s:.0f} s", file=sys.stderr)
