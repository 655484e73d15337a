"""Measure scores with the built-in reference against those with another, on the pictures of blind choices.

    python research/reference/measure.py RUN ... --choices FILE [--choices FILE ...] [--reference FOLDER]

RUN is a finished comparison, whose creatures are not made again: what the built-in reference and the other one make of them is read
from its folder, or measured and kept there, as ``chimera compare`` would. FOLDER has images of animals by kind; without it
the run's own [reference] is the other one. FILE is a choices.csv of ../blind/blind_choices.py, with columns ``cell_x`` and
``cell_y``, ``parents``, and one of X and Y for each ``viewer-NAME``.

Prints for each file and for all together how many choices have both pictures, Kendall's tau between the two references over these
pictures, how far each agrees with the viewers' majority, and where the references decide otherwise.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from chimera_core.cli._progress import progress
from chimera_core.compare.experiment.cells import Cell, read_record
from chimera_core.compare.experiment.file import ReferenceTable
from chimera_core.compare.experiment.fusers import judge_identities
from chimera_core.compare.experiment.parents import check_tuples, make_tuples
from chimera_core.compare.experiment.plan import Comparison, Experiment, read_with_judge
from chimera_core.compare.figures.scoring import score_cells
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.text import LARGE_BYTES, read_json_table
from chimera_core.plugins.discovery import default_host
from chimera_core.report.record import FILE, ComparisonRecord
from chimera_core.runs.config import FILE as CONFIG
from chimera_core.runs.record import work_in
from chimera_core.scoring.plugin_metrics import choose_metrics

FIGURES = ("score", "fused", "realism", "leakage")
OURS, OTHER = "built-in", "the other"
IMAGES = 1500
Row = Mapping[str, str]
Scores = Mapping[str, Mapping[str, float]]


def main() -> None:
    """Measure what is not measured yet, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--choices", type=Path, action="append", required=True, metavar="FILE")
    parser.add_argument("--reference", type=Path, metavar="FOLDER")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    try:
        found: dict[str, dict[str, dict[str, float]]] = {OURS: {}, OTHER: {}}
        for run in args.runs:
            for reference, table in ((OURS, None), (OTHER, _table(args.reference, run))):
                found[reference] |= _scores(run, table, args.device, title=reference)
        by_file = {file: list(_choices(file, found[OURS])) for file in args.choices}
    except ChimeraError as error:
        raise SystemExit(f"error: {error}") from None
    for file, rows in by_file.items():
        _report(str(file), rows, found)
    if len(by_file) > 1:
        _report("together", [row for rows in by_file.values() for row in rows], found)


def _table(folder: Path | None, run: Path) -> ReferenceTable:
    if folder is not None:
        return ReferenceTable(source="folder", options={"root": str(folder.resolve())}, images=IMAGES)
    table = read_with_judge(run / CONFIG, default_host()).reference
    if table is None:
        raise ConfigError(
            f"{run} was measured by the built-in reference: name the other one with --reference FOLDER"
        )
    return table


def _scores(
    run: Path, reference: ReferenceTable | None, device: str, *, title: str
) -> dict[str, dict[str, float]]:
    """Give the figures of every creature of a run, by its cell; 0 where one is n/a."""
    comparison = _comparison(run, reference)
    made = {cell.id: {} for cell in comparison.all_cells}
    with work_in(run, work="measured"), progress(f"measuring by {title}") as report:
        scores, measured = score_cells(comparison, made, run, device=device, progress=report)
    print(f"{run}, {title}: {measured} of {len(comparison.tuples)} tuples of parents measured now")
    return {cell: {figure: scores.figure(cell, figure) or 0.0 for figure in FIGURES} for cell in made}


