"""Where a head could be cut off: straight cuts through an animal, best first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = NDArray[np.float64]
"""x, y in pixels."""

# Cuts are looked for on a mask of this longer side, in so many directions.
_GRID, _DIRECTIONS = 96, 40
# A cut wants what is more likely head than not.
_NEUTRAL = 0.5
# Price of a cut's length, of a head that is larger or smaller than expected, and of one that hangs down; all
# relative to the animal's size. Chosen on hand-marked heads, see HEAD.md.
_LENGTH_PRICE, _SIZE_PRICE, _DOWN_PRICE = 0.5, 0.025, 0.025
# Price of a cut that lies a side length away from where a user expects it, and of one at a right angle to that.
_FAR_PRICE, _SLANT_PRICE = 0.6, 0.1
# Heads cover about this share of an animal in full view; what the score map shows moves the expectation.
_USUAL_SHARE, _TRUST_IN_MAP = 0.1, 0.5
# Cuts whose heads overlap more than this, at almost the same angle, are the same cut.
_SAME_HEAD, _SAME_ANGLE = 0.93, 0.2
_LEAST_GAIN_SHARE = 0.06


@dataclass(frozen=True, eq=False)
class NeckCut:
    """A straight cut between head and body; points are x, y in pixels of the picture.

    ``nape`` and ``throat`` are its ends on the outline, ``toward`` is the unit vector across it, into the head, ``head``
    the head's mask (H, W). ``gain`` tells how good it is: the head's scores it encloses, less its price, per
    side length of the animal. ``peak`` is where the head is surest.
    """

    nape: Point
    throat: Point
    toward: Point
    head: Mask
    gain: float
    peak: Point

    @property
    def middle(self) -> Point:
        """Middle of the cut."""
        return (self.nape + self.throat) / 2

    @property
    def length(self) -> float:
        """Length of the cut in pixels."""
        return float(np.linalg.norm(self.throat - self.nape))

    @property
    def area(self) -> float:
        """Pixels of the head."""
        return float(self.head.sum())


def propose_cuts(
    alpha: Array, scores: Array, *, near: tuple[Point, Point] | None = None, most: int = 8
) -> list[NeckCut]:
    """Propose cuts that could part head and body.

    Args:
        alpha: float (H, W) in [0, 1], where the animal is.
        scores: float (H, W), how much each pixel looks like head (``head_map``).
        near: two points x, y between which a cut is expected; a hint, which others may outweigh.
        most: how many at most.
    Returns:
        Cuts by falling gain, different from each other; empty where there is no animal.
    Source: ours.
    """
    scale = _GRID / max(alpha.shape)
    animal = _largest_piece(cv2.resize(alpha, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) > 0.5)
    if animal.sum() < _GRID:
        return []
    small = cv2.resize(scores, (animal.shape[1], animal.shape[0]), interpolation=cv2.INTER_AREA)
    smooth = cv2.blur(np.where(animal, small, 0).astype(np.float32), (5, 5))
    peak_y, peak_x = np.unravel_index(int(np.where(animal, smooth, -9).argmax()), animal.shape)
    peak = np.array([peak_x, peak_y], float)
    kept: list[_Candidate] = []
    hint = None if near is None else (np.asarray(near[0]) * scale, np.asarray(near[1]) * scale)
    for candidate in sorted(_candidates(animal, small - _NEUTRAL, peak, hint), key=lambda c: -c.gain):
        if len(kept) >= most or (kept and candidate.gain < kept[0].gain - _LEAST_GAIN_SHARE):
            break
        if not any(_same(candidate, other) for other in kept):
            kept.append(candidate)
    return [_in_pixels(candidate, animal, peak, alpha, scale) for candidate in kept]


@dataclass(frozen=True, eq=False)
class _Candidate:
    gain: float
    angle: float
    toward: Point
    head: Mask
    rim: Mask


def _candidates(
    animal: Mask, value: Array, peak: Point, near: tuple[Point, Point] | None
) -> Iterator[_Candidate]:
    """Try every direction and distance from the peak; the head is the piece beyond the line that holds the peak."""
    rows, columns = np.mgrid[: animal.shape[0], : animal.shape[1]]
    total = float(animal.sum())
    side = math.sqrt(total)
    hot = float(((value > 0) & animal).sum()) / total
    usual = _USUAL_SHARE * (np.clip(hot, 0.03, 0.9) / _USUAL_SHARE) ** _TRUST_IN_MAP
    at = int(peak[1]), int(peak[0])
    for angle in np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS:
        toward = np.array([math.cos(angle), math.sin(angle)])
        along = columns * toward[0] + rows * toward[1] - float(peak @ toward)
        for offset in np.arange(1, 1.12 * side, 1.5):
            beyond = animal & (along > -offset)
            covered = float(beyond.sum())
            if covered > 0.97 * total:
                break
            if covered < 12:
                continue
            _, pieces = cv2.connectedComponents(beyond.astype(np.uint8), connectivity=4)
            head = pieces == pieces[at]
            rim = head & (along <= 1 - offset)
            length = float(rim.sum())
            if length < 2:
                continue
            size = float(head.sum())
            gain = (float(value[head].sum()) - _LENGTH_PRICE * length) / total
            gain -= _SIZE_PRICE * math.log(size / total / usual) ** 2 + _DOWN_PRICE * max(0.0, toward[1])
            if near is not None:
                gain -= _distance(near, rim, toward, side)
            yield _Candidate(gain, float(angle), toward, head, rim)


def _distance(near: tuple[Point, Point], rim: Mask, toward: Point, side: float) -> float:
    """Price of a cut that lies elsewhere than a hint, or at another angle."""
    rows, columns = np.nonzero(rim)
    away = np.array([columns.mean(), rows.mean()]) - (near[0] + near[1]) / 2
    along = near[1] - near[0]
    slant = abs(float(along @ toward)) / max(1e-6, float(np.linalg.norm(along)))
    return _FAR_PRICE * float(np.linalg.norm(away)) / side + _SLANT_PRICE * slant


def _same(one: _Candidate, other: _Candidate) -> bool:
    overlap = (one.head & other.head).sum() / (one.head | other.head).sum()
    turn = abs((one.angle - other.angle + math.pi) % (2 * math.pi) - math.pi)
    return bool(overlap > _SAME_HEAD and turn < _SAME_ANGLE)


def _in_pixels(found: _Candidate, animal: Mask, peak: Point, alpha: Array, scale: float) -> NeckCut:
    """Bring a candidate from the grid to the picture; tell its nape from its throat."""
    across = np.array([-found.toward[1], found.toward[0]])
    rim_y, rim_x = np.nonzero(found.rim)
    reach = rim_x * across[0] + rim_y * across[1]
    depth = float((rim_x * found.toward[0] + rim_y * found.toward[1]).min())
    ends = [depth * found.toward + (float(end) + step) * across for end, step in
            ((reach.min(), -0.5), (reach.max(), 0.5))]  # fmt: skip
    body_y, body_x = np.nonzero(animal & ~found.head)
    body = np.array([body_x.mean(), body_y.mean()]) if len(body_x) else ends[0]
    middle = (ends[0] + ends[1]) / 2
    to_body = (body - middle) / max(1e-6, float(np.linalg.norm(body - middle)))

    def nape_likeness(end: Point) -> float:
        # The nape is above, and on the back's side.
        offset = end - middle
        length = max(1e-6, float(np.linalg.norm(offset)))
        return float(-offset[1] / length + offset @ to_body / length)

    nape, throat = sorted(ends, key=nape_likeness, reverse=True)
    up: Any = lambda point: (np.asarray(point, float) + 0.5) / scale - 0.5  # noqa: E731
    limit = float(up(depth * found.toward) @ found.toward)
    return NeckCut(
        nape=up(nape),
        throat=up(throat),
        toward=found.toward,
        head=_beyond(alpha > 0.5, found, limit, up(peak), scale),
        gain=found.gain,
        peak=up(peak),
    )


def _beyond(animal: Mask, found: _Candidate, limit: float, peak: Point, scale: float) -> Mask:
    """The piece of the full-size mask beyond the cut that the candidate's head lies in."""
    rows, columns = np.mgrid[: animal.shape[0], : animal.shape[1]]
    beyond = animal & (columns * found.toward[0] + rows * found.toward[1] > limit)
    _, pieces = cv2.connectedComponents(beyond.astype(np.uint8), connectivity=4)
    coarse = cv2.resize(
        found.head.astype(np.uint8), animal.shape[::-1], interpolation=cv2.INTER_NEAREST
    ).astype(bool)
    votes = np.bincount(pieces[coarse & beyond].ravel(), minlength=2)
    if votes[1:].sum() == 0:
        return coarse & animal
    return np.asarray(pieces == 1 + int(votes[1:].argmax()))


def _largest_piece(mask: Mask) -> Mask:
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    if count <= 2:
        return mask
    return np.asarray(pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax()))
