"""Blend two coats along their seam: their colours converge, and strands of both interleave."""

from __future__ import annotations

import math

import cv2
import numpy as np
from scipy import ndimage

from chimera_core.api import smoothstep
from chimera_parts.arrays import Array

# All lengths are shares of the cut's length.
# Colours are compared this near the seam on either side, in so many stretches along it, smoothed over so many.
_NEAR, _STRETCHES, _SMOOTH = 0.22, 24, 2.0
_LEAST_PIXELS = 30.0
# What parts the two coats is closed by this share from the head's side and from the body's, up to so much of the
# range of colours; it ends this far from the seam.
_OF_HEAD, _OF_BODY, _MOST = 0.6, 0.25, (0.22, 0.12)
_FADE, BODY_REACH = 0.65, 0.5
# Strands reach this far over the seam; they are so long and so wide.
_REACH, _STRAND = 0.09, (0.3, 0.035)
_SOFT = 0.05


def blend_colours(
    body: Array,
    head: Array,
    body_alpha: Array,
    head_alpha: Array,
    u: Array,
    beyond: Array,
    *,
    most: float = math.inf,
) -> tuple[Array, Array]:
    """Bring the colours of body and head towards each other along their seam.

    Args:
        body: float32 (h, w, 3) in [0, 1].
        head: the same.
        body_alpha: float32 (h, w), where the body is.
        head_alpha: where the head is.
        u: float32 (h, w), where along the seam, in lengths of the cut.
        beyond: how far beyond the seam, on the head's side, likewise.
        most: how far the body's colours may run over the head at most, likewise.
    Returns:
        Body and head, changed near the seam only.
    """
    near = (np.abs(u) < 0.65) & (np.abs(beyond) < _NEAR)
    sums = []
    for image, alpha, side in ((body, body_alpha, beyond < 0), (head, head_alpha, beyond > 0)):
        here = near & side & (alpha > 0.8)
        sums.append(_by_stretch(image[here], u[here]))
    (of_body, count_body), (of_head, count_head) = sums
    if min(count_body.sum(), count_head.sum()) < _LEAST_PIXELS:
        return body, head
    gap = of_body - of_head
    trust = np.minimum(count_body, count_head)
    weight = ndimage.gaussian_filter1d(trust, _SMOOTH, mode="nearest")[:, None]
    smooth = ndimage.gaussian_filter1d(gap * trust[:, None], _SMOOTH, axis=0, mode="nearest")
    overall = (gap * trust[:, None]).sum(0) / trust.sum()
    few = _LEAST_PIXELS / 10
    gap = (smooth + few * overall) / (weight + few)
    centres = (np.arange(_STRETCHES) + 0.5) / _STRETCHES * 1.3 - 0.65
    field = np.stack([np.interp(u, centres, gap[:, c]) for c in range(3)], 2).astype(np.float32)
    toward_body = np.clip(_OF_HEAD * field, -_MOST[0], _MOST[0]) * _faded(beyond, min(_FADE, most))
    toward_head = np.clip(_OF_BODY * field, -_MOST[1], _MOST[1]) * _faded(beyond, BODY_REACH)
    return (
        np.asarray(np.clip(body - toward_head, 0, 1), np.float32),
        np.asarray(np.clip(head + toward_body, 0, 1), np.float32),
    )


def _faded(beyond: Array, reach: float) -> Array:
    return np.asarray(np.square(np.clip(1 - np.square(beyond / reach), 0, 1))[..., None], np.float32)


def _by_stretch(pixels: Array, u: Array) -> tuple[Array, Array]:
    """Mean colour (S, 3) of each stretch along the seam, and how many pixels it has (S,)."""
    index = np.clip(((u + 0.65) / 1.3 * _STRETCHES).astype(int), 0, _STRETCHES - 1)
    count = np.bincount(index, minlength=_STRETCHES).astype(np.float32)
    total = np.stack([np.bincount(index, pixels[:, c], _STRETCHES) for c in range(3)], 1)
    return (total / np.maximum(count, 1)[:, None]).astype(np.float32), count


def strands(u: Array, beyond: Array) -> Array:
    """Share of the head at points near the seam, as if its hair fell over the body's: float32 (h, w) in [0, 1].

    Args:
        u: float32 (h, w), where along the seam, in lengths of the cut.
        beyond: how far beyond the seam, on the head's side.
    """
    drawn = np.random.default_rng(7)
    long, wide = _STRAND
    cells = drawn.standard_normal((round(6 / long), round(3 / wide))).astype(np.float32)
    x = np.clip((u + 1.5) / wide, 0, cells.shape[1] - 1).astype(np.float32)
    y = np.clip((beyond + 3) / long, 0, cells.shape[0] - 1).astype(np.float32)
    noise = cv2.remap(cells, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return smoothstep(0.5 + (beyond + _REACH * noise) / (2 * _SOFT))
