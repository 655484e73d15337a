"""Pictures carried into a common shape of the face."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from chimera_core.api import smoothstep
from chimera_portrait.frames import FaceFrame, Points, Similarity, anchors

Array = np.ndarray[Any, np.dtype[np.float32]]
Window = tuple[int, int, int, int]
"""left, top, right, bottom of a part of the frame, in pixels."""

# A face's shape bends nothing beyond this many units from its eyes, and less from the inner radius on.
REACH, _INNER = 2.6, 2.2
# The bend is computed at points that lie this share of a unit apart.
_GRID = 0.1
# How little the spline may miss its points by, which keeps two close ones from tearing the picture.
_SMOOTHING = 0.01


def window_around(points: Points, shape: tuple[int, int]) -> Window:
    """Give the part of a frame (h, w) that a face's shape may bend; one pixel at least."""
    frame = FaceFrame.of(points)
    half = (REACH + 0.3) * frame.unit
    left, top = (
        int(np.clip(np.floor(v - half), 0, e - 1)) for v, e in zip(frame.origin, shape[::-1], strict=True)
    )
    right, bottom = (
        int(np.clip(np.ceil(v + half) + 1, low + 1, e))
        for v, low, e in zip(frame.origin, (left, top), shape[::-1], strict=True)
    )
    return left, top, right, bottom


def bent(
    shape: Points, points: Points, view: Similarity, window: Window, *, still: bool
) -> tuple[Array, Array]:
    """Return where a picture is to be read so that its face gets a new shape.

    Args:
        shape: float (5, 2), the face's points in the frame as they shall be.
        points: float (5, 2), the same in the picture.
        view: from the frame, as it would be without a bend, to the picture.
        window: the part of the frame wanted.
        still: whether the picture does not move at all from a distance on.
    Returns:
        x, y in the picture's pixels, float32 (h, w) each.
    Source: thin-plate splines, Bookstein 1989.
    """
    frame = FaceFrame.of(shape)
    ring = frame.ring(REACH, 16)
    start = np.concatenate([anchors(shape), ring])
    end = np.concatenate([view.inverse()(anchors(points)), ring])
    spline = RBFInterpolator(
        (start - frame.origin) / frame.unit,
        end - start,
        kernel="thin_plate_spline",
        smoothing=_SMOOTHING,
        degree=1,
    )
    left, top, right, bottom = window
    step = max(2.0, _GRID * frame.unit)
    columns, rows = (
        np.arange(int(np.ceil((high - low) / step)) + 2) * step
        for low, high in ((left, right), (top, bottom))
    )
    grid = np.stack(np.meshgrid(columns + left, rows + top), -1).reshape(-1, 2)
    moves = spline((grid - frame.origin) / frame.unit)
    if still:
        far = np.linalg.norm(grid - frame.origin, axis=1) / frame.unit
        moves *= 1 - smoothstep((far - _INNER) / (REACH - _INNER))[:, None]
    there = view(grid + moves).reshape(len(rows), len(columns), 2).astype(np.float32)
    fine_x, fine_y = np.meshgrid(
        np.arange(right - left, dtype=np.float32) / np.float32(step),
        np.arange(bottom - top, dtype=np.float32) / np.float32(step),
    )
    read = cv2.remap(there, fine_x, fine_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(read[..., 0]), np.ascontiguousarray(read[..., 1])


def reflected(positions: Array, size: int) -> Array:
    """Fold positions beyond a picture of ``size`` pixels back into it, as a mirror at its rim would."""
    if size < 2:
        return np.zeros_like(positions)
    period = 2.0 * (size - 1)
    folded = np.mod(positions, period)
    return np.asarray(np.minimum(folded, period - folded), np.float32)
