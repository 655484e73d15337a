"""Pictures as arrays: sampling, growing colours over an outline, pyramids."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = NDArray[np.float64]
"""x, y in pixels."""

# Pixels from this opacity on, this far inside, carry the animal's own colours; nearer the rim they are mixed.
_SURE, _RIM = 0.85, 2
# Blurs wider than this many pixels are made on a smaller copy.
_WIDE_BLUR = 6.0
# What is enlarged by more than this is sharpened, up to so much, at this width in pixels of what it was.
_SOFT_FROM, _MOST_SHARPENING, _SHARPENING_WIDTH = 1.15, 0.6, 0.7


def sample(image: Array, x: Array, y: Array, *, cubic: bool = True, outside: float | None = None) -> Array:
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


def resize(image: Any, shape: tuple[int, int]) -> Array:
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


def soften(mask: Any, sigma: float) -> Array:
    """Blur a mask (H, W) by a Gaussian of ``sigma`` pixels: float32."""
    return blurred(np.ascontiguousarray(mask, np.float32), sigma)


def grow(mask: Any, pixels: float) -> Mask:
    """Widen a mask by so many pixels to all sides; a negative number narrows it. Beyond the frame lies nothing."""
    radius = round(abs(pixels))
    if radius == 0:
        return np.asarray(mask, bool)
    outside = np.asarray(mask, bool) != (pixels > 0)
    if outside.all():
        return np.full(outside.shape, pixels < 0)
    near = cv2.distanceTransform(outside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= radius
    return np.asarray(near if pixels > 0 else ~near, bool)


def smoothstep(values: Any) -> Array:
    """Go from 0 to 1 with no slope at the ends: 3 t^2 - 2 t^3, clipped."""
    t = np.clip(np.asarray(values, np.float32), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def largest_piece(mask: Mask, *, at_least: float = 1.0) -> Mask:
    """Keep a mask's largest piece, and pieces of at least a share of it."""
    count, pieces = cv2.connectedComponents(np.asarray(mask, np.uint8), connectivity=8)
    if count <= 2:
        return mask
    sizes = np.bincount(pieces.ravel())[1:]
    return np.isin(pieces, 1 + np.flatnonzero(sizes >= at_least * sizes.max()))


def spread_colours(image: Array, alpha: Array, *, scale: float = 1.0) -> Array:
    """Continue an animal's colours beyond its outline, so that what is blended there shows no surroundings.

    Args:
        image: float32 (H, W, 3).
        alpha: float32 (H, W) in [0, 1].
        scale: pixels per working pixel: how far the rim is taken to be mixed.
    """
    inside = grow(alpha > _SURE, -_RIM * scale)
    if not inside.any():
        inside = alpha > 0.5
    if not inside.any():
        return image
    distance, (rows, columns) = ndimage.distance_transform_edt(~inside, return_indices=True)
    nearest = image[rows, columns]
    smooth = blurred(nearest, 3 * scale)
    share = np.clip(distance / (6 * scale), 0, 1)[..., None].astype(np.float32)
    return np.asarray(nearest * (1 - share) + smooth * share, np.float32)


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
