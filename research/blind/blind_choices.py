"""Blind choices between creatures, and whether the score agrees with them.

Run: python research/blind/blind_choices.py FOLDER RUN... [--choices 200] [--weights 0.5,0.5] [--seed 0], where a RUN is a
     folder of `chimera compare`; let viewers look at FOLDER/sheet-*.png and write FOLDER/viewer-NAME.json, {"1": "X",
     "2": "Y", ...}; then run it again to count.

Each row of a sheet shows two parents and two creatures of theirs, X and Y, by two fusers, at the size that is scored.
The question is: which is the better creature of these two parents? Every two fusers meet equally often, over as many
parents as there are; order and sides are shuffled. Viewers see neither method nor score, nor FOLDER/key.csv.

Kendall's tau is counted twice: over choices (agreeing less disagreeing ones, of all; the viewers' majority), and over
fusers (their share of choices won against their mean score on the same pictures).
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from scipy.stats import kendalltau

from chimera_core.files.atomic import write_text_atomic
from chimera_core.images import write_png
from chimera_core.images.sheet import grid

ROWS, SHOWN = 8, 168
FIELDS = ("choice", "run", "parents", "seed", "x", "y", "cell_x", "cell_y", "score_x", "score_y")


def main() -> None:
    """Draw sheets, or count the choices."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--choices", type=int, default=200)
    parser.add_argument("--weights", default="0.5,0.5")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    weights = [float(w) for w in args.weights.split(",")]
    answers = {path.stem: json.loads(path.read_text()) for path in sorted(args.folder.glob("viewer-*.json"))}
    if answers:
        count(args.folder, args.runs, answers)
    else:
        ask(args.folder, args.runs, weights, args.choices, random.Random(args.seed))


def ask(folder: Path, runs: Sequence[Path], weights: list[float], count: int, rng: random.Random) -> None:
    """Draw choices from the runs, and write their sheets and key.csv."""
    drawn = [choice for run in runs for choice in _draw(run, weights, rng)]
    # Evenly from all runs and pairs of fusers: the first of each, then the second ...
    rng.shuffle(drawn)
    drawn.sort(key=lambda c: c["round"])
    chosen = rng.sample(drawn[:count], min(count, len(drawn)))
    folder.mkdir(parents=True, exist_ok=True)
    for number, choice in enumerate(chosen, 1):
        choice["choice"] = number
    for start in range(0, len(chosen), ROWS):
        rows = [[shown(path, c["size"]) for path in c["pictures"]] for c in chosen[start : start + ROWS]]
        captions = [[f"{c['choice']}: parent 1", "parent 2", "X", "Y"] for c in chosen[start : start + ROWS]]
        write_png(folder / f"sheet-{start // ROWS + 1:02d}.png", grid(rows, captions=captions))
    _write(folder / "key.csv", chosen, FIELDS[:-2])
    print(f"{len(chosen)} choices on {-(-len(chosen) // ROWS)} sheets in {folder}")


def count(folder: Path, runs: Sequence[Path], answers: Mapping[str, Mapping[str, str]]) -> None:
    """Print how viewers agree with each other and with the score, and write choices.csv."""
    scores = {cell: score for run in runs for cell, score in _scores(run).items()}
    rows = list(csv.DictReader((folder / "key.csv").open()))
    for row in rows:
        row |= {name: choices[row["choice"]] for name, choices in answers.items()}
        row |= {f"score_{side}": scores[row[f"cell_{side}"]] for side in "xy"}
    _write(folder / "choices.csv", rows, (*FIELDS, *answers))
    for first, second in itertools.combinations(answers, 2):
        same = statistics.mean(row[first] == row[second] for row in rows)
        print(f"{first} and {second} agree in {same:.1%} of {len(rows)}")
    print(f"Kendall's tau over {len(rows)} choices: {_tau_of_choices(rows, list(answers)):.3f}")
    won, mean = _by_fuser(rows, list(answers))
    found = kendalltau(*zip(*((won[f], mean[f]) for f in won), strict=True))
    print(f"Kendall's tau over {len(won)} fusers: {found.statistic:.3f} (p {found.pvalue:.2g})")
    for fuser in sorted(won, key=lambda f: -won[f]):
        print(f"  {fuser:24} won {won[fuser]:.2f}, score {mean[fuser]:.3f}")


def _draw(run: Path, weights: list[float], rng: random.Random) -> list[dict[str, Any]]:
    """Let every two fusers of a run meet once on each of its parents, in an order drawn for them."""
    facts = json.loads((run / "comparison.json").read_text())
    cells = {
        (c["fuser"], c["tuple"], c["seed"]): c
        for c in facts["cells"]
        if c["status"] == "ok" and c["weights"] == weights
    }
    parents = {t["id"]: [run / image for image in t["images"]] for t in facts["tuples"]}
    drawn = []
    for pair in itertools.combinations(sorted({fuser for fuser, _, _ in cells}), 2):
        places = [
            (k, s) for k in parents for s in facts["seeds"] if all((fuser, k, s) in cells for fuser in pair)
        ]
        for nth, (k, s) in enumerate(rng.sample(places, len(places))):
            x, y = (cells[fuser, k, s] for fuser in rng.sample(pair, 2))
            made = {"x": x["fuser"], "y": y["fuser"], "cell_x": x["id"], "cell_y": y["id"]}
            pictures = [*parents[k], run / x["image"], run / y["image"]]
            where = {"run": run.name, "parents": k, "seed": s, "size": facts["size"], "round": nth}
            drawn.append({**where, **made, "pictures": pictures})
    return drawn


def _scores(run: Path) -> dict[str, float]:
    """Read the score of every cell; 0 where it is n/a."""
    facts = json.loads((run / "comparison.json").read_text())
    found = {c["id"]: c["metrics"].get("score", {}).get("value") for c in facts["cells"]}
    return {cell: score or 0.0 for cell, score in found.items()}


def _tau_of_choices(rows: Sequence[Mapping[str, Any]], viewers: Sequence[str]) -> float:
    agreeing = 0
    for row in rows:
        better = np.sign(row["score_x"] - row["score_y"])
        agreeing += better * np.sign(_for_x(row, viewers) - 0.5)
    return float(agreeing / len(rows))


def _by_fuser(
    rows: Sequence[Mapping[str, Any]], viewers: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Give each fuser's share of choices won, and its mean score over the pictures that were shown."""
    won: dict[str, list[float]] = defaultdict(list)
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        for side, share in (("x", _for_x(row, viewers)), ("y", 1 - _for_x(row, viewers))):
            won[row[side]].append(share)
            scores[row[side]][row[f"cell_{side}"]] = row[f"score_{side}"]
    return (
        {fuser: statistics.mean(shares) for fuser, shares in won.items()},
        {fuser: statistics.mean(found.values()) for fuser, found in scores.items()},
    )


def _for_x(row: Mapping[str, Any], viewers: Sequence[str]) -> float:
    return statistics.mean(row[viewer] == "X" for viewer in viewers)


def shown(path: Path, size: int) -> np.ndarray[Any, Any]:
    """Read a picture as it is scored, and enlarge it for viewers."""
    with Image.open(path) as picture:
        square = ImageOps.fit(picture.convert("RGB"), (min(picture.size),) * 2)
    small = square.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((SHOWN, SHOWN), Image.Resampling.BICUBIC))


def _write(path: Path, rows: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> None:
    lines = [",".join(fields), *(",".join(str(row[field]) for field in fields) for row in rows)]
    write_text_atomic(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
