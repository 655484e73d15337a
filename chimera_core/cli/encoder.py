"""``chimera encoder``: train encoders, and measure them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._export import export_command
from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json
from chimera_core.cli._packing import warn_of_losses
from chimera_core.cli._training import (
    TrainingCommand,
    encoder_options,
    encoder_selectors,
    run_options,
    training_options,
)
from chimera_core.cli._training_request import TrainingKind, TrainingRequest, read_request
from chimera_core.cli._training_run import Report, train_run
from chimera_core.cli.encoder_evaluate import evaluate
from chimera_core.cli.encoder_study import study
from chimera_core.cli.parsing.groups import Group
from chimera_core.files.atomic import one_line
from chimera_core.models.run_options import ENCODER
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import PluginHost

if TYPE_CHECKING:
    from chimera_core.training.learner import TrainingPlan

_GIB = 1 << 30
_KIND = TrainingKind(
    ENCODER, EncoderTraining, "encoder training", "encoder", encoder_selectors(encoder_preset="--preset")
)


@click.group(cls=Group)
def encoder() -> None:
    """Train encoders, robust ones too, and measure them."""


encoder.add_command(evaluate)
encoder.add_command(study)
encoder.add_command(export_command("encoder"))


@encoder.command(cls=TrainingCommand, selectors=_KIND.selectors)
@run_options(
    own=encoder_options(
        presets=[click.option("--preset", help="A preset of the encoder: see `chimera plugins show NAME`.")]
    )
)
@training_options(EncoderTraining)
@click.pass_context
def train(ctx: click.Context, /, **given: Any) -> None:
    """Train an encoder on a data set.

    The run's folder is then an encoder by name: `chimera fuse A B --encoder RUN`.
    """
    let_waiting_threads_sleep()
    host = plugin_host(ctx)
    request = read_request(ctx, _KIND, given)
    if request.dry_run:
        _show_dry_run(request, host)
        return

    def plan(report: Report) -> TrainingPlan:
        from chimera_core.training.encoder_plan import plan_encoder

        return plan_encoder(request.config, host, may_fill=request.may_fill, progress=report)

    train_run(ctx, request, plan, describe_best=_describe_best)


def _describe_best(best: Mapping[str, Any]) -> str:
    robust = best.get("robust_accuracy")
    attacked = "" if robust is None else f" ({robust:.1%} under the attack of the training)"
    return f"best accuracy {best['accuracy']:.1%}{attacked} after {best['images']:,} images; "


def _show_dry_run(request: TrainingRequest[EncoderTraining], host: PluginHost) -> None:
    from chimera_core.training.dry_run import describe_encoder

    config = request.config
    found = describe_encoder(config, host, may_fill=request.may_fill)
    found["options"] = {
        name: {"value": getattr(config, name), "from": origin} for name, origin in request.origins.items()
    }
    if request.as_json:
        print_json(found)
        return
    warn_of_losses(found["lost"], config.source.short_name)
    size, speed, fitting = found["bytes"], found["images_per_s"], found["fitting_batch"]
    click.echo(f"device: {found['device']}, {found['precision']}")
    click.echo(
        f"images: {found['train_images']:,} to learn from, {found['val_images']:,} to validate on ({found['val_split']})"
    )
    length = f"{found['steps']:,} steps" if found["steps"] is not None else f"{found['minutes']:g} minutes"
    click.echo(f"shapes: {tuple(found['input'])} -> {tuple(found['logits'])}, {length}")
    by_origin: dict[str, list[str]] = {}
    for name, option in found["options"].items():
        by_origin.setdefault(option["from"], []).append(f"{name.replace('_', '-')} {option['value']}")
    for origin, options in by_origin.items():
        click.echo(one_line(f"options, from {origin}: {', '.join(options)}"))
    click.echo(f"parameters: {found['parameters']:,}, of which {found['learned']:,} learn")
    click.echo(
        f"memory: {size['total'] / _GIB:.2f} GiB of {size['available'] / _GIB:.2f} GiB: weights "
        f"{size['weights'] / _GIB:.2f}, gradients {size['gradients'] / _GIB:.2f}, {config.optimizer} "
        f"{size['optimizer'] / _GIB:.2f}, average {size['ema'] / _GIB:.2f}, each image "
        f"{size['per_image'] / (1 << 20):.1f} MiB"
    )
    click.echo(f"batch that fits: {fitting if fitting else 'none; the network alone is too large'}")
    click.echo(
        f"speed: {speed:g} images/s" if speed is not None else "speed: not measured, this batch does not fit"
    )
