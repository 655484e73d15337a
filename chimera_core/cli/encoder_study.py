"""``chimera encoder study``: one encoder per domain, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._host import let_waiting_threads_sleep, plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._packing import warn_of_losses
from chimera_core.cli._progress import progress
from chimera_core.cli._training import (
    TrainingCommand,
    encoder_options,
    encoder_selectors,
    read_file,
    run_options,
    training_options,
)
from chimera_core.cli._training_request import TrainingKind, TrainingRequest, read_request
from chimera_core.cli._training_run import notify, take_folder
from chimera_core.cli.parsing.command import Selector
from chimera_core.cli.parsing.config_file import given
from chimera_core.files.atomic import one_line
from chimera_core.models.run_options import STUDY
from chimera_core.options.layers import Layer
from chimera_core.plugins.discovery import PluginHost
from chimera_core.training.study.options import PRESETS, EncoderStudy, find_preset

if TYPE_CHECKING:
    from chimera_core.training.study.run import StudyOutcome

_COLUMNS = ("domain", "images", "classes", "test", "accuracy", "95 %", "majority", "loss", "macro F1", "")
_KIND = TrainingKind(
    STUDY, EncoderStudy, "encoder study", "study", encoder_selectors(encoder_preset="--encoder-preset")
)


class _StudyCommand(TrainingCommand):
    """Lays the study's own preset below the file of options."""

    def layers_below(self, args: Sequence[str], host: PluginHost) -> list[Layer]:
        in_file, name = read_file(args, host), given(args, "--preset")
        return in_file if name is None else [Layer(f"preset {name}", find_preset(name).options), *in_file]

    def aim(
        self, selector: Selector, args: Sequence[str], below: Mapping[str, Any], host: PluginHost
    ) -> Selector:
        aimed = super().aim(selector, args, below, host)
        name = given(args, "--preset")
        if aimed.key != "encoder" or name is None:
            return aimed
        return replace(aimed, preset=_encoder_preset(name, aimed.default, host))


_preset_options = [
    click.option(
        "--preset",
        help="A preset of the study. " + "; ".join(f"{p.name}: {p.summary}" for p in PRESETS) + ".",
    ),
    click.option("--encoder-preset", help="A preset of the encoder: see `chimera plugins show NAME`."),
]


@click.command(cls=_StudyCommand, selectors=_KIND.selectors)
@run_options(own=encoder_options(presets=_preset_options))
@training_options(EncoderStudy, leave_out=frozenset(EncoderStudy.DECIDED))
@click.pass_context
def study(ctx: click.Context, /, **given: Any) -> None:
    """Train and test one encoder in each domain: a camera, say.

    The run's folder holds the table as study.csv, study.json and study.png, and each domain's encoder as a run of its
    own: `chimera encoder evaluate RUN/domains/DOMAIN`.
    """
    let_waiting_threads_sleep()
    host = plugin_host(ctx)
    preset = given.pop("preset")
    if preset is not None and given["encoder_preset"] is None:
        in_file = None if given["resume"] else ctx.meta["chimera.below"].get("encoder", {}).get("name")
        given["encoder_preset"] = _encoder_preset(preset, given["encoder_name"] or in_file, host)
    own = {} if preset is None else find_preset(preset).options
    request = read_request(ctx, _KIND, given, below=own)
    if request.dry_run:
        _show_dry_run(request, host)
    else:
        _study(ctx, request, host)


def _study(ctx: click.Context, request: TrainingRequest[EncoderStudy], host: PluginHost) -> None:
    from chimera_core.training.resumed_options import check_same_data
    from chimera_core.training.study.run import plan_study, run_study

    config, folder = request.config, request.folder
    with progress("preparing images", unit="images") as report:
        plan = plan_study(config, host, may_fill=request.may_fill, progress=report)
    warn_of_losses(plan.lost, config.source.short_name)
    if request.resume:
        check_same_data(folder, plan.data.images, config.source.short_name)
    else:
        folder = take_folder(folder, is_named=request.is_named)
    with progress("studying", unit="images") as report:
        outcome = run_study(plan, folder, host, resume=request.resume, progress=report, notify=notify)
    _show_outcome(outcome, folder, request.as_json)
    if outcome.status == "interrupted":
        notify(f"interrupted; go on with --run {folder} --resume")
        ctx.exit(130)
    if outcome.status == "failed":
        failed = [row["domain"] for row in outcome.document["rows"] if row["status"] == "failed"]
        notify(f"{len(failed)} of {len(outcome.document['rows'])} domains failed: {', '.join(failed)}")
        ctx.exit(1)


