"""Which part of a canvas that is not the first parent the frame shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chimera_core.api import face_unit
from chimera_portrait.frames import Similarity
from chimera_portrait.placed import Placed

# A face is shown with its unit at least this share of the frame's shorter side.
_LEAST_UNIT = 0.18
# From this weight of the first parent on, the canvas moves to where the first one's face is.
_MOVES_FROM = 0.5


def framed_canvas(canvas: Placed, first: Placed, *, share: float) -> Placed:
    """Lay the first parent's frame on a canvas.

    Args:
        canvas: another parent, as it is.
        first: the first parent, in its frame.
        share: the first one's weight against the canvas', in [0, 1]: at 1 the faces lie on each other.
    """
    t = max(0.0, (share - _MOVES_FROM) / (1 - _MOVES_FROM))
    onto_first = Similarity.between(first.points, canvas.points)
    view = Similarity.on_the_way(_best_window(canvas, first.alpha.shape), onto_first, t, about=canvas.points)
    return replace(canvas, view=view).fitted()


def _best_window(canvas: Placed, frame: tuple[int, int]) -> Similarity:
    """Give the largest window of the frame's aspect inside the canvas, closer if the face would be small."""
    size = np.array(canvas.alpha.shape[::-1], float)
    wanted = np.array(frame[::-1], float)
    scale = min(float((size / wanted).min()), face_unit(canvas.points) / (_LEAST_UNIT * float(wanted.min())))
    # Ears want room, so the middle of the window is at the eyes.
    corner = canvas.points[:2].mean(0) - scale * (wanted - 1) / 2
    corner = np.clip(corner, 0.5 * scale - 0.5, size - 0.5 - scale * (wanted - 0.5))
    return Similarity(complex(scale), complex(*corner))
