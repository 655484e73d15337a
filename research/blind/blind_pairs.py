"""Blind judging of creatures: are layout (first parent) and coat (second parent) recognised?

Run: python research/blind/blind_pairs.py PHOTOS FOLDER [--pairs 12 | --chosen] [--seed N] [--fuser F] [--preset P]
     [--encoder RUN], look at FOLDER/sheet.png, answer FOLDER/questions.txt in FOLDER/answers.txt (a line per picture:
     layout, coat), then run it again to count.

PHOTOS is a folder of .jpg files named by their animals. Pairs are drawn at random, without those on which the defaults
were chosen; --chosen asks about just those, shuffled. Whoever judges does not open key.txt before.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor
from twelve_pairs import PAIRS

from chimera_core import fuse
from chimera_core.images import write_png
from chimera_core.images.pixels import to_uint8
from chimera_core.images.sheet import grid

CHOICES = 4
COLUMNS = 3


def main() -> None:
    """Draw pairs and ask, or count the answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--chosen", action="store_true", help="the twelve pairs of twelve_pairs.py")
    parser.add_argument("--seed", type=int, help="of pairs and choices; from the system when not given")
    parser.add_argument("--fuser", default="style-transfer")
    parser.add_argument("--preset")
    parser.add_argument("--encoder", help="a run, model or component that the fuser should use")
    args = parser.parse_args()
    if (args.folder / "answers.txt").exists():
        count(args.folder)
        return
    rng = random.Random(args.seed)
    names = sorted(path.stem for path in args.photos.glob("*.jpg"))
    pairs = rng.sample(PAIRS, len(PAIRS)) if args.chosen else draw_pairs(names, args.pairs, rng)
    options = {} if args.encoder is None else {"encoder": {"name": args.encoder}}
    creatures = (
        fuse(
            [args.photos / f"{name}.jpg" for name in pair], fuser=args.fuser, preset=args.preset, **options
        ).images[0]
        for pair in pairs
    )
    ask(pairs, creatures, names, args.folder, rng)


def draw_pairs(names: Sequence[str], count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Draw pairs that nobody chose."""
    known = {name for pair in PAIRS for name in pair}
    drawn = rng.sample([name for name in names if name not in known], 2 * count)
    return list(zip(drawn[:count], drawn[count:], strict=True))


def ask(
    key: Sequence[tuple[str, str]],
    creatures: Iterable[Tensor],
    names: Sequence[str],
    folder: Path,
    rng: random.Random,
) -> None:
    """Write sheet.png, questions.txt and key.txt."""
    questions = []
    tiles = []
    for number, (pair, creature) in enumerate(zip(key, creatures, strict=True), 1):
        tiles.append(to_uint8(creature))
        layouts, coats = (_choices(name, [n for n in names if n not in pair], rng) for name in pair)
        questions.append(f"{number}. layout: {', '.join(layouts)}; coat: {', '.join(coats)}")
    folder.mkdir(parents=True, exist_ok=True)
    rows = range(0, len(key), COLUMNS)
    captions = [[str(k + 1) for k in range(row, row + COLUMNS)] for row in rows]
    write_png(folder / "sheet.png", grid([tiles[k : k + COLUMNS] for k in rows], captions=captions))
    (folder / "questions.txt").write_text("\n".join(questions) + "\n")
    (folder / "key.txt").write_text("".join(f"{layout}, {coat}\n" for layout, coat in key))


def count(folder: Path) -> None:
    """Print how many layouts and coats were recognised, and every mistake."""
    key, answers = (_lines(folder / name) for name in ("key.txt", "answers.txt"))
    for which, part in enumerate(("layouts", "coats")):
        right = sum(k[which] == a[which] for k, a in zip(key, answers, strict=True))
        print(f"{part}: {right} of {len(key)} (chance: {len(key) / CHOICES:g})")
    for number, (true, answered) in enumerate(zip(key, answers, strict=True), 1):
        if true != answered:
            print(f"{number}. {' + '.join(true)}, said {' + '.join(answered)}")


def _choices(right: str, wrong: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample([right, *rng.sample(list(wrong), CHOICES - 1)], CHOICES)


def _lines(path: Path) -> list[list[str]]:
    return [[part.strip() for part in line.split(",")] for line in path.read_text().splitlines() if line]


if __name__ == "__main__":
    main()
