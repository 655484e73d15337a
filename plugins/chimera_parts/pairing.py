"""Which cut of the body goes with which cut of the head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chimera_core.api import NeckCut
from chimera_parts.placing import Placement, times_as_large, turn_between

# Prices of a pair of cuts. What is lost of the expected overlap with the true heads counts most; then a head that would sit on a neck of another
# width, a head that must be turned, and one much larger or smaller than the old one.
_LOSS_PRICE, _WIDTH_PRICE, _TURN_PRICE, _SIZE_PRICE = 2.0, 0.5, 0.6, 0.5
_FREE_TURN = 0.3
# From here on a head hangs upside down or lies on its back.
_FAR_TURN, _FAR_TURN_PRICE = 1.1, 2.0
# Heads up to this factor (in logarithms) off the old one's size cost nothing.
_FREE_SIZE = 0.4
_BLUR_PRICE, _SHARP = 0.4, 1.4


@dataclass(frozen=True)
class Pair:
    """A placed pair of cuts and its price: the lower the better."""

    placement: Placement
    price: float


def rank_pairs(
    bodies: Sequence[NeckCut], heads: Sequence[NeckCut], *, side: float, size: float = 1.0
) -> list[Pair]:
    """Rank all pairs of cuts, best first.

    Args:
        bodies: cuts of the body's parent by falling gain, one or more.
        heads: cuts of the head's parent, likewise.
        side: side length of the body's animal, the root of its area.
        size: of the head, 1 is like the old one's.
    """
    pairs = []
    for body in bodies:
        for head in heads:
            turn = abs(turn_between(body, head))
            width = math.log(body.length / head.length / math.sqrt(times_as_large(body, head)))
            price = (
                _LOSS_PRICE * (bodies[0].gain - body.gain + heads[0].gain - head.gain)
                + _WIDTH_PRICE * abs(width)
                + _TURN_PRICE * max(0.0, turn - _FREE_TURN)
                + _FAR_TURN_PRICE * max(0.0, turn - _FAR_TURN)
            )
            placement = Placement.of(body, head, side=side, size=size)
            off = math.log(placement.head_scale / size * math.sqrt(times_as_large(head, body)))
            # What is drawn larger than it is was never sharp.
            price += _BLUR_PRICE * max(0.0, math.log(placement.head_scale / _SHARP))
            price += _SIZE_PRICE * max(0.0, abs(off) - _FREE_SIZE)
            pairs.append(Pair(placement, price))
    return sorted(pairs, key=lambda pair: pair.price)
