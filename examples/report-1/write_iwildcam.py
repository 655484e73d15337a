"""Write a small folder in iWildCam's layout out of free pictures, so that the first report can be done end to end.

    python examples/report-1/write_iwildcam.py DATA ROOT [--limit 20] [--seed 0]

DATA holds `cameratrap/` (manifest.csv, images/) and `pacs/FORM/CLASS/`; ROOT gets `iwildcam_v2.0/`. These are NOT
iWildCam's pictures:

- Locations 0 to 2 are real camera-trap stations, with their own dates and bursts (camtrapR's sample data).
- Location 3 is a field guide's camera-trap pictures, three of a species; whose cameras took them is not known.
- All others are shares of PACS, photographs and paintings of five animals, that STAND IN for cameras: nothing in them
  was taken by one, their dates are made up, and what makes one location differ from another is chance and art form.
- `empty` pictures are the quietest corners of the guide's pictures: night, grass, sky.

The first ten locations show what a study by location meets: rich ones, one animal only (4), two pictures (7), nearly
always empty (9). Locations 0 to 10 are seen in training: splits train, id_val and id_test, 75, 5 and 20 % of each
location's sequences. The unseen ones of val and test (11 to 15) are cartoons: another domain by construction.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

EMPTY = "empty"
SEEN = {"train": 0.75, "id_val": 0.05, "id_test": 0.2}
"""Shares of the splits at locations that training sees; the official ones are 89, 5 and 6 %."""
UNUSED = 99999
"""The y of animals that categories.csv names and no picture shows."""
BURST_S = 60
"""Pictures of one animal at one station that are no more than so far apart are one sequence."""
CORNER = 0.5
"""Side of a corner that stands in for an empty picture, as a share of the photograph's shorter side."""

# camtrapR's codes, by the names that its manual gives.
SPECIES = {
    "EGY": "echinosorex gymnura",
    "MNE": "macaca nemestrina",
    "PBE": "prionailurus bengalensis",
    "TRA": "tragulus sp",
    "VTA": "viverra tangalunga",
}
UNIDENTIFIED = "UNID"
GUIDE = ""
"""What the manifest says of the guide's location: nothing."""

Shares = dict[str, int]


@dataclass(frozen=True)
class Place:
    """One location: a station of the manifest, or a share of PACS: how many pictures of each class of a form."""

    station: str | None = None
    form: str = "photo"
    animals: Shares | None = None
    split: str | None = None
    """``val`` or ``test``; None: seen in training."""


def _mix(each: int, *, person: int = 0, empty: int = 0) -> Shares:
    """Give the five animals of PACS ``each`` so many pictures, persons more if wanted."""
    animals = dict.fromkeys(("dog", "elephant", "giraffe", "horse"), each)
    return {**animals, "person": person or each, **({EMPTY: empty} if empty else {})}


PLACES = (
    Place(station="StationA"),
    Place(station="StationB"),
    Place(station="StationC"),
    Place(station=GUIDE),
    Place(animals={"giraffe": 40}),
    Place(animals=_mix(60, person=120, empty=40)),
    Place(animals={"dog": 60, "horse": 60, "person": 120, EMPTY: 20}),
    Place(animals={"elephant": 1, "person": 1}),
    Place(form="art_painting", animals=_mix(90, person=180)),
    Place(animals={"elephant": 6, EMPTY: 60}),
    Place(form="art_painting", animals=_mix(90, person=180)),
    Place(form="cartoon", animals=_mix(30), split="val"),
    Place(form="cartoon", animals=_mix(30), split="val"),
    Place(form="cartoon", animals=_mix(40), split="test"),
    Place(form="cartoon", animals=_mix(40), split="test"),
    Place(form="cartoon", animals=_mix(40), split="test"),
)


@dataclass(frozen=True)
class Picture:
    """A row to be: the file, what it shows, when, and whether it is the corner of a photograph."""

    path: Path
    name: str
    taken: datetime
    is_corner: bool = False


