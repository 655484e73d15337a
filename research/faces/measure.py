"""Measure the shipped face points, or others, on faces that no training saw.

    python research/faces/measure.py --data FOLDER [--weights FILE] [--use val] [--kinds K ...]
        [--near] [--turned DEGREES] [--small] [--every N] [--show SHEET.jpg]

Errors are shares of the face's unit: the distance of its eyes, or 0.85 of eye to nose where it is turned aside.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from faceless import faceless
from numpy.typing import NDArray
from views import Face, marked_faces

from chimera_core.api import FeatureEncoder, face_unit, load_encoder
from chimera_core.files.weights import load_state
from chimera_core.subjects import face as finder
from chimera_core.subjects.face_network import POINTS, FaceNetwork

COLOURS = ((255, 60, 60), (60, 255, 60), (60, 60, 255), (255, 255, 0), (255, 0, 255))
# Kinds by which figures are given; what is in none is "other".
GROUPS = {
    "dog": "dogs",
    "fox": "foxes, wolves",
    "wolf": "foxes, wolves",
    "lion": "big cats",
    "bigcat": "big cats",
    "cougar": "big cats",
    "panda": "pandas, bears",
    "bear": "pandas, bears",
    "person": "persons",
    "cat": "cats",
    "bird": "birds",
}


@dataclass
class Row:
    """A marked face and what was found in its picture; ``found`` is None where it was refused."""

    face: Face
    tried: list[finder.Face]
    found: finder.Face | None
    second: bool = False
    """Whether another face came first, and the marked one was taken from `find_faces`."""

    @property
    def here(self) -> bool:
        """Whether it is the marked face at all."""
        known = self.far[np.isfinite(self.far)]
        return self.found is not None and known.size > 0 and float(np.median(known)) < 1

    @property
    def far(self) -> NDArray[np.float64]:
        """Distances of the five points in units, NaN where either is hidden."""
        return np.linalg.norm(self.found.points - self.face.points, axis=1) / face_unit(self.face.points)


class Finder:
    """Finds faces as `find_face` does, and keeps every face that was weighed."""

    def __init__(self, weights: Path | None) -> None:
        self.encoder: FeatureEncoder = load_encoder("timm:timm").requires_grad_(False)
        self.network = None
        if weights:
            self.network = FaceNetwork().eval().requires_grad_(False)
            self.network.load_state_dict({k: v.float() for k, v in load_state(weights).items()})
        self.tried: list[finder.Face] = []
        closer = finder._closer

        def remembered(*args):
            self.tried.append(closer(*args))
            return self.tried[-1]

        finder._closer = remembered

    def all(self, picture: NDArray[np.uint8], *, near=None) -> list[finder.Face]:
        """List what is weighed until one is sure: what a limit up to 0.7 lets through is the first above it."""
        self.tried.clear()
        image = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
        least, finder.LEAST_CONFIDENCE = finder.LEAST_CONFIDENCE, 0.7
        finder.find_faces(self.encoder, image, most=1, near=near, network=self.network)
        finder.LEAST_CONFIDENCE = least
        return list(self.tried)

    def nearest(self, face: Face) -> finder.Face | None:
        """Give the one of several faces that is the marked one, if it is among the first four."""
        image = torch.from_numpy(face.read()).permute(2, 0, 1).float() / 255
        rows = [
            Row(face, [], f) for f in finder.find_faces(self.encoder, image, most=4, network=self.network)
        ]
        return next((r.found for r in rows if r.here), None)


def first_above(tried: list[finder.Face], least: float) -> finder.Face | None:
    """Give what `find_face` gives at this limit."""
    return next((f for f in tried if f.confidence >= least), None)


def near_of(face: Face, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Make the box that a head finder might give: about three units wide, a little off."""
    long = face_unit(face.points)
    middle = np.nanmean(face.points, 0) + rng.normal(0, 0.2, 2) * long - (0, 0.3 * long)
    half = long * rng.uniform(1.4, 2.2)
    return tuple(int(v) for v in (middle[1] - half, middle[1] + half, middle[0] - half, middle[0] + half))


