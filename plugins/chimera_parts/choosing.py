"""Which head, where: every good pair of cuts is tried out small, and judged by what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chimera_core.api import resized
from chimera_parts.animals import Animal
from chimera_parts.arrays import Mask
from chimera_parts.canvas import Canvas
from chimera_parts.joining import Creature, join
from chimera_parts.pairing import Pair, rank_pairs
from chimera_parts.placing import Placement

# So many pairs are tried out, at this many pixels per working pixel.
_TRIALS, _TRIAL_SCALE = 10, 0.5
# Room around a trial, as a share of the longer side: heads may be larger than the frame.
_ROOM = 0.5
# Prices of what a trial shows, beside the pair's own.
_SEAM_PRICE, _STEP_PRICE, _OUTSIDE_PRICE, _LEFTOVER_PRICE = 0.6, 1.0, 3.0, 1.0
# A head that leaves a photograph's frame is made smaller, by at least this share at a time, until hardly a pixel is
# outside; down to this share, and not so far if no more than its ears' tips are outside.
_LEAST_STEP, _FREE_OUTSIDE = 0.08, 0.0005
_LEAST_SHRINKING, _LEAST_FOR_TIPS, _MUCH_OUTSIDE = 0.6, 0.7, 0.05
# A viewer sees a cut that moved by this share of its length, a head that grew by this factor (in logarithms), or
# one that has less than this share in common.
_SEEN_MOVE, _SEEN_GROWTH, _SEEN_PIECE = 0.2, 0.15, 0.8
_LEAST_CHOICES, _OTHER_SIZES = 4, (1.3, 0.78, 1.15)


@dataclass(frozen=True)
class Choice:
    """One way to join two animals: ``box`` is left, top, right, bottom of the creature in working pixels."""

    placement: Placement
    price: float
    box: tuple[float, float, float, float]


def choose(
    body: Animal,
    head: Animal,
    *,
    size: float = 1.0,
    most: int = 6,
    report: Callable[[float], None] = lambda share: None,
) -> list[Choice]:
    """Try pairs of cuts out; best first.

    Args:
        body: with one cut or more.
        head: likewise.
        size: of the head; 1 is about as large as the old one's.
        most: how many different ones to give at most.
        report: called now and then with how far it is, in [0, 1].
    """
    pairs = rank_pairs(body.cuts, head.heads, side=body.side, size=size)[:_TRIALS]
    tried = []
    for pair in pairs:
        tried.append(_try(body, head, pair, size))
        report(len(tried) / len(pairs))
    tried.sort(key=lambda choice: choice.price)
    kept = [tried[0]]
    for choice in tried[1:]:
        if all(_differ(choice.placement, other.placement) for other in kept):
            kept.append(choice)
    # Where few cuts differ, the best one's head in other sizes makes up for them.
    best = tried[0].placement
    for factor in _OTHER_SIZES:
        if len(kept) < _LEAST_CHOICES:
            pair = Pair(
                Placement.of(best.body, best.head, side=body.side, size=size * factor), tried[-1].price
            )
            kept.append(_try(body, head, pair, size * factor))
    return kept[:most]


def _differ(one: Placement, other: Placement) -> bool:
    """Return whether a viewer would see a difference: another size, another place, or another piece of head."""
    moved = float(np.linalg.norm(one.body.middle - other.body.middle)) / one.body.length
    grown = abs(math.log(one.head_scale / other.head_scale))
    shared = (one.head.head & other.head.head).sum() / max(1, (one.head.head | other.head.head).sum())
    return moved > _SEEN_MOVE or grown > _SEEN_GROWTH or shared < _SEEN_PIECE


def _try(body: Animal, head: Animal, pair: Pair, size: float) -> Choice:
    placement = pair.placement
    canvas = trial_canvas(body)
    creature = join(body, head, placement, canvas, harmony=0, clear=False)
    shrinking = 1.0
    outside = _outside(creature, canvas) if body.has_ground else 0.0
    least = _LEAST_SHRINKING if outside > _MUCH_OUTSIDE else _LEAST_FOR_TIPS
    while outside > _FREE_OUTSIDE and shrinking > least:
        shrinking = max(least, shrinking * (1 - max(_LEAST_STEP, outside)))
        placement = Placement.of(placement.body, placement.head, side=body.side, size=size * shrinking)
        creature = join(body, head, placement, canvas, harmony=0, clear=False)
        outside = _outside(creature, canvas)
    price = pair.price + _SEAM_PRICE * creature.seam_cost + _STEP_PRICE * _step(creature)
    price += _LEFTOVER_PRICE * _leftover(body, creature, canvas)
    price += _OUTSIDE_PRICE * outside
    return Choice(placement, price, _box(creature.alpha > 0.3, canvas))


def trial_canvas(body: Animal) -> Canvas:
    """A small grid with room on all sides."""
    height, width = body.shape
    frame = (round(height * _TRIAL_SCALE), round(width * _TRIAL_SCALE))
    room = round(_ROOM * max(frame))
    return Canvas(frame, frame[0] / height, (room, room, room, room))


def _outside(creature: Creature, canvas: Canvas) -> float:
    """Share of the new head that lies beyond the body's frame."""
    part = creature.new_head * creature.alpha > 0.5
    top, bottom, left, right = canvas.room
    inner = part[top : part.shape[0] - bottom, left : part.shape[1] - right].sum()
    return float(1 - inner / max(1, part.sum()))


def _step(creature: Creature) -> float:
    """Jump of the outline at the cut, both sides, in lengths of the cut: shoulders or a neck that stick out."""
    widths = []
    for low, high in ((-0.3, -0.08), (0.08, 0.3)):
        band = (creature.v > low) & (creature.v < high) & (np.abs(creature.u) < 1.2)
        inside = band & (creature.alpha > 0.5)
        if not inside.any():
            return 1.0
        across = creature.u[inside]
        widths.append((float(np.quantile(across, 0.03)), float(np.quantile(across, 0.97))))
    return float(sum(max(0.0, abs(a - b) - 0.12) for a, b in zip(*widths, strict=True)))


def _leftover(body: Animal, creature: Creature, canvas: Canvas) -> float:
    """Share of the old head that is still there."""
    hot = (body.chances > 0.5) & (body.working_alpha > 0.5)
    if not hot.any():
        return 0.0
    seen = canvas.padded(resized(hot.astype(np.float32), canvas.frame), mode="constant") > 0.5
    kept = seen & ~creature.old_head & (creature.new_head < 0.5)
    return float(kept.sum() / max(1, seen.sum()))


def _box(mask: Mask, canvas: Canvas) -> tuple[float, float, float, float]:
    x, y = canvas.grid
    if not mask.any():
        return 0.0, 0.0, float(canvas.frame[1] / canvas.scale), float(canvas.frame[0] / canvas.scale)
    return float(x[mask].min()), float(y[mask].min()), float(x[mask].max()), float(y[mask].max())
