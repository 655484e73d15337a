"""Where creatures stand on the way between two parents, and whether the way is smooth.

A sweep goes from weight 1 on the first parent to weight 1 on the second. Position is the probe's log-odds, which do
not saturate as a probability does, scaled to 0 at the first and 1 at the second.
Legend: P pairs of parents (or seeds), W weights of a sweep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from chimera_core.errors import ConfigError, ShapeError

MIDDLE = (0.25, 0.75)
"""Where a creature of weight 0.5 should stand."""


@dataclass(frozen=True)
class SweepSummary:
    """How P sweeps go.

    Args:
        steps: mean size of the step at each of the W - 1 intervals, whichever way it goes.
        largest_step: mean over the pairs of each pair's largest step.
        middle_share: share of creatures at weight 0.5 that stand within ``MIDDLE``.
        right_share: share of samples of weight 1, of both parents, that the probe takes for their parent's class.
        undefined: pairs whose two ends are at one place, so that nothing lies between; they count as not in the middle,
            and in no step.
    """

    steps: tuple[float, ...]
    largest_step: float
    middle_share: float
    right_share: float
    pairs: int
    undefined: int


def scale_to_ends(log_odds: Tensor) -> Tensor:
    """Scale log-odds (P, W) so that every row begins at 0 and ends at 1; a row without a way is NaN."""
    _check_sweeps(log_odds)
    start, end = log_odds[:, :1], log_odds[:, -1:]
    return torch.where(end == start, torch.nan, (log_odds - start) / (end - start))


def scale_to_classes(log_odds: Tensor, *, first: float, second: float) -> Tensor:
    """Scale log-odds so that real images of the first class are at 0 on average, and those of the second at 1.

    Other than ``scale_to_ends`` this shows a sweep that stops short of its parents, or goes beyond them.

    Args:
        log_odds: of creatures, any shape.
        first: mean log-odds of real images of the first parent's class.
        second: the same of the second's.
    Raises:
        ConfigError: if the two are not in this order: the probe has learned nothing.
    """
    if not first < second:
        raise ConfigError(
            f"mean log-odds of the classes are {first:g} and {second:g}: the second must be larger, fit another probe"
        )
    return (log_odds - first) / (second - first)


def summarise_sweeps(log_odds: Tensor, placed: Tensor) -> SweepSummary:
    """Sum sweeps up.

    Args:
        log_odds: float (P, W) of ``Probe.log_odds``, W odd, so that the middle one has weight 0.5.
        placed: float (P, W), the same scaled by ``scale_to_ends`` or ``scale_to_classes``.
    Raises:
        ShapeError: if the two differ, or W is even.
    """
    _check_sweeps(log_odds)
    if placed.shape != log_odds.shape or log_odds.shape[1] % 2 == 0:
        raise ShapeError(
            f"log-odds are {tuple(log_odds.shape)} and positions {tuple(placed.shape)}: "
            "pass (P, W) of both, with an odd number of weights"
        )
    steps = (placed[:, 1:] - placed[:, :-1]).abs()
    steps = steps[torch.isfinite(steps).all(1)]
    middle = placed[:, placed.shape[1] // 2]
    within = (middle >= MIDDLE[0]) & (middle <= MIDDLE[1])
    right = torch.cat([log_odds[:, 0] < 0, log_odds[:, -1] > 0])
    return SweepSummary(
        steps=tuple(steps.mean(0).tolist()),
        largest_step=float(steps.max(1).values.mean()) if len(steps) else float("nan"),
        middle_share=float(within.double().mean()),
        right_share=float(right.double().mean()),
        pairs=len(log_odds),
        undefined=len(log_odds) - len(steps),
    )


def _check_sweeps(log_odds: Tensor) -> None:
    if log_odds.ndim != 2 or log_odds.shape[1] < 2 or not len(log_odds):
        raise ShapeError(
            f"log-odds are {tuple(log_odds.shape)}: pass (P, W) of one sweep or more, of two weights or more"
        )
