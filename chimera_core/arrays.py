"""Pictures as arrays: sampling, blurs, pyramids. Values are float32; a picture is (H, W) or (H, W, C)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Blurs wider than this many pixels are made on a smaller copy.
_WIDE_BLUR = 6.0
# What is enlarged by more than this is sharpened, up to so much, at this width in pixels of what it was.
_SOFT_FROM, _MOST_SHARPENING, _SHARPENING_WIDTH = 1.15, 0.6, 0.7


def sampled(image: Array, x: Array, y: Array, *, cubic: bool = True, outside: float | None = None) -> Array:
    """Read a picture (H, W) or (H, W, C) at points x, y (h, w) in its pixels.

    Args:
        image: float32.
        x: columns.
        y: rows.
        cubic: bicubic, else bilinear.
        outside: the value beyond the frame; None repeats the rim.
    """
    how = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    read = cv2.remap(
        image,
        x.astype(np.float32),
        y.astype(np.float32),
        how,
        borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
        borderValue=(outside or 0.0,) * 4,
    )
    return np.asarray(np.clip(read, 0, 1), np.float32)


def resized(image: Any, shape: tuple[int, int]) -> Array:
    """Resize float32 (H, W) or (H, W, C) to ``shape`` (h, w): area-averaged down, cubic up."""
    pixels: Array = np.ascontiguousarray(image, np.float32)
    if pixels.shape[:2] == shape:
        return pixels
    how = cv2.INTER_AREA if shape[0] * shape[1] < pixels.shape[0] * pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(np.clip(cv2.resize(pixels, (shape[1], shape[0]), interpolation=how), 0, 1), np.float32)


def sharpened(image: Array, enlarged: float) -> Array:
    """Steepen the edges of a picture (H, W, C) that was enlarged by a factor of 1 or more: an unsharp mask."""
    if enlarged < _SOFT_FROM:
        return image
    amount = min(_MOST_SHARPENING, enlarged - 1)
    coarse = blurred(image, _SHARPENING_WIDTH * enlarged)
    return np.asarray(np.clip(image + amount * (image - coarse), 0, 1), np.float32)


def blurred(image: Array, sigma: float) -> Array:
    """Blur a picture (H, W) or (H, W, C) by a Gaussian of ``sigma`` pixels; wide ones on a smaller copy, for speed."""
    if sigma <= _WIDE_BLUR:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1)))
    height, width = image.shape[:2]
    shape = (max(2, round(height * _WIDE_BLUR / sigma)), max(2, round(width * _WIDE_BLUR / sigma)))
    small = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma * shape[1] / width, sigmaY=sigma * shape[0] / height)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def smoothstep(values: Any) -> Array:
    """Go from 0 to 1 with no slope at the ends: 3 t^2 - 2 t^3, clipped."""
    t = np.clip(np.asarray(values, np.float32), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blend_pyramids(below: Array, above: Array, mask: Array, *, levels: int) -> Array:
    """Blend two pictures, coarse structure widely and fine structure sharply.

    Args:
        below: float32 (H, W, 3) in [0, 1], where the mask is 0.
        above: the same, where it is 1.
        mask: float32 (H, W) in [0, 1].
        levels: octaves, 0 or more.
    Source: Burt and Adelson 1983, "A multiresolution spline with application to image mosaics".
    """
    lower, upper, masks = [below], [above], [mask]
    for _ in range(levels):
        if min(lower[-1].shape[:2]) < 4:
            break
        for stack in (lower, upper, masks):
            stack.append(np.asarray(cv2.pyrDown(stack[-1]), np.float32))
    made = lower[-1] * (1 - masks[-1][..., None]) + upper[-1] * masks[-1][..., None]
    for low, high, share, next_low, next_high in zip(
        lower[-2::-1], upper[-2::-1], masks[-2::-1], lower[:0:-1], upper[:0:-1], strict=True
    ):
        size = (low.shape[1], low.shape[0])
        detail_low = low - cv2.pyrUp(next_low, dstsize=size)
        detail_high = high - cv2.pyrUp(next_high, dstsize=size)
        opacity = share[..., None]
        made = cv2.pyrUp(made, dstsize=size) + detail_low * (1 - opacity) + detail_high * opacity
    return np.clip(made, 0, 1)
