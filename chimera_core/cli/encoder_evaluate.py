"""``chimera encoder evaluate``: measure trained encoders."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._progress import progress
from chimera_core.cli._training import read_options_file
from chimera_core.cli.parsing.command import ComponentCommand, Selector, component_values, first_argument
from chimera_core.cli.parsing.config_file import given
from chimera_core.components.trained import find_trained
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.models.run_options import ENCODER, read_options
from chimera_core.options.layers import build_config
from chimera_core.options.training import EncoderTraining
from chimera_core.runs import config as config_file


class _EvaluateCommand(ComponentCommand):
    """Takes the options of the source that the run, or the file of options, names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        command = copy.copy(self)
        named = self._source_of(ctx, args)
        command.selectors = [
            Selector("source", "dataset-source", "--source", default=named, prefix="source.")
        ]
        return ComponentCommand.parse_args(command, ctx, args)

    def _source_of(self, ctx: click.Context, args: list[str]) -> str | None:
        if given(args, "--source") is not None:
            return None
        if (path := given(args, "--config")) is not None:
            options: Mapping[str, Any] = read_options_file(Path(path))
        elif (name := first_argument(self, ctx, args)) is not None:
            trained = find_trained(plugin_host(ctx), "feature-encoder", name)
            if trained is not None and trained.form == "run" and trained.path is not None:
                return read_options(trained.path, EncoderTraining, ENCODER, plugin_host(ctx))[0].source.name
            options = {}
        else:
            options = {}
        named: str | None = options.get("source", {}).get("name")
        return named


@click.command(cls=_EvaluateCommand)
@click.argument("name")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="A training's options: its source, size and held-out images are used.  [default: the run's own]",
)
@click.option(
    "--source",
    help="Any other data set, whose classes are matched by name; its options are --source.*.  [default: the training's]",
)
@click.option(
    "--split",
    help="Split to use.  [default: the one it was validated on; of another source, the one to test on]",
)
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    help="Also measure under this attack, e.g. fgsm or pgd-20; repeatable.",
)
@click.option(
    "--eps", help="Radius of the attacks on the [0, 1] pixel scale, e.g. 4/255.  [default: 4/255; l2: 1]"
)
@click.option(
    "--norm", type=click.Choice(["linf", "l2"]), default="linf", show_default=True, help="Of the attacks."
)
@click.option(
    "--masking",
    is_flag=True,
    help="Also look for signs that gradients are masked: attacks then say too much good of the encoder.",
)
@click.option(
    "--limit", type=click.IntRange(1), help="Use only this many images, spread evenly over the split."
)
@click.option("--batch", type=click.IntRange(1), default=128, show_default=True, help="Batch size.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the attacks.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    name: str,
    config_path: Path | None,
    source: str | None,
    split: str | None,
    attacks: tuple[str, ...],
    eps: str | None,
    norm: str,
    masking: bool,
    limit: int | None,
    batch: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Measure a trained encoder: accuracy, macro F1, by domain and under attacks.

    NAME is a run, a file of `chimera encoder export`, or a model; the last two need --config or --source. Where the
    run's data lie elsewhere now, --source.root says where, as the source's other options do. --source names data that
    it did not learn from: images of classes that it does not know are left out. A run keeps what was found in
    evaluations.jsonl.
    """
    from chimera_core.evaluation.encoder import evaluate_trained

    let_waiting_threads_sleep()
    host = plugin_host(ctx)
    trained = find_trained(host, "feature-encoder", name)
    if trained is None:
        raise ConfigError(
            f"there is no run '{name}': name a folder, a run in {host.settings.path('runs')}, a .safetensors file "
            "or a model"
        )
    data = None
    if config_path is not None:
        data = build_config(EncoderTraining, config_file.read_config(config_path), where=str(config_path))
    with progress("evaluating", unit="images") as report:
        found = evaluate_trained(
            trained,
            host,
            data=data,
            source=source,
            source_options=component_values(ctx, "source"),
            split=split,
            attacks=attacks,
            eps=_fraction(eps, norm),
            norm=norm,
            masking=masking,
            limit=limit,
            batch=batch,
            seed=seed,
            device=device,
            progress=report,
        )
    if as_json:
        print_json(found)
        return
    rows = [_row("all", found), *(_row(one_line(d["domain"], limit=40), d) for d in found["domains"])]
    print_table((f"split {found['split']}", "images", "accuracy", "95 %", "macro F1"), rows)
    if found["attacks"]:
        print_table(
            ("attack", "accuracy"), [(name, f"{value:.1%}") for name, value in found["attacks"].items()]
        )
    if masking:
        for line in [f"gradients seem masked: {sign}" for sign in found["masking"]]:
            click.echo(line)
        if not found["masking"]:
            click.echo("no sign of masked gradients")


def _row(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    interval = f"{found['accuracy_low']:.1%} to {found['accuracy_high']:.1%}"
    return name, str(found["n"]), f"{found['accuracy']:.1%}", interval, f"{found['macro_f1']:.1%}"


def _fraction(text: str | None, norm: str) -> float:
    if text is None:
        return 4 / 255 if norm == "linf" else 1.0
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"eps '{text}' is not a number: write it as 4/255 or 0.0157") from None