def main() -> None:
    """Write the folder, and say what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder that holds cameratrap/ and pacs/")
    parser.add_argument("root", type=Path, help="folder to write iwildcam_v2.0 into")
    parser.add_argument("--limit", type=int, help="at most so many pictures of a class at a location")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    args = parser.parse_args()
    folder = args.root / "iwildcam_v2.0"
    if folder.exists():
        parser.error(f"{folder} is there already: remove it, or name another root")
    for part in ("cameratrap/manifest.csv", "pacs"):
        if not (args.data / part).exists():
            parser.error(f"{args.data} holds no {part}: name the folder that holds cameratrap/ and pacs/")
    counts = write_folder(args.data, folder, limit=args.limit, seed=args.seed)
    print(f"{folder}: {sum(counts)} pictures at {len(counts)} locations ({', '.join(map(str, counts))})")


def write_folder(data: Path, folder: Path, *, limit: int | None = None, seed: int = 0) -> list[int]:
    """Write ``iwildcam_v2.0``.

    Args:
        data: folder that holds ``cameratrap/`` and ``pacs/``.
        folder: the new ``iwildcam_v2.0``.
        limit: at most so many pictures of a class at a location.
        seed: of what is drawn: which pictures of PACS lie where, splits, file names.
    Returns:
        The number of pictures of each location.
    """
    random = np.random.default_rng(seed)
    places = [_thinned(pictures, limit) for pictures in _pictures(data, random)]
    names = [EMPTY, *sorted({p.name for pictures in places for p in pictures} - {EMPTY})]
    (folder / "train").mkdir(parents=True)
    rows: list[dict[str, object]] = []
    sequence = 0
    for location, (place, pictures) in enumerate(zip(PLACES, places, strict=True)):
        bursts = _bursts(pictures)
        splits = [place.split] * len(bursts) if place.split else _deal(bursts, random)
        for split, burst in zip(splits, bursts, strict=True):
            for picture in burst:
                y = names.index(picture.name)
                name = f"{uuid.UUID(bytes=random.bytes(16))}.jpg"
                _write_picture(picture, folder / "train" / name)
                rows.append(
                    {
                        "split": split,
                        "location_remapped": location,
                        "location": location + 100,
                        "sequence_remapped": sequence,
                        "y": y,
                        "category_id": 2 * y,
                        "datetime": f"{picture.taken:%Y-%m-%d %H:%M:%S}.000",
                        "filename": name,
                    }
                )
            sequence += 1
    _write_csv(folder / "metadata.csv", [rows[k] for k in random.permutation(len(rows))])
    categories = [{"y": y, "category_id": 2 * y, "name": name} for y, name in enumerate(names)]
    unused = {"y": UNUSED, "category_id": 2 * len(names), "name": "panthera tigris"}
    _write_csv(folder / "categories.csv", [*categories, unused])
    (folder / "RELEASE_v2.0.txt").write_text(
        "Not iWildCam: other pictures in its layout, written by Chimera's examples/report-1.\n"
    )
    return [len(pictures) for pictures in places]


def _pictures(data: Path, random: np.random.Generator) -> Iterator[list[Picture]]:
    """Collect the pictures of every place; no picture of PACS is taken twice."""
    with open(data / "cameratrap" / "manifest.csv", newline="", encoding="utf-8") as file:
        manifest = list(csv.DictReader(file))
    guide = [_trapped(data, row, datetime(2013, 1, 1)).path for row in manifest if row["location"] == GUIDE]
    pools = {EMPTY: [guide[k] for k in random.permutation(len(guide))]}
    for place in PLACES:
        start = datetime(2013, 1, 1) + timedelta(days=int(random.integers(365)))
        if place.animals is None:
            rows = [r for r in manifest if r["location"] == place.station and r["species"] != UNIDENTIFIED]
            yield [_trapped(data, row, start + timedelta(hours=k)) for k, row in enumerate(rows)]
            continue
        drawn: list[Picture] = []
        for name, count in place.animals.items():
            key = EMPTY if name == EMPTY else f"{place.form}/{name}"
            if key not in pools:
                files = sorted((data / "pacs" / key).iterdir())
                pools[key] = [files[k] for k in random.permutation(len(files))]
            for path in [pools[key].pop() for _ in range(count)]:
                drawn.append(Picture(path, name, start + timedelta(hours=len(drawn)), name == EMPTY))
        yield drawn


def _trapped(data: Path, row: dict[str, str], made_up: datetime) -> Picture:
    taken = datetime.fromisoformat(row["datetime"]) if row["datetime"] else made_up
    path = data / "cameratrap" / "images" / row["filename"]
    return Picture(path, SPECIES.get(row["species"], row["species"]), taken)


def _thinned(pictures: Sequence[Picture], limit: int | None) -> list[Picture]:
    """Keep the first ``limit`` pictures of each class."""
    seen: dict[str, int] = {}
    kept = []
    for picture in pictures:
        seen[picture.name] = seen.get(picture.name, 0) + 1
        if limit is None or seen[picture.name] <= limit:
            kept.append(picture)
    return kept


def _bursts(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Cut a location's pictures into sequences, each of one animal."""
    bursts: list[list[Picture]] = []
    for picture in sorted(pictures, key=lambda p: (p.name, p.taken)):
        last = bursts[-1][-1] if bursts else None
        if last and last.name == picture.name and (picture.taken - last.taken).total_seconds() <= BURST_S:
            bursts[-1].append(picture)
        else:
            bursts.append([picture])
    return bursts


def _deal(bursts: Sequence[Sequence[Picture]], random: np.random.Generator) -> list[str]:
    """Deal a location's sequences out to train, id_val and id_test, class by class; the first of a class is in train.

    A sequence never lies in two splits: its pictures are nearly the same.
    """
    splits = [""] * len(bursts)
    for name in sorted({burst[0].name for burst in bursts}):
        own = [k for k, burst in enumerate(bursts) if burst[0].name == name]
        own = [own[k] for k in random.permutation(len(own))]
        splits[own[0]] = "train"
        for k in own[1:]:
            splits[k] = str(random.choice(list(SEEN), p=list(SEEN.values())))
    return splits


def _write_picture(picture: Picture, to: Path) -> None:
    """Copy a JPEG as it is, or write the quietest corner of a photograph."""
    if not picture.is_corner:
        shutil.copyfile(picture.path, to)
        return
    with Image.open(picture.path) as image:
        rgb = image.convert("RGB")
    width, height = rgb.size
    side = round(min(width, height) * CORNER)
    boxes = [(x, y, x + side, y + side) for x in (0, width - side) for y in (0, height - side)]
    quietest = min((rgb.crop(box) for box in boxes), key=lambda corner: float(np.asarray(corner).std()))
    quietest.save(to, quality=95)


def _write_csv(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
