"""A picture and its animal, and the window around it in which a fuser of photographs draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST_SIDE = 16

Shape = tuple[int, int]
Box = tuple[int, int, int, int]
"""top, bottom, left, right in pixels; bottom and right are exclusive."""


class Subject(NamedTuple):
    """A picture, float (3, H, W) in [0, 1], and the mask of its animal, float (1, H, W) in [0, 1]."""

    image: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Window:
    """The part of the layout that is redrawn: a box around its animal.

    ``box`` is top, bottom, left, right in the layout's pixels, ``frame`` the layout's (H, W), ``result`` the
    result's (h, w).
    """

    box: Box
    frame: Shape
    result: Shape

    @classmethod
    def around(cls, mask: Tensor, result: Shape, *, margin: float = 0.12) -> Window:
        """Box the animal of a mask (1, H, W), widened by a share of its sides."""
        return cls(animal_box(mask, margin=margin), (mask.shape[-2], mask.shape[-1]), result)

    def cut(self, image: Tensor) -> Tensor:
        """Cut the box out of a layout-sized (C, H, W)."""
        return cut_box(image, self.box)

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the result that the box covers, one each at least."""
        rows, columns = (side / frame for side, frame in zip(self.result, self.frame, strict=True))
        top, bottom = (round(edge * rows) for edge in self.box[:2])
        left, right = (round(edge * columns) for edge in self.box[2:])
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))

    def canvases(self, *, side: float, coarsest: float, magnification: float) -> list[Shape]:
        """Give sizes at which to draw, coarse to fine, each about twice the one before.

        Args:
            side: least mean side of the finest in pixels, even where the animal is small in the result: encoders
                see markings best at a certain size.
            coarsest: mean side of the coarsest, about.
            magnification: the finest is at most so many times the size at which it will be shown.
        """
        top, bottom, left, right = self.box
        height, width = bottom - top, right - left
        final = max(self.result) / max(self.frame)
        shown = math.sqrt(height * width) * final
        larger = min(max(side / shown, 1.0), magnification)
        scale = final * larger
        octaves = max(0, round(math.log2(shown * larger / coarsest)))
        return [
            (max(_LEAST_SIDE, round(height * scale / 2**k)), max(_LEAST_SIDE, round(width * scale / 2**k)))
            for k in range(octaves, -1, -1)
        ]

    def paste(self, drawn: Tensor, mask: Tensor, onto: Tensor) -> Tensor:
        """Lay a drawing of the box into a result-sized (3, h, w) under the (anti-aliased) mask (1, H, W)."""
        region = (slice(None), *self.place)
        opacity = resize_to(mask, self.result)[region]
        result = onto.clone()
        result[region] += opacity * (
            resize_to(drawn, (opacity.shape[-2], opacity.shape[-1])) - result[region]
        )
        return result


def resize_to(image: Tensor, shape: Shape) -> Tensor:
    """Resize a float (C, H, W) in [0, 1] to (C, *shape), bicubic and anti-aliased."""
    if image.shape[-2:] == shape:
        return image
    return F.interpolate(image[None], shape, mode="bicubic", antialias=True, align_corners=False)[0].clamp(
        0, 1
    )


def shrink_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Average a mask down (or up) to the cells of a feature map.

    Args:
        mask: float (1, H, W) in [0, 1].
        size: (h, w), the cells of the map.
    Returns:
        float (1, h, w): the share of every cell that the mask covers.
    """
    return F.interpolate(mask[None], size, mode="area")[0]


def or_whole(mask: Tensor) -> Tensor:
    """Take the whole frame where a mask is empty."""
    return mask if bool((mask > 0.5).any()) else torch.ones_like(mask)


def cut_box(image: Tensor, box: Box) -> Tensor:
    """Cut a box out of (..., H, W)."""
    top, bottom, left, right = box
    return image[..., top:bottom, left:right]


def box_area(box: Box) -> int:
    """Count a box's pixels."""
    return (box[1] - box[0]) * (box[3] - box[2])


def animal_box(mask: Tensor, *, margin: float) -> Box:
    """Find top, bottom, left, right of a mask (1, H, W), widened by a share of its sides."""
    height, width = mask.shape[-2:]
    rows, columns = torch.where(mask[0] > 0.5)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    down, across = round((bottom - top) * margin) + 2, round((right - left) * margin) + 2
    return max(0, top - down), min(height, bottom + down), max(0, left - across), min(width, right + across)
