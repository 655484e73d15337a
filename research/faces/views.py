"""Pictures of faces with their points, and random views of them to learn from."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from faceless import faceless
from numpy.typing import NDArray

from chimera_core.subjects.face import face_unit
from chimera_core.subjects.face_network import MIRRORED, VIEW
from chimera_core.subjects.face_views import turned_view

MARKS = Path(__file__).with_name("marks.txt")
# Persons of the aligned set from this number on are kept apart; so are the cats of afhq/val.
LEARNT_PERSONS, LEARNT_CATS = 3000, 2500
# Eyes, nose, mouth and chin of the aligned sets, in shares of the picture's sides: persons the rounded mean of 22 that
# were marked (learn, val), cats the mean of those marked.
PERSON = np.array([[45.5, 62.5], [133.5, 62.5], [89.5, 112.5], [89.5, 154], [90, 204.5]]) / (178, 218)
# How far a face may be turned in the picture, in radians.
STEEPEST = 1.75


@dataclass
class Face:
    """A picture and the points of its face in pixels, (5, 2); NaN where hidden."""

    name: str
    kind: str
    use: str
    file: Path
    points: NDArray[np.float64] | None
    share: NDArray[np.float64] | None = None
    """Points in shares of the sides, where the picture's size is not known yet."""
    weight: float = 1.0
    picture: NDArray[np.uint8] | None = None

    def read(self) -> NDArray[np.uint8]:
        """Read the picture, RGB, once."""
        if self.picture is None:
            self.picture = cv2.cvtColor(cv2.imread(str(self.file)), cv2.COLOR_BGR2RGB)
            height, width = self.picture.shape[:2]
            if self.share is not None:
                self.points = self.share * (width, height) - 0.5
        return self.picture


def marked_faces(data: Path) -> list[Face]:
    """Read marks.txt: eyes, nose, mouth and chin; ears are left out."""
    found = []
    for line in MARKS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, kind, use, *numbers = line.split()
        values = [float("nan") if n == "-" else float(n) for n in numbers[:10]]
        face = Face(name, kind, use, data / name, None, weight=0.5 if use == "weak" else 1.0)
        height, width = face.read().shape[:2]
        face.points = np.array(values).reshape(5, 2) / 100 * max(height, width) - 0.5
        found.append(face)
    return found


def aligned_faces(data: Path, marked: list[Face]) -> list[Face]:
    """List cats and persons of the aligned sets, whose points lie nearly where they always lie."""
    seen = [f for f in marked if f.name.startswith("afhq/val/cat") and f.use == "learn"]
    cats = [(f.points + 0.5) / f.read().shape[0] for f in seen]
    template = np.nanmean(cats, 0)
    files = sorted((data / "afhq/train/cat").glob("*.jpg"))[:LEARNT_CATS]
    found = [Face(f"afhq/{f.name}", "cats", "aligned", f, None, template, 0.35) for f in files]
    files = sorted((data / "faces/celeba/img_align_celeba").glob("*.jpg"))[:LEARNT_PERSONS]
    return found + [Face(f"faces/{f.name}", "persons", "aligned", f, None, PERSON, 0.5) for f in files]


class View(NamedTuple):
    """A view, 224 x 224, and what is in it."""

    picture: NDArray[np.uint8]
    points: NDArray[np.float32] = np.full((5, 2), np.nan, np.float32)
    """(5, 2) in [0, 1] from edge to edge; NaN where not in sight."""
    weight: float = 0.0
    """0: no face."""
    person: bool = False
    name: str = ""
    kind: str = ""
    """Whose picture it is cut from."""


