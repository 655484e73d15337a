"""Where a head could be cut off: straight cuts through an animal, best first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from chimera_core.subjects.cut_candidates import (
    RIM,
    Array,
    Candidates,
    Grid,
    Mask,
    Point,
    Values,
    find_candidates,
)
from chimera_core.subjects.cut_features import describe, describe_sides
from chimera_core.subjects.cut_ranker import default_ranker

# Cuts whose heads overlap more than this, at almost the same angle, are the same cut.
_SAME_HEAD, _SAME_ANGLE = 0.93, 0.2
# Cuts this much worse than the best are not worth a trial.
_MOST_LOSS = 0.25
# A new head without this share of its face, a nose or an ear, is worse by as much, in shares of overlap.
_LOST_PRICE = 1.0


@dataclass(frozen=True, eq=False)
class NeckCut:
    """A straight cut between head and body; points are x, y in pixels of the picture.

    ``nape`` and ``throat`` are its ends on the outline, ``toward`` is the unit vector across it, into the head, ``head``
    the head's mask (H, W). ``peak`` is where the head is surest. ``quality`` in [0, 1] is the overlap (IoU) that is
    expected of ``head`` and the true head; ``gain``, by which cuts are sorted, is that less what lies off a user's
    hint. Where the head's outline is known, ``gain`` counts the overlap with it for one half, and ``quality`` is no less; or, for a
    head with its neck, less what is lost of that outline.
    ``face`` are those pixels of ``head`` that are no neck, where that is known, else 0.
    """

    nape: Point
    throat: Point
    toward: Point
    head: Mask
    gain: float
    peak: Point
    quality: float = 1.0
    face: float = 0.0

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
    alpha: Array,
    scores: Array,
    *,
    places: Array | None = None,
    head: Array | None = None,
    with_neck: bool = False,
    near: tuple[Point, Point] | None = None,
    most: int = 8,
) -> list[NeckCut]:
    """Propose cuts that could part head and body.

    Args:
        alpha: float (H, W) in [0, 1], where the animal is.
        scores: float (H, W), how much each pixel looks like head (``head_map``).
        places: float (2, H, W), how much it looks like neck and like snout (the rest of ``head_maps``); cuts are better,
            and nape and throat told apart more often, where they are given.
        head: float (H, W) in [0, 1], the head's outline (``head_mask``): pieces that agree with it are better.
        with_neck: whether a piece may bring any neck along; then those are better that hold all of the outline.
        near: two points x, y between which a cut is expected; a hint, which others may outweigh.
        most: how many at most.
    Returns:
        Cuts by falling gain, different from each other; empty where there is no animal.
    Source: ours.
    """
    grid = Grid.of(alpha, scores, places)
    if grid is None:
        return []
    hint = None if near is None else (np.asarray(near[0]) * grid.scale, np.asarray(near[1]) * grid.scale)
    candidates = find_candidates(grid, near=hint)
    if len(candidates.angle) == 0:
        return []
    ranker = default_ranker()
    quality = ranker.expected_overlap(describe(grid, candidates))
    gain = quality
    if head is not None and with_neck:
        gain = quality - _LOST_PRICE * (1 - _held(grid, candidates, head))
    elif head is not None:
        gain = (quality + _overlaps(grid, candidates, head)) / 2
        quality = np.maximum(quality, gain)
    gain = gain - candidates.off_hint
    kept: list[int] = []
    for k in np.argsort(-gain, kind="stable"):
        if len(kept) >= most or (kept and gain[k] < gain[kept[0]] - _MOST_LOSS):
            break
        if not any(_same(candidates, int(k), other) for other in kept):
            kept.append(int(k))
    best = candidates.take(kept)
    # An animal looks one way, whichever cut is taken: they vote on it.
    clockwise_nape = float(quality[kept] @ describe_sides(grid, best) @ ranker.sides) > 0
    return [
        _in_pixels(
            grid,
            best,
            k,
            alpha > 0.5,
            clockwise_nape,
            float(gain[kept[k]]),
            float(quality[kept[k]]),
        )
        for k in range(len(kept))
    ]


def _overlaps(grid: Grid, candidates: Candidates, head: Array) -> Values:
    """Give the overlap (soft IoU) of each piece (K,) with an outline of the head."""
    wanted = np.where(grid.animal, grid.small(head), 0)
    shared = (candidates.heads * wanted).sum((1, 2))
    either = candidates.heads.sum((1, 2)) + wanted.sum() - shared
    return np.asarray(shared / np.maximum(either, 1e-6))


def _held(grid: Grid, candidates: Candidates, head: Array) -> Values:
    """Give the share of an outline of the head that each piece (K,) holds."""
    wanted = grid.animal & (grid.small(head) > 0.5)
    return np.asarray((candidates.heads & wanted).sum((1, 2)) / max(1, wanted.sum()))


def _same(candidates: Candidates, one: int, other: int) -> bool:
    heads, angle = candidates.heads, candidates.angle
    overlap = (heads[one] & heads[other]).sum() / (heads[one] | heads[other]).sum()
    turn = abs((angle[one] - angle[other] + math.pi) % (2 * math.pi) - math.pi)
    return bool(overlap > _SAME_HEAD and turn < _SAME_ANGLE)


def _in_pixels(
    grid: Grid, cuts: Candidates, k: int, animal: Mask, clockwise_nape: bool, gain: float, quality: float
) -> NeckCut:
    """Bring a cut from the grid to the picture."""
    toward = np.array([math.cos(cuts.angle[k]), math.sin(cuts.angle[k])])
    across = np.array([-toward[1], toward[0]])
    rows, columns = np.nonzero(cuts.heads[k])
    depth, reach = columns * toward[0] + rows * toward[1], columns * across[0] + rows * across[1]
    rim = depth <= cuts.offset[k] + RIM
    first = float(depth[rim].min())
    ends = [first * toward + end * across for end in (reach[rim].min() - 0.5, reach[rim].max() + 0.5)]
    throat, nape = ends if clockwise_nape else ends[::-1]

    def up(point: Point) -> Point:
        return (point + 0.5) / grid.scale - 0.5

    return NeckCut(
        nape=up(nape),
        throat=up(throat),
        toward=toward,
        head=_beyond(animal, cuts.heads[k], toward, float(up(first * toward) @ toward)),
        gain=gain,
        peak=up(np.array(grid.peak()[::-1], float)),
        quality=quality,
    )


def _beyond(animal: Mask, head: Mask, toward: Point, limit: float) -> Mask:
    """The piece of the full-size mask beyond the cut that the grid's head lies in."""
    rows, columns = np.mgrid[: animal.shape[0], : animal.shape[1]]
    beyond = animal & (columns * toward[0] + rows * toward[1] > limit)
    _, pieces = cv2.connectedComponents(beyond.astype(np.uint8), connectivity=4)
    coarse = cv2.resize(head.astype(np.uint8), animal.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(
        bool
    )
    votes = np.bincount(pieces[coarse & beyond].ravel(), minlength=2)
    if votes[1:].sum() == 0:
        return coarse & animal
    return np.asarray(pieces == 1 + int(votes[1:].argmax()))
