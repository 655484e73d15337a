"""The mask of the animal in a packed image, and the image without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.data.blocks import Fit, square
from chimera_core.data.packed import PackedSplit
from chimera_core.errors import ConfigError
from chimera_core.interfaces.components import DatasetSource, FeatureEncoder, Split, own_mask
from chimera_core.subjects.finder import load_outline_encoder
from chimera_core.subjects.outline import Outline, find_outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]

LEAST_SIDE = 32
"""Sides of images in pixels under which an outline is too coarse to cut along."""

# The authors of copy-paste take a detection from this confidence on.
_LEAST_CONFIDENCE = 0.5


class MaskFinder:
    """Gives masks of packed images, from their source where it knows them, else found in the photograph.

    Args:
        source: of the packed images.
        fit: how they became squares.
        device: where animals are looked for.
    """

    def __init__(self, source: DatasetSource, fit: Fit, device: torch.device) -> None:
        self._source, self._fit, self._device = source, fit, device
        self._splits: dict[str, Split] = {}
        self._encoder: FeatureEncoder | None = None

    def __call__(self, packed: PackedSplit, row: int) -> UInt8:
        """Give the mask of one image: uint8 (S, S).

        Raises:
            ConfigError: if its photograph is too small for an outline.
        """
        if packed.name not in self._splits:
            self._splits[packed.name] = self._source.open(packed.name)
        split = self._splits[packed.name]
        origin = int(packed.origins[row])
        image = split[origin].image
        if min(image.shape[-2:]) < LEAST_SIDE:
            height, width = image.shape[-2:]
            raise ConfigError(
                f"copy-paste cuts animals out, but a picture of {self._source.info.name} is {width} x {height} pixels, "
                f"too small to see an outline: it takes {LEAST_SIDE}, so choose another augmentation"
            )
        mask = own_mask(split, origin)
        mask = self._look(image) if mask is None else _like(mask, image)
        return square_mask(mask, packed.size, self._fit)

    def is_empty(self, pixels: UInt8) -> bool:
        """Say whether no animal is seen in an image, uint8 (S, S, 3)."""
        return self._outline(torch.from_numpy(pixels).permute(2, 0, 1)).confidence < _LEAST_CONFIDENCE

    def _outline(self, image: Tensor) -> Outline:
        if self._encoder is None:
            self._encoder = load_outline_encoder(self._device)
        return find_outline(self._encoder, image.to(self._device).float() / 255, quality="fast")

    def _look(self, image: Tensor) -> Tensor:
        found = self._outline(image)
        if found.confidence < _LEAST_CONFIDENCE:
            return torch.zeros_like(image[:1])
        # What is half an animal's is cut in a narrow band: a wide one would carry a halo of the old background along.
        return ((2.5 * (found.mask - 0.5) + 0.5).clamp(0, 1) * 255).round().byte().cpu()


def paint_out(pixels: UInt8, mask: UInt8) -> UInt8:
    """Paint an animal out of its picture from what surrounds it.

    Args:
        pixels: uint8 (S, S, 3).
        mask: uint8 (S, S).
    Returns:
        uint8 (S, S, 3).
    Source: Telea 2004, doi:10.1080/10867651.2004.10487596, as OpenCV has it.
    """
    side = max(3, len(mask) // 16) | 1  # its rim and the edge of its shadow go along
    hole = cv2.dilate(
        (mask > 16).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    )
    return cv2.inpaint(np.ascontiguousarray(pixels), hole, side / 2, cv2.INPAINT_TELEA).astype(np.uint8)


def square_mask(mask: Tensor, size: int, fit: Fit) -> UInt8:
    """Scale a mask, uint8 (1, H, W), to uint8 (S, S) as its image was."""
    if fit == "pad":  # around the picture is no animal, whatever touches the edge
        height, width = mask.shape[-2:]
        across, down = max(0, height - width), max(0, width - height)
        mask = F.pad(mask, (across // 2, across - across // 2, down // 2, down - down // 2))
        fit = "stretch"
    squared: UInt8 = square(mask.expand(3, -1, -1).contiguous(), size, fit)[..., 0]
    return squared


def _like(mask: Tensor, image: Tensor) -> Tensor:
    """Bring a source's mask to the size of its image."""
    if mask.shape[-2:] == image.shape[-2:]:
        return mask
    scaled = F.interpolate(mask[None].float(), image.shape[-2:], mode="bilinear", antialias=True)[0]
    return scaled.round().clamp(0, 255).byte()
