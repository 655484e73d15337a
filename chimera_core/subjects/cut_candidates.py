"""Candidate cuts between head and body, on a small grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Values = NDArray[np.floating]
Mask = NDArray[np.bool_]
Point = NDArray[np.float64]
"""x, y in cells or pixels."""

# From this probability on a cell is surely head.
HOT = 0.5
# Cells of a piece up to this far beyond a line are its rim: a step of one, and what rounding adds.
RIM = 1.01
# Cuts are looked for on a mask of this longer side, in so many directions, at this distance from each other.
_SIDE, _DIRECTIONS, _STEP = 96, 40, 1.5
_LEAST_PIXELS, _LEAST_RIM, _MOST_SHARE = 12, 2, 0.97
# Pieces that hold less than this share of all score are no heads.
_LEAST_MASS = 0.25
# So many candidates come back: those whose heads agree best with the scores.
_KEPT = 160
# Price of a cut that lies a side length away from where a user expects it, and of one at a right angle to that.
_FAR_PRICE, _SLANT_PRICE = 2.4, 0.4


@dataclass(frozen=True, eq=False)
class Grid:
    """An animal on a small grid.

    ``animal`` is bool (h, w), one piece; ``scores`` float32 (h, w) in [0, 1] the probability of head, ``neck`` and
    ``snout`` likewise, or None where they are not known. ``scale`` is in cells per pixel of the picture.
    """

    animal: Mask
    scores: Array
    neck: Array | None
    snout: Array | None
    scale: float

    @classmethod
    def of(cls, alpha: Array, scores: Array, places: Array | None = None) -> Grid | None:
        """Bring alpha (H, W), scores (H, W) and neck and snout (2, H, W) to the grid; None where no animal is."""
        scale = _SIDE / max(alpha.shape)
        animal = _largest_piece(
            cv2.resize(alpha, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) > 0.5
        )
        if animal.sum() < _SIDE:
            return None

        neck, snout = (None, None) if places is None else (_shrunk(p, animal.shape) for p in places[:2])
        return cls(animal, _shrunk(scores, animal.shape), neck, snout, scale)

    def small(self, values: Array) -> Array:
        """Bring values (H, W) in [0, 1] of the picture to the grid."""
        return _shrunk(values, self.animal.shape)

    def peak(self) -> tuple[int, int]:
        """Row and column where the head is surest."""
        smooth = cv2.blur(np.where(self.animal, self.scores, 0).astype(np.float32), (5, 5))
        row, column = np.unravel_index(int(np.where(self.animal, smooth, -9).argmax()), self.animal.shape)
        return int(row), int(column)

    def surest_piece(self) -> Array:
        """The scores without those hot pieces that hold less of them: one head where there are several."""
        hot = self.animal & (self.scores > HOT)
        count, pieces = cv2.connectedComponents(hot.astype(np.uint8), connectivity=4)
        if count <= 2:
            return self.scores
        mass = np.bincount(pieces.ravel(), self.scores.ravel())
        return np.where(hot & (pieces != 1 + int(mass[1:].argmax())), 0, self.scores).astype(np.float32)


class Candidates(NamedTuple):
    """Pieces that straight cuts part from an animal, K of them.

    ``angle`` (K,) is the way across the cut, into the head; ``offset`` (K,) where the cut lies along it; ``heads`` bool
    (K, h, w) the pieces; ``beyond`` (K,) counts all cells beyond the cut, those of other pieces too; ``off_hint`` (K,) is the
    price, in shares of overlap, of lying elsewhere than a user expects.
    """

    angle: Values
    offset: Values
    heads: Mask
    beyond: Values
    off_hint: Values

    def take(self, which: list[int]) -> Candidates:
        """Take some of them."""
        angle, offset, heads, beyond, off_hint = self
        return Candidates(angle[which], offset[which], heads[which], beyond[which], off_hint[which])


def find_candidates(grid: Grid, *, near: tuple[Point, Point] | None = None) -> Candidates:
    """Try every direction and distance; every piece beyond a line could be the head.

    Those come back whose overlap with the scores, taken as a soft mask, is best, less what lies off the hint ``near``
    (two points x, y on the grid).
    """
    animal = grid.animal
    rows, columns = (v.astype(np.float32) for v in np.nonzero(animal))
    total, side = float(len(rows)), math.sqrt(len(rows))
    soft, surest = (
        np.where(animal, s, 0).astype(np.float64).ravel() for s in (grid.scores, grid.surest_piece())
    )
    mass, surest_mass = float(soft.sum()) + 1e-6, float(surest.sum()) + 1e-6
    several = surest_mass < 0.999 * mass
    along = np.full(animal.shape, -np.inf, np.float32)
    found: list[tuple[float, float, float, float, float, Mask]] = []
    for angle in np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS:
        along[animal] = columns * np.float32(math.cos(angle)) + rows * np.float32(math.sin(angle))
        for offset in np.arange(along[animal].min() + 1, along.max() - 1, _STEP):
            beyond = along > offset
            pixels = float(np.count_nonzero(beyond))
            if pixels > _MOST_SHARE * total:
                continue
            if pixels < _LEAST_PIXELS or float(surest @ beyond.ravel()) < _LEAST_MASS * surest_mass:
                break
            count, pieces = cv2.connectedComponents(beyond.view(np.uint8), connectivity=4, ltype=cv2.CV_16U)
            flat = pieces.ravel()
            sizes, masses = np.bincount(flat, minlength=count), np.bincount(flat, soft, count)
            overlap = masses / (mass + sizes - masses)
            if several:
                masses = np.bincount(flat, surest, count)
                overlap = np.maximum(overlap, masses / (surest_mass + sizes - masses))
            for k in range(1, count):
                if sizes[k] >= _LEAST_PIXELS and masses[k] >= _LEAST_MASS * surest_mass:
                    head = beyond if count == 2 else pieces == k
                    rim = head & (along <= offset + RIM)
                    if np.count_nonzero(rim) < _LEAST_RIM:
                        continue
                    off = 0.0 if near is None else _off_hint(near, rim, float(angle), side)
                    found.append((float(overlap[k]) - off, float(angle), float(offset), pixels, off, head))
    found = sorted(found, key=lambda row: -row[0])[:_KEPT]
    angles, offsets, beyond_counts, prices = (
        np.array([row[k] for row in found], float) for k in (1, 2, 3, 4)
    )
    heads = np.array([row[5] for row in found], bool).reshape(-1, *animal.shape)
    return Candidates(angles, offsets, heads, beyond_counts, prices)


def _off_hint(near: tuple[Point, Point], rim: Mask, angle: float, side: float) -> float:
    rows, columns = np.nonzero(rim)
    away = np.array([columns.mean(), rows.mean()]) - (near[0] + near[1]) / 2
    along = near[1] - near[0]
    slant = abs(float(along @ (math.cos(angle), math.sin(angle)))) / max(1e-6, float(np.linalg.norm(along)))
    return _FAR_PRICE * float(np.linalg.norm(away)) / side + _SLANT_PRICE * slant


def _shrunk(values: Array, shape: tuple[int, ...]) -> Array:
    shrunk = cv2.resize(np.ascontiguousarray(values), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.float32).clip(0, 1)


def _largest_piece(mask: Mask) -> Mask:
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    if count <= 2:
        return mask
    return np.asarray(pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax()))
