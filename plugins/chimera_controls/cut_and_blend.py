"""``cut-and-blend``: the animals laid over each other, cut, and joined without a seam.

What a person does with scissors and a soft brush. The animals are moved until they fill one box; one side of the box
shows the first, the other side the second, and a Laplacian pyramid hides the cut. The box goes from the first
animal's place to the second's with the weights, and the second's surroundings come last: so both ends are the parents'
very pixels, and nothing jumps on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chimera_controls.config import CutAndBlendConfig
from chimera_controls.frame import cover, images_of, only_parent, shared_shape
from chimera_controls.fusers import strip
from chimera_core.api import FusionGenerator, Parent, Subject, SubjectFinder, animal_box

Array = NDArray[np.float32]


class _Layer(NamedTuple):
    """A picture, float32 (h, w, 3) in [0, 1], its animal's mask (h, w) in [0, 1], and the box around that in pixels.

    The box is top, bottom, left, right, as fractions of pixels are allowed.
    """

    image: Array
    mask: Array
    box: tuple[float, float, float, float]


class CutAndBlend(FusionGenerator):
    """Join the parents' animals, one side of each; the first parent gives the surroundings up to equal weights.

    Beyond what an ordered fuser promises, weight 1 gives any parent's very pixels.
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True

    config: CutAndBlendConfig

    def __init__(self, config: CutAndBlendConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        self._finder = SubjectFinder("auto", device=self.device)

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make the picture, once for all seeds; see ``FusionGenerator.fuse``."""
        images = images_of(parents)
        made = only_parent(images, weights, size=size)
        if made is None:
            shape = shared_shape(images, weights, size=size)
            layers = [self._layer(parent, shape) for parent in parents]
            made = torch.from_numpy(joined(layers, weights).transpose(2, 0, 1).copy())
        return made.expand(len(seeds), -1, -1, -1).clone()

    def _layer(self, parent: Parent, shape: tuple[int, int]) -> _Layer:
        image, mask = self._subject(parent)
        fitted = cover(mask, shape)
        if not bool((fitted > 0.5).any()):
            fitted = ellipse(shape)
        box = animal_box(fitted, margin=0)
        pixels = cover(image, shape).cpu().permute(1, 2, 0).numpy()
        return _Layer(np.ascontiguousarray(pixels), fitted[0].cpu().numpy(), (*map(float, box),))  # type: ignore[arg-type]

    def _subject(self, parent: Parent) -> Subject:
        if self.config.subject == "auto" or parent.mask is not None:
            return self._finder.find(parent)
        (image,) = images_of([parent])
        return Subject(image, ellipse((image.shape[-2], image.shape[-1])))


def ellipse(shape: tuple[int, int]) -> Tensor:
    """Mask the middle of a frame (H, W), where photographs of animals have them: float (1, H, W) of 0 and 1."""
    y, x = (torch.linspace(-1, 1, side) for side in shape)
    return ((y[:, None] ** 2 + x[None] ** 2) < 0.7**2).float()[None]


def joined(layers: Sequence[_Layer], weights: Sequence[float]) -> Array:
    """Join layers one after the other, each by its share of the weight so far: float32 (h, w, 3) in [0, 1]."""
    total, below = 0.0, None
    for layer, weight in zip(layers, weights, strict=True):
        total += weight
        if weight > 0:
            below = layer if below is None else _join(below, layer, weight / total)
    assert below is not None, "weights sum to 1"
    return below.image


def _join(first: _Layer, second: _Layer, share: float) -> _Layer:
    """Join two layers; ``share`` of the second, in (0, 1)."""
    shape = first.mask.shape
    ends = zip(first.box, second.box, strict=True)
    box = tuple((1 - share) * a + share * b for a, b in ends)
    left, right = box[2:]
    one, other = (_moved(layer, box, shape) for layer in (first, second))
    animals = np.maximum(one.mask, other.mask)
    # Within the box the second animal takes the right side; outside, its surroundings grow from the animals on, in
    # the second half of the way.
    side = strip((right - share * (right - left)) / shape[1], 1.0, shape[1]).numpy()[None]
    away = cv2.distanceTransform((animals < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # By area, not by distance: the corners are far, and few.
    reach = np.quantile(away, max(0.0, 2 * share - 1))
    around = np.clip(reach - away, 0, 1)
    second_part = animals * side + (1 - animals) * around
    image = blend_pyramids(one.image, other.image, second_part.astype(np.float32))
    return _Layer(image, animals, box)  # type: ignore[arg-type]


def _moved(layer: _Layer, box: Sequence[float], shape: tuple[int, ...]) -> _Layer:
    """Scale and shift a layer so that its box comes to lie on another; the picture's rim is mirrored outward."""
    (top, bottom, left, right), (to_top, to_bottom, to_left, to_right) = layer.box, box
    across, down = (to_right - to_left) / (right - left), (to_bottom - to_top) / (bottom - top)
    # Of pixels' centres, which lie half a pixel inside.
    matrix = np.array(
        [
            [across, 0, to_left - across * left + 0.5 * across - 0.5],
            [0, down, to_top - down * top + 0.5 * down - 0.5],
        ]
    )

    def warp(plane: Array, border: int) -> Array:
        size = (shape[1], shape[0])
        return cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border).astype(
            np.float32
        )

    image, mask = warp(layer.image, cv2.BORDER_REFLECT_101), warp(layer.mask, cv2.BORDER_CONSTANT)
    return _Layer(image, mask, (*box,))  # type: ignore[arg-type]


def blend_pyramids(first: Array, second: Array, part: Array) -> Array:
    """Blend two pictures band by band, each band across a border as wide as its own waves.

    Args:
        first: float32 (h, w, 3) in [0, 1].
        second: the same.
        part: float32 (h, w) in [0, 1], how much of the second is wanted.
    Returns:
        float32 (h, w, 3) in [0, 1]; where ``part`` is 0 far around it is the first, where it is 1 the second.
    Source: Burt and Adelson 1983, "A multiresolution spline with application to image mosaics".
    """
    # Down to about 16 pixels: still coarser bands would dye one animal with the other's colours.
    levels = max(0, int(math.log2(min(part.shape))) - 4)
    parts: list[Any] = [part]
    bands: list[list[Any]] = [[first], [second]]
    for _ in range(levels):
        parts.append(cv2.pyrDown(parts[-1]))
        for pyramid in bands:
            fine = pyramid[-1]
            coarse = cv2.pyrDown(fine)
            pyramid[-1] = fine - cv2.pyrUp(coarse, dstsize=(fine.shape[1], fine.shape[0]))
            pyramid.append(coarse)
    made: Any = None
    for weight, a, b in zip(reversed(parts), *map(reversed, bands), strict=True):
        band = a + weight[..., None] * (b - a)
        made = band if made is None else cv2.pyrUp(made, dstsize=(band.shape[1], band.shape[0])) + band
    clipped: Array = np.clip(made, 0, 1).astype(np.float32)
    return clipped
