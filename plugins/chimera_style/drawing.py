"""Two creatures of one layout, from which that of any weight follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from chimera_core.api import Subject

# Strength is 1 minus the layout's weight. Equal weights have this one.
_HALF_WAY = 0.5

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Drawing:
    """Two creatures of one layout, coats and seed, from which that of any weight follows.

    ``canvas`` is the layout's window at the finest scale, ``half_way`` the creature at equal weights, ``loss`` its
    loss, ``make_full`` draws the one without any weight on the layout.
    """

    canvas: Subject
    half_way: Tensor
    loss: float
    make_full: Callable[[], Tensor]

    @cached_property
    def full(self) -> Tensor:
        """The creature without any weight on the layout, drawn when it is first asked for."""
        return self.make_full()

    def at(self, strength: float) -> Tensor:
        """Give the creature of a strength in [0, 1] (1 minus the layout's weight): float (3, h, w) in [0, 1].

        The creatures show one pose, so pixels are mixed: from the layout to the half-way creature, and on to the
        full one. Drawn apart, neighbours in a sweep put their stripes in different places, and the way jumps
        (measured: 0.39 of the whole way in one of eight steps; so, none is over 0.25).
        """
        image = self.canvas.image
        if strength <= _HALF_WAY:
            return image + strength / _HALF_WAY * (self.half_way - image)
        return self.half_way + (strength - _HALF_WAY) / (1 - _HALF_WAY) * (self.full - self.half_way)


def further(full: Tensor, half_way: Tensor, layout: Tensor) -> Tensor:
    """Take out of the step from half-way to full whatever leads back to the layout, so that the way never turns."""
    step, so_far = full - half_way, half_way - layout
    back = (step * so_far).sum() / so_far.square().sum().clamp_min(1e-12)
    return half_way + step - back.clamp(max=0) * so_far


def portion(progress: Progress, done: float, part: float) -> Progress:
    """Give the progress of one part of the work, after some was done, both as shares of the whole."""
    return lambda share: progress(min(1.0, done + part * share))
