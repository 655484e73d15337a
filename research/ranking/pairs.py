"""Draw the pairs of the ranking, and cut their pictures to squares.

Run: python research/ranking/pairs.py DATA FOLDER

DATA holds the pictures that research/heads/marks.txt and research/faces/marks.txt name. It writes FOLDER/bodies.toml and
FOLDER/portraits.toml with the pairs, for ``chimera compare``, and the squares beside them. Nothing here looks at a creature:
the pairs follow from the marks, the lists of earlier pairs, and the seed.

Bodies: photographs of one animal marked as with its body in sight, of no pair that anything was tuned on, without snakes,
fish and whales, which have no neck. Portraits: faces marked with both eyes, mouth and chin, kept apart from the training of
the face finder (``test``, then ``val``), of no earlier pair. Partners are of two kinds. No picture is first or second twice
before every other has been.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from chimera_core.images import write_png

RESEARCH = Path(__file__).parents[1]
sys.path.insert(0, str(RESEARCH / "blind"))
sys.path.insert(0, str(RESEARCH / "heads"))

from marked import KINDS  # noqa: E402
from twelve_pairs import PAIRS  # noqa: E402

EXAMPLES = RESEARCH.parent / "examples"
CHOICES = RESEARCH.parent / "docs" / "results" / "blind-choices"
NECKLESS = {"snake", "fish", "whale"}
PERSONS_WITH_CATS, PERSONS_WITH_OTHERS, ANIMALS, BODIES = 12, 12, 24, 48
SIDE = 256


@dataclass(frozen=True)
class Seen:
    """A picture, what it shows, and the box that the square must keep, in parts of its width and height."""

    name: str
    kind: str
    box: tuple[float, float, float, float]


def main() -> None:
    """Draw, cut and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    rng = random.Random(22)
    bodies = body_pairs(rng)
    portraits = portrait_pairs(args.data, rng)
    for name, pairs in (("bodies", bodies), ("portraits", portraits)):
        template = (Path(__file__).parent / f"{name}.toml").read_text()
        lines = []
        for pair in pairs:
            cut = [square(args.data, seen, args.folder / "squares") for seen in pair]
            lines.append("    [" + ", ".join(f'"squares/{path.name}"' for path in cut) + "],")
        (args.folder / f"{name}.toml").write_text(template.replace("@PAIRS@", "\n".join(lines)))
        listed = "".join(f"{a.name} {b.name}\n" for a, b in pairs)
        (args.folder / f"{name}.txt").write_text(listed)
        print(f"{len(pairs)} pairs of {len({s for pair in pairs for s in pair})} pictures: {name}")


def body_pairs(rng: random.Random) -> list[tuple[Seen, Seen]]:
    """Pair photographs of animals with their bodies in sight."""
    tuned = earlier(EXAMPLES / "parts" / "pairs.txt") | earlier(EXAMPLES / "parts" / "pairs-2.txt")
    tuned |= {f"photos/{name}" for pair in PAIRS for name in pair}
    with (CHOICES / "parts-candidates.csv").open() as file:
        tuned |= {row[side] for row in csv.DictReader(file) for side in ("body", "head")}
    pool = []
    for name, *numbers, view in rows(RESEARCH / "heads" / "marks.txt"):
        kinds = [k for k, words in KINDS.items() if any(w in name for w in words.split())]
        kind = kinds[0] if kinds else "other"
        if view != "body" or name in tuned or name.startswith("cutouts/") or NECKLESS & set(kinds):
            continue
        x0, y0, x1, y1 = (float(n) / 100 for n in numbers[:4])
        pool.append(Seen(f"{name}.jpg", kind, (x0, y0, x1, y1)))
    return paired(pool, pool, BODIES, rng)


def portrait_pairs(data: Path, rng: random.Random) -> list[tuple[Seen, Seen]]:
    """Pair faces: persons with cats, persons with other animals, animals with animals."""
    used = set()
    for name in ("pairs.txt", "pairs-2.txt", "pairs-3.txt"):
        used |= earlier(EXAMPLES / "portraits" / name)
    faces: dict[str, list[Seen]] = {}
    order = {"test": 0, "val": 1}
    marked = sorted(rows(RESEARCH / "faces" / "marks.txt"), key=lambda row: order.get(row[2], 2))
    several = Counter(row[0] for row in marked)
    for name, kind, use, *numbers in marked:
        # Of a picture with several faces, or of a person with an animal, another one might be found.
        is_crowded = several[name] > 1 or (kind == "person" and name.startswith("more-photos/"))
        if use not in order or name in used or is_crowded or "-" in numbers[:10]:
            continue
        with Image.open(data / name) as picture:
            width, height = ImageOps.exif_transpose(picture).size
        points = np.array(numbers[:10], float).reshape(5, 2) / 100 * max(width, height)
        apart = np.linalg.norm(points[1] - points[0])
        if apart < 20:
            continue
        low, high = points.min(0) - 0.7 * apart, points.max(0) + 0.5 * apart
        box = (low[0] / width, low[1] / height, high[0] / width, high[1] / height)
        faces.setdefault(kind, []).append(Seen(name, kind, tuple(float(np.clip(b, 0, 1)) for b in box)))
    persons, cats = faces.pop("person"), faces.pop("cat")
    others = [seen for found in faces.values() for seen in found]
    return [
        *paired(persons, cats, PERSONS_WITH_CATS, rng),
        *paired(persons[PERSONS_WITH_CATS:], others, PERSONS_WITH_OTHERS, rng),
        *paired([*others, *cats], [*others, *cats], ANIMALS, rng),
    ]


def paired(
    firsts: Sequence[Seen], seconds: Sequence[Seen], count: int, rng: random.Random
) -> list[tuple[Seen, Seen]]:
    """Draw pairs of two kinds, each picture as rarely as may be."""
    pairs: list[tuple[Seen, Seen]] = []
    left: list[list[Seen]] = [[], []]
    while len(pairs) < count:
        for side, pool in zip(left, (firsts, seconds), strict=True):
            if not side:
                side.extend(rng.sample(list(pool), len(pool)))
        first = left[0].pop()
        partner = next((s for s in left[1] if s.kind != first.kind and s.name != first.name), None)
        if partner is None:
            left[1].clear()
            continue
        left[1].remove(partner)
        if (first, partner) not in pairs:
            pairs.append((first, partner))
    return pairs


def square(data: Path, seen: Seen, folder: Path) -> Path:
    """Cut the square of the shorter side that keeps the box and is nearest to the middle, and write it."""
    with Image.open(data / seen.name) as picture:
        image = ImageOps.exif_transpose(picture).convert("RGB")
    side = min(image.size)
    corner = []
    for size, low, high in zip(image.size, seen.box[:2], seen.box[2:], strict=True):
        middle, first, last = (size - side) / 2, high * size - side, low * size
        at = min(max(middle, first), last) if first <= last else (first + last) / 2
        corner.append(int(np.clip(round(at), 0, size - side)))
    cut = image.crop((*corner, corner[0] + side, corner[1] + side))
    cut = cut.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    path = folder / (seen.name.replace("/", "-").rpartition(".")[0] + ".png")
    folder.mkdir(parents=True, exist_ok=True)
    write_png(path, np.asarray(cut))
    return path


def earlier(path: Path) -> set[str]:
    """Give the names in a list of pairs."""
    return {name for row in rows(path) for name in row}


def rows(path: Path) -> list[list[str]]:
    """Read the words of each line that is no comment."""
    lines = path.read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


if __name__ == "__main__":
    main()
