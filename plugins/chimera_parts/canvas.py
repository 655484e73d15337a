"""The frame in which a creature is drawn: the body's picture with room around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chimera_parts.arrays import Array
from chimera_parts.placing import Placement, axes


@dataclass(frozen=True)
class Canvas:
    """A grid of pixels over the body's working picture.

    Args:
        frame: the body's picture in this resolution, (h, w) in pixels.
        scale: pixels per working pixel.
        room: pixels added on top, bottom, left and right.
    """

    frame: tuple[int, int]
    scale: float
    room: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) with the room."""
        top, bottom, left, right = self.room
        return self.frame[0] + top + bottom, self.frame[1] + left + right

    @cached_property
    def grid(self) -> tuple[Array, Array]:
        """Working pixels x, y of the body's picture, each (h, w)."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32)
        return self._working(columns, self.room[2]), self._working(rows, self.room[0])

    def points(self, placement: Placement, across: Array, beyond: Array) -> tuple[Array, Array]:
        """Pixels x, y of points in the straight coordinates of the body's cut, in lengths of the cut."""
        cut = placement.body
        u_axis, v_axis = axes(cut)
        x, y = (cut.middle[k] + cut.length * (across * u_axis[k] + beyond * v_axis[k]) for k in (0, 1))
        return (
            ((x + 0.5) * self.scale - 0.5 + self.room[2]).astype(np.float32),
            ((y + 0.5) * self.scale - 0.5 + self.room[0]).astype(np.float32),
        )

    def padded(self, image: Array, *, mode: str = "reflect") -> Array:
        """Give a picture of the frame's shape, (h, w) or (h, w, C), the room around it."""
        top, bottom, left, right = self.room
        widths = ((top, bottom), (left, right), *(((0, 0),) if image.ndim == 3 else ()))
        if mode == "reflect" and max(top, bottom) < image.shape[0] and max(left, right) < image.shape[1]:
            return np.pad(image, widths, mode="reflect")
        return np.pad(image, widths, mode="constant" if mode != "reflect" else "edge")

    def _working(self, pixels: Array, room: int) -> Array:
        return ((pixels + 0.5 - room) / self.scale - 0.5).astype(np.float32)
