"""Ask blind viewers to rank the creatures of a comparison, and keep what they and the score say.

Run: python research/ranking/viewers.py RUN PAIRS FOLDER [--keep research/ranking/NAME.json], where RUN is a folder of
     `chimera compare` and PAIRS the list that pairs.py wrote. It draws FOLDER/pair-01.png ..., two parents and the creatures of
     all fusers as A, B, C ... in an order drawn for each pair, at the size that is scored. Viewers see neither method nor score,
     nor FOLDER/key.json, and answer "which is the better creature of these two parents?" by an order, best first, in
     FOLDER/viewer-NAME.json: {"1": "CADB", ...}. Then run it again with --keep, and with --choices FILE.csv for
     the same as choices between two creatures, which ../reference/measure.py reads. --figure FILE.jpg --of 1,2,3 shows these
     pairs, best fusers first.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import string
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image

from chimera_core.files.atomic import atomic_path, write_text_atomic
from chimera_core.images import write_png
from chimera_core.images.sheet import grid

sys.path.insert(0, str(Path(__file__).parents[1] / "blind"))

from blind_choices import shown

COLUMNS = 4
FIGURES = ("score", "fused", "realism", "montage")


def main() -> None:
    """Draw sheets, or keep the answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--choices", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--of", default="1,2,3,4,5,6")
    args = parser.parse_args()
    if args.keep is not None:
        keep(args.run, args.pairs, args.folder, args.keep)
    if args.choices is not None:
        write_choices(args.run, args.folder, args.choices)
    if args.figure is not None:
        draw_figure(args.run, args.folder, args.figure, [int(number) for number in args.of.split(",")])
    if args.keep is None and args.choices is None and args.figure is None:
        ask(args.run, args.folder)


def ask(run: Path, folder: Path) -> None:
    """Draw a sheet for each pair, and write key.json."""
    facts = json.loads((run / "comparison.json").read_text())
    rng = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    key: dict[str, dict[str, str]] = {}
    for number, parents in enumerate(facts["tuples"], 1):
        made = {c["fuser"]: c["image"] for c in cells_of(facts, parents["id"]) if c["status"] == "ok"}
        order = rng.sample(sorted(made), len(made))
        key[str(number)] = dict(zip(string.ascii_uppercase, order, strict=False))
        paths = [*parents["images"], *(made[fuser] for fuser in order)]
        captions = ["parent 1", "parent 2", *key[str(number)]]
        tiles = [shown(run / path, facts["size"]) for path in paths]
        rows = range(0, len(tiles), COLUMNS)
        sheet = grid(
            [tiles[k : k + COLUMNS] for k in rows], captions=[captions[k : k + COLUMNS] for k in rows]
        )
        write_png(folder / f"pair-{number:02d}.png", sheet)
    write_text_atomic(folder / "key.json", json.dumps(key, indent=1))


def keep(run: Path, pairs: Path, folder: Path, target: Path) -> None:
    """Write names, figures and orders, from which tables and pictures are drawn."""
    facts = json.loads((run / "comparison.json").read_text())
    key = json.loads((folder / "key.json").read_text())
    answers = [json.loads(path.read_text()) for path in sorted(folder.glob("viewer-*.json"))]
    names = [line.split() for line in pairs.read_text().splitlines()]
    kept = []
    for number, (parents, pair) in enumerate(zip(facts["tuples"], names, strict=True), 1):
        letters = key[str(number)]
        for answer in answers:
            if sorted(answer[str(number)]) != sorted(letters):
                raise SystemExit(f"pair {number}: {answer[str(number)]} is no order of {''.join(letters)}")
        figures = {c["fuser"]: figures_of(c) for c in cells_of(facts, parents["id"]) if c["status"] == "ok"}
        orders = [[letters[letter] for letter in answer[str(number)]] for answer in answers]
        kept.append({"parents": pair, "figures": figures, "orders": orders})
    fusers = sorted({c["fuser"] for c in facts["cells"]})
    text = {"size": facts["size"], "fusers": fusers, "viewers": len(answers), "pairs": kept}
    write_text_atomic(target, json.dumps(text, indent=1) + "\n")


def write_choices(run: Path, folder: Path, target: Path) -> None:
    """Write what every viewer's order says of each two creatures of a pair: X and Y are the sides."""
    facts = json.loads((run / "comparison.json").read_text())
    key = json.loads((folder / "key.json").read_text())
    viewers = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("viewer-*.json"))}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["parents", "x", "y", "cell_x", "cell_y", *viewers])
    for number, parents in enumerate(facts["tuples"], 1):
        cells = {cell["fuser"]: cell["id"] for cell in cells_of(facts, parents["id"])}
        letters = key[str(number)]
        for x, y in combinations(letters, 2):
            orders = [answer[str(number)] for answer in viewers.values()]
            chosen = ["X" if order.index(x) < order.index(y) else "Y" for order in orders]
            sides = [letters[x], letters[y]]
            rows.writerow([number - 1, *sides, *(cells[side] for side in sides), *chosen])
    write_text_atomic(target, text.getvalue())


def draw_figure(run: Path, folder: Path, target: Path, numbers: Sequence[int]) -> None:
    """Draw some pairs with their creatures, a row each; fusers by their mean place over all pairs and viewers."""
    facts = json.loads((run / "comparison.json").read_text())
    key = json.loads((folder / "key.json").read_text())
    places: dict[str, list[int]] = {}
    for path in sorted(folder.glob("viewer-*.json")):
        for number, order in json.loads(path.read_text()).items():
            for place, letter in enumerate(order):
                places.setdefault(key[number][letter], []).append(place)
    fusers = sorted(places, key=lambda fuser: fmean(places[fuser]))
    rows = []
    for number in numbers:
        parents = facts["tuples"][number - 1]
        made = {c["fuser"]: c["image"] for c in cells_of(facts, parents["id"]) if c["status"] == "ok"}
        paths = [*parents["images"], *(made.get(fuser) for fuser in fusers)]
        rows.append([None if path is None else shown(run / path, facts["size"]) for path in paths])
    sheet = grid(rows, column_titles=["parent 1", "parent 2", *fusers], pad=4)
    with atomic_path(target) as scratch:
        Image.fromarray(sheet).save(scratch, "JPEG", quality=85)


def cells_of(facts: Mapping[str, Any], parents: str) -> list[dict[str, Any]]:
    """Give the cells of a pair of parents: one for each fuser."""
    return [cell for cell in facts["cells"] if cell["tuple"] == parents]


def figures_of(cell: Mapping[str, Any]) -> dict[str, float]:
    """Give the figures of a cell, rounded; 0 where one is n/a."""
    found = {name: cell["metrics"].get(name, {}).get("value") for name in FIGURES}
    return {name: round(value or 0.0, 5) for name, value in found.items()}


if __name__ == "__main__":
    main()