def _comparison(run: Path, reference: ReferenceTable | None) -> Comparison:
    """Lay a run out again with a reference, from its records: fusers may be gone, or have changed since."""
    host = default_host()
    file = replace(read_with_judge(run / CONFIG, host), reference=reference)
    named = check_tuples(file)
    metrics = choose_metrics(host, file.top.metrics)
    experiment = Experiment(file, host, [], judge_identities(file, host), named, metrics=metrics)
    known = ComparisonRecord.model_validate(read_json_table(run / FILE, most_bytes=LARGE_BYTES))
    cells: dict[str, list[Cell]] = defaultdict(list)
    for cell in known.cells:
        if cell.status == "ok" and (record := read_record(run, cell.id)):
            cells[cell.fuser].append(replace(Cell.from_json(record), fuser=cell.fuser, tuple_id=cell.tuple))
    return Comparison(experiment, make_tuples(file, host, named, run), cells)


def _choices(file: Path, found: Scores) -> Iterator[Row]:
    """Give the choices of a file of which both pictures are there, and somebody chose."""
    rows = csv.DictReader(file.open())
    if missing := {"cell_x", "cell_y", "parents"}.difference(rows.fieldnames or ()):
        raise ConfigError(
            f"{file} has no column {' and '.join(sorted(missing))}: give a choices.csv with cells"
        )
    for row in rows:
        if row["cell_x"] in found and row["cell_y"] in found and _answers(row):
            yield row | {"parents": f"{file} {row.get('run', '')} {row['parents']}"}


def _report(name: str, rows: Sequence[Row], found: Mapping[str, Scores]) -> None:
    print(f"\n{name}: {len(rows)} choices", end="")
    if not rows:
        print(" with both pictures in these runs")
        return
    cells = sorted({row[f"cell_{side}"] for row in rows for side in "xy"})
    taus = {f: kendalltau(*([found[r][c][f] for c in cells] for r in (OTHER, OURS)))[0] for f in FIGURES}
    print(f", {len(cells)} pictures")
    print("  Kendall's tau between the references:", ", ".join(f"{f} {tau:.3f}" for f, tau in taus.items()))
    agreement = {reference: _agreement(rows, found[reference]) for reference in (OTHER, OURS)}
    for reference, values in agreement.items():
        print(f"  {reference} agrees with viewers: {sum(values):g} of {len(values)} ({np.mean(values):.3f})")
    low, high = _interval(rows, agreement)
    print(f"  difference: 95 % of resamplings of the parents lie in {low:+.3f} to {high:+.3f}")
    other = [o - t for t, o in zip(agreement[OTHER], agreement[OURS], strict=True)]
    print(
        f"  decided otherwise: {sum(step != 0 for step in other)}, of which the built-in one is nearer to viewers in "
        f"{sum(step > 0 for step in other)}"
    )


def _agreement(rows: Sequence[Row], scores: Scores) -> list[float]:
    """Give 1 for each choice in which the higher score is the viewers', 0.5 for a tie, else 0."""
    return [0.5 + 0.5 * float(np.sign(_step(row, scores)) * np.sign(_for_x(row) - 0.5)) for row in rows]


def _step(row: Row, scores: Scores) -> float:
    step = scores[row["cell_x"]]["score"] - scores[row["cell_y"]]["score"]
    return 0.0 if abs(step) < 1e-9 else step


def _for_x(row: Row) -> float:
    return float(np.mean([answer == "X" for answer in _answers(row)]))


def _answers(row: Row) -> list[str]:
    return [answer for column, answer in row.items() if column.startswith("viewer") and answer]


def _interval(rows: Sequence[Row], agreement: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Resample tuples of parents 2000 times: where the middle 95 % of the differences between the references lie."""
    theirs, ours = (np.array(agreement[reference]) for reference in (OTHER, OURS))
    by_parents: dict[str, list[int]] = defaultdict(list)
    for k, row in enumerate(rows):
        by_parents[row["parents"]].append(k)
    groups, random = list(by_parents.values()), np.random.default_rng(0)
    differences = []
    for _ in range(2000):
        drawn = np.concatenate([groups[k] for k in random.integers(len(groups), size=len(groups))])
        differences.append(float((ours - theirs)[drawn].mean()))
    low, high = np.quantile(differences, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
