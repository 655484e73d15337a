"""Where on an animal a pixel lies, from its outline alone: along which axis, in what part, near back or belly.

Legend: H, W pixels of a picture; h, w those of the small copy on which outlines are measured.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import shrink_mask

# Longer side of the copy on which outlines are measured: a leg is then some four pixels wide.
_SIDE = 112
# The outline's direction is averaged over this share of how thick the animal is at that place.
_REACH = 0.8
# How many thicknesses are told apart.
_THICKNESSES = 10

Array = NDArray[np.float64]


def anatomy(mask: Tensor) -> Tensor:
    """Describe every pixel of an animal by four numbers that two animals have in common.

    Args:
        mask: float (1, H, W) in [0, 1]. Where it meets the frame, the animal is taken to go on.
    Returns:
        float (4, H, W): cosine and sine of twice the angle of the local axis (a leg's is upright, a trunk's lies),
        times how sure it is, in [0, 1]; how thick the animal is there as a share of its thickest part; and -1 at
        the upper outline, 1 at the lower one. Outside the animal the values of its nearest pixel.
    Source: ours; the axis is the structure tensor (Förstner and Gülch 1987) of the distance to the outline.
    """
    height, width = mask.shape[-2:]
    scale = _SIDE / max(height, width)
    shape = (max(8, round(height * scale)), max(8, round(width * scale)))
    solid = shrink_mask(mask, shape)[0].cpu().numpy() > 0.5
    if not solid.any():
        solid[:] = True
    pad = _SIDE // 2
    # Edge padding: an animal that leaves the frame has no outline there.
    wide = np.pad(solid, pad, mode="edge")
    if wide.all():
        return torch.zeros(4, height, width).to(mask)
    depth = ndimage.distance_transform_edt(wide)
    thickness = _thickness(depth)
    measured = np.stack(
        [*_axis(depth, wide, thickness), thickness / thickness.max(), _back(depth, thickness)]
    )
    inner = measured[:, pad:-pad, pad:-pad]
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    spread = torch.from_numpy(inner[:, nearest[0], nearest[1]].astype(np.float32)).to(mask)
    return F.interpolate(spread[None], (height, width), mode="bilinear", align_corners=False)[0]


def _thickness(depth: Array) -> Array:
    """Radius of the largest disc inside the animal that covers each pixel, in steps."""
    thickness = np.zeros_like(depth)
    for radius in np.geomspace(1.0, max(1.5, depth.max() * 0.98), _THICKNESSES):
        core = depth >= radius
        if core.any():
            thickness[ndimage.distance_transform_edt(~core) < radius] = radius
    return np.where(depth > 0, np.maximum(thickness, 1.0), 0.0)


def _axis(depth: Array, solid: NDArray[np.bool_], thickness: Array) -> tuple[Array, Array]:
    """Direction in which the outline runs, as (cosine, sine) of twice its angle times its sureness."""
    smooth = ndimage.gaussian_filter(depth, 1.0)
    down, right = np.gradient(smooth)
    # The depth's slope crosses the axis: (right, down) turned by a right angle negates the doubled angle's vector.
    parts = [
        np.where(solid, part, 0.0) for part in (down**2 - right**2, -2 * down * right, down**2 + right**2)
    ]
    cosine, sine = np.zeros_like(depth), np.zeros_like(depth)
    sigmas = np.geomspace(1.5, max(2.0, _REACH * thickness.max()), 5)
    chosen = np.abs(np.log(np.maximum(_REACH * thickness, 1.5))[None] - np.log(sigmas)[:, None, None]).argmin(
        0
    )
    for k, sigma in enumerate(sigmas):
        along, slant, energy = (ndimage.gaussian_filter(part, sigma) for part in parts)
        here = chosen == k
        cosine[here] = (along / np.maximum(energy, 1e-6))[here]
        sine[here] = (slant / np.maximum(energy, 1e-6))[here]
    return cosine, sine


def _back(depth: Array, thickness: Array) -> Array:
    down, _ = np.gradient(ndimage.gaussian_filter(depth, 1.5))
    near = 1 - np.clip(depth / np.maximum(thickness, 1.0), 0, 1)
    # Depth grows away from the outline: below the back it grows downwards.
    return np.asarray(np.clip(-down, -1, 1) * near)


def turned(guides: Tensor, *, angle: float, mirror: bool) -> Tensor:
    """Turn the axes of `anatomy` as a picture is mirrored (left to right) and then turned.

    Args:
        guides: float (4, H, W), already warped as the picture was.
        angle: by which things in the picture turned, in degrees, clockwise as seen.
        mirror: whether it was mirrored before.
    """
    cosine, sine = guides[0], -guides[1] if mirror else guides[1]
    across, along = math.cos(math.radians(2 * angle)), math.sin(math.radians(2 * angle))
    return torch.stack([across * cosine - along * sine, along * cosine + across * sine, guides[2], guides[3]])
