"""Two coats become one animal's: each takes on some of the other's colour, all over."""

from __future__ import annotations

import math

import cv2
import numpy as np

from chimera_parts.arrays import Array, Mask

# A coat of fewer pixels than this has no colour to speak of.
_LEAST_PIXELS = 30
# How much of the difference in lightness and in chroma each takes over: the head of the body's, the body of the head's.
HEAD_SHARES, BODY_SHARES = (0.6, 0.75), (0.4, 0.5)
# The middle of a coat counts as no darker or lighter than this, in shares of white, and its exponent stays within these.
_RANGE, _EXPONENTS = (0.03, 0.97), (0.7, 1.5)
# Near black and white there is hardly a chroma: this times l (1 - l) of the shift is taken, at most all.
_CHROMA_ROOM = 5.2
# A chroma moves this far at most: a parrot's head makes no green dog. And what is as vivid as this stays more and more,
# for an animal is known by it: a cock's comb, a finch's yellow.
_MOST_CHROMA, _VIVID = 20.0, (30.0, 50.0)


def coat_colour(image: Array, where: Mask) -> Array | None:
    """Give the middle of a coat's colours, float32 (3,) in CIELAB (lightness in [0, 100]); None if too little is in sight.

    Args:
        image: float32 (h, w, 3) in [0, 1].
        where: bool (h, w), the coat.
    """
    if where.sum() < _LEAST_PIXELS:
        return None
    return np.asarray(np.median(_to_lab(image[where][None])[0], 0), np.float32)


def tinted(
    image: Array, own: Array | None, other: Array | None, shares: tuple[float, float], where: Array
) -> Array:
    """Move a coat's colours towards another's; black, white and vivid ones stay, so that eyes and markings do.

    Args:
        image: float32 (h, w, 3) in [0, 1].
        own: the middle of its coat, as ``coat_colour`` gives it; None for either leaves all as it is.
        other: the middle of the other coat.
        shares: how much of the difference in lightness and in chroma is taken over.
        where: float32 (h, w) in [0, 1], the coat.
    Returns:
        float32 (h, w, 3) in [0, 1]; where ``where`` is 0 the very pixels.
    """
    if own is None or other is None or not (where > 0).any():
        return image
    lab = _to_lab(image)
    light = np.clip(lab[..., 0] / 100, 0, 1)
    middle = float(np.clip(own[0] / 100, *_RANGE))
    wanted = float(np.clip((own[0] + shares[0] * (other[0] - own[0])) / 100, *_RANGE))
    exponent = float(np.clip(math.log(wanted) / math.log(middle), *_EXPONENTS))
    room = np.clip(_CHROMA_ROOM * light * (1 - light), 0, 1)[..., None]
    chroma = shares[1] * (other[1:] - own[1:])
    chroma *= min(1.0, _MOST_CHROMA / max(float(np.linalg.norm(chroma)), 1e-6))
    moved = np.dstack([100 * light**exponent, lab[..., 1:] + chroma * room])
    made = np.clip(cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_Lab2RGB), 0, 1)
    low, high = _VIVID
    plain = np.clip((high - np.linalg.norm(lab[..., 1:], axis=-1)) / (high - low), 0, 1)
    share = (where * plain)[..., None]
    return np.asarray(image * (1 - share) + made * share, np.float32)


def _to_lab(image: Array) -> Array:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(np.clip(image, 0, 1), np.float32), cv2.COLOR_RGB2Lab))
