"""Where a face's features are: soft masks in the axes that its points give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chimera_core.api import smoothstep
from chimera_portrait.frames import FaceFrame, Points

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, eq=False)
class Regions:
    """Masks float32 (h, w) in [0, 1] of a face whose points (5, 2) are given in pixels of a window ``size`` (h, w)."""

    points: Points
    size: tuple[int, int]

    @cached_property
    def frame(self) -> FaceFrame:
        """The face's axes."""
        return FaceFrame.of(self.points)

    @cached_property
    def eyes(self) -> Array:
        """Eyes with lids and brows."""
        # As far down as a cat's large eyes reach, whose rims would stay around a person's.
        brows = -0.1 * self.frame.unit * self.frame.down
        return np.maximum(*(self.blob(point + brows, 0.36, 0.47, 0.3) for point in self.points[:2]))

    @cached_property
    def irises(self) -> Array:
        """What the lids leave open."""
        return np.maximum(*(self.blob(point, 0.27, 0.17, 0.5) for point in self.points[:2]))

    @cached_property
    def nose(self) -> Array:
        """Nose with its bridge's end."""
        return self.blob(self.points[2] - 0.1 * self.frame.unit * self.frame.down, 0.34, 0.36, 0.4)

    @cached_property
    def mouth(self) -> Array:
        """Mouth and what lies around it, down to the chin."""
        below = float((self.points[4] - self.points[3]) @ self.frame.down) / self.frame.unit
        below = min(max(below, 0.12), 0.38)
        middle = self.points[3] + (below - 0.22) / 2 * self.frame.unit * self.frame.down
        return self.blob(middle, 0.5, (below + 0.22) / 2, 0.4)

    @cached_property
    def lips(self) -> Array:
        """The mouth itself."""
        return self.blob(self.points[3], 0.34, 0.17, 0.4)

    @cached_property
    def distance(self) -> Array:
        """Of every pixel from between the eyes, in units."""
        return np.asarray(np.hypot(*self.away(self.frame.origin)) / np.float32(self.frame.unit), np.float32)

    def blob(self, middle: Points, half_width: float, half_height: float, soft: float) -> Array:
        """An ellipse of so many units in the face's axes, from full to nothing over ``soft`` of its radii to both sides."""
        across, down = self.along(middle)
        radius = np.hypot(across / np.float32(half_width), down / np.float32(half_height))
        return smoothstep((1 + soft - radius) / (2 * soft))

    def along(self, point: Points) -> tuple[Array, Array]:
        """How far every pixel is off a point along the face's axes, in units."""
        x, y = self.away(point)
        across, down = (
            np.asarray((x * axis[0] + y * axis[1]) / self.frame.unit, np.float32)
            for axis in (self.frame.across, self.frame.down)
        )
        return across, down

    def away(self, point: Points) -> tuple[Array, Array]:
        """x and y of every pixel from a point, in pixels."""
        rows, columns = np.ogrid[: self.size[0], : self.size[1]]
        x = np.broadcast_to(columns - np.float32(point[0]), self.size).astype(np.float32)
        y = np.broadcast_to(rows - np.float32(point[1]), self.size).astype(np.float32)
        return x, y
