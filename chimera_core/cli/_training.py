"""What all commands share that train: their options, the layers of these, and where the run lies."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._config import given
from chimera_core.cli._host import plugin_host
from chimera_core.cli._options import ComponentCommand, Selector, component_values
from chimera_core.cli._output import print_json
from chimera_core.components.flags import flags_of
from chimera_core.errors import ConfigError, RunError
from chimera_core.plugins.discovery import PluginHost
from chimera_core.processes import is_worker
from chimera_core.runs import config as config_file
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
from chimera_core.training.options import TrainingOptions

if TYPE_CHECKING:
    from chimera_core.training.loop import Outcome

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

COMPONENTS = ("source", "encoder", "trainer", "fuser")
"""Tables of components in a file of options."""


class TrainingCommand(ComponentCommand):
    """Takes the components that a file of options or a run to resume names, where the line names none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        host = plugin_host(ctx)
        below = ctx.meta["chimera.below"] = self.options_below(args, host)
        command = copy.copy(self)
        command.selectors = [self.aim(s, args, below, host) for s in self.selectors]
        return ComponentCommand.parse_args(command, ctx, args)

    def options_below(self, args: Sequence[str], host: PluginHost) -> dict[str, Any]:
        """Give the options below the flags: those of the file, or of the run to resume."""
        return read_file(args, host)

    def aim(
        self, selector: Selector, args: Sequence[str], below: Mapping[str, Any], host: PluginHost
    ) -> Selector:
        """Let a selector take the component that the options below the flags name, if they do."""
        named = below.get(selector.key, {}).get("name")
        return selector if named is None else replace(selector, default=named)


def training_options(model: type[TrainingOptions], *, leave_out: Collection[str] = ()) -> Decorator:
    """Give a command the options of a model; the model is the only place that describes them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for flag in reversed(flags_of(model, look_up=_no_options)):
            name = flag.path[0]
            if len(flag.path) > 1 or name in COMPONENTS or name in leave_out:
                continue
            note = f"  [default: {flag.value}]" if flag.value not in (None, "", (), 0, 0.0, False) else ""
            counted = name.endswith("images")
            kind: Any = str if counted else click.Choice(flag.choices) if flag.choices else flag.type
            declaration = f"{flag.name}/--no-{flag.name[2:]}" if flag.type is bool else flag.name
            command = click.option(
                declaration,
                name,
                default=None,
                type=None if flag.type is bool else kind,
                multiple=flag.multiple,
                help=flag.help + note,
            )(command)
        return command

    return decorate


def run_options(*, own: Sequence[Decorator]) -> Decorator:
    """Give a command the options of file and run, below those of its components: ``own``, with their presets."""
    options: list[Decorator] = [
        *own,
        click.option(
            "--config",
            "config_path",
            type=click.Path(path_type=Path),
            help="Options from a file, e.g. a run's config.toml.",
        ),
        click.option(
            "--run",
            "run_name",
            help="Folder of the run, or its name in ./chimera-runs.  [default: a new name]",
        ),
        click.option("--resume", is_flag=True, help="Go on with the run from its last checkpoint."),
        click.option("--dry-run", is_flag=True, help="Say what the training will take, and stop."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead."),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def asked_options(
    ctx: click.Context, options: Mapping[str, Any], names: Mapping[str, str | None]
) -> dict[str, Any]:
    """Give what the command line says: its own options, and the components by their ``names``."""
    asked: dict[str, Any] = {k: v for k, v in options.items() if v is not None and v != ()}
    for key in names:
        values = component_values(ctx, key)
        if names[key] is not None or values:
            asked[key] = {**({"name": names[key]} if names[key] else {}), "options": values}
    return asked


def read_file(args: Sequence[str], host: PluginHost) -> dict[str, Any]:
    """Read the components of the file of options, or of the run to resume, that a line names."""
    path = given(args, "--config")
    if "--resume" in args and (run := given(args, "--run")):
        found = find_run(run, host.settings.path("runs"))
        path = str(found / config_file.FILE) if found else path
    return {} if path is None else read_options_file(Path(path))


def read_options_file(path: Path) -> dict[str, Any]:
    """Read a file of options, each component as a table with a name.

    Raises:
        ConfigError: if it is missing or no TOML, or names no component where one belongs.
    """
    values = config_file.read_config(path)
    for key in COMPONENTS:
        if isinstance(values.get(key), str):
            values[key] = {"name": values[key]}
        if key in values and not (isinstance(values[key], dict) and isinstance(values[key].get("name"), str)):
            raise ConfigError(f'{path}: [{key}] needs a name, e.g. name = "cnn"')
    return values


def run_folder(run_name: str | None, host: PluginHost, *, resume: bool, dry_run: bool, stem: str) -> Path:
    """Say where the run lies, and refuse one that is there without ``--resume``, or not there with it.

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
                print("chimera: the process that trained this run last ended without a word", file=sys.stderr)
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


def start_processes(ctx: click.Context, devices: int, folder: Path) -> None:
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


def show_outcome(outcome: Outcome, folder: Path, as_json: bool, *, best: str) -> None:
    """Say how a training ended; ``best`` is a line about the best weights, or empty."""
    if outcome.status == "interrupted":
        print(
            f"chimera: interrupted after {outcome.images:,} images; go on with --run {folder} --resume",
            file=sys.stderr,
        )
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
    print(f"{best}{outcome.images:,} images in {outcome.wall_s:.0f} s", file=sys.stderr)


def _no_options(kind: str, name: str) -> Any:
    from chimera_core.components.options import Config

    return Config, []
