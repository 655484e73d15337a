"""A face brought to where a network expects it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chimera_core.errors import ConfigError, ShapeError
from chimera_core.subjects.face import Face
from chimera_core.subjects.face_views import turned_view


def aligned_face(image: Tensor, face: Face, eyes: Sequence[float]) -> Tensor:
    """Turn and crop a picture so that a face's eyes lie where a network has seen all eyes.

    Args:
        image: float (3, H, W) in [0, 1].
        face: found in it, with both eyes in sight.
        eyes: left x, left y, right x, right y as shares of a square's side, on one level.
    Returns:
        float (3, 224, 224) in [0, 1], on the image's device; beyond the picture its rim is repeated.
    Raises:
        ShapeError: if the image has another shape.
        ConfigError: if an eye is hidden, or ``eyes`` are not two points from left to right.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ShapeError(f"image is {tuple(image.shape)}: pass (3, H, W)")
    if not np.isfinite(face.points[:2]).all():
        raise ConfigError("a face is brought to a frame by both eyes, but one of them is hidden")
    if len(eyes) != 4 or not eyes[2] > eyes[0]:
        raise ConfigError(f"eyes {tuple(eyes)} are not two points from left to right")
    left, right = face.points[:2]
    across = right - left
    side = float(np.hypot(*across)) / (eyes[2] - eyes[0])
    slant = -math.atan2(across[1], across[0])
    # From between the eyes to the middle of the square, in the square's axes; then turned back into the picture's.
    off = side * np.array([0.5 - (eyes[0] + eyes[2]) / 2, 0.5 - (eyes[1] + eyes[3]) / 2])
    cos, sin = math.cos(slant), math.sin(slant)
    middle = (left + right) / 2 + np.array([cos * off[0] + sin * off[1], -sin * off[0] + cos * off[1]])
    picture = (image.detach().permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
    view, _ = turned_view(np.ascontiguousarray(picture), middle, side / 2, slant)
    return torch.from_numpy(view).to(image.device).permute(2, 0, 1).float() / 255
