"""Run a comparison: make what is missing, measure it, write the tables and the report. Going on is the default."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chimera_core.compare.experiment.cells import read_record
from chimera_core.compare.experiment.data import check_data
from chimera_core.compare.experiment.identity import data_identity, hash_of, scoring_code
from chimera_core.compare.experiment.plan import (
    Comparison,
    Experiment,
    check_folder,
    lay_out,
    train_first,
    waits_for_training,
)
from chimera_core.compare.experiment.trainings import Training
from chimera_core.compare.figures.scoring import open_scorecard, reference_identity, score_cells
from chimera_core.compare.figures.tables import write_tables
from chimera_core.compare.making.work import Working, estimate_s, make_cells, pending, trials_of
from chimera_core.components.trained import find_trained
from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import quote, spell_paths
from chimera_core.files.own_folders import inside
from chimera_core.files.text import LARGE_BYTES, read_json_table
from chimera_core.files.toml import write_toml
from chimera_core.options.config import path_fields
from chimera_core.report.formatting import show_seconds
from chimera_core.report.page import PAGE, write_report
from chimera_core.report.record import FILE, KIND, ComparisonRecord
from chimera_core.runs.config import FILE as CONFIG
from chimera_core.runs.record import RECORD, noting_failure, read_run_record, work_in, write_run_record
from chimera_core.statistics import LEAST_PAIRS

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class ComparisonOutcome:
    """How a comparison went. ``made`` and ``measured`` count what this call did; ``record`` is comparison.json."""

    cells: int
    made: int
    failed: int
    without: int
    measured: int
    record: ComparisonRecord
    report: Path | None


def run_comparison(
    experiment: Experiment,
    folder: Path,
    working: Working,
    *,
    command: str,
    retry_failed: bool = False,
    progress: Callable[[str], Any] | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> ComparisonOutcome:
    """Run an experiment into a folder; what lies there already is kept.

    Args:
        working: processes, device and limits.
        command: as it was called, for the report.
        retry_failed: make failed cells anew.
        progress: opens progress of (done, total) under a title.
    Raises:
        ChimeraError: if parents, judges or the disk refuse.
        KeyboardInterrupt: after Ctrl-C; whole cells stay, and the next call goes on.
    """
    check_folder(folder, experiment.file.top.name, experiment.named)
    note = functools.partial(_record, experiment, folder, working)
    with work_in(folder, work="compared"), noting_failure(note):
        trainings = waits_for_training(experiment, folder)
        if trainings:
            _check_data(experiment, trainings, notify)
        if trainings or not (folder / RECORD).exists():
            # Before anything else lies there: killed from now on, the folder is known as this comparison's.
            _record(experiment, folder, working, "running")
        experiment = train_first(
            experiment, folder, device=working.device, registries=working.registries, notify=notify
        )
        comparison = lay_out(experiment, folder)
        waiting = pending(comparison, folder, retry_failed=retry_failed)
        fingerprint = _fingerprint(comparison)
        if not waiting and (kept := _finished(folder, fingerprint)) is not None:
            notify("nothing has changed: every cell and figure is there already")
            page = folder / PAGE
            return _outcome(
                comparison, _records(comparison, folder), 0, 0, kept, page if page.is_file() else None
            )
        if waiting and not trainings:
            _check_data(experiment, (), notify)
        _write_config(experiment, folder)
        _record(experiment, folder, working, "running")
        # Judges and reference are read before creatures are made: what is wrong with them should cost none.
        card = open_scorecard(comparison, working.device) if waiting else None
        _make(comparison, waiting, folder, working, progress or _quiet, notify)
        records = _records(comparison, folder)
        made = {cell_id: r for cell_id, r in records.items() if r["status"] == "ok"}
        with (progress or _quiet)("measuring") as report:
            scores, measured = score_cells(
                comparison, made, folder, device=working.device, card=card, progress=report
            )
        record = write_tables(comparison, records, scores, folder, command=command, notes=_notes(comparison))
        page = write_report(folder)
        outcome = _outcome(comparison, records, len(waiting), measured, record, page)
        _record(
            experiment,
            folder,
            working,
            "done",
            cells=outcome.cells,
            failed=outcome.failed,
            without=outcome.without,
            fingerprint=fingerprint,
        )
        return outcome


def _check_data(experiment: Experiment, trainings: Sequence[Training], notify: Callable[[str], None]) -> None:
    for line in check_data(experiment, trainings):
        notify(line)


def _make(
    comparison: Comparison,
    waiting: list[Any],
    folder: Path,
    working: Working,
    progress: Callable[[str], Any],
    notify: Callable[[str], None],
) -> None:
    if not waiting:
        return
    total, done = len(waiting), 0
    with progress("making creatures") as report:

        def count(cell_id: str) -> None:
            nonlocal done
            done += 1
            report(done, total)

        trials = trials_of(comparison, waiting)
        if trials:
            make_cells(comparison, trials, folder, working, on_cell=count)
            tried = {cell.id for cell in trials}
            waiting = [cell for cell in waiting if cell.id not in tried]
            seconds = estimate_s(waiting, trials, folder, working.jobs)
            notify(
                f"by short trials the other {len(waiting)} creatures take {show_seconds(seconds)} at most, "
                "and measuring comes after"
            )
        make_cells(comparison, waiting, folder, working, on_cell=count)


def _records(comparison: Comparison, folder: Path) -> dict[str, dict[str, Any]]:
    found = {c.id: read_record(folder, c.id) for c in comparison.all_cells if not c.reason}
    return {cell_id: record for cell_id, record in found.items() if record is not None}


def _outcome(
    comparison: Comparison,
    records: Mapping[str, Mapping[str, Any]],
    made: int,
    measured: int,
    record: ComparisonRecord,
    report: Path | None,
) -> ComparisonOutcome:
    return ComparisonOutcome(
        cells=len(comparison.all_cells),
        made=made,
        failed=sum(r["status"] == "failed" for r in records.values()),
        without=sum(bool(c.reason) for c in comparison.all_cells),
        measured=measured,
        record=record,
        report=report,
    )


def _notes(comparison: Comparison) -> list[str]:
    notes = [
        "Figures are means over tuples of parents, with intervals of a bootstrap that draws tuples anew (BCa, 95 %).",
        "The ranking counts creatures in which every parent has a part.",
    ]
    if len(comparison.tuples) < LEAST_PAIRS:
        notes.append(
            f"Fewer than {LEAST_PAIRS} tuples of parents: no interval can be given, and no fuser be told from another."
        )
    if len(comparison.experiment.file.top.seeds) < 5:
        notes.append("Fewer than 5 seeds: enough to look at, too few for a claim.")
    return notes


def _fingerprint(comparison: Comparison) -> str:
    """Hash all that decides the tables, wherever the file lies."""
    file = comparison.experiment.file
    return hash_of(
        [
            {f: [(c.id, c.reason) for c in cells] for f, cells in comparison.cells.items()},
            [t.labels for t in comparison.tuples],
            data_identity(str(file.parents.source), file.parents.options),
            list(comparison.experiment.judges.values()),
            reference_identity(file),
            file.top.size,
            scoring_code(comparison.experiment.host),
        ]
    )


def _finished(folder: Path, fingerprint: str) -> ComparisonRecord | None:
    """Give comparison.json of a run that came to its end with the very same cells; None where there is none."""
    try:
        record = read_run_record(folder)
        if record.get("status") != "done" or record.get("fingerprint") != fingerprint:
            return None
        return ComparisonRecord.model_validate(read_json_table(inside(folder, FILE), most_bytes=LARGE_BYTES))
    except (ChimeraError, OSError, ValidationError):
        return None


def _record(experiment: Experiment, folder: Path, working: Working, status: str, **more: Any) -> None:
    top = experiment.file.top
    write_run_record(
        folder,
        experiment.host,
        status=status,
        seed=top.seeds[0],
        device=working.device,
        kind=KIND,
        experiment=top.name,
        jobs=working.jobs,
        fusers=[e.id for e in experiment.entries],
        **more,
    )


def _write_config(experiment: Experiment, folder: Path) -> None:
    """Write the experiment with its paths spelled in full, so that it runs from any folder."""
    table = dict(experiment.file.toml.table)
    parents = dict(table["parents"])
    if experiment.named:
        parents["tuples"] = [list(named) for named in experiment.named]
    for key, inner in (("parents", parents), ("reference", dict(table.get("reference", {})))):
        if "options" in inner and "source" in inner:
            config = experiment.host.find("dataset-source", inner["source"]).spec.config
            inner["options"] = spell_paths(inner["options"], also=path_fields(config))
        if inner:
            table[key] = inner
    fusers = {name: dict(fuser) for name, fuser in table["fusers"].items()}
    for fuser in fusers.values():
        if not find_trained(experiment.host, "fusion-generator", fuser["fuser"]):
            fuser["fuser"] = experiment.host.find("fusion-generator", fuser["fuser"]).full_name
    table["fusers"] = fusers
    comment = f"The same again: chimera compare {quote(folder / CONFIG)} --run {quote(folder)}"
    write_toml(folder / CONFIG, table, comment=comment)


@contextmanager
def _quiet(title: str) -> Iterator[Progress]:
    yield lambda done, total: None
