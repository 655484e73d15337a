"""Half the weight shall look like half: where on the way between two conditions the picture turns over, and how fast.

The better a generator has learned its classes, the shorter the stretch of the way on which one turns into the other, and
every pair has it elsewhere: at equal conditions one creature is a cat and the next a person. So the way of a pair is
looked at first, by the encoder whose features the conditions are, and weights are bent so that equal ones meet its
middle, and the stretch takes more of their range: a shift and a slope for each pair. Ways stay smooth, and their ends the
parents. Ours.
Legend of shapes: P parents, N images, C condition, G places on a way, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

Mix = Callable[[Tensor, Tensor], Tensor]
"""Conditions (P, n, C) and weights (P, n) -> (n, C)."""
Look = Callable[[Tensor, Tensor], Tensor]
"""Conditions (n, C) and the images (n,) whose noise they go with -> the conditions (n, C) of the pictures made of them."""

_FIRST = 5  # places on the way that are looked at first, its ends among them
_PARTS = 4  # into which the stretch with the middle is parted: it is known to 1/16, at the cost of 8 pictures
_LEAST_SLOPE = 0.6  # flatter ones would hurry where the parents are left
_LEAST_WAY = 0.01  # of the farthest that there is: what changes less is rounding, as with a generator that knows nothing yet
_TINY = 1e-6


class Turns(NamedTuple):
    """How the pictures between each two of P parents turn over: both float64 (P, P, N), on the CPU (MPS has none)."""

    shift: Tensor
    """At [i, j] what is added to the logit of j's share against i; at [j, i] its opposite."""
    slope: Tensor
    """At most 1: how fast shares change where they are equal, as a share of the weights' change; the same at [j, i]."""


def find_turns(conditions: Tensor, *, mix: Mix, look: Look, centres: Tensor) -> Turns:
    """Look at the way between each two parents.

    Args:
        conditions: float (P, N, C), of the parents.
        mix: of conditions.
        look: makes pictures of conditions, and looks at them.
        centres: (K, C), the mean condition of each class.
    """
    parents, images = conditions.shape[:2]
    shift = torch.zeros(parents, parents, images, dtype=torch.float64)
    slope = torch.ones_like(shift)
    for i, j in combinations(range(parents), 2):
        pair = conditions[[i, j]]
        shares = _crossings(pair, mix, look, _direction(pair, centres)).cpu().double()
        early, half, late = torch.logit(shares, 1 / (4 * _FIRST * _PARTS))
        shift[i, j], shift[j, i] = half, -half
        # The slope that brings the weights 1/4 and 3/4 to these places, were they as far from the middle.
        slope[i, j] = slope[j, i] = ((7 / 16 - ((early - late) / 2).sigmoid()) / (3 / 16)).clamp(
            _LEAST_SLOPE, 1
        )
    return Turns(shift, slope)


def bend_weights(weights: Tensor, turns: Turns) -> Tensor:
    """Give the shares of conditions that weights stand for.

    Of two parents ``logit(share) = shift + logit(s * c + 4 * (1 - s) * c**3 + 1/2)``, where c is the weight less 1/2 and s the
    slope: slower in the middle, never much faster at the ends, as a slope of logits alone would be. Of more, each pair's
    ratio is corrected, the less, the more the others weigh: ``log v_i = log w_i + sum_j w_j * correction_ji``, normalised.
    So a parent whose weight goes to 0 leaves what the others would be without it, and one of weight 1 is alone.

    Args:
        weights: (P,); they sum to 1.
        turns: of ``find_turns``.
    Returns:
        float32 (P, N), where the weights are; each column sums to 1.
    """
    exact = weights.cpu().double()
    log_weights = exact.clamp_min(torch.finfo(exact.dtype).tiny).log()
    ratios = (log_weights[None, :] - log_weights[:, None])[:, :, None]  # at [j, i]: log(w_i / w_j)
    bent = log_weights[:, None] + torch.einsum("j,jin->in", exact, turns.shift + _bend(ratios, turns.slope))
    bent[exact == 0] = -torch.inf
    return bent.softmax(0).float().to(weights.device)


