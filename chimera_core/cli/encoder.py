"""``chimera encoder``: train encoders, and measure them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from chimera_core.cli._encoder_training import component_options, merged_options, selectors
from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json
from chimera_core.cli._packing import warn_of_losses
from chimera_core.cli._progress import progress
from chimera_core.cli._resuming import asked_again
from chimera_core.cli._threads import let_waiting_threads_sleep
from chimera_core.cli._training import (
    TrainingCommand,
    asked_options,
    run_folder,
    run_options,
    show_outcome,
    start_processes,
    take_folder,
    training_options,
)
from chimera_core.cli.encoder_evaluate import evaluate
from chimera_core.cli.encoder_export import export
from chimera_core.cli.encoder_study import study
from chimera_core.components.layers import merge
from chimera_core.files.atomic import one_line
from chimera_core.plugins.discovery import PluginHost
from chimera_core.processes import is_worker
from chimera_core.runs.options import ENCODER
from chimera_core.training.options import EncoderTraining


@click.group()
def encoder() -> None:
    """Train encoders, robust ones too, and measure them."""


encoder.add_command(evaluate)
encoder.add_command(export)
encoder.add_command(study)


@encoder.command(cls=TrainingCommand, selectors=selectors(encoder_preset="--preset"))
@run_options(
    own=component_options(
        presets=[click.option("--preset", help="A preset of the encoder: see `chimera plugins show NAME`.")]
    )
)
@training_options(EncoderTraining)
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
    names = {"source": source, "encoder": encoder_name, "trainer": trainer}
    asked = asked_options(ctx, options, names)
    folder = run_folder(run_name, host, resume=resume, dry_run=dry_run, stem="encoder")
    if resume:
        from chimera_core.training.resumed_options import resumed_config

        asked = asked_again(
            asked,
            folder,
            host,
            config_path=config_path,
            presets={"encoder": preset, "trainer": trainer_preset},
        )
        config = resumed_config(
            folder, asked, host, model=EncoderTraining, kind=ENCODER, where="encoder training"
        )
        may_fill: tuple[str, ...] = ()
    else:
        config, may_fill = merged_options(
            merge(ctx.meta["chimera.below"], asked),
            host,
            presets={"encoder": preset, "trainer": trainer_preset},
            model=EncoderTraining,
            where="encoder training",
        )
    if dry_run:
        _show_dry_run(config, host, may_fill, as_json)
        return
    _train(ctx, config, host, may_fill, folder, is_named=run_name is not None, resume=resume, as_json=as_json)


def _train(
    ctx: click.Context,
    config: EncoderTraining,
    host: PluginHost,
    may_fill: tuple[str, ...],
    folder: Path,
    *,
    is_named: bool,
    resume: bool,
    as_json: bool,
) -> None:
    from chimera_core.training import launch
    from chimera_core.training.encoder_plan import plan_encoder
    from chimera_core.training.resumed_options import check_same_data
    from chimera_core.training.run import run_training

    is_first = launch.rank() == 0
    with progress("packing images", quiet=not is_first, unit="images") as report:
        plan = plan_encoder(config, host, may_fill=may_fill, progress=report)
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
    if best is None:
        return ""
    robust = best.get("robust_accuracy")
    attacked = "" if robust is None else f" ({robust:.1%} under the attack of the training)"
    return f"best accuracy {best['accuracy']:.1%}{attacked} after {best['images']:,} images; "


def _show_dry_run(
    config: EncoderTraining, host: PluginHost, may_fill: tuple[str, ...], as_json: bool
) -> None:
    from chimera_core.training.dry_run import describe_encoder

    found = describe_encoder(config, host, may_fill=may_fill)
    if as_json:
        print_json(found)
        return
    warn_of_losses(found["lost"], config.source.name)
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
