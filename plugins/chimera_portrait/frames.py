"""Where a face lies and how it is turned: similarities between pictures, and the frame that its points give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chimera_core.api import face_unit

Points = NDArray[np.float64]
"""x, y in pixels, (n, 2); five of a face are left eye, right eye, nose, mouth, chin, as the picture shows them."""

# How much each point counts when two faces are laid on each other: the eyes are found best, the chin worst.
_TRUST = np.array([2.0, 2.0, 1.0, 1.0, 0.4])
# The points of a face's mirror image, in order.
_MIRRORED = (1, 0, 2, 3, 4)


@dataclass(frozen=True)
class Similarity:
    """A map of the plane that scales, turns and shifts: z -> factor z + shift, with z = x + i y in pixels."""

    factor: complex = 1.0 + 0.0j
    shift: complex = 0.0 + 0.0j

    def __call__(self, points: Points) -> Points:
        """Map points (n, 2)."""
        mapped = self.factor * (points[:, 0] + 1j * points[:, 1]) + self.shift
        return np.stack([mapped.real, mapped.imag], 1)

    @property
    def scale(self) -> float:
        """Pixels after it per pixel before it."""
        return abs(self.factor)

    def inverse(self) -> Similarity:
        """Give the map back."""
        return Similarity(1 / self.factor, -self.shift / self.factor)

    def after(self, first: Similarity) -> Similarity:
        """Give the map that does ``first``, then this one."""
        return Similarity(self.factor * first.factor, self.factor * first.shift + self.shift)

    @classmethod
    def resizing(cls, scale: float) -> Similarity:
        """Give the map that resizing a picture by ``scale`` is; pixels have their centres at whole numbers."""
        return cls(complex(scale), complex(0.5 * scale - 0.5, 0.5 * scale - 0.5))

    @classmethod
    def between(cls, start: Points, end: Points) -> Similarity:
        """Lay a face's points (5, 2) on another's, by least squares.

        Source: Umeyama 1991, for points in the plane.
        """
        x, y = start[:, 0] + 1j * start[:, 1], end[:, 0] + 1j * end[:, 1]
        weights = _TRUST / _TRUST.sum()
        x_mean, y_mean = weights @ x, weights @ y
        spread = float(weights @ np.abs(x - x_mean) ** 2)
        factor = complex(weights @ (np.conj(x - x_mean) * (y - y_mean))) / max(spread, 1e-9)
        if abs(factor) < 1e-6:
            factor = 1e-6 + 0j
        return cls(factor, complex(y_mean - factor * x_mean))

    @classmethod
    def on_the_way(cls, start: Similarity, end: Similarity, t: float, *, about: Points) -> Similarity:
        """Go from one map to another, the mean of ``about`` (n, 2, where both maps lead from) on a straight way.

        Both maps lead from a frame to a picture; ``about`` are points of the picture.
        """
        factor = start.factor * np.exp(t * np.log(end.factor / start.factor))
        middle = complex(about[:, 0].mean(), about[:, 1].mean())
        places = [(middle - m.shift) / m.factor for m in (start, end)]
        return cls(complex(factor), complex(middle - factor * ((1 - t) * places[0] + t * places[1])))


class FaceFrame(NamedTuple):
    """The axes of a face: ``origin`` between the eyes, unit vectors ``across`` (to the right eye) and ``down``."""

    origin: Points
    unit: float
    across: Points
    down: Points

    @classmethod
    def of(cls, points: Points) -> FaceFrame:
        """Give the frame of five points."""
        across = points[1] - points[0]
        across = across / max(float(np.linalg.norm(across)), 1e-9)
        return cls((points[0] + points[1]) / 2, face_unit(points), across, np.array([-across[1], across[0]]))

    def at(self, across: float, down: float) -> Points:
        """Give the point (2,) so many units from the origin."""
        return self.origin + self.unit * (across * self.across + down * self.down)

    def ring(self, radius: float, count: int) -> Points:
        """Give ``count`` points of a circle of ``radius`` units about the origin."""
        angles = np.arange(count) * 2 * math.pi / count
        return np.stack([self.at(radius * math.cos(a), radius * math.sin(a)) for a in angles])


def turn(points: Points) -> float:
    """Return how far a face is turned aside: how far the nose is off the eyes' middle, in units, positive to the right."""
    frame = FaceFrame.of(points)
    return float((points[2] - frame.origin) @ frame.across) / frame.unit


def mirrored(points: Points, width: int) -> Points:
    """Give the points of the mirror image of a picture ``width`` pixels wide."""
    flipped = points[list(_MIRRORED)].copy()
    flipped[:, 0] = width - 1 - flipped[:, 0]
    return flipped


def anchors(points: Points) -> Points:
    """Give the points that hold a warp: five that were found, and temples and forehead where the frame expects them.

    Returns:
        float (9, 2).
    """
    frame = FaceFrame.of(points)
    # A head turned aside shows less of one temple.
    aside = 0.35 * turn(points)
    implied = [(-1.05, 0.15), (1.05, 0.15), (-0.6, -0.75), (0.6, -0.75)]
    return np.concatenate([points, [frame.at(x + aside, y) for x, y in implied]])
