"""The files of a comparison: comparison.json for the report, results.json and three CSVs for scripts."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chimera_core.compare.experiment.cells import Cell
from chimera_core.compare.experiment.fusers import FuserEntry
from chimera_core.compare.experiment.parents import FOLDER as PARENTS
from chimera_core.compare.experiment.parents import ParentTuple
from chimera_core.compare.experiment.plan import Comparison
from chimera_core.compare.figures.scoring import Scores
from chimera_core.compare.figures.summary import METRIC, is_mixed, judge_name, summarise, warnings_of
from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import atomic_path, write_text_atomic
from chimera_core.files.own_folders import make_folder
from chimera_core.files.tables import csv_text
from chimera_core.models.encoders import resolve_encoder
from chimera_core.report import columns
from chimera_core.report.record import (
    FILE,
    CellRecord,
    ComparisonRecord,
    Cost,
    Fuser,
    Judge,
    Measured,
    PluginMetric,
    Reference,
    Tuple,
)
from chimera_core.runs.record import read_run_record
from chimera_core.scoring.built_in_files import NAME
from chimera_core.scoring.formula import FORMULA, RESIZE
from chimera_core.scoring.plugin_metrics import described
from chimera_core.statistics import CONFIDENCE

RESULTS, RESULTS_CSV, SUMMARY_CSV, AXES_CSV = "results.json", "results.csv", "summary.csv", "axes.csv"
_COLUMNS, _SUMMARY_COLUMNS, _AXIS_COLUMNS = (
    tuple(columns.RESULTS_CSV),
    tuple(columns.SUMMARY_CSV),
    tuple(columns.AXES_CSV),
)


def write_tables(
    comparison: Comparison,
    records: Mapping[str, Mapping[str, Any]],
    scores: Scores,
    folder: Path,
    *,
    command: str,
    notes: Sequence[str] = (),
) -> ComparisonRecord:
    """Write all files, each whole or not at all.

    Args:
        records: of all cells that were tried, by id.
        scores: of those that are well.
    Returns:
        What ``comparison.json`` holds.
    """
    made = {cell_id: r for cell_id, r in records.items() if r["status"] == "ok"}
    record = _record(comparison, records, made, scores, folder, command=command, notes=notes)
    rows = list(_rows(comparison, records, scores))
    write_text_atomic(folder / FILE, _json(record.model_dump(mode="json")))
    write_text_atomic(folder / RESULTS, _json(rows))
    write_text_atomic(
        folder / RESULTS_CSV, csv_text(_COLUMNS, [[_flat(row[c]) for c in _COLUMNS] for row in rows])
    )
    write_text_atomic(folder / SUMMARY_CSV, _summary(record))
    write_text_atomic(folder / AXES_CSV, _axes(record))
    return record


def _record(
    comparison: Comparison,
    records: Mapping[str, Mapping[str, Any]],
    made: Mapping[str, Mapping[str, Any]],
    scores: Scores,
    folder: Path,
    *,
    command: str,
    notes: Sequence[str],
) -> ComparisonRecord:
    experiment, top = comparison.experiment, comparison.experiment.file.top
    return ComparisonRecord(
        name=top.name,
        confidence=CONFIDENCE,
        size=top.size,
        seeds=list(top.seeds),
        weights=[list(w) for w in experiment.weights],
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        judges=[Judge(name=judge_name(comparison, key), resize=RESIZE) for key in experiment.judges],
        formula=FORMULA,
        reference=_reference(comparison, scores),
        notes=list(notes),
        metrics={
            name: PluginMetric.model_validate(about) for name, about in described(experiment.metrics).items()
        },
        tuples=[_tuple(t, folder) for t in comparison.tuples],
        fusers=[_fuser(comparison, e, made, scores) for e in experiment.entries],
        cells=[_cell(c, records.get(c.id), scores) for c in comparison.all_cells],
        **vars(summarise(comparison, made, scores)),
    )


def _reference(comparison: Comparison, scores: Scores) -> Reference | None:
    table = comparison.experiment.file.reference
    if table is not None:
        return Reference(name=table.source, n=table.images)
    return Reference(name=NAME, n=scores.reference_images) if scores.reference_images else None


def _tuple(parents: ParentTuple, folder: Path) -> Tuple:
    images = [_shown(parents, k, folder) for k in range(len(parents.slots))]
    return Tuple(id=parents.id, labels=parents.labels, images=images)


def _shown(parents: ParentTuple, position: int, folder: Path) -> str | None:
    """Put the picture of a parent where the report looks for it; what was drawn lies there already."""
    files = list(parents.slots[position].files.values())
    if not files:
        return None
    name = f"{PARENTS}/{parents.id}-{position}.png"
    if files[0] != folder / name:
        make_folder(folder / PARENTS, within=folder)
        _copy_as_png(files[0], folder / name)
    return name


def _copy_as_png(path: Path, target: Path) -> None:
    if target.is_file() and target.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        return
    if path.suffix == ".png" and path.parent == target.parent:
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)
        return
    from chimera_core.images import read_picture, write_png

    write_png(target, read_picture(path).on_white())


def _fuser(
    comparison: Comparison, entry: FuserEntry, made: Mapping[str, Mapping[str, Any]], scores: Scores
) -> Fuser:
    encoder, trainer = _encoder_of(comparison, entry)
    cells = comparison.cells[entry.id]
    return Fuser(
        id=entry.id,
        label=entry.id,
        fuser=entry.choice.label,
        preset=entry.preset,
        encoder=encoder,
        trainer=trainer,
        options=dict(entry.options),
        is_control=entry.is_control,
        cost=_cost(entry, [made[c.id] for c in cells if c.id in made and is_mixed(c)]),
        warnings=warnings_of(entry.id, cells, made, scores),
    )


def _encoder_of(comparison: Comparison, entry: FuserEntry) -> tuple[str | None, str | None]:
    """Name the encoder in a fuser's options, and its trainer if it is a run."""
    host = comparison.experiment.host
    for encoder in entry.choice.encoders:
        found, trainer = resolve_encoder(host, encoder.name, encoder.options), None
        if found.trained and found.trained.form == "run" and found.trained.path is not None:
            trainer = read_run_record(found.trained.path).get("trainer")
        return found.label, trainer
    return None, None