def main() -> None:
    """Print what the head reaches, group by group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--use", default="test", choices=("test", "val"))
    parser.add_argument(
        "--kinds", nargs="*", help="all marked faces of these, for a head that never saw them"
    )
    parser.add_argument("--near", action="store_true", help="tell about where the head is")
    parser.add_argument("--least", type=float, default=finder.LEAST_CONFIDENCE)
    parser.add_argument(
        "--turned", type=float, default=0.0, metavar="DEGREES", help="turn the pictures first"
    )
    parser.add_argument(
        "--small", action="store_true", help="shrink them until eyes are 45 px apart in 1,500 px"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth face")
    parser.add_argument("--show", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    search = Finder(args.weights)
    marked = marked_faces(args.data)
    if args.kinds:
        tested = [f for f in marked if f.kind in args.kinds and f.use != "weak"]
    else:
        tested = [f for f in marked if f.use == args.use]
    tested = tested[:: args.every]
    ground = dict(faceless(args.data, "val"))["beside bushbuck-1"]
    start, rows = time.process_time(), []
    for face in tested:
        if args.turned:
            turn(face, args.turned)
        if args.small:
            shrink(face, ground, rng)
        tried = search.all(face.read(), near=near_of(face, rng) if args.near else None)
        row = Row(face, tried, first_above(tried, args.least))
        if row.found and not row.here and not args.near and (other := search.nearest(face)):
            row = Row(face, [other], other, second=True)
        rows.append(row)
    print(f"{(time.process_time() - start) / len(tested):.2f} CPU s a picture, all that is weighed")
    if args.kinds:
        print("the limit may be chosen by these:")
        chosen = [r for r in rows if r.face.use != "test"]
        print_groups(chosen)
        print_limits(chosen, [])
        print("and not by these:")
        rows = [r for r in rows if r.face.use == "test"]
    print_groups(rows)
    print_limits(rows, [])
    if not (args.kinds or args.near or args.turned or args.small):
        files = faceless(args.data, args.use)
        none = [(name, search.all(picture)) for name, picture in files]
        print_limits(rows, [tried for _, tried in none])
        ranked = sorted(((max([f.confidence for f in t] + [0.0]), n) for n, t in none), reverse=True)
        print(len(none), "without a face:", " ".join(f"{n} {c:.2f}" for c, n in ranked[:12]))
        if args.use == "test":
            print_persons(args.data, search)
    if args.show:
        cv2.imwrite(str(args.show), _tiled([_drawn(row) for row in rows])[..., ::-1])


def turn(face: Face, degrees: float) -> None:
    """Turn a picture about its middle on a larger one."""
    picture = face.read()
    height, width = picture.shape[:2]
    side = int(np.hypot(height, width)) + 1
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    matrix[:, 2] += (side - 1) / 2 - np.array([width - 1, height - 1]) / 2
    face.picture = cv2.warpAffine(picture, matrix, (side, side), borderValue=(127, 127, 127))
    face.points = face.points @ matrix[:, :2].T + matrix[:, 2]


def shrink(face: Face, ground: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Lay a picture somewhere on a landscape of 1500 x 1000 pixels, its face's unit 45 pixels."""
    share = min(45 / face_unit(face.points), 1000 / max(face.read().shape))
    small = cv2.resize(face.read(), None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    picture = cv2.resize(ground, (1500, 1000))
    height, width = small.shape[:2]
    left, top = rng.integers(0, 1501 - width), rng.integers(0, 1001 - height)
    picture[top : top + height, left : left + width] = small
    face.picture, face.points = picture, (face.points + 0.5) * share - 0.5 + (left, top)


def print_groups(rows: list[Row]) -> None:
    """Print one line for each group of kinds, and one for all."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(GROUPS.get(row.face.kind, "others"), []).append(row)
    for name, group in [*groups.items(), ("all", rows)]:
        taken = [r for r in group if r.found is not None]
        here = [r for r in taken if r.here]
        if not here:
            print(f"{name}: {len(group)} faces, none found")
            continue
        far = np.stack([r.far for r in here])
        off = [r for r in taken if (r.far[:2] > 0.3).any()]
        gone = [(np.isnan(r.found.points[:2, 0]) & np.isfinite(r.face.points[:2, 0])).any() for r in here]
        made = [(np.isfinite(r.found.points[:2, 0]) & np.isnan(r.face.points[:2, 0])).any() for r in here]
        medians = [np.nanmedian(far[:, :2]), *np.nanmedian(far[:, 2:], 0)]
        wrong = np.mean([(r.found.person > 0.5) != (r.face.kind == "person") for r in here])
        print(
            f"{name:14} {len(group):3} faces: {len(group) - len(taken)} refused, {len(taken) - len(here)} elsewhere,",
            f"{sum(r.second for r in here)} not the first of several;",
            *(f"{part} {value:.3f}," for part, value in zip(("eyes", *POINTS[2:]), medians, strict=True)),
            f"off {len(off) / len(taken):.3f}, not seen {np.mean(gone):.2f}, made up {np.mean(made):.2f},",
            f"taken for the other (person, animal) {wrong:.3f}",
        )


def print_limits(rows: list[Row], none: list[list[finder.Face]]) -> None:
    """Print what other limits of confidence would do."""
    for least in (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65):
        at = [Row(r.face, r.tried, first_above(r.tried, least), r.second) for r in rows]
        taken = [r for r in at if r.found is not None]
        off = np.mean([(r.far[:2] > 0.3).any() for r in taken])
        false = np.mean([first_above(t, least) is not None for t in none]) if none else float("nan")
        print(
            f"least {least}: refused {1 - len(taken) / len(at):.3f}, off {off:.3f}, faces where none is {false:.3f}"
        )


def print_persons(data: Path, search: Finder) -> None:
    """Print how often aligned cats and persons that no training saw are taken for each other."""
    for name, files in (
        ("persons", sorted((data / "faces/celeba/img_align_celeba").glob("*.jpg"))[3000::25]),
        ("cats", sorted((data / "afhq/val/cat").glob("*.jpg"))[::2]),
    ):
        pictures = [cv2.cvtColor(cv2.imread(str(f)), cv2.COLOR_BGR2RGB) for f in files[:200]]
        tried = [search.all(p, near=(0, p.shape[0], 0, p.shape[1])) for p in pictures]
        found = [f for f in (first_above(t, finder.LEAST_CONFIDENCE) for t in tried) if f is not None]
        wrong = np.mean([(f.person > 0.5) != (name == "persons") for f in found])
        print(
            f"aligned {name}: {len(tried)}, {len(tried) - len(found)} refused, {wrong:.3f} taken for the other"
        )


def _drawn(row: Row) -> NDArray[np.uint8]:
    view = row.face.read().copy()
    found = row.found or (row.tried[0] if row.tried else None)
    points = row.face.points if found is None else found.points
    size = max(1, round(face_unit(points) / 14))
    for k in range(5):
        if np.isfinite(row.face.points[k]).all():
            place = [int(v) for v in row.face.points[k]]
            cv2.drawMarker(view, place, (255, 255, 255), cv2.MARKER_CROSS, 4 * size, 1)
        if found is not None and np.isfinite(found.points[k]).all():
            cv2.circle(view, [int(v) for v in found.points[k]], size, COLOURS[k], -1)
    if found is not None:
        top, bottom, left, right = found.box
        view = view[top:bottom, left:right] if min(bottom - top, right - left) > 8 else view
    view = cv2.resize(view, (180, 180), interpolation=cv2.INTER_AREA)
    note = f"{found.confidence:.2f} {found.person:.1f}" if found else "-"
    cv2.putText(view, note + ("" if row.found else " refused"), (3, 12), 0, 0.42, (255, 255, 0), 1)
    return view


def _tiled(sheet: list[NDArray[np.uint8]], across: int = 12) -> NDArray[np.uint8]:
    sheet = sheet + [np.zeros_like(sheet[0])] * (-len(sheet) % across)
    return np.vstack([np.hstack(sheet[i : i + across]) for i in range(0, len(sheet), across)])


if __name__ == "__main__":
    main()
