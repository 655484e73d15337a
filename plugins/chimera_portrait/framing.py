"""Which part of a canvas that is not the first parent the frame shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from chimera_core.api import face_unit, smoothstep
from chimera_portrait.frames import Similarity
from chimera_portrait.placed import Placed

Array = np.ndarray[Any, np.dtype[np.float32]]

# A face is shown with its unit at least this share of the frame's shorter side.
_LEAST_UNIT = 0.18
# From this weight of the first parent on, the canvas moves to where the first one's face is.
_MOVES_FROM = 0.5
# Beyond its rim a picture fades within so many units.
_RIM = 0.4


def framed_canvas(canvas: Placed, first: Placed, *, share: float) -> tuple[Placed, Placed]:
    """Lay the first parent's frame on a canvas, and its picture with the face on the canvas' face.

    Args:
        canvas: another parent, as it is.
        first: the first parent, in its frame.
        share: the first one's weight against the canvas', in [0, 1]: at 1 the first one's view is the identity.
    Returns:
        Both, as the frame sees them.
    """
    t = max(0.0, (share - _MOVES_FROM) / (1 - _MOVES_FROM))
    onto_canvas = Similarity.between(first.points, canvas.points)
    view = Similarity.on_the_way(_best_window(canvas, first.alpha.shape), onto_canvas, t, about=canvas.points)
    moved = onto_canvas.inverse().after(view)
    return replace(canvas, view=view).fitted(), replace(first, view=moved).fitted()


def presence(picture: Placed, shape: tuple[int, int]) -> Array:
    """Return where a frame (h, w) shows a picture: float32, 1 within it, and fading to 0 beyond its rim."""
    height, width = picture.alpha.shape
    x, y = picture.seen_from(shape)
    beyond = np.maximum.reduce([-x, x - (width - 1), -y, y - (height - 1), np.zeros_like(x)])
    return smoothstep(1 - beyond / (_RIM * face_unit(picture.points)))


def _best_window(canvas: Placed, frame: tuple[int, int]) -> Similarity:
    """Give the largest window of the frame's aspect inside the canvas, closer if the face would be small."""
    size = np.array(canvas.alpha.shape[::-1], float)
    wanted = np.array(frame[::-1], float)
    scale = min(float((size / wanted).min()), face_unit(canvas.points) / (_LEAST_UNIT * float(wanted.min())))
    # Ears want room, so the middle of the window is at the eyes.
    corner = canvas.points[:2].mean(0) - scale * (wanted - 1) / 2
    corner = np.clip(corner, 0.5 * scale - 0.5, size - 0.5 - scale * (wanted - 0.5))
    return Similarity(complex(scale), complex(*corner))