def _cost(entry: FuserEntry, records: Sequence[Mapping[str, Any]]) -> Cost:
    seconds = [r["wall_s"] for r in records if r["wall_s"] is not None]
    cost = Cost(
        seconds_per_image=round(sum(seconds) / len(seconds), 4) if seconds else None,
        device=records[0]["device"] if records else "",
    )
    if entry.trained is None or entry.trained.trained.path is None:
        return cost
    try:
        record = read_run_record(entry.trained.trained.path)
    except ChimeraError:  # an exported file tells no cost
        return cost
    parameters = sum((record.get("parameters") or {}).values()) or None
    return cost.model_copy(update={"train_s": record.get("wall_s"), "parameters": parameters})


def _cell(cell: Cell, record: Mapping[str, Any] | None, scores: Scores) -> CellRecord:
    figures = scores.cells.get(cell.id, {})
    return CellRecord(
        id=cell.id,
        fuser=cell.fuser,
        tuple=cell.tuple_id,
        weights=list(cell.weights),
        seed=cell.seed,
        **_status(cell, record),
        image=(record or {}).get("image"),
        wall_s=(record or {}).get("wall_s"),
        metrics={n: Measured(value=f["value"], n=f["n"], reason=f["reason"]) for n, f in figures.items()},
    )


def _status(cell: Cell, record: Mapping[str, Any] | None) -> dict[str, Any]:
    if cell.reason:
        return {"status": "n/a", "error": f"it {cell.reason}"}
    if record is None:
        return {"status": "failed", "error": "was not made"}
    return {"status": record["status"], "error": record["error"]}


def _rows(
    comparison: Comparison, records: Mapping[str, Mapping[str, Any]], scores: Scores
) -> Iterator[dict[str, Any]]:
    """List every figure of every cell; a cell without figures has one row, of the headline, without a value."""
    labels = {t.id: t.labels for t in comparison.tuples}
    for fuser, cells in comparison.cells.items():
        entry = comparison.entry(fuser)
        encoder, trainer = _encoder_of(comparison, entry)
        for cell in cells:
            figures = scores.cells.get(cell.id) or {
                METRIC: {"value": None, "n": 0, "extractor": "", "reason": None}
            }
            status = _status(cell, records.get(cell.id))
            for metric, figure in figures.items():
                yield {
                    "cell": cell.id,
                    "fuser": fuser,
                    "preset": entry.preset,
                    "encoder": encoder,
                    "trainer": trainer,
                    "parents": labels[cell.tuple_id],
                    "weights": list(cell.weights),
                    "seed": cell.seed,
                    "metric": metric,
                    "value": figure["value"] if status["status"] == "ok" else None,
                    "n": figure["n"],
                    "extractor": figure["extractor"],
                    "status": "n/a"
                    if status["status"] == "ok" and figure["value"] is None
                    else status["status"],
                    "error": status["error"] or figure["reason"],
                }


def _summary(record: ComparisonRecord) -> str:
    rows = []
    for place in record.ranking:
        for metric, found in place.metrics.items():
            interval = [_flat(value) for value in (found.mean, found.low, found.high)]
            rows.append([place.fuser, str(place.rank), metric, *interval, place.pairs, place.seeds])
    return csv_text(_SUMMARY_COLUMNS, rows)


def _axes(record: ComparisonRecord) -> str:
    rows = []
    for axis in record.axes:
        own = {"table": axis.table, "axis": axis.axis, "metric": axis.metric, "trainings": axis.trainings}
        rows += [[_flat((own | vars(row))[c]) for c in _AXIS_COLUMNS] for row in axis.values]
    return csv_text(_AXIS_COLUMNS, rows)


def _flat(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
