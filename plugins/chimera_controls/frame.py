"""The frame that parents of different shapes share: it goes from one parent's to the other's with the weights.

So weight 1 gives each parent's very pixels, whatever the others' shapes, and nothing jumps on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from chimera_core.api import ConfigError, Parent, resize_shorter, resize_to

Shape = tuple[int, int]


def images_of(parents: Sequence[Parent]) -> list[Tensor]:
    """Give the parents' pictures, float (3, H, W) in [0, 1].

    Raises:
        ConfigError: if one has none.
    """
    images = []
    for parent in parents:
        if parent.image is None:
            raise ConfigError(f"this fuser takes photographs, but {parent.name} is a class name")
        images.append(parent.image)
    return images


def shared_shape(images: Sequence[Tensor], weights: Sequence[float], *, size: int) -> Shape:
    """Give (h, w) whose shorter side is ``size``, of the parents' aspect ratios' weighted geometric mean."""
    ratio = math.exp(
        sum(w * math.log(i.shape[-1] / i.shape[-2]) for i, w in zip(images, weights, strict=True))
    )
    return (size, round(size * ratio)) if ratio >= 1 else (round(size / ratio), size)


def cover(image: Tensor, shape: Shape) -> Tensor:
    """Scale a picture (C, H, W) until it covers (h, w), and cut what sticks out, equally on both sides."""
    height, width = image.shape[-2:]
    scale = max(shape[0] / height, shape[1] / width)
    scaled = resize_to(image, (max(shape[0], round(height * scale)), max(shape[1], round(width * scale))))
    top, left = (scaled.shape[-2] - shape[0]) // 2, (scaled.shape[-1] - shape[1]) // 2
    return scaled[:, top : top + shape[0], left : left + shape[1]]


def only_parent(images: Sequence[Tensor], weights: Sequence[float], *, size: int) -> Tensor | None:
    """Give the picture of the parent that has all the weight, at ``size``; None where several share it."""
    heaviest = max(range(len(weights)), key=lambda k: weights[k])
    return resize_shorter(images[heaviest], size) if weights[heaviest] >= 1 else None