def _bend(ratios: Tensor, slope: Tensor) -> Tensor:
    """Return what the slope adds to the logarithms of ratios; 0 where it is 1, and a bounded number everywhere."""
    known = ratios.clamp(-30, 30)  # beyond, it does not change any more
    c = known.sigmoid() - 0.5
    return torch.logit(slope * c + 4 * (1 - slope) * c**3 + 0.5) - known


def _crossings(pair: Tensor, mix: Mix, look: Look, direction: Tensor) -> Tensor:
    """Give the shares (3, N) of the second of two parents (2, N, C) at which 1/4, 1/2 and 3/4 of the way are done.

    Where pictures do not change at all, those of an even way.
    """
    count = pair.shape[1]

    def gone(places: Tensor) -> Tensor:
        steps = places.shape[1]
        rows = torch.arange(count, device=places.device).repeat_interleave(steps)
        second = places.reshape(-1)
        seen = look(mix(pair[:, rows], torch.stack([1 - second, second])), rows)
        return (seen * direction[rows]).sum(1).view(count, steps)

    places = torch.linspace(0, 1, _FIRST, device=pair.device).expand(count, _FIRST)
    seen = gone(places)
    start, length = seen[:, :1], seen[:, -1:] - seen[:, :1]
    # Conditions have one length, so this is what a picture at one end and its opposite at the other would be apart.
    farthest = 2 * pair.norm(dim=2).mean(0) * direction.norm(dim=1)
    has_way = length.abs() >= _LEAST_WAY * farthest[:, None].clamp_min(_TINY)
    length = torch.where(has_way, length, torch.ones_like(length))
    done = _rising(torch.where(has_way, (seen - start) / length, places))
    # By these places alone: where the finer ones lie can change with the last bit of a number.
    early, late = (_crossing(places, done, wanted) for wanted in (0.25, 0.75))
    middle = _around(places, done, 0.5)[0]
    inner = torch.linspace(0, 1, _PARTS + 1, device=pair.device)[1:-1]
    between = middle[:, :1] + (middle[:, 1:] - middle[:, :1]) * inner
    finer = torch.where(has_way, (gone(between) - start) / length, between)
    places, order = torch.cat([places, between], 1).sort(1)
    done = _rising(torch.cat([done, finer], 1).gather(1, order))
    return torch.stack([early, _crossing(places, done, 0.5), late])


def _crossing(places: Tensor, done: Tensor, wanted: float) -> Tensor:
    """Give the place (N,) at which so much of the way is done."""
    ends, there = _around(places, done, wanted)
    part = (wanted - there[:, 0]) / (there[:, 1] - there[:, 0]).clamp_min(_TINY)
    return ends[:, 0] + part.clamp(0, 1) * (ends[:, 1] - ends[:, 0])


def _rising(done: Tensor) -> Tensor:
    """Count what turns back on the way as standing still."""
    return done.cummax(1).values


def _around(places: Tensor, done: Tensor, wanted: float) -> tuple[Tensor, Tensor]:
    """Give the two neighbouring places (N, 2) between which so much of the way is done, and how much is done there."""
    after = (done[:, 1:-1] < wanted).sum(1) + 1
    both = torch.stack([after - 1, after], 1)
    return places.gather(1, both), done.gather(1, both)


def _direction(pair: Tensor, centres: Tensor) -> Tensor:
    """Say along what the way between two parents (2, N, C) is measured: (N, C).

    Between parents nearest to different classes that is from class to class, which tells a cat from a person better than
    the difference of two images does; within a class it is that difference.
    """
    nearest = torch.cdist(pair, centres[None].expand(2, -1, -1)).argmin(2)
    between = centres[nearest[1]] - centres[nearest[0]]
    return torch.where((nearest[0] == nearest[1])[:, None], pair[1] - pair[0], between)
