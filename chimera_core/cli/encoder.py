"""``chimera encoder``: train encoders, and measure them."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._config import given
from chimera_core.cli._host import plugin_host
from chimera_core.cli._options import ComponentCommand, Selector, component_values
from chimera_core.cli._output import print_json
from chimera_core.cli._progress import progress
from chimera_core.cli._threads import let_waiting_threads_sleep
from chimera_core.cli.encoder_evaluate import evaluate
from chimera_core.cli.encoder_export import export
from chimera_core.errors import ConfigError
from chimera_core.flags import flags_of
from chimera_core.layers import build_config, merge
from chimera_core.plugins import PluginHost
from chimera_core.runs import find_run, place_run
from chimera_core.training import config_file
from chimera_core.training.config import EncoderTraining
from chimera_core.use import layered_options

if TYPE_CHECKING:
    from chimera_core.training.encoder_loop import Outcome

# With its plugin, so that a stranger who offers the same name cannot get into the way of the default.
DEFAULT_TRAINER = "robust:standard"
_COMPONENTS = ("source", "encoder", "trainer")
_SELECTORS = (
    Selector("source", "dataset-source", "--source", prefix="source."),
    Selector("encoder", "feature-encoder", "--encoder", prefix="encoder.", preset_flag="--preset"),
    Selector("trainer", "robustness-trainer", "--trainer", prefix="trainer.", preset_flag="--trainer-preset"),
)


class _TrainCommand(ComponentCommand):
    """Takes the components that a file of options or a run to resume names, where the line names none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = _values_below(args, plugin_host(ctx))
        ctx.meta["chimera.below"] = named
        command = copy.copy(self)
        command.selectors = [
            replace(s, default=named[s.key]["name"] if s.key in named else s.default) for s in self.selectors
        ]
        return ComponentCommand.parse_args(command, ctx, args)


@click.group()
def encoder() -> None:
    """Train encoders, robust ones too, and measure them."""


encoder.add_command(evaluate)
encoder.add_command(export)


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of ``EncoderTraining``; the model is the only place that describes them."""
    flags = flags_of(EncoderTraining, look_up=_no_options)
    for flag in reversed(flags):
        name = flag.path[0]
        if len(flag.path) > 1 or name in _COMPONENTS:
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


def _no_options(kind: str, name: str) -> Any:
    from chimera_core.options import Config

    return Config, []


@encoder.command(cls=_TrainCommand, selectors=list(_SELECTORS))
@click.option("--source", help="Data set: see `chimera source list`; its options are --source.*.")
@click.option("--encoder", "encoder_name", help="Network; its options are --encoder.*.")
@click.option("--trainer", help="How it learns, e.g. standard or pgd.  [default: robust:standard]")
@click.option("--preset", help="A preset of the encoder: see `chimera plugins show NAME`.")
@click.option("--trainer-preset", help="A preset of the trainer.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Options from a file, e.g. a run's config.toml.",
)
@click.option(
    "--run", "run_name", help="Folder of the run, or its name in ./chimera-runs.  [default: a new name]"
)
@click.option("--resume", is_flag=True, help="Go on with the run from its last checkpoint.")
@click.option("--dry-run", is_flag=True, help="Say what the training will take, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@_training_options
@click.pass_context
def train(
    ctx: click.Context,
    /,
    source: str | None,
    encoder_name: str | None,
    trainer: str | None,
    preset: str | None,
    trainer_preset: str | None,
    config_path: Path | None,
    run_name: str | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train an encoder on a data set.

    The run's folder is then an encoder by name: `chimera fuse A B --encoder RUN`.
    """
    let_waiting_threads_sleep()
    host = plugin_host(ctx)
    asked: dict[str, Any] = {k: v for k, v in options.items() if v is not None and v != ()}
    names = {"source": source, "encoder": encoder_name, "trainer": trainer}
    for key in _COMPONENTS:
        values = component_values(ctx, key)
        if names[key] is not None or values:
            asked[key] = {**({"name": names[key]} if names[key] else {}), "options": values}
    folder = _folder(run_name, host, resume=resume, dry_run=dry_run)
    if resume:
        from chimera_core.training.encoder_run import resumed_config

        if preset or trainer_preset:
            raise ConfigError("a run that is resumed has its options already: leave the preset out")
        config = resumed_config(folder, asked)
        may_fill: tuple[str, ...] = ()
    else:
        config, may_fill = _merged(ctx, host, asked, preset, trainer_preset)
    if dry_run:
        _show_dry_run(config, host, may_fill, as_json)
        return
    _train(ctx, config, host, may_fill, folder, resume=resume, as_json=as_json)


def _values_below(args: list[str], host: PluginHost) -> dict[str, Any]:
    """Read the components of the file of options, or of the run to resume, that a line names."""
    path = given(args, "--config")
    if "--resume" in args and (run := given(args, "--run")):
        found = find_run(run, host.settings.path("runs"))
        path = str(found / config_file.FILE) if found else path
    if path is None:
        return {}
    values = config_file.read_config(Path(path))
    for key in _COMPONENTS:
        if isinstance(values.get(key), str):
            values[key] = {"name": values[key]}
        if key in values and not isinstance(values[key].get("name"), str):
            raise ConfigError(f'{path}: [{key}] needs a name, e.g. name = "cnn"')
    return values


