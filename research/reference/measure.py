"""Measure scores with the built-in reference against those with a folder of animals, on the pictures of blind choices.

    python research/reference/measure.py --data FOLDER --scores FOLDER NAME=RUN ...

NAME is a file of docs/results/blind-choices without its ending, RUN the comparison whose cells it names (that folder says how
to have it again). Scores are kept in --scores for the next time. Prints how many choices have both pictures, Kendall's tau
between the two references over these pictures, and how far each agrees with the viewers.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

from chimera_core.data.subsets import spread_subset
from chimera_core.files.atomic import write_text_atomic
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring.built_in import BuiltInReference
from chimera_core.scoring.judge.judge import load_judge
from chimera_core.scoring.pictures import packed_split, parent_of_file, read_squares
from chimera_core.scoring.scorecard import Scorecard

CHOICES = Path(__file__).parents[2] / "docs" / "results" / "blind-choices"
REFERENCES = ("tiny-animals", "built-in")
FIGURES = ("score", "fused", "realism", "leakage")
SIZE, IMAGES = 64, 1500
VIEWERS = ("viewer-1", "viewer-2", "viewer-3")
Scores = dict[str, dict[str, float]]


def main() -> None:
    """Score what is not scored yet, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--judge", default="tf_efficientnet_lite2")
    parser.add_argument("--only", choices=REFERENCES, help="score with this reference, and compare nothing")
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    args = parser.parse_args()
    runs = {name: Path(run) for name, _, run in (text.partition("=") for text in args.runs)}
    choices = {name: list(_choices(name, run)) for name, run in runs.items()}
    found: dict[str, Scores] = {}
    for reference in [args.only] if args.only else REFERENCES:
        store = args.scores / f"{args.judge}-{reference}.json"
        found[reference] = json.loads(store.read_text()) if store.is_file() else {}
        for name, run in runs.items():
            cells = {row[f"cell_{side}"] for row in choices[name] for side in "xy"}
            if missing := sorted(cells - found[reference].keys()):
                found[reference] |= _scored(run, missing, reference, args)
                write_text_atomic(store, json.dumps(found[reference], indent=1) + "\n")
    if not args.only:
        for name, rows in choices.items():
            _report(name, rows, found)
        _report("together", [row for rows in choices.values() for row in rows], found)


def _choices(name: str, run: Path) -> Iterator[dict[str, str]]:
    """Give the choices of a file of which both pictures are there."""
    for row in csv.DictReader((CHOICES / f"{name}.csv").open()):
        if all((run / "cells" / f"{row[f'cell_{side}']}.png").is_file() for side in "xy"):
            yield row | {"parents": f"{name} {row['parents']}"}


def _scored(run: Path, cells: Sequence[str], reference: str, args: argparse.Namespace) -> Scores:
    host = default_host()
    card = Scorecard(
        [load_judge(host, args.judge)],
        reference=BuiltInReference()
        if reference == "built-in"
        else spread_subset(
            packed_split(host, "folder", {"root": str(args.data / reference)}, size=SIZE)[0], IMAGES
        ),
        size=SIZE,
        cache=args.scores / "judged",
    )
    by_parents: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for cell in cells:
        record = json.loads((run / "cells" / f"{cell}.json").read_text())
        by_parents[tuple(record["parents"])].append(record)
    found: Scores = {}
    for parents, records in by_parents.items():
        prepared = card.prepare([parent_of_file(_found(run, parent), size=SIZE) for parent in parents])
        pictures = read_squares([run / "cells" / f"{r['id']}.png" for r in records], size=SIZE)
        weights = torch.tensor([r["weights"] for r in records], dtype=torch.float64)
        for record, figures in zip(records, card.measure(prepared, pictures, weights), strict=True):
            found[record["id"]] = {name: float(figures[name].value or 0) for name in FIGURES}
        print(f"{reference}: {len(found)} of {len(cells)}", flush=True)
    return found


def _found(run: Path, parent: str) -> Path:
    """Find a parent where the record names it, or in the run's own folder, which may have moved."""
    return Path(parent) if Path(parent).is_file() else run / "parents" / Path(parent).name


def _report(name: str, rows: Sequence[Mapping[str, str]], found: Mapping[str, Scores]) -> None:
    theirs, ours = (found[reference] for reference in REFERENCES)
    cells = sorted({row[f"cell_{side}"] for row in rows for side in "xy"})
    taus = {f: kendalltau([theirs[c][f] for c in cells], [ours[c][f] for c in cells])[0] for f in FIGURES}
    print(f"{name}: {len(rows)} choices, {len(cells)} pictures")
    print("  Kendall's tau:", ", ".join(f"{figure} {tau:.3f}" for figure, tau in taus.items()))
    agreement = {reference: _agreement(rows, found[reference]) for reference in REFERENCES}
    for reference, values in agreement.items():
        print(f"  agreement with viewers, {reference}: {np.mean(values):.3f} of {len(values)} choices")
    low, high = _interval(rows, agreement)
    print(f"  difference: 95 % of resamplings of the parents lie in {low:+.3f} to {high:+.3f}")
    same = np.mean([np.sign(_step(row, theirs)) == np.sign(_step(row, ours)) for row in rows])
    print(f"  choices that both references decide alike: {same:.3f}")


def _agreement(rows: Sequence[Mapping[str, str]], scores: Scores) -> list[float]:
    """Give 1 for each choice in which the higher score is the viewers', 0.5 for a tie, else 0."""
    return [0.5 + 0.5 * float(np.sign(_step(row, scores)) * np.sign(_for_x(row) - 0.5)) for row in rows]


def _step(row: Mapping[str, str], scores: Scores) -> float:
    step = scores[row["cell_x"]]["score"] - scores[row["cell_y"]]["score"]
    return 0.0 if abs(step) < 1e-9 else step


def _for_x(row: Mapping[str, str]) -> float:
    return float(np.mean([row[viewer] == "X" for viewer in VIEWERS if row[viewer]]))


def _interval(
    rows: Sequence[Mapping[str, str]], agreement: Mapping[str, Sequence[float]]
) -> tuple[float, float]:
    """Resample tuples of parents 2000 times: where the middle 95 % of the differences between the references lie."""
    theirs, ours = (np.array(agreement[reference]) for reference in REFERENCES)
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
