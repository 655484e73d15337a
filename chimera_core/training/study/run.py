"""One encoder per domain, each trained and tested on the domain's own images: what a camera, or an art form, teaches.

Every domain is a run like any other, in ``RUN/domains/``, so a study that was interrupted goes on where it stopped:
finished domains are read from their runs, an unfinished one goes on from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chimera_core.data.losses import DataLosses, count_losses, refuse_losses
from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import one_line
from chimera_core.files.own_folders import inside
from chimera_core.interfaces.components import no_progress
from chimera_core.models.run_options import STUDY
from chimera_core.options.training import DEFAULT_EPOCHS
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import checkpoints
from chimera_core.runs import config as config_file
from chimera_core.runs.record import RECORD, noting_failure, read_run_record, write_run_record
from chimera_core.training.data import OpenedData, naming_options, open_domains, open_source_of
from chimera_core.training.encoder_plan import plan_encoder, resolve_training
from chimera_core.training.parts.best import forget_best
from chimera_core.training.parts.interrupts import Stop, catch_interrupts
from chimera_core.training.plan import check_machine
from chimera_core.training.run import hold_run, run_training
from chimera_core.training.study.domains import (
    Domain,
    choose_domains,
    count_domains,
    images_of,
    training_of,
)
from chimera_core.training.study.options import EncoderStudy
from chimera_core.training.study.plot import FILE as PICTURE
from chimera_core.training.study.plot import draw_study
from chimera_core.training.study.table import (
    Row,
    document_of,
    row_with_result,
    row_without_result,
    write_table,
)

_DRAWN_OFTEN = 50  # domains; a picture of hundreds takes seconds, and is drawn at the end only
_ENDED = ("done", "stopped")  # what the record of a training that needs no more says


@dataclass(frozen=True)
class StudyPlan:
    """A study that has been checked: every value is resolved, the images are packed, parted and counted."""

    config: EncoderStudy
    data: OpenedData
    domains: tuple[Domain, ...]
    device: str
    lost: DataLosses

    @property
    def facts(self) -> dict[str, Any]:
        """What the table says of the whole."""
        config = self.config
        return {
            "by": config.by,
            "source": config.source.name,
            "encoder": config.encoder.name,
            "trainer": config.trainer.name,
            "classes": len(self.data.images.classes),
            "size": config.size,
            "seed": config.seed,
            "held_out_share": config.held_out_share,
            "precision": config.precision,
        }


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended, and the content of ``study.json``."""

    status: Literal["done", "failed", "interrupted"]
    document: dict[str, Any]


def plan_study(
    config: EncoderStudy,
    host: PluginHost,
    *,
    may_fill: Sequence[str] = ("classes", "size"),
    is_dry: bool = False,
    progress: Callable[[float, float], None] = no_progress,
) -> StudyPlan:
    """Check a study and prepare all it needs, before anything of a run is written.

    Args:
        config: as the user wants it; component options are merged from all layers.
        may_fill: options of the encoder that are taken from the source, where it has them.
        is_dry: pack nothing: images are counted as the source lists them, readable or not.
        progress: of packing, in images.
    Raises:
        ChimeraError: for whatever is wrong, in one line.
    """
    device, precision = check_machine(config, host.settings.path("cache"))
    for reference in (config.trainer, config.encoder):
        host.find(reference.kind, reference.name)
    source = open_source_of(config.source, host)
    with naming_options(source.options):
        names = choose_domains(config, source.opened.info.domains)
    data = open_domains(source, config, host, names, is_dry=is_dry, progress=progress)
    lost = count_losses(data.source.opened.info, data.images)
    if config.strict_data:
        refuse_losses(lost)
    config = resolve_training(
        config, host, classes=len(data.images.classes), may_fill=may_fill, precision=precision
    )
    epochs = DEFAULT_EPOCHS if config.images is config.epochs is None else config.epochs
    config = config.model_copy(update={"domains": names, "domains_first": None, "epochs": epochs})
    domains = tuple(count_domains(config, data.images, names))
    fitting = [domain for domain in domains if domain.reason is None]
    if fitting:
        # What is wrong with the options is said now. The largest domain, lest one that is too small for them, which
        # would be a failed row, should stop the others.
        largest = max(fitting, key=lambda domain: domain.n)
        plan_encoder(training_of(config, largest), host, may_fill=(), is_dry=True, data=data)
    return StudyPlan(config, data, domains, str(device), lost)


def images_to_learn(plan: StudyPlan) -> int:
    """Give the length of all trainings of a study, in images."""
    return sum(_lengths(plan.config, plan.domains).values())