def _folder(run_name: str | None, host: PluginHost, *, resume: bool, dry_run: bool) -> Path:
    """Say where the run lies, and refuse one that is there without ``--resume``, or not there with it."""
    runs = host.settings.path("runs")
    if resume:
        if run_name is None:
            raise ConfigError("--resume needs --run: which run is to go on?")
        found = find_run(run_name, runs)
        if found is None:
            raise ConfigError(
                f"there is no run '{run_name}' to resume: check its name, or leave out --resume"
            )
        return found
    if run_name is None:
        return next(p for k in range(1, 1_000_000) if not (p := runs / f"encoder-{k}").exists())
    folder = place_run(run_name, runs)
    if (
        not dry_run
        and not _is_worker()
        and folder.exists()
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        raise ConfigError(
            f"the run '{folder}' is there already: go on with --resume, or name another with --run"
        )
    return folder


def _merged(
    ctx: click.Context,
    host: PluginHost,
    asked: Mapping[str, Any],
    preset: str | None,
    trainer_preset: str | None,
) -> tuple[EncoderTraining, tuple[str, ...]]:
    """Merge default < registry < preset < file < flag; say which of the encoder's options the source may fill in."""
    in_file: dict[str, Any] = ctx.meta["chimera.below"]
    merged = merge(in_file, asked)
    presets = {"encoder": preset, "trainer": trainer_preset}
    for selector in _SELECTORS:
        key = selector.key
        if not isinstance(merged.get(key), dict) or "name" not in merged[key]:
            if key == "trainer":
                merged[key] = {"name": DEFAULT_TRAINER, **merged.get(key, {})}
            else:
                raise ConfigError(f"say which {key}: --{key} NAME (see `chimera plugins list`)")
        name, own = merged[key]["name"], merged[key].get("options", {})
        component = host.find(selector.kind, name)
        merged[key] = {"name": name, "options": layered_options(component, host, presets.get(key), own)}
        if key == "encoder":
            may_fill = tuple(option for option in ("classes", "size") if option not in own)
    return build_config(EncoderTraining, merged, where="encoder training"), may_fill


def _train(
    ctx: click.Context,
    config: EncoderTraining,
    host: PluginHost,
    may_fill: tuple[str, ...],
    folder: Path,
    *,
    resume: bool,
    as_json: bool,
) -> None:
    from chimera_core.training import launch
    from chimera_core.training.encoder_run import check_same_data, plan_training, run_training

    is_first = launch.rank() == 0
    with progress("packing images", quiet=not is_first, unit="images") as report:
        plan = plan_training(config, host, may_fill=may_fill, progress=report)
    if resume:
        check_same_data(folder, plan)
    if config.devices > 1 and not launch.is_worker():
        arguments = sys.argv[1:] if "--run" in sys.argv else [*sys.argv[1:], "--run", str(folder)]
        del plan
        ctx.exit(launch.run_processes(config.devices, ["-m", "chimera_core.cli", *arguments]))
    with progress("training", quiet=not is_first, unit="images") as report:
        outcome = run_training(
            plan,
            folder,
            host,
            resume=resume,
            progress=report,
            say=lambda line: print(f"chimera: {line}", file=sys.stderr),
        )
    if is_first:
        _show_outcome(outcome, folder, as_json)
    if outcome.status == "interrupted":
        ctx.exit(130)


def _show_outcome(outcome: Outcome, folder: Path, as_json: bool) -> None:
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
    if outcome.best is not None:
        robust = outcome.best.get("robust_accuracy")
        attacked = "" if robust is None else f" ({robust:.1%} under the attack of the training)"
        print(
            f"best accuracy {outcome.best['accuracy']:.1%}{attacked} after {outcome.best['images']:,} images; "
            f"{outcome.images:,} images in {outcome.wall_s:.0f} s",
            file=sys.stderr,
        )


def _show_dry_run(
    config: EncoderTraining, host: PluginHost, may_fill: tuple[str, ...], as_json: bool
) -> None:
    from chimera_core.training.dry_run import describe_training

    found = describe_training(config, host, may_fill=may_fill)
    if as_json:
        print_json(found)
        return
    size, gib = found["bytes"], 1 << 30
    speed = found["images_per_s"]
    fitting = found["fitting_batch"]
    click.echo(f"device: {found['device']}, {found['precision']}")
    click.echo(
        f"images: {found['train_images']:,} to learn from, {found['val_images']:,} to validate on ({found['val_split']})"
    )
    click.echo(f"shapes: {tuple(found['input'])} -> {tuple(found['logits'])}, {found['steps']:,} steps")
    click.echo(f"parameters: {found['parameters']:,}, of which {found['learned']:,} learn")
    click.echo(
        f"memory: {size['total'] / gib:.2f} GiB of {size['available'] / gib:.2f} GiB: weights {size['weights'] / gib:.2f}, "
        f"gradients {size['gradients'] / gib:.2f}, {config.optimizer} {size['optimizer'] / gib:.2f}, "
        f"average {size['ema'] / gib:.2f}, each image {size['per_image'] / (1 << 20):.1f} MiB"
    )
    click.echo(f"batch that fits: {fitting if fitting else 'none; the network alone is too large'}")
    click.echo(
        f"speed: {speed:g} images/s" if speed is not None else "speed: not measured, this batch does not fit"
    )


def _is_worker() -> bool:
    import os

    return "TORCHELASTIC_RUN_ID" in os.environ
