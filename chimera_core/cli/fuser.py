"""``chimera fuser``: train fusers that learn, and write them as files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._export import export_command
from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json
from chimera_core.cli._packing import warn_of_losses
from chimera_core.cli._training import TrainingCommand, run_options, training_options
from chimera_core.cli._training_request import TrainingKind, TrainingRequest, read_request
from chimera_core.cli._training_run import Report, train_run
from chimera_core.cli.parsing.command import Selector
from chimera_core.cli.parsing.groups import Group
from chimera_core.models.run_options import FUSER
from chimera_core.options.training import FuserTraining
from chimera_core.plugins.discovery import PluginHost

if TYPE_CHECKING:
    from chimera_core.training.learner import TrainingPlan

_GIB = 1 << 30
_KIND = TrainingKind(
    FUSER,
    FuserTraining,
    "fuser training",
    "fuser",
    [
        Selector("fuser", "fusion-generator", "", preset_flag="--preset"),
        Selector("source", "dataset-source", "--source", prefix="source."),
    ],
)


@click.group(cls=Group)
def fuser() -> None:
    """Train fusers that learn, and write them as files."""


fuser.add_command(export_command("fuser"))


@fuser.command(cls=TrainingCommand, selectors=_KIND.selectors)
@click.argument("name", required=False)
@run_options(
    own=[
        click.option("--source", help="Data set: see `chimera source list`; its options are --source.*."),
        click.option("--preset", help="A preset of the fuser: see `chimera plugins show NAME`."),
    ]
)
@training_options(FuserTraining)
@click.pass_context
def train(ctx: click.Context, /, **given: Any) -> None:
    """Train a fuser on a data set. NAME is the fuser; put it first.

    Its options stand beside those of the training; one that has the name of an option of the training is --fuser.NAME.
    A preset may say options of both. The run is then a fuser by name: `chimera fuse A B --fuser RUN`.
    """
    let_waiting_threads_sleep()
    host = plugin_host(ctx)
    request = read_request(ctx, _KIND, given)
    if request.dry_run:
        _show_dry_run(request, host)
        return

    def plan(report: Report) -> TrainingPlan:
        from chimera_core.training.fuser_plan import plan_fuser

        return plan_fuser(request.config, host, progress=report)

    train_run(ctx, request, plan, describe_best=_describe_best)


def _describe_best(best: Mapping[str, Any]) -> str:
    if best.get("kid") is None:
        return ""
    return f"best KID[{best.get('extractor', 'judge')}] {best['kid']:.4f} after {best['images']:,} images; "


def _show_dry_run(request: TrainingRequest[FuserTraining], host: PluginHost) -> None:
    from chimera_core.training.dry_run import describe_fuser

    config = request.config
    found = describe_fuser(config, host)
    if request.as_json:
        print_json(found)
        return
    warn_of_losses(found["lost"], config.source.short_name)
    size, speed = found["bytes"], found["images_per_s"]
    networks = ", ".join(f"{name} {count:,}" for name, count in found["parameters"].items())
    click.echo(f"device: {found['device']}, {found['precision']}")
    click.echo(
        f"images: {found['train_images']:,} to learn from at {found['size']} px, {found['val_images']:,} held out "
        f"({found['val_split']}), {len(found['classes'])} classes"
    )
    click.echo(f"length: {found['images']:,} images in {found['steps']:,} steps of {found['batch']}")
    click.echo(f"parameters: {sum(found['parameters'].values()):,} ({networks})")
    click.echo(
        f"memory: {size['total'] / _GIB:.2f} GiB of {size['available'] / _GIB:.2f} GiB, what a step keeps left out: "
        f"weights {size['weights'] / _GIB:.2f}, gradients {size['gradients'] / _GIB:.2f}, "
        f"optimizer {size['optimizer'] / _GIB:.2f}"
    )
    click.echo(f"speed: {speed:g} images/s" if speed else "speed: not measured, the networks are too large")