class Views:
    """Draws random views: four of five near or far of faces, the others of what has none."""

    def __init__(self, data: Path, faces: list[Face], rng: np.random.Generator) -> None:
        self.rng = rng
        self.groups = [[f for f in faces if f.use != "aligned"]]
        self.groups += [[f for f in faces if f.kind == k] for k in ("cats", "persons")]
        count = Counter(f.kind for f in self.groups[0])
        chance = np.array([count[f.kind] ** -0.4 for f in self.groups[0]])
        self.chances = [chance / chance.sum(), None, None]
        self.single = [f for f in self.groups[0] if "photos/" in f.name and f.kind != "person"]
        self.grounds = [picture for _, picture in faceless(data, "learn")]

    def draw(self) -> View:
        """Draw one view."""
        rng = self.rng
        group = rng.choice(4, p=[0.52, 0.13, 0.17, 0.18])
        if group == 3:
            return self._nothing()
        face = self.groups[group][rng.choice(len(self.groups[group]), p=self.chances[group])]
        picture = face.read()
        points = face.points
        if face.name.startswith("faces/"):  # these were squeezed; true is about 1.22
            stretch = rng.uniform(1.0, 1.3)
            picture = cv2.resize(picture, (round(178 * stretch), 218))
            points = (points + 0.5) * (picture.shape[1] / 178, 1) - 0.5
        long = face_unit(points)
        if rng.random() < 0.1:
            picture, points = self._cut(picture, points, long)
        middle = np.nanmean(points, 0)
        if rng.random() < 0.5:
            share, slant = rng.uniform(0.19, 0.36), rng.normal(0, 0.15)
            middle = middle + rng.normal(0, 0.17, 2) * long
        else:
            share = math.exp(rng.uniform(math.log(0.08), math.log(0.42)))
            slant = rng.normal(0, 0.3) if rng.random() < 0.65 else rng.uniform(-STEEPEST, STEEPEST)
            room = max(0.0, long / share / 2 - 0.9 * long)
            middle = middle + rng.uniform(-0.95, 0.95, 2) * room
        slant = float(np.clip(slant, -STEEPEST, STEEPEST))
        mirror = rng.random() < 0.5
        ground = None
        small = picture.shape[0] * 0.8 < long / share
        # A small picture's reflections would be more faces.
        borders = [cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101][: 2 if small else 3]
        border = int(rng.choice(borders))
        if rng.random() < (0.7 if small else 0.25):
            ground = self._ground()
        view, matrix = turned_view(
            picture, middle, long / share / 2, slant, mirror=mirror, border=border, ground=ground
        )
        placed = (points @ matrix[:, :2].T + matrix[:, 2] + 0.5) / VIEW
        if mirror:
            placed = placed[MIRRORED]
        placed[((placed < 0) | (placed > 1)).any(1)] = np.nan
        person = face.kind in ("person", "persons")
        return View(self._light(view), placed.astype(np.float32), face.weight, person, face.name, face.kind)

    def _cut(
        self, picture: NDArray[np.uint8], points: NDArray[np.float64], long: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Cut a picture somewhere through its face, whose points beyond the cut are lost; at least three stay."""
        height, width = picture.shape[:2]
        side = self.rng.integers(3)
        line = int(np.nanmax(points[:, 1]) - self.rng.uniform(-0.3, 0.8) * long)
        left = int(np.nanmin(points[:, 0]) + self.rng.uniform(-0.3, 0.5) * long)
        right = int(np.nanmax(points[:, 0]) - self.rng.uniform(-0.3, 0.5) * long)
        box = ((0, line, 0, width), (0, height, left, width), (0, height, 0, right))[side]
        top, bottom, left, right = (
            int(np.clip(v, 0, e)) for v, e in zip(box, (height, height, width, width), strict=True)
        )
        kept = points - (left, top)
        kept[((kept < 0) | (kept >= (right - left, bottom - top))).any(1)] = np.nan
        if np.isfinite(kept).all(1).sum() < 3 or not np.isfinite(kept[:2]).all(1).any():
            return picture, points
        return np.ascontiguousarray(picture[top:bottom, left:right]), kept

    def _ground(self) -> NDArray[np.uint8]:
        picture = self.grounds[self.rng.integers(len(self.grounds))]
        height, width = picture.shape[:2]
        side = int(self.rng.uniform(0.3, 1) * min(height, width))
        top, left = self.rng.integers(height - side + 1), self.rng.integers(width - side + 1)
        view = cv2.resize(picture[top : top + side, left : left + side], (VIEW, VIEW))
        return view[:, ::-1] if self.rng.random() < 0.5 else view

    def _nothing(self) -> View:
        rng, face = self.rng, None
        way = rng.random()
        if way < 0.5:
            view = np.ascontiguousarray(np.rot90(self._ground(), rng.integers(4)))
        elif way < 0.75:
            face = self.single[rng.integers(len(self.single))]
            view = self._beside(face)
        elif way < 0.85:  # smooth noise
            cells = int(rng.choice([2, 7, 28, 112]))
            view = cv2.resize(
                rng.integers(0, 256, (cells, cells, 3), np.uint8), (VIEW, VIEW), interpolation=cv2.INTER_CUBIC
            )
        elif way < 0.9:
            view = np.full((VIEW, VIEW, 3), rng.integers(0, 256, 3 if rng.random() < 0.5 else 1), np.uint8)
        else:  # the rim of a face: a coat without eyes
            face = self.groups[0][rng.integers(len(self.groups[0]))]
            picture, long = face.read(), face_unit(face.points)
            away = rng.uniform(0, 2 * math.pi)
            middle = np.nanmean(face.points, 0) + 2.2 * long * np.array([math.cos(away), math.sin(away)])
            view, _ = turned_view(picture, middle, 0.8 * long, 0.0, border=cv2.BORDER_REFLECT_101)
        return View(self._light(view), name=face.name if face else "", kind=face.kind if face else "")

    def _beside(self, face: Face) -> NDArray[np.uint8]:
        """Draw a tile of a photograph of one animal that its face has no part in, or else a ground."""
        rng = self.rng
        picture, long = face.read(), face_unit(face.points)
        height, width = picture.shape[:2]
        points = face.points[np.isfinite(face.points).all(1)]
        for _ in range(6):
            half = rng.uniform(0.15, 0.4) * min(height, width)
            middle = rng.uniform((half, half), (width - half, height - half))
            if np.abs(points - middle).max(1).min() > half + 0.9 * long:
                slant = rng.normal(0, 0.2)
                return turned_view(picture, middle, half, slant, border=cv2.BORDER_REFLECT_101)[0]
        return self._ground()

    def _light(self, view: NDArray[np.uint8]) -> NDArray[np.uint8]:
        rng = self.rng
        if rng.random() < 0.12:  # as small pictures look when they are blown up
            side = int(rng.uniform(48, 140))
            view = cv2.resize(cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA), (VIEW, VIEW))
        value = view.astype(np.float32) * (rng.uniform(0.65, 1.25) * np.exp(rng.normal(0, 0.06, 3))).astype(
            np.float32
        )
        if rng.random() < 0.12:
            value = np.repeat(value.mean(2, keepdims=True), 3, 2)
        if rng.random() < 0.25:
            value = cv2.GaussianBlur(value, (0, 0), rng.uniform(0.6, 2.2))
        if rng.random() < 0.4:
            value += rng.standard_normal(value.shape, np.float32) * rng.uniform(2, 12)
        return np.clip(value, 0, 255).astype(np.uint8)
