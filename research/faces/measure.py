"""Measure the shipped face points, or others, on the faces kept apart.

    python research/faces/measure.py --data FOLDER [--weights FILE] [--near] [--show SHEET.jpg]

Errors are shares of the face's unit: the distance of its eyes, or 0.85 of eye to nose where it is turned aside.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from views import LEARNT_PERSONS, PERSON, Face, faceless, marked_faces

from chimera_core.api import load_encoder
from chimera_core.subjects import face as faces
from chimera_core.subjects.face import find_face, unit
from chimera_core.subjects.face_network import POINTS, FaceNetwork
from chimera_core.weights import load_state

COLOURS = ((255, 60, 60), (60, 255, 60), (60, 60, 255), (255, 255, 0), (255, 0, 255))
# Kinds by which figures are given; what is in none is "other".
GROUPS = {
    "dog": "dog",
    "lion": "lion",
    "bigcat": "lion",
    "panda": "panda",
    "bear": "panda",
    "person": "person",
}


def near_of(face: Face, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Make the box that a head finder might give: about three units wide, a little off."""
    middle = (
        np.nanmean(face.points, 0) + rng.normal(0, 0.2, 2) * unit(face.points) - (0, 0.3 * unit(face.points))
    )
    half = unit(face.points) * rng.uniform(1.4, 2.2)
    return tuple(int(v) for v in (middle[1] - half, middle[1] + half, middle[0] - half, middle[0] + half))


def main() -> None:
    """Print what the head reaches, group by group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--near", action="store_true", help="tell about where the head is")
    parser.add_argument(
        "--kinds", nargs="*", metavar="KIND", help="all marked faces of these, for a head that never saw them"
    )
    parser.add_argument("--most", type=int, default=999)
    parser.add_argument("--show", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    encoder = load_encoder("timm:timm").requires_grad_(False)
    network = None
    if args.weights:
        network = FaceNetwork().eval().requires_grad_(False)
        network.load_state_dict({k: v.float() for k, v in load_state(args.weights).items()})
    marked = marked_faces(args.data)
    if args.kinds:
        tested = [f for f in marked if f.kind in args.kinds and f.use != "weak"]
    else:
        tested = [f for f in marked if f.use == "test"]
        persons = sorted((args.data / "faces/celeba/img_align_celeba").glob("*.jpg"))[LEARNT_PERSONS::250]
        tested += [Face(p.name, "aligned person", "test", p, None, PERSON) for p in persons]
    tested = tested[: args.most]
    rows, sheet, start = [], [], time.process_time()
    least, faces.LEAST_CONFIDENCE = faces.LEAST_CONFIDENCE, -1.0
    for f in tested:
        picture = f.read()
        image = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
        found = find_face(encoder, image, near=near_of(f, rng) if args.near else None, network=network)
        far = np.linalg.norm(found.points - f.points, axis=1) / unit(f.points)
        rows.append((f, found, far))
        if args.show:
            sheet.append(_drawn(picture, f.points, found, far))
    print(f"{(time.process_time() - start) / len(tested):.2f} CPU s a picture")
    _print_groups(rows, least)
    if args.kinds:
        return
    none = []
    for p in faceless(args.data, apart=True):
        image = (
            torch.from_numpy(cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB)).permute(2, 0, 1).float()
            / 255
        )
        none.append((find_face(encoder, image, network=network).confidence, p.stem))
    print("no face:", " ".join(f"{n} {c:.2f}" for c, n in sorted(none, reverse=True)))
    if args.show:
        cv2.imwrite(str(args.show), _tiled(sheet)[..., ::-1])


def _print_groups(rows, least):
    groups = {}
    for row in rows:
        kind = row[0].kind
        groups.setdefault(kind if "aligned" in kind else GROUPS.get(kind, "other"), []).append(row)
    groups["all marked"] = [r for r in rows if "aligned" not in r[0].kind]
    for name, group in groups.items():
        taken = [r for r in group if r[1].confidence >= least]
        here = [r for r in taken if np.nanmedian(r[2]) < 1]
        if not here:
            continue
        far = np.stack([r[2] for r in here])
        off = np.mean([(r[2][:2] > 0.3).any() for r in here])
        gone = [np.isnan(found.points[:2, 0]) & np.isfinite(f.points[:2, 0]) for f, found, _ in here]
        guessed = [np.isfinite(found.points[:2, 0]) & np.isnan(f.points[:2, 0]) for f, found, _ in here]
        medians = [np.nanmedian(far[:, :2]), *np.nanmedian(far[:, 2:], 0)]
        print(
            f"{name:14} {len(group)} pictures: {len(group) - len(taken)} refused, {len(taken) - len(here)} elsewhere;",
            *(f"{part} {value:.3f}," for part, value in zip(("eyes", *POINTS[2:]), medians, strict=True)),
            f"an eye off by over .3: {off:.3f}, not seen: {np.mean(np.any(gone, 1)):.3f},",
            f"a hidden one made up: {np.mean(np.any(guessed, 1)):.3f}",
        )
    order = sorted(rows, key=lambda r: -r[1].confidence)
    print("confidence and median error:", *(f"{r[1].confidence:.2f}:{np.nanmedian(r[2]):.2f}" for r in order))


def _drawn(picture, points, found, far):
    top, bottom, left, right = found.box
    view = picture.copy()
    size = max(1, round(unit(found.points) / 14))
    for k in range(5):
        if np.isfinite(points[k]).all():
            cv2.drawMarker(view, [int(v) for v in points[k]], (255, 255, 255), cv2.MARKER_CROSS, 4 * size, 1)
        if np.isfinite(found.points[k]).all():
            cv2.circle(view, [int(v) for v in found.points[k]], size, COLOURS[k], -1)
    view = view[top:bottom, left:right] if min(bottom - top, right - left) > 8 else view
    view = cv2.resize(view, (180, 180), interpolation=cv2.INTER_AREA)
    cv2.putText(view, f"{found.confidence:.2f} {np.nanmedian(far):.2f}", (3, 12), 0, 0.42, (255, 255, 0), 1)
    return view


def _tiled(sheet, across=12):
    sheet = sheet + [np.zeros_like(sheet[0])] * (-len(sheet) % across)
    return np.vstack([np.hstack(sheet[i : i + across]) for i in range(0, len(sheet), across)])


if __name__ == "__main__":
    main()
