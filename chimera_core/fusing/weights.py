"""How much of each parent: weights as they are given, and the ways through them. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from chimera_core.errors import ConfigError

Weights = tuple[float, ...]
"""One for each parent, sum 1."""


def check_weights(
    weights: Sequence[float] | None, parents: int, *, remark: Callable[[str], object] | None = None
) -> Weights:
    """Check one weight per parent, none negative, sum 1; None means equal shares.

    A sum within 0.001 of 1 is taken for 1 (".333,.333,.334") and scaled to it.

    Args:
        remark: called with one line when weights of another sum (7,3) are scaled to 1. None: these are refused.
    Raises:
        ConfigError: naming the weights.
    """
    if weights is None:
        return (1 / parents,) * parents
    shown = ",".join(f"{w:g}" for w in weights)
    if len(weights) != parents:
        raise ConfigError(f"{len(weights)} weights ({shown}) for {parents} parents: give one per parent")
    if not all(math.isfinite(w) for w in weights) or min(weights) < 0:
        raise ConfigError(f"weights must be 0 or more, but they are {shown}")
    total = sum(weights)
    if abs(total - 1) > 1e-3 and (remark is None or not total or math.isinf(total)):
        raise ConfigError(f"weights must sum to 1, but {shown} sum to {total:g}")
    scaled = tuple(w / total for w in weights)
    if abs(total - 1) > 1e-3 and remark is not None:
        remark(f"weights {shown} sum to {total:g}: taken as {','.join(f'{w:.3g}' for w in scaled)}")
    return scaled


def sweep_weights(weights: Sequence[float], frames: int) -> list[Weights]:
    """Go from the first parent alone to none of it; the others keep their shares among themselves.

    Args:
        weights: their ratios beyond the first one count; equal where they are all 0.
        frames: number of weights, 2 or more, both ends included.
    """
    rest = sum(weights[1:])
    shares = [w / rest if rest else 1 / (len(weights) - 1) for w in weights[1:]]
    firsts = [1 - k / (frames - 1) for k in range(frames)]
    return [(first, *((1 - first) * share for share in shares)) for first in firsts]


def triangle_weights(side: int) -> list[list[tuple[float, float, float]]]:
    """Give the weights of three parents at the points of a triangle: row k has k + 1 of them.

    The first parent is the top, the second the left corner below, the third the right one.

    Args:
        side: points along each edge, 2 or more.
    """
    last = side - 1
    return [
        [((last - row) / last, (row - k) / last, k / last) for k in range(row + 1)] for row in range(side)
    ]
