"""The closed line around a face along which one picture may pass into another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy import ndimage

from chimera_core.api import blurred, resized
from chimera_portrait.frames import FaceFrame, Points, turn

Array = np.ndarray[Any, np.dtype[np.float32]]

_ANGLES = 96
# Radii tried, as shares of the outline expected, and how many.
_NEAREST, _FARTHEST, _RADII = 0.78, 1.25, 30
# Cost of a path a fifth of the radius off the outline expected, of a step sideways, and of every step.
_OFF, _SIDEWAYS, _STEP = 0.2, 0.02, 0.02
_MOVES = (-2, -1, 0, 1, 2)
# Seams are found at this many pixels per unit, whatever the size: so a creature stays the same.
_SEAM_UNIT = 48.0
# Beside the difference of both pictures: the cost of where the guest's picture ends, and of where its head does; what an
# edge of the canvas, along which a seam hides, is worth.
_UNCOVERED, _BEYOND_HEAD, _EDGE = 2.0, 0.8, 0.12
# The right half of a face's outline, in units from between the eyes; the lower points follow the chin.
_RIGHT = ((0.0, -0.82), (0.55, -0.72), (0.92, -0.3), (1.0, 0.15), (0.95, 0.55))
_LOWER = ((0.72, 0.8), (0.38, 1.0), (0.0, 1.06))
_LEAST_CHIN = 0.95


@dataclass(frozen=True)
class Outline:
    """A closed line around ``centre`` (2,): ``radii`` (n,) in pixels over n even angles, from -pi on, off ``slant``."""

    centre: Points
    radii: Array
    slant: float

    @classmethod
    def expected(cls, points: Points) -> Outline:
        """Give the outline that five points make one expect."""
        frame, aside = FaceFrame.of(points), 0.5 * turn(points)
        chin = max(_LEAST_CHIN, float((points[4] - frame.origin) @ frame.down) / frame.unit)
        right = [*_RIGHT, *((x, y * chin) for x, y in _LOWER)]
        corners = np.array(right + [(-x, y) for x, y in right[-2:0:-1]])
        corners[:, 0] += aside
        centre = np.array([aside, 0.3])
        away = corners - centre
        angles, radii = np.arctan2(away[:, 1], away[:, 0]), np.hypot(away[:, 0], away[:, 1])
        order = np.argsort(angles)
        angles, radii = angles[order], radii[order]
        around = np.concatenate([angles - 2 * np.pi, angles, angles + 2 * np.pi])
        even = np.interp(_even_angles(), around, np.tile(radii, 3))
        smooth = ndimage.gaussian_filter1d(even, _ANGLES / 40, mode="wrap")
        slant = float(np.arctan2(frame.across[1], frame.across[0]))
        return cls(frame.at(*centre), (smooth * frame.unit).astype(np.float32), slant)

    def scaled(self, scale: float) -> Outline:
        """Give it in a picture resized by ``scale``."""
        return Outline((self.centre + 0.5) * scale - 0.5, self.radii * np.float32(scale), self.slant)

    def stretched(self, shares: Any) -> Outline:
        """Multiply its radii by ``shares`` (n,)."""
        return Outline(self.centre, (self.radii * shares).astype(np.float32), self.slant)

    def depth(self, shape: tuple[int, int]) -> Array:
        """Return how many pixels every pixel of (h, w) is inside the line, along its ray; negative outside."""
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        x, y = columns - np.float32(self.centre[0]), rows - np.float32(self.centre[1])
        angles = np.mod(np.arctan2(y, x) - self.slant + np.pi, 2 * np.pi) - np.pi
        ends = np.append(self.radii, self.radii[0])
        radii = np.interp(angles, np.append(_even_angles(), np.pi), ends)
        return np.asarray(radii - np.hypot(x, y), np.float32)


def cheapest(outline: Outline, cost: Array) -> Array:
    """Find the closed line near an outline along which a cost is least.

    Args:
        outline: where it is expected.
        cost: float32 (h, w), none negative, about 1 where it should not pass.
    Returns:
        float32 (n,): its radii as shares of the outline's.
    Source: dynamic programming over angle and radius, closed by trying where it starts.
    """
    shares = np.linspace(_NEAREST, _FARTHEST, _RADII)
    angles = _even_angles() + outline.slant
    x = outline.centre[0] + np.cos(angles)[:, None] * outline.radii[:, None] * shares
    y = outline.centre[1] + np.sin(angles)[:, None] * outline.radii[:, None] * shares
    read = cv2.remap(
        cost, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    local = read + _OFF * ((shares - 1) / 0.2) ** 2 + _STEP
    # Row s of the table: the cheapest way that started at radius s, to every radius.
    starts = np.arange(0, _RADII, 3)
    table = np.full((len(starts), _RADII), np.inf)
    table[np.arange(len(starts)), starts] = local[0, starts]
    came_from = []
    for index in range(1, _ANGLES + 1):
        steps = np.full((len(_MOVES), *table.shape), np.inf)
        for k, move in enumerate(_MOVES):
            to = slice(max(0, move), _RADII + min(0, move))
            source = slice(max(0, -move), _RADII - max(0, move))
            steps[k][:, to] = table[:, source] + _SIDEWAYS * abs(move)
        best = steps.argmin(0)
        came_from.append(np.arange(_RADII) - np.array(_MOVES)[best])
        table = np.take_along_axis(steps, best[None], 0)[0] + local[index % _ANGLES]
    start = int(table[np.arange(len(starts)), starts].argmin())
    radius, path = int(starts[start]), []
    for back in reversed(came_from):
        radius = int(back[start, radius])
        path.append(radius)
    return np.asarray(ndimage.gaussian_filter1d(shares[path[::-1]], 1.5, mode="wrap"), np.float32)


def seam_depth(canvas: Array, guest: Array, guest_alpha: Array, covered: Array, points: Points) -> Array:
    """Find the seam small, and tell how far inside it every pixel is.

    Args:
        canvas: float32 (h, w, 3).
        guest: the same, in the same shape.
        guest_alpha: float32 (h, w), its head.
        covered: float32 (h, w), units inside the guest's picture.
        points: float (5, 2), the face's.
    Returns:
        float32 (h, w) in units, negative outside.
    """
    height, width = covered.shape
    unit = FaceFrame.of(points).unit
    scale = min(1.0, _SEAM_UNIT / unit)
    small = (max(8, round(height * scale)), max(8, round(width * scale)))
    outline = Outline.expected(points)
    there = outline.scaled(scale)
    own, other = (blurred(resized(picture, small), 1.5) for picture in (canvas, guest))
    face = there.stretched(0.8).depth(small) > 0
    if face.any():
        # Colours are brought together later: the seam only looks at what differs in structure.
        gain = (own[face].std(0) + 0.05) / (other[face].std(0) + 0.05)
        other = (other - other[face].mean(0)) * gain + own[face].mean(0)
    grey = own.mean(-1)
    edges = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    edges = np.minimum(edges / (np.quantile(edges, 0.95) + 1e-6), 1.2)
    cost = np.abs(own - other).sum(-1) + _BEYOND_HEAD * (1 - resized(guest_alpha, small))
    cost = cost + _UNCOVERED * resized(covered < 0.03, small) + _EDGE * (1.2 - edges)
    shares = cheapest(there, np.asarray(cost, np.float32))
    return np.asarray(outline.stretched(shares).depth((height, width)) / np.float32(unit), np.float32)


def _even_angles() -> Any:
    return np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False)
