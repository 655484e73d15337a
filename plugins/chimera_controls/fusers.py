"""The simple controls. None of them is random, so that all seeds give one picture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from chimera_controls.frame import cover, images_of, only_parent, shared_shape
from chimera_core.api import FusionGenerator, Parent, resize_shorter


class Control(FusionGenerator):
    """A fuser of photographs that makes one picture, whatever the seed."""

    accepts = frozenset({"photo"})

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make the picture, once for all seeds; see ``FusionGenerator.fuse``."""
        images = [image.to(self.device) for image in images_of(parents)]
        made = only_parent(images, weights, size=size)
        if made is None:
            made = self.picture(images, weights, size=size)
        return made.expand(len(seeds), -1, -1, -1).clone()

    @abstractmethod
    def picture(self, images: Sequence[Tensor], weights: Sequence[float], *, size: int) -> Tensor:
        """Fuse pictures (3, H, W) of which none has all the weight: (3, h, w), shorter side ``size``."""


class Copy(Control):
    """The heaviest parent; the first of those that are equally heavy. It must never count as fused."""

    ordered: ClassVar[bool] = True

    def picture(self, images: Sequence[Tensor], weights: Sequence[float], *, size: int) -> Tensor:
        """Copy."""
        return resize_shorter(images[max(range(len(weights)), key=lambda k: weights[k])], size)


class PixelAverage(Control):
    """The mean of the parents' pixels: a double exposure."""

    def picture(self, images: Sequence[Tensor], weights: Sequence[float], *, size: int) -> Tensor:
        """Average."""
        shape = shared_shape(images, weights, size=size)
        covering = [w * cover(image, shape) for image, w in zip(images, weights, strict=True) if w > 0]
        return torch.stack(covering).sum(0).clamp(0, 1)


class Collage(Control):
    """Strips side by side in the parents' order, each cut from its own place in its own picture."""

    ordered: ClassVar[bool] = True

    def picture(self, images: Sequence[Tensor], weights: Sequence[float], *, size: int) -> Tensor:
        """Paste."""
        shape = shared_shape(images, weights, size=size)
        made = torch.zeros(3, *shape, device=images[0].device)
        start = 0.0
        for image, weight in zip(images, weights, strict=True):
            end = start + weight
            if weight > 0:
                made += strip(start, end, shape[1]).to(made) * cover(image, shape)
            start = end
        return made.clamp(0, 1)


def strip(start: float, end: float, width: int) -> Tensor:
    """Return how much of each of ``width`` columns lies between two shares of the width: float (width,) in [0, 1].

    A column that the border runs through belongs to both sides in part, so that a strip grows without steps.
    """
    columns = torch.arange(width, dtype=torch.float64)
    covered = torch.minimum(columns + 1, torch.tensor(end * width)) - torch.maximum(
        columns, torch.tensor(start * width)
    )
    return covered.clamp(0, 1).float()
