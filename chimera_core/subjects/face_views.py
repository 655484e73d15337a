"""Squares of a picture, turned upright and shrunk, and what the face network sees in them.

Places are pixels whose centres lie at whole numbers, as OpenCV counts: the middle of the top left pixel is (0, 0).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.face_network import (
    LEVELS,
    MIRRORED,
    VIEW,
    FaceAnswer,
    FaceNetwork,
    peaks,
    view_features,
)

Points = NDArray[np.float64]
Picture = NDArray[np.uint8]

_BATCH = 8


class Look(NamedTuple):
    """What the network sees in one view."""

    points: Points
    """float (5, 2): x, y in pixels of the picture."""
    mass: NDArray[np.float64]
    """(5,) in [0, 1]: how narrow each place is."""
    seen: NDArray[np.float64]
    """(5,) in [0, 1]: whether each point is in sight."""
    face: float
    person: float

    @property
    def score(self) -> float:
        """Multiply the chance of a face with the narrowness of its points."""
        return self.face * float(self.mass[:4].mean())


class Looker:
    """Looks at squares of one picture.

    Args:
        encoder: the default one, frozen.
        image: float (3, H, W) in [0, 1].
    """

    def __init__(self, encoder: FeatureEncoder, network: FaceNetwork, image: Tensor) -> None:
        self.encoder, self.network, self.device = encoder, network, image.device
        self.picture: Picture = (
            (image.detach().permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
        )

    def look(
        self, views: list[tuple[Points, float]], *, slant: float = 0.0, mirror: bool = False
    ) -> list[Look]:
        """Look at squares (middle, half of the side); ``mirror``: at their mirror images too."""
        found = []
        for start in range(0, len(views), _BATCH):
            cut = [turned_view(self.picture, *view, slant) for view in views[start : start + _BATCH]]
            x = torch.from_numpy(np.stack([view for view, _ in cut])).to(self.device).permute(0, 3, 1, 2)
            answer = self._answer(x.float() / 255, mirror=mirror)
            points, mass = (t.double().cpu().numpy() for t in peaks(answer.heat))
            seen = answer.seen.sigmoid().double().cpu().numpy()
            face, person = answer.face.sigmoid().tolist(), answer.person.sigmoid().tolist()
            for k, (_, matrix) in enumerate(cut):
                back = np.linalg.inv(matrix[:, :2])
                there = (points[k] * VIEW - 0.5 - matrix[:, 2]) @ back.T
                found.append(Look(there, mass[k], seen[k], face[k], person[k]))
        return found

    def _answer(self, x: Tensor, *, mirror: bool) -> FaceAnswer:
        with torch.no_grad():
            one = self._once(x)
            if not mirror:
                return one
            two = self._once(x.flip(-1))
        heat, seen = two.heat.flip(-1)[:, MIRRORED], two.seen[:, MIRRORED]
        pairs = zip(one, (heat, seen, two.face, two.person), strict=True)
        return FaceAnswer(*((a + b) / 2 for a, b in pairs))

    def _once(self, x: Tensor) -> FaceAnswer:
        maps = self.encoder.feature_maps(x.contiguous(memory_format=torch.channels_last), LEVELS)
        answer: FaceAnswer = self.network(view_features(maps))
        return answer


def tiles(height: int, width: int, side: float) -> list[tuple[Points, float]]:
    """Lay squares (middle, half of the side) over a picture that overlap by half or more."""
    rows, columns = (max(1, math.ceil(2 * (e - side) / side) + 1) for e in (height, width))
    return [
        (np.array([x, y]) - 0.5, side / 2)
        for y in np.linspace(side / 2, height - side / 2, rows)
        for x in np.linspace(side / 2, width - side / 2, columns)
    ]


def turned_view(
    picture: Picture,
    middle: Points,
    half: float,
    slant: float,
    *,
    mirror: bool = False,
    border: int = cv2.BORDER_REPLICATE,
    ground: Picture | None = None,
) -> tuple[Picture, Points]:
    """Cut a square around a point, turned upright.

    Args:
        picture: uint8 (H, W, 3).
        middle: float (2,): x, y of the view's middle.
        half: half of the square's side in pixels.
        slant: angle in radians by which the view turns the picture.
        mirror: whether left and right change places.
        border: OpenCV's code of what lies beyond the picture's edge, unless ``ground`` does.
        ground: uint8 (224, 224, 3), seen beyond the edge.
    Returns:
        uint8 (224, 224, 3), and float (2, 3): the affine map from the picture's pixels to the view's.
    """
    scale = VIEW / (2 * half)
    cos, sin = math.cos(slant) * scale, math.sin(slant) * scale
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    if mirror:
        matrix[0] *= -1
    matrix[:, 2] = (VIEW - 1) / 2 - matrix[:, :2] @ middle
    source, there = _shrunk(picture, matrix, scale)
    view: Any = None if ground is None else ground.copy()
    border = border if ground is None else cv2.BORDER_TRANSPARENT
    view = cv2.warpAffine(source, there, (VIEW, VIEW), dst=view, flags=cv2.INTER_LINEAR, borderMode=border)
    return view, matrix


def _shrunk(picture: Picture, matrix: Points, scale: float) -> tuple[Any, Points]:
    """Average pixels away, lest what is finer than a pixel of the view flicker, and fit the map to what is left."""
    source: Any = picture
    there = matrix.copy()
    if scale < 0.6:
        height, width = picture.shape[:2]
        less = (max(1, round(width * scale * 1.2)), max(1, round(height * scale * 1.2)))
        source = cv2.resize(picture, less, interpolation=cv2.INTER_AREA)
        share = np.array([width / less[0], height / less[1]])
        there[:, :2] *= share
        there[:, 2] += matrix[:, :2] @ (share / 2 - 0.5)
    return source, there
