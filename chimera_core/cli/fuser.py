"""``chimera fuser``: train fusers that learn, and write them as files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._options import Selector, component_values
from chimera_core.cli._output import print_json
from chimera_core.cli._packing import warn_of_losses
from chimera_core.cli._progress import progress
from chimera_core.cli._resuming import asked_again
from chimera_core.cli._threads import let_waiting_threads_sleep
from chimera_core.cli._training import (
    TrainingCommand,
    run_folder,
    run_options,
    show_outcome,
    start_processes,
    take_folder,
    training_options,
)
from chimera_core.cli.fuser_export import export
from chimera_core.components.choice import layered_options
from chimera_core.components.layers import Layer, build_config, check_layer
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.plugins.discovery import PluginHost
from chimera_core.processes import is_worker
from chimera_core.runs.options import FUSER
from chimera_core.training.options import FuserTraining, lay

_WHERE = "fuser training"


@click.group()
def fuser() -> None:
    """Train fusers that learn, and write them as files."""


fuser.add_command(export)


@fuser.command(
    cls=TrainingCommand,
    selectors=[
        Selector("fuser", "fusion-generator", "", preset_flag="--preset"),
        Selector("source", "dataset-source", "--source", prefix="source."),
    ],
)
@click.argument("name", required=False)
@run_options(
    own=[
        click.option("--source", help="Data set: see `chimera source list`; its options are --source.*."),
        click.option("--preset", help="A preset of the fuser: see `chimera plugins show NAME`."),
    ]
)
@training_options(FuserTraining)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    name: str | None,
    source: str | None,
    preset: str | None,
    config_path: Path | None,
    run_name: str | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a fuser on a data set. NAME is the fuser; put it first.

    Its options stand beside those of the training; one that has the name of an option of the training is --fuser.NAME.
    A preset may say options of both. The run is then a fuser by name: `chimera fuse A B --fuser RUN`.
    """
    let_waiting_threads_sleep()
    host = plugin_host(ctx)
    asked = _asked(ctx, options, name, source)
    folder = run_folder(run_name, host, resume=resume, dry_run=dry_run, stem="fuser")
    if resume:
        from chimera_core.training.resumed_options import resumed_config

        asked = asked_again(asked, folder, host, config_path=config_path, presets={"fuser": preset})
        config = resumed_config(folder, asked, host, model=FuserTraining, kind=FUSER, where=_WHERE)
    else:
        config = _merged(lay(ctx.meta["chimera.below"], asked), host, preset)
    if dry_run:
        _show_dry_run(config, host, as_json)
        return
    _train(ctx, config, host, folder, is_named=run_name is not None, resume=resume, as_json=as_json)


def _asked(
    ctx: click.Context, options: Mapping[str, Any], name: str | None, source: str | None
) -> dict[str, Any]:
    """Give what the command line says: options of the training, and the components."""
    asked: dict[str, Any] = {k: v for k, v in options.items() if v is not None and v != ()}
    for key, named in (("fuser", name), ("source", source)):
        values = component_values(ctx, key)
        if named is not None or values:
            asked[key] = {**({"name": named} if named else {}), "options": values}
    return asked


def _merged(said: Mapping[str, Any], host: PluginHost, preset: str | None) -> FuserTraining:
    """Merge default < registry < preset < file < flag, for the fuser, the source and the training."""
    for key, mend in (("fuser", "chimera fuser train NAME"), ("source", "--source NAME")):
        if not isinstance(said.get(key), dict) or "name" not in said[key]:
            raise ConfigError(f"say which {key}: {mend} (see `chimera plugins list`)")
        if unknown := said[key].keys() - {"name", "options", *(["preset"] if key == "fuser" else [])}:
            raise ConfigError(
                f"[{key}] has the key '{min(unknown)}': it takes name, preset (of fusers) and options"
            )
    merged = dict(said)
    preset = preset or said["fuser"].get("preset")
    component = host.find("fusion-generator", said["fuser"]["name"])
    own = said["fuser"].get("options", {})
    options = layered_options(component, host, preset, own)  # refuses an unknown preset
    for known in component.spec.presets:
        if known.name == preset:
            layer = Layer(f"preset {preset}", known.training)
            check_layer(FuserTraining, layer, where=_WHERE)
            merged = lay(known.training, merged)
    merged["fuser"] = {"name": said["fuser"]["name"], "options": options}
    source = host.find("dataset-source", said["source"]["name"])
    given = said["source"].get("options", {})
    merged["source"] = {"name": said["source"]["name"], "options": layered_options(source, host, None, given)}
    return build_config(FuserTraining, merged, where=_WHERE)


def _train(
    ctx: click.Context,
    config: FuserTraining,
    host: PluginHost,
    folder: Path,
    *,
    is_named: bool,
    resume: bool,
    as_json: bool,
) -> None:
    from chimera_core.training import launch
    from chimera_core.training.fuser_plan import plan_fuser
    from chimera_core.training.resumed_options import check_same_data
    from chimera_core.training.run import run_training

    is_first = launch.rank() == 0
    with progress("packing images", quiet=not is_first, unit="images") as report:
        plan = plan_fuser(config, host, progress=report)
    if is_first:
        warn_of_losses(plan.data.lost, config.source.name)
    if resume:
        check_same_data(folder, plan.data.images, config.source.name)
    if not resume and not is_worker():
        folder = take_folder(folder, is_named=is_named)
    if config.devices > 1 and not is_worker():
        del plan
        start_processes(ctx, config.devices, folder)
    with progress("training", quiet=not is_first, unit="images") as report:
        outcome = run_training(
            plan,
            folder,
            host,
            resume=resume,
            progress=report,
            say=lambda line: print(f"chimera: {one_line(line)}", file=sys.stderr),
        )
    if is_first:
        show_outcome(outcome, folder, as_json, best=_best_line(outcome.best))
    if outcome.status == "interrupted":
        ctx.exit(130)


def _best_line(best: Mapping[str, Any] | None) -> str:
    if best is None or best.get("kid") is None:
        return ""
    return f"best KID[{best.get('extractor', 'judge')}] {best['kid']:.4f} after {best['images']:,} images; "


def _show_dry_run(config: FuserTraining, host: PluginHost, as_json: bool) -> None:
    from chimera_core.training.dry_run import describe_fuser

    found = describe_fuser(config, host)
    if as_json:
        print_json(found)
        return
    warn_of_losses(found["lost"], config.source.name)
    size, gib, speed = found["bytes"], 1 << 30, found["images_per_s"]
    networks = ", ".join(f"{name} {count:,}" for name, count in found["parameters"].items())
    click.echo(f"device: {found['device']}, {found['precision']}")
    click.echo(
        f"images: {found['train_images']:,} to learn from at {found['size']} px, {found['val_images']:,} held out "
        f"({found['val_split']}), {len(found['classes'])} classes"
    )
    click.echo(f"length: {found['images']:,} images in {found['steps']:,} steps of {found['batch']}")
    click.echo(f"parameters: {sum(found['parameters'].values()):,} ({networks})")
    click.echo(
        f"memory: {size['total'] / gib:.2f} GiB of {size['available'] / gib:.2f} GiB, what a step keeps left out: "
        f"weights {size['weights'] / gib:.2f}, gradients {size['gradients'] / gib:.2f}, "
        f"optimizer {size['optimizer'] / gib:.2f}"
    )
    click.echo(f"speed: {speed:g} images/s" if speed else "speed: not measured, the networks are too large")
