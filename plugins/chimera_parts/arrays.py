"""Masks and the colours beyond them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from chimera_core.api import blurred

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = NDArray[np.float64]
"""x, y in pixels."""

# Pixels from this opacity on, this far inside, carry the animal's own colours; nearer the rim they are mixed.
_SURE, _RIM = 0.85, 2


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