def _show_outcome(outcome: StudyOutcome, folder: Path, as_json: bool) -> None:
    document = outcome.document
    if as_json:
        print_json({"run": str(folder), "status": outcome.status, **document})
        return
    rows = [_cells(row) for row in document["rows"]]
    summary = document["summary"]
    if summary["ok"] > 1:
        mean, pooled = f"mean of {summary['ok']} domains", f"all {summary['n_test']:,} test images"
        rows.append(
            _line(mean, accuracy=summary["mean_accuracy"], majority=summary["mean_majority"]),
        )
        between = (summary["pooled_low"], summary["pooled_high"])
        rows.append(
            _line(
                pooled,
                accuracy=summary["pooled_accuracy"],
                between=between,
                majority=summary["pooled_majority"],
            )
        )
    print_table(_COLUMNS, rows)
    click.echo(str(folder))


def _cells(row: Mapping[str, Any]) -> list[str]:
    counts = [str(row["n"]), str(row["n_classes"]), str(row["n_test"])]
    note = "; ".join(row["notes"])
    if row["status"] != "ok":
        note = one_line(f"{row['status']}: {row['reason']}" if row["reason"] else row["status"])
        return [one_line(row["domain"]), *counts, *[""] * 5, note]
    between = (row["accuracy_low"], row["accuracy_high"])
    loss = "not finite" if row["loss"] is None else f"{row['loss']:.4f}"
    line = _line(row["domain"], accuracy=row["accuracy"], between=between, majority=row["majority"])
    return [line[0], *counts, *line[4:7], loss, f"{row['macro_f1']:.1%}", note]


def _line(
    name: str, *, accuracy: float, majority: float, between: tuple[float, float] | None = None
) -> list[str]:
    interval = f"{between[0]:.1%} to {between[1]:.1%}" if between else ""
    return [one_line(name), "", "", "", f"{accuracy:.1%}", interval, f"{majority:.1%}", "", "", ""]


def _show_dry_run(request: TrainingRequest[EncoderStudy], host: PluginHost) -> None:
    from chimera_core.training.study.run import images_to_learn, plan_study

    plan = plan_study(request.config, host, may_fill=request.may_fill, is_dry=True)
    if request.as_json:
        domains = [{k: v for k, v in asdict(domain).items() if k != "folder"} for domain in plan.domains]
        print_json({**plan.facts, "device": plan.device, "domains": domains, "images": images_to_learn(plan)})
        return
    warn_of_losses(plan.lost, request.config.source.short_name)
    rows = [
        [
            one_line(d.name),
            *map(str, (d.n, d.n_classes, d.n_train, d.n_test)),
            f"n/a: {one_line(d.reason)}" if d.reason else "",
        ]
        for d in plan.domains
    ]
    print_table(("domain", "images", "classes", "to learn from", "test", ""), rows)
    able = sum(domain.reason is None for domain in plan.domains)
    click.echo(
        f"{able} of {len(plan.domains)} domains can be studied: {images_to_learn(plan):,} images to see in all, on "
        f"{plan.device} in {plan.config.precision}"
    )


def _encoder_preset(study_preset: str, encoder: str | None, host: PluginHost) -> str | None:
    """Give the encoder's preset that goes with the study's, unless another encoder was chosen."""
    preset = find_preset(study_preset)
    kind = "feature-encoder"
    if encoder is None or host.find(kind, encoder) != host.find(kind, preset.options["encoder"]["name"]):
        return None
    return preset.encoder_preset
