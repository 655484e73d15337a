"""Two faces become one: the guest's face grows into the canvas' head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from chimera_core.api import blurred, smoothstep
from chimera_portrait.mixing import Pair
from chimera_portrait.placed import Placed, apart
from chimera_portrait.regions import Regions
from chimera_portrait.shares import Meeting, Shares
from chimera_portrait.warping import window_around

Array = np.ndarray[Any, np.dtype[np.float32]]

# Faces turned apart by more than the first keep more of the canvas' shape, and from the last on nearly all of it.
_APART, _FAR_APART, _STIFFEST = 0.2, 0.6, 0.7
# The canvas' coat beyond the face goes all the way to the mixed face's colours, and far from it, in units, this share.
_FAR_COAT, _FAR_FROM, _FAR_TO = 0.25, 1.2, 3.7
# An outline's rim shows surroundings between hairs: another colour there is a halo. Sizes in units and in opacity.
_RIM, _RIM_OPACITY = 0.06, 0.6
# Beyond so many units the canvas stands still, to the pixel.
_STILL_FROM, _STILL = 2.3, 2.6


def draw(canvas: Placed, guest: Placed, weight: float, *, meeting: Meeting, variant: int = 0) -> Placed:
    """Draw one face of two.

    Args:
        canvas: a picture of the frame's size, its view the identity: head, ears and surroundings are its own.
        guest: laid on it.
        weight: the guest's against the canvas', in [0, 1].
        meeting: what meets.
        variant: how the face is divided.
    Returns:
        The creature, as a picture of the frame's size with the points of its face.
    Source: ours; two bands after Burt and Adelson 1983, shape after Bookstein 1989.
    """
    stiff = _STIFFEST * float(smoothstep((apart(canvas, guest) - _APART) / (_FAR_APART - _APART)))
    share = weight * (1 - stiff)
    points = (1 - share) * canvas.points + share * guest.seen
    left, top, right, bottom = window = window_around(points, canvas.alpha.shape)
    pair = Pair.carried(canvas, guest, points, window)
    if meeting == "person on animal":
        pair = pair.toned()
    shares = Shares.at(weight, meeting, variant=variant, guest_is_blurred=pair.guest_is_blurred)
    # Only fur changes its colour: hair and clothes of a person stay.
    shift = pair.colour_shift(shares) if canvas.is_fur else np.zeros(3, np.float32)

    image, alpha = canvas.image, canvas.alpha.copy()
    if shift.any():
        reach = _reach(canvas.alpha, Regions(points, canvas.alpha.shape))
        image = np.clip(image + shift * reach[..., None], 0, 1)
    coat = pair.canvas_low + shift * _reach(pair.canvas_alpha, pair.regions)[..., None]
    mixed = pair.mixed(shares, coat)
    still = pair.enlarged(smoothstep((pair.regions.distance - _STILL_FROM) / (_STILL - _STILL_FROM)))[
        ..., None
    ]
    image = image.copy()
    image[top:bottom, left:right] = mixed * (1 - still) + image[top:bottom, left:right] * still
    alpha[top:bottom, left:right] = pair.opacity
    return replace(canvas, image=np.asarray(image, np.float32), alpha=alpha, points=points)


def _reach(alpha: Array, regions: Regions) -> Array:
    """Return how far each pixel's coat follows the face's colours: float32 (h, w) in [0, 1]."""
    coat = smoothstep((blurred(alpha, _RIM * regions.frame.unit) - _RIM_OPACITY) / 0.35)
    far = smoothstep((regions.distance - _FAR_FROM) / (_FAR_TO - _FAR_FROM))
    return np.asarray(coat * (1 + (_FAR_COAT - 1) * far), np.float32)
