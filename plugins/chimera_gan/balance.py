"""Half the weight shall look like half: where on the way between two conditions the picture turns over.

The better a generator has learned its classes, the shorter the stretch of the way on which one turns into the other, and
every pair has it elsewhere: at equal conditions one creature is a cat and the next a person. So the way of a pair is
looked at first, by the encoder whose features the conditions are, and weights are shifted so that equal ones meet its
middle. The shift is one number for each pair, added to the logit of the share: ways stay smooth, and their ends the
parents. Ours.
Legend of shapes: P parents, N images, C condition, G places on a way, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

Mix = Callable[[Tensor, Tensor], Tensor]
"""Conditions (P, n, C) and weights (P, n) -> (n, C)."""
Look = Callable[[Tensor, Tensor], Tensor]
"""Conditions (n, C) and the images (n,) whose noise they go with -> the conditions (n, C) of the pictures made of them."""

_FIRST = 5  # places on the way that are looked at first, its ends among them
_PARTS = (
    4  # into which the stretch with the middle is parted: the way is known to 1/16, at the cost of 8 pictures
)
_TINY = 1e-6


def find_shifts(conditions: Tensor, *, mix: Mix, look: Look, centres: Tensor) -> Tensor:
    """Say how much more of each parent than of each other a creature needs to look like as much of both.

    Args:
        conditions: float (P, N, C), of the parents.
        mix: of conditions.
        look: makes pictures of conditions, and looks at them.
        centres: (K, C), the mean condition of each class.
    Returns:
        float64 (P, P, N): at [i, j] what is added to ``log(w_j / w_i)``; at [j, i] its opposite.
    """
    parents, images = conditions.shape[:2]
    shifts = torch.zeros(parents, parents, images, dtype=torch.float64, device=conditions.device)
    for i, j in combinations(range(parents), 2):
        pair = conditions[[i, j]]
        share = _middle(pair, mix, look, _direction(pair, centres)).double()
        shifts[i, j] = torch.logit(share, 1 / (4 * _FIRST * _PARTS))
        shifts[j, i] = -shifts[i, j]
    return shifts


def shift_weights(weights: Tensor, shifts: Tensor) -> Tensor:
    """Give the shares of conditions that weights stand for.

    Of two parents ``logit(share) = logit(weight) + shift``. Of more, each pair's ratio is corrected, the less, the more
    the others weigh: ``log v_i = log w_i + sum_j w_j * shift_ji``, normalised. So a parent whose weight goes to 0 leaves
    what the others would be without it, and one of weight 1 is alone.

    Args:
        weights: (P,); they sum to 1.
        shifts: (P, P, N), of ``find_shifts``.
    Returns:
        float32 (P, N); each column sums to 1.
    """
    exact = weights.to(shifts.dtype)
    said = exact.log()[:, None] + torch.einsum("j,jin->in", exact, shifts)
    return said.softmax(0).float()


def _middle(pair: Tensor, mix: Mix, look: Look, direction: Tensor) -> Tensor:
    """Give the share (N,) of the second of two parents (2, N, C) at which the picture has gone half of the way."""
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
    has_way = length.abs() >= _TINY
    length = torch.where(has_way, length, torch.ones_like(length))
    # What turns back on the way counts as standing still.
    done = ((seen - start) / length).cummax(1).values
    places, done = _around_half(places, done)
    inner = torch.linspace(0, 1, _PARTS + 1, device=pair.device)[1:-1]
    between = places[:, :1] + (places[:, 1:] - places[:, :1]) * inner
    finer = ((gone(between) - start) / length).maximum(done[:, :1]).minimum(done[:, 1:]).cummax(1).values
    places = torch.cat([places[:, :1], between, places[:, 1:]], 1)
    places, done = _around_half(places, torch.cat([done[:, :1], finer, done[:, 1:]], 1))
    part = ((0.5 - done[:, 0]) / (done[:, 1] - done[:, 0]).clamp_min(_TINY)).clamp(0, 1)
    share = places[:, 0] + part * (places[:, 1] - places[:, 0])
    return torch.where(has_way[:, 0], share, torch.full_like(share, 0.5))


def _around_half(places: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
    """Give the two neighbouring places (N, 2) between which half of the way is done, and how far it is done there."""
    after = (done[:, 1:-1] < 0.5).sum(1) + 1
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
