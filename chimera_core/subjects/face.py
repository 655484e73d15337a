"""Where a face's eyes, nose, mouth and chin are, be it a person's or an animal's: a look, then closer ones."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chimera_core.interfaces import FeatureEncoder
from chimera_core.subjects.face_network import (
    LEVELS,
    MIRRORED,
    VIEW,
    FaceAnswer,
    FaceNetwork,
    face_network,
    peaks,
    view_features,
)
from chimera_core.subjects.window import Box

Points = NDArray[np.float64]
Picture = NDArray[np.uint8]

# Below this confidence there is no face. See FACE.md for what either choice costs.
LEAST_CONFIDENCE = 0.45
# Without a hint the whole picture is looked at from two distances, then tiles of these shares of its shorter side,
# the smaller ones only where nothing was found before.
_WHOLE = (0.52, 0.8)
_TILES = (0.62, 0.36)
_SURE = 0.5
# Closer looks: share of the view's side that a face's unit takes, and how far the new points go before the old ones.
# What the first look saw is dropped: one wild point would turn and stretch the frame of all that follow.
_CLOSER = ((0.26, 1.0), (0.28, 0.65))
# Of two faces, the larger one is meant, if it is nearly as sure.
_LARGER = 0.35
_MOST_SLANT = 1.2
# Looks that lie this far apart, in units of the face, make it 1 / e as sure.
_APART = 0.25
_BATCH = 8


class Face(NamedTuple):
    """A face and where its parts are."""

    points: Points
    """float (5, 2): x, y in pixels of left eye, right eye, nose, mouth, chin; NaN for an eye that is not in sight. Left and
    right are those of the picture."""
    confidence: float
    """In [0, 1]: how surely it is a face, how narrow the places are, and how well the looks agree."""
    box: Box
    """A square of four units (``unit``) around it, cut to the picture."""


class _Look(NamedTuple):
    points: Points
    mass: NDArray[np.float64]
    seen: NDArray[np.float64]
    face: float

    @property
    def score(self) -> float:
        """Multiply the chance of a face with the narrowness of its points."""
        return self.face * float(self.mass[:4].mean())


def find_face(
    encoder: FeatureEncoder, image: Tensor, *, near: Box | None = None, network: FaceNetwork | None = None
) -> Face | None:
    """Find the face of a person or an animal, the largest of several, and its eyes, nose, mouth and chin.

    Args:
        encoder: the default one, frozen; the head knows no other's features.
        image: float (3, H, W) in [0, 1], any size.
        near: a box around the head (top, bottom, left, right), where one is known; without it the picture is
            searched, which takes two to three times as long and may find another face.
        network: None: the one that ships.
    Returns:
        The face, or None where there is none to be seen.
    Raises:
        ShapeError: if the encoder is another one.
    Source: ours, see FACE.md beside the weights; closer looks: cascades of Sun et al. 2013 (CVPR).
    """
    network = network or face_network(image.device)
    picture = (image.detach().permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
    height, width = picture.shape[:2]

    def look(views: list[tuple[Points, float]]) -> list[_Look]:
        return _look(encoder, network, picture, views, image.device)

    if near is not None:
        top, bottom, left, right = near
        middle, side = np.array([left + right, top + bottom]) / 2, max(bottom - top, right - left, 8)
        found = look([(middle, share * side) for share in _WHOLE])
    else:
        middle = np.array([width, height]) / 2
        found = look([(middle, share * max(height, width)) for share in _WHOLE])
        for share in _TILES:
            if share != _TILES[0] and max(f.score for f in found) > _SURE:
                break
            found += look(_tiles(height, width, share * min(height, width)))
    best = max(found, key=lambda f: f.score * (unit(f.points) / max(height, width)) ** _LARGER)
    return _closer(encoder, network, picture, best, image.device)


def _closer(
    encoder: FeatureEncoder, network: FaceNetwork, picture: Picture, first: _Look, device: torch.device
) -> Face | None:
    """Look again and again in a frame that fits the face, upright."""
    height, width = picture.shape[:2]
    points, apart, last = first.points, 0.0, first
    for share, step in _CLOSER:
        shown = _without_hidden(points, last.seen)
        long = unit(shown)
        view = (np.nanmean(shown, 0), float(np.clip(long / share / 2, 6, 2 * max(height, width))))
        last = _look(encoder, network, picture, [view], device, slant=_slant(shown), mirror=True)[0]
        apart = float(np.median(np.linalg.norm(last.points - points, axis=1))) / long
        points = points + step * (last.points - points)
    confidence = last.score * math.exp(-apart / _APART)
    if confidence < LEAST_CONFIDENCE:
        return None
    points = _without_hidden(points, last.seen)
    middle, half = np.nanmean(points, 0), 2 * unit(points)
    top, left = (max(0, int(v - half)) for v in middle[::-1])
    bottom, right = (min(e, int(v + half) + 1) for v, e in zip(middle[::-1], (height, width), strict=True))
    return Face(points, confidence, (top, bottom, left, right))


def _slant(points: Points) -> float:
    """Tell the angle that lays the eyes level; 0 where one is hidden, or where they stand nearly above each other."""
    across, down = points[1] - points[0]
    if not math.hypot(across, down) > 0.5 * unit(points):
        return 0.0
    slant = -math.atan2(down, across)
    return slant if abs(slant) < _MOST_SLANT else 0.0


def _look(
    encoder: FeatureEncoder,
    network: FaceNetwork,
    picture: Picture,
    views: list[tuple[Points, float]],
    device: torch.device,
    *,
    slant: float = 0.0,
    mirror: bool = False,
) -> list[_Look]:
    """Look at squares (middle, half of the side); ``mirror``: at their mirror images too."""
    found = []
    for start in range(0, len(views), _BATCH):
        cut = [turned_view(picture, middle, half, slant) for middle, half in views[start : start + _BATCH]]
        x = torch.from_numpy(np.stack([view for view, _ in cut])).to(device).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            heat, seen, face = _answer(encoder, network, x)
            if mirror:
                other = _answer(encoder, network, x.flip(-1))
                heat = (heat + other.heat.flip(-1)[:, MIRRORED]) / 2
                seen, face = (seen + other.seen[:, MIRRORED]) / 2, (face + other.face) / 2
        points, mass = (t.double().cpu().numpy() for t in peaks(heat))
        chances = seen.sigmoid().double().cpu().numpy()
        for k, (_, matrix) in enumerate(cut):
            back = np.linalg.inv(matrix[:, :2])
            there = (points[k] * VIEW - matrix[:, 2]) @ back.T
            found.append(_Look(there, mass[k], chances[k], float(face[k].sigmoid())))
    return found


def _answer(encoder: FeatureEncoder, network: FaceNetwork, x: Tensor) -> FaceAnswer:
    maps = encoder.feature_maps(x.contiguous(memory_format=torch.channels_last), LEVELS)
    answer: FaceAnswer = network(view_features(maps))
    return answer


def _tiles(height: int, width: int, side: float) -> list[tuple[Points, float]]:
    """Lay squares over the picture that overlap by half or more."""
    rows, columns = (max(1, math.ceil(2 * (e - side) / side) + 1) for e in (height, width))
    return [
        (np.array([x, y]), side / 2)
        for y in np.linspace(side / 2, height - side / 2, rows)
        for x in np.linspace(side / 2, width - side / 2, columns)
    ]


def _without_hidden(points: Points, seen: NDArray[np.float64]) -> Points:
    """Blank the less certain eye where it is not in sight; what else is hidden is a guess worth having."""
    shown = points.copy()
    worse = int(seen[1] < seen[0])
    if seen[worse] < 0.5:
        shown[worse] = np.nan
    return shown


def unit(points: Points) -> float:
    """Measure a face: the distance of its eyes, or 0.85 of that from eyes to nose where it is turned aside.

    Args:
        points: float (5, 2): eyes, nose, mouth, chin; NaN where hidden.
    Returns:
        In pixels of the points, at least 1e-6.
    """
    left, right, nose, mouth, chin = points
    eyes = np.nanmean(points[:2], 0) if np.isfinite(points[:2]).any() else np.full(2, np.nan)
    lengths = [
        float(np.linalg.norm(right - left)),
        0.85 * float(np.linalg.norm(nose - eyes)),
        0.6 * float(np.linalg.norm(mouth - eyes)),
        0.5 * float(np.linalg.norm(chin - eyes)),
    ]
    known = [length for length in lengths[:2] if math.isfinite(length)]
    known = known or [length for length in lengths if math.isfinite(length)]
    return max([*known, 1e-6])


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
        uint8 (224, 224, 3), and float (2, 3): the affine map from picture to view.
    """
    scale = VIEW / (2 * half)
    cos, sin = math.cos(slant) * scale, math.sin(slant) * scale
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    if mirror:
        matrix[0] *= -1
    matrix[:, 2] = VIEW / 2 - matrix[:, :2] @ middle
    source: Any = picture
    if scale < 0.6:  # lest what is finer than a pixel of the view flicker
        source = cv2.GaussianBlur(picture, (0, 0), 0.45 / scale)
    view: Any = None if ground is None else ground.copy()
    border = border if ground is None else cv2.BORDER_TRANSPARENT
    view = cv2.warpAffine(source, matrix, (VIEW, VIEW), dst=view, flags=cv2.INTER_LINEAR, borderMode=border)
    return view, matrix
