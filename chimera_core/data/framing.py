"""Cut squares out of images, so that faces of different sources have their eyes in one place.

A box is (left, top, right, bottom) in pixels of the image and may reach beyond it. What lies outside is filled
with the colours of the edge, blurred outwards: a generator that learns from mirrored edges draws mirrored faces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chimera_core.errors import ConfigError, DataError, ShapeError
from chimera_core.images import MAX_PIXELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    UInt8 = NDArray[np.uint8]

Box = tuple[float, float, float, float]

EYE_DISTANCE = 0.36
"""Distance of the eyes, as a share of the side of the common frame."""
EYE_HEIGHT = 0.41
"""How far the eyes lie below the top, as a share of the side of the common frame."""


def parse_box(text: str, height: int, width: int) -> Box:
    """Read a crop as users write it.

    Args:
        text: ``178`` (a centred square of that side) or ``left,top,right,bottom`` in pixels; empty is the
            largest centred square.
        height: of the image, in pixels.
        width: of the image, in pixels.
    Raises:
        ConfigError: if it is neither, or has no area.
    """
    try:
        numbers = (
            tuple(float(part) for part in text.split(",")) if text.strip() else (float(min(height, width)),)
        )
    except ValueError:
        numbers = ()
    if len(numbers) == 1:
        side = numbers[0]
        left, top = (width - side) / 2, (height - side) / 2
        numbers = (left, top, left + side, top + side)
    if (
        len(numbers) != 4
        or not all(map(math.isfinite, numbers))
        or numbers[2] <= numbers[0]
        or numbers[3] <= numbers[1]
    ):
        raise ConfigError(
            f"crop '{text}' is not a box: write the side of a centred square (178), or left,top,right,bottom (17,24,111,118)"
        )
    return numbers[0], numbers[1], numbers[2], numbers[3]


def eyes_box(eyes: Sequence[float], *, distance: float = EYE_DISTANCE, height: float = EYE_HEIGHT) -> Box:
    """Give the square in which a face's eyes lie where every face's eyes should.

    Args:
        eyes: (left x, left y, right x, right y) in pixels.
        distance: between the eyes, as a share of the square's side.
        height: of the eyes below the square's top, as a share of its side.
    Raises:
        ConfigError: if the eyes are not two different points from left to right.
    """
    if len(eyes) != 4 or not eyes[2] > eyes[0]:
        raise ConfigError(
            f"eyes {tuple(eyes)} are not two points: write left x,left y,right x,right y in pixels"
        )
    side = (eyes[2] - eyes[0]) / distance
    left = (eyes[0] + eyes[2]) / 2 - side / 2
    top = (eyes[1] + eyes[3]) / 2 - height * side
    return left, top, left + side, top + side


def cut(image: Tensor, box: Box, *, size: int | None = None) -> Tensor:
    """Cut a box out of an image and scale it; bicubic and anti-aliased.

    Args:
        image: uint8 (3, H, W).
        box: (left, top, right, bottom) in pixels; fractions count, and it may reach beyond the image.
        size: side of the result in pixels, whatever the box's aspect ratio; None: the box's own, rounded.
    Returns:
        uint8 (3, S, S), or (3, box height, box width) without ``size``.
    Raises:
        ShapeError: if the image is no uint8 (3, H, W), or the box does not meet it.
        DataError: if the box is enormous.
    """
    import numpy as np
    import torch
    from PIL import Image

    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise ShapeError(f"image is {image.dtype} {tuple(image.shape)}: pass uint8 (3, H, W)")
    height, width = image.shape[1:]
    if box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0:
        raise ShapeError(f"the box {box} lies outside an image of {width} x {height}: give another crop")
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    pixels, box = _shrunk(pixels, box, size)
    height, width = pixels.shape[:2]
    pad = [
        max(0, math.ceil(beyond)) for beyond in (-box[0], -box[1], box[2] - width, box[3] - height)
    ]  # left, top, right, bottom
    if any(pad):
        if (width + pad[0] + pad[2]) * (height + pad[1] + pad[3]) > MAX_PIXELS:
            raise DataError(
                f"the box {box} reaches too far beyond an image of {width} x {height}: give another crop"
            )
        pixels = _pad_blurred(pixels, pad)
        box = (box[0] + pad[0], box[1] + pad[1], box[2] + pad[0], box[3] + pad[1])
    shape = (size, size) if size else (max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1])))
    scaled = Image.fromarray(pixels).resize(shape, Image.Resampling.BICUBIC, box=box)
    return torch.from_numpy(np.array(scaled)).permute(2, 0, 1).contiguous()


def _shrunk(pixels: UInt8, box: Box, size: int | None) -> tuple[UInt8, Box]:
    """Shrink an image whose box reaches beyond it to twice what is asked for, so that filling edges stays cheap."""
    import numpy as np
    from PIL import Image

    height, width = pixels.shape[:2]
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
    scale = 2 * (size or 0) / max(box[2] - box[0], box[3] - box[1])
    if inside or size is None or scale >= 1:
        return pixels, box
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.array(Image.fromarray(pixels).resize(shape, Image.Resampling.BICUBIC))
    across, down = shape[0] / width, shape[1] / height
    return small, (box[0] * across, box[1] * down, box[2] * across, box[3] * down)


def _pad_blurred(pixels: UInt8, pad: Sequence[int]) -> UInt8:
    """Continue the edges of uint8 (H, W, 3) outwards, softer the further out."""
    import cv2
    import numpy as np

    left, top, right, bottom = pad
    height, width = pixels.shape[:2]
    padded = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_REPLICATE)
    # Distance outside the image, in pixels, by rows and columns.
    across = np.maximum(
        0, np.maximum(left - np.arange(padded.shape[1]), np.arange(padded.shape[1]) - left - width + 1)
    )
    down = np.maximum(
        0, np.maximum(top - np.arange(padded.shape[0]), np.arange(padded.shape[0]) - top - height + 1)
    )
    outside = np.maximum(down[:, None], across[None, :]).astype(np.float32)
    reach = max(pad)
    result = padded.astype(np.float32)
    for share in (0.25, 1.0):  # a little blur near the edge, much further out: no step, no streaks
        # Stack blur, because its cost does not grow with the radius: a Gaussian took 20 times the decoding.
        radius = max(1, round(reach * share * 0.6))
        blurred = cv2.stackBlur(padded, (2 * radius + 1, 2 * radius + 1)).astype(np.float32)
        mixed = np.clip(outside / (reach * share), 0, 1)[..., None]
        result += mixed * (blurred - result)
    filled: UInt8 = np.rint(result).astype(np.uint8)
    return filled
