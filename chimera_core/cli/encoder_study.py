"""``chimera encoder study``: one encoder per domain, and the table of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._config import given
from chimera_core.cli._encoder_training import component_options, merged_options, selectors
from chimera_core.cli._host import plugin_host
from chimera_core.cli._options import Selector
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._packing import warn_of_losses
from chimera_core.cli._progress import progress
from chimera_core.cli._resuming import asked_again
from chimera_core.cli._threads import let_waiting_threads_sleep
from chimera_core.cli._training import (
    TrainingCommand,
    asked_options,
    read_file,
    run_folder,
    run_options,
    take_folder,
    training_options,
)
from chimera_core.files.atomic import one_line
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.options import STUDY
from chimera_core.training.options import lay
from chimera_core.training.study.options import PRESETS, EncoderStudy, find_preset

if TYPE_CHECKING:
    from chimera_core.training.study.run import StudyOutcome, StudyPlan

_COLUMNS = ("domain", "images", "classes", "test", "accuracy", "95 %", "majority", "loss", "macro F1", "")
_SELECTORS = selectors(encoder_preset="--encoder-preset")


class _StudyCommand(TrainingCommand):
    """Lays the study's own preset below the file of options."""

    def options_below(self, args: Sequence[str], host: PluginHost) -> dict[str, Any]:
        in_file, name = read_file(args, host), given(args, "--preset")
        return in_file if name is None else lay(find_preset(name).options, in_file)

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


@click.command(cls=_StudyCommand, selectors=_SELECTORS)
@run_options(own=component_options(presets=_preset_options))
@training_options(EncoderStudy, leave_out=frozenset(EncoderStudy.DECIDED))
@click.pass_context
def study(
    ctx: click.Context,
    /,
    source: str | None,
    encoder_name: str | None,
    trainer: str | None,
    preset: str | None,
    encoder_preset: str | None,
    trainer_preset: str | None,
    config_path: Path | None,
    run_name: str | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train and test one encoder in each domain: a camera, say.

    The run's folder holds the table as study.csv, study.json and study.png, and each domain's encoder as a run of its
    own: `chimera encoder evaluate RUN/domains/DOMAIN`.
    """
    let_waiting_threads_sleep()
    host = plugin_host(ctx)
    names = {"source": source, "encoder": encoder_name, "trainer": trainer}
    asked = asked_options(ctx, options, names)
    folder = run_folder(run_name, host, resume=resume, dry_run=dry_run, stem="study")
    may_fill: tuple[str, ...] = ()
    if resume:
        from chimera_core.training.resumed_options import resumed_config

        own = {} if preset is None else dict(find_preset(preset).options)
        if preset is not None and encoder_preset is None:
            encoder_preset = _encoder_preset(preset, encoder_name, host)
        asked = asked_again(
            asked,
            folder,
            host,
            config_path=config_path,
            presets={"encoder": encoder_preset, "trainer": trainer_preset},
            below=own,
        )
        config = resumed_config(folder, asked, host, model=EncoderStudy, kind=STUDY, where="encoder study")
    else:
        below = lay(ctx.meta["chimera.below"], asked)
        if preset is not None and encoder_preset is None:
            encoder_preset = _encoder_preset(preset, _name_in(below, "encoder"), host)
        config, may_fill = merged_options(
            below,
            host,
            presets={"encoder": encoder_preset, "trainer": trainer_preset},
            model=EncoderStudy,
            where="encoder study",
        )
    if dry_run:
        _show_dry_run(config, host, may_fill, as_json)
        return
    _study(ctx, config, host, may_fill, folder, is_named=run_name is not None, resume=resume, as_json=as_json)


def _study(
    ctx: click.Context,
    config: EncoderStudy,
    host: PluginHost,
    may_fill: tuple[str, ...],
    folder: Path,
    *,
    is_named: bool,
    resume: bool,
    as_json: bool,
) -> None:
    from chimera_core.training.resumed_options import check_same_data
    from chimera_core.training.study.run import plan_study, run_study

    with progress("packing images", unit="images") as report:
        plan = plan_study(config, host, may_fill=may_fill, progress=report)
    warn_of_losses(plan.lost, config.source.name)
    if resume:
        check_same_data(folder, plan.data.images, config.source.name)
    if not resume:
        folder = take_folder(folder, is_named=is_named)
    with progress("studying", unit="images") as report:
        outcome = run_study(plan, folder, host, resume=resume, progress=report, say=_say)
    _show_outcome(outcome, folder, as_json)
    if outcome.status == "interrupted":
        _say(f"interrupted; go on with --run {folder} --resume")
        ctx.exit(130)
    if outcome.status == "failed":
        failed = [row["domain"] for row in outcome.document["rows"] if row["status"] == "failed"]
        _say(f"{len(failed)} of {len(outcome.document['rows'])} domains failed: {', '.join(failed)}")
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
    said = "; ".join(row["notes"])
    if row["status"] != "ok":
        said = one_line(f"{row['status']}: {row['reason']}" if row["reason"] else row["status"])
        return [one_line(row["domain"]), *counts, *[""] * 5, said]
    between = (row["accuracy_low"], row["accuracy_high"])
    loss = "not finite" if row["loss"] is None else f"{row['loss']:.4f}"
    line = _line(row["domain"], accuracy=row["accuracy"], between=between, majority=row["majority"])
    return [line[0], *counts, *line[4:7], loss, f"{row['macro_f1']:.1%}", said]


def _line(
    name: str, *, accuracy: float, majority: float, between: tuple[float, float] | None = None
) -> list[str]:
    interval = f"{between[0]:.1%} to {between[1]:.1%}" if between else ""
    return [one_line(name), "", "", "", f"{accuracy:.1%}", interval, f"{majority:.1%}", "", "", ""]


def _show_dry_run(config: EncoderStudy, host: PluginHost, may_fill: tuple[str, ...], as_json: bool) -> None:
    from chimera_core.training.study.run import images_to_learn, plan_study

    plan = plan_study(config, host, may_fill=may_fill, is_dry=True)
    if as_json:
        domains = [{k: v for k, v in asdict(domain).items() if k != "folder"} for domain in plan.domains]
        print_json({**plan.facts, "device": plan.device, "domains": domains, "images": images_to_learn(plan)})
        return
    warn_of_losses(plan.lost, config.source.name)
    rows = [
        [
            one_line(d.name),
            *map(str, (d.n, d.n_classes, d.n_train, d.n_test)),
            f"n/a: {one_line(d.reason)}" if d.reason else "",
        ]
        for d in plan.domains
    ]
    print_table(("domain", "images", "classes", "to learn from", "test", ""), rows)
    click.echo(_said_of(plan, images_to_learn(plan)))


def _said_of(plan: StudyPlan, images: int) -> str:
    able = sum(domain.reason is None for domain in plan.domains)
    return (
        f"{able} of {len(plan.domains)} domains can be studied: {images:,} images to see in all, on {plan.device} "
        f"in {plan.config.precision}"
    )


def _encoder_preset(study_preset: str, encoder: str | None, host: PluginHost) -> str | None:
    """Give the encoder's preset that goes with the study's, unless another encoder was chosen."""
    preset = find_preset(study_preset)
    kind = "feature-encoder"
    if encoder is None or host.find(kind, encoder) != host.find(kind, preset.options["encoder"]["name"]):
        return None
    return preset.encoder_preset


def _name_in(options: Mapping[str, Any], key: str) -> str | None:
    name: str | None = options.get(key, {}).get("name")
    return name


def _say(line: str) -> None:
    print(f"chimera: {one_line(line)}", file=sys.stderr)
