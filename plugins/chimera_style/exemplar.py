"""Texture exemplars, cut from the style parents."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from chimera_core.api import Subject, animal_box, or_whole, resize_to, shrink_mask, transfer_colour

_LEAST_SIDE = 16
# An exemplar is scaled to at most this multiple of the canvas, which bounds the time.
_LARGEST_EXEMPLAR = 2.0
# Share of the animal's size by which its mask is narrowed before it counts as coat: the outline may be off by that.
_DOUBTFUL_RIM = 0.015
# A seed uses at least this share of each side of a coat.
_LEAST_PART = 0.6

Shape = tuple[int, int]


@dataclass(frozen=True)
class Exemplar:
    """A coat's animal, cropped and perhaps mirrored.

    ``image`` is (3, H, W) with the surroundings replaced by reflected coat, ``mask`` (1, H, W) covers what surely
    is coat; ``view`` is the share of the crop that is laid over a body, and where it lies in the rest (down,
    right), all in [0, 1].
    """

    image: Tensor
    mask: Tensor
    texture_scale: float
    view: tuple[float, float, float]

    @classmethod
    def taken_from(cls, coat: Subject, generator: torch.Generator, *, texture_scale: float) -> Exemplar:
        """Crop a coat to its animal; mirroring, size and view come from the generator."""
        mirror, size, jitter, down, right = torch.rand(5, generator=generator).tolist()
        mask = or_whole(coat.mask)
        image, mask = _random_part(*_cropped(coat.image, mask, animal_box(mask, margin=0.05)), generator)
        if mirror < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
        view = min(1.0, (0.8 + 0.2 * size) / math.sqrt(texture_scale))
        image, mask = _spread_coat(image, mask)
        return cls(image, mask, texture_scale * (0.9 + 0.2 * jitter), (view, down, right))

    def in_colours_of(self, picture: Subject) -> Exemplar:
        """Give the exemplar the colours of a picture's animal."""
        return replace(self, image=transfer_colour(self.image, self.mask, picture.image, picture.mask))

    def for_body(self, body: Tensor) -> Subject:
        """Scale the exemplar so that its markings have the right size for a body mask (1, h, w)."""
        height, width = self.mask.shape[-2:]
        scale = self.texture_scale * math.sqrt(float(body.sum()) / max(1.0, float(self.mask.sum())))
        scale = min(scale, _LARGEST_EXEMPLAR * max(body.shape[-2:]) / max(height, width))
        shape = (max(_LEAST_SIDE, round(height * scale)), max(_LEAST_SIDE, round(width * scale)))
        return Subject(resize_to(self.image, shape), shrink_mask(self.mask, shape))

    def draped(self, shape: Shape) -> Tensor:
        """Stretch the view of the exemplar over a canvas: (3, *shape)."""
        share, down, right = self.view
        height, width = self.image.shape[-2:]
        rows, columns = max(1, round(height * share)), max(1, round(width * share))
        top, left = round((height - rows) * down), round((width - columns) * right)
        return resize_to(self.image[:, top : top + rows, left : left + columns], shape)


def _cropped(image: Tensor, mask: Tensor, box: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    top, bottom, left, right = box
    return image[:, top:bottom, left:right], mask[:, top:bottom, left:right]


def _random_part(image: Tensor, mask: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Take a part of a coat, unless it would hold less than its share of coat."""
    size, down, right = torch.rand(3, generator=generator).tolist()
    share = _LEAST_PART + (1 - _LEAST_PART) * size
    height, width = mask.shape[-2:]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top, left = round((height - rows) * down), round((width - columns) * right)
    part = _cropped(image, mask, (top, top + rows, left, left + columns))
    return part if float(part[1].mean()) >= float(mask.mean()) else (image, mask)


def _spread_coat(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Replace what lies outside the animal by its own coat, reflected at its edge; narrow the mask to what is sure."""
    solid = mask[0].cpu().numpy() > 0.6
    rim = max(2, round(_DOUBTFUL_RIM * math.sqrt(solid.sum())))
    inside = ndimage.binary_erosion(solid, iterations=rim, border_value=1)
    if inside.sum() < 0.25 * solid.sum():  # a thin animal, a snake say, would vanish
        inside = ndimage.binary_erosion(solid, iterations=1, border_value=1)
    if not inside.any():
        return image, mask
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    height, width = inside.shape
    cells = np.mgrid[:height, :width]
    mirrored = np.clip(2 * nearest - cells, 0, np.array([height - 1, width - 1])[:, None, None])
    # A reflection that leaves the animal on its far side falls back to the edge itself.
    rows, columns = np.where(inside[mirrored[0], mirrored[1]], mirrored, nearest)
    sure = mask * torch.from_numpy(inside).to(mask)
    return image[:, torch.from_numpy(rows), torch.from_numpy(columns)], sure