def run_study(
    plan: StudyPlan,
    folder: Path,
    host: PluginHost,
    *,
    resume: bool = False,
    progress: Callable[[float, float], None] = no_progress,
    notify: Callable[[str], None] = lambda line: None,
) -> StudyOutcome:
    """Train and test an encoder in each domain, one after the other; table and picture are written anew after each.

    Args:
        resume: leave finished domains as they are, and go on with the others.
        progress: called with (done, total) in images, over all domains.
    Returns:
        How it ended; ``failed`` if a domain's training failed, though the others went on.
    Raises:
        ConfigError: if another process works in the folder.
        RunError: if the disk refuses.
    """
    with hold_run(folder, work="studied", resume=resume):
        kept = plan.config.model_dump(mode="json", exclude=set(EncoderStudy.DECIDED))
        config_file.write_config(folder / config_file.FILE, kept)
        # At once: a run without a record could not be resumed.
        _write_record(plan, folder, host, "running", document_of(plan.facts, []))
        rows = {domain.name: _first_row(plan, folder, domain, resume=resume) for domain in plan.domains}

        def record(status: str) -> dict[str, Any]:
            document = document_of(plan.facts, list(rows.values()))
            write_table(folder, document)
            if status != "running" or len(rows) <= _DRAWN_OFTEN:
                draw_study(folder / PICTURE, document["rows"], title=_title(plan))
            _write_record(plan, folder, host, status, document)
            return document

        record("running")
        lengths = _lengths(plan.config, [d for d in plan.domains if rows[d.name].status == "pending"])
        before, total = 0, sum(lengths.values())
        status: Literal["done", "failed", "interrupted"] = "done"
        with noting_failure(lambda status, **_: record(status)), catch_interrupts() as stop:
            for domain in (d for d in plan.domains if d.name in lengths):
                row = _study_domain(
                    plan,
                    folder,
                    domain,
                    host,
                    stop=stop,
                    progress=lambda done, _, before=before: progress(before + done, total),  # type: ignore[misc]
                    notify=lambda line, name=domain.name: notify(f"{one_line(name)}: {line}"),  # type: ignore[misc]
                )
                if row is None:
                    status = "interrupted"
                    break
                before += lengths[domain.name]
                rows[domain.name] = row
                record("running")
        if status == "done" and any(row.status == "failed" for row in rows.values()):
            status = "failed"
        return StudyOutcome(status, record(status))


def _lengths(config: EncoderStudy, domains: Sequence[Domain]) -> dict[str, int]:
    """Give the length of each training in images, by domain; those that cannot be studied are left out."""
    return {d.name: images_of(training_of(config, d), d) for d in domains if d.reason is None}


def _first_row(plan: StudyPlan, folder: Path, domain: Domain, *, resume: bool) -> Row:
    """Return what is known of a domain before anything is trained."""
    if domain.reason is not None:
        return row_without_result(domain, "n/a", domain.reason)
    run = inside(folder, domain.folder)
    if resume and (run / RECORD).is_file():
        found = read_run_record(run)
        if found.get("status") in _ENDED:
            return _tested(plan, run, domain, found)
    return row_without_result(domain, "pending")


def _study_domain(
    plan: StudyPlan,
    folder: Path,
    domain: Domain,
    host: PluginHost,
    *,
    stop: Stop,
    progress: Callable[[float, float], None],
    notify: Callable[[str], None],
) -> Row | None:
    """Train and test in one domain; None if a signal came before that was finished."""
    if stop.requested:
        return None
    run = inside(folder, domain.folder)
    try:
        # The network lives in this function only: at 448 px two of the first report's would not fit into memory.
        training = plan_encoder(training_of(plan.config, domain), host, may_fill=(), data=plan.data)
        outcome = run_training(
            training,
            run,
            host,
            resume=(run / RECORD).is_file(),
            stop=stop,
            progress=progress,
            notify=notify,
        )
    except Exception as error:  # plugin border: networks raise many kinds, and the other domains go on
        reason = one_line(error if isinstance(error, ChimeraError) else repr(error), limit=200)
        notify(f"failed: {reason}")
        return row_without_result(domain, "failed", reason)
    if outcome.status == "interrupted":
        return None
    return _tested(plan, run, domain, read_run_record(run))


def _tested(plan: StudyPlan, run: Path, domain: Domain, record: dict[str, Any]) -> Row:
    """Give the row of a finished domain, and drop the states that nothing goes on from: best.safetensors stays."""
    checkpoints.remove_after(run / checkpoints.FOLDER, -1)
    forget_best(run / checkpoints.FOLDER, None)
    notes = []
    if domain.n_train < plan.config.batch:
        notes.append(f"batches of {domain.n_train}, all there is")
    if record["status"] == "stopped":
        notes.append(f"stopped by --max-minutes after {record['images']:,} images")
    return row_with_result(domain, record, notes)


def _title(plan: StudyPlan) -> str:
    config = plan.config
    return f"{config.source.short_name} by {config.by}: {config.encoder.short_name}, {config.trainer.short_name}, {config.size} px"


def _write_record(
    plan: StudyPlan, folder: Path, host: PluginHost, status: str, document: dict[str, Any]
) -> None:
    config = plan.config
    write_run_record(
        folder,
        host,
        status=status,
        seed=config.seed,
        device=plan.device,
        kind=STUDY,
        precision=config.precision,
        encoder=config.encoder.name,
        trainer=config.trainer.name,
        source=config.source.name,
        classes=list(plan.data.images.classes),
        domains=[domain.name for domain in plan.domains],
        size=config.size,
        content=plan.data.images.content,
        lost=plan.lost.facts,
        data=plan.data.images.data,
        **document["summary"],
    )
