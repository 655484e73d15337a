"""Small heads are drawn large: the blocks and colour noise of their files are taken out first."""

from __future__ import annotations

import cv2
import numpy as np

from chimera_parts.arrays import Array, Mask, grow

# Strengths per unit of enlargement beyond 1, of lightness and of colour, in steps of 255; more than so much counts as so much.
_LIGHT, _COLOUR, _MOST = 1.4, 7.0, 2.0
# Dark pixels count as lighter than they are: there noise hides, and they are the ones that are lightened later.
_GAMMA = 0.6
# Patches of 5 pixels are looked for within 15.
_PATCH, _REACH, _ROOM = 5, 15, 12


def denoised(image: Array, where: Mask, enlarged: float) -> Array:
    """Take noise out of what is going to be enlarged.

    Args:
        image: float32 (h, w, 3) in [0, 1].
        where: bool (h, w), what is drawn; the rest may stay.
        enlarged: by how much; at 1 or less there is nothing to do.
    Returns:
        float32 (h, w, 3) in [0, 1].
    Source: Buades et al. 2011, "Non-Local Means Denoising".
    """
    beyond = min(_MOST, enlarged - 1)
    if beyond <= 0 or not where.any():
        return image
    rows, columns = np.nonzero(grow(where, _ROOM))
    part = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    steps = np.round(np.clip(image[part], 0, 1) ** _GAMMA * 255).astype(np.uint8)
    bgr = np.ascontiguousarray(steps[..., ::-1])
    smooth = cv2.fastNlMeansDenoisingColored(bgr, None, _LIGHT * beyond, _COLOUR * beyond, _PATCH, _REACH)
    made = image.copy()
    made[part] = (smooth[..., ::-1].astype(np.float32) / 255) ** (1 / _GAMMA)
    return made
