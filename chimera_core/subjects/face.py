"""Where faces' eyes, nose, mouth and chin are, be they persons' or animals': a look, then closer ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.face_network import FaceNetwork, face_network
from chimera_core.subjects.face_views import Look, Looker, Points, tiles
from chimera_core.subjects.window import Box

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
# Where the first place turns out to hold no face, others that look like one are tried, until so many were refused.
_WORTH_A_TRY, _REFUSALS = 0.15, 3
# Nearer to a face than this, in units of the larger one, there is no other; nor this near, in units of the smaller one,
# to what was refused.
_SAME, _AS_BEFORE = 1.2, 0.4
_MOST_SLANT = 1.9
# Looks that lie this far apart, in units of the face, make it 1 / e as sure.
_APART = 0.25
# So much of its confidence is left to a face whose eyes are swapped.
_INSIDE_OUT = 0.5


class Face(NamedTuple):
    """A face and where its parts are."""

    points: Points
    """float (5, 2): x, y in pixels of left eye, right eye, nose, mouth, chin; NaN for an eye that is not in sight. Left and
    right are those of the picture, of a face that lies on its side those of the picture turned upright. The middle of
    the top left pixel is (0, 0)."""
    confidence: float
    """In [0, 1]: how surely it is a face, how narrow the places are, and how well the looks agree."""
    box: Box
    """A square of four units (``face_unit``) around it, cut to the picture."""
    person: float = 0.0
    """In [0, 1]: how surely it is a person's, not an animal's."""


def find_face(
    encoder: FeatureEncoder, image: Tensor, *, near: Box | None = None, network: FaceNetwork | None = None
) -> Face | None:
    """Find the face of a person or an animal, the largest of several, and its eyes, nose, mouth and chin.

    Args:
        encoder, image, network: as in ``find_faces``.
        near: a box around the head (top, bottom, left, right), where one is known; without it the picture is
            searched, which takes two to three times as long and may find another face.
    Returns:
        The first of `find_faces`, or None where there is none to be seen.
    Raises:
        ShapeError: if the encoder is another one.
    Source: ours, see FACE.md beside the weights; closer looks: cascades of Sun et al. 2013 (CVPR).
    """
    found = find_faces(encoder, image, most=1, near=near, network=network)
    return found[0] if found else None


def find_faces(
    encoder: FeatureEncoder,
    image: Tensor,
    *,
    most: int = 8,
    near: Box | None = None,
    network: FaceNetwork | None = None,
) -> list[Face]:
    """Find the faces of persons and animals, the largest of those that are nearly as sure first.

    Args:
        encoder: the default one, frozen; the head knows no other's features.
        image: float (3, H, W) in [0, 1], any size.
        most: look for no more than this many; each costs a fifth of what the search costs.
        near: a box around a head (top, bottom, left, right); without it the picture is searched.
        network: None: the one that ships.
    Returns:
        Each face once; empty where there is none to be seen. Beside a face that is sure, one that is smaller than about a
        twentieth of the picture's shorter side between its eyes is not looked for.
    Raises:
        ShapeError: if the encoder is another one.
    Source: ours, see FACE.md beside the weights.
    """
    looker = Looker(encoder, network or face_network(image.device), image)
    longer = max(looker.picture.shape[:2])
    looks = _near(looker, near) if near is not None else _everywhere(looker)
    looks.sort(key=lambda f: f.score * (face_unit(f.points) / longer) ** _LARGER, reverse=True)
    found: list[Face] = []
    taken: list[Points] = []
    refused: list[Points] = []
    for k, look in enumerate(looks):
        if len(found) == most or len(refused) == _REFUSALS or (k > 0 and look.score < _WORTH_A_TRY):
            break
        if _nearest(look.points, taken, max) < _SAME or _nearest(look.points, refused, min) < _AS_BEFORE:
            continue
        face = _closer(looker, look)
        if face.confidence < LEAST_CONFIDENCE:
            refused.append(look.points)
        elif _nearest(face.points, taken, max) > _SAME:
            found.append(face)
            # Where it was first seen may lie aside.
            taken += [face.points, look.points]
    return found


def _near(looker: Looker, box: Box) -> list[Look]:
    top, bottom, left, right = box
    middle, side = np.array([left + right - 1, top + bottom - 1]) / 2, max(bottom - top, right - left, 8)
    return looker.look([(middle, share * side) for share in _WHOLE])


def _everywhere(looker: Looker) -> list[Look]:
    height, width = looker.picture.shape[:2]
    middle = np.array([width - 1, height - 1]) / 2
    found = looker.look([(middle, share * max(height, width)) for share in _WHOLE])
    for share in _TILES:
        if share != _TILES[0] and max(f.score for f in found) > _SURE:
            break
        found += looker.look(tiles(height, width, share * min(height, width)))
    return found


def _nearest(points: Points, others: list[Points], one_of: Callable[[float, float], float]) -> float:
    """Measure the distance to the nearest other face in units of one of both."""
    away = [
        float(np.linalg.norm(np.nanmean(points, 0) - np.nanmean(other, 0)))
        / one_of(face_unit(points), face_unit(other))
        for other in others
    ]
    return min([*away, math.inf])


def _closer(looker: Looker, first: Look) -> Face:
    """Look again and again in a frame that fits the face, upright."""
    height, width = looker.picture.shape[:2]
    points, apart, last = first.points, 0.0, first
    for share, step in _CLOSER:
        shown = _without_hidden(points, last.seen)
        long = face_unit(shown)
        view = (np.nanmean(shown, 0), float(np.clip(long / share / 2, 6, 2 * max(height, width))))
        last = looker.look([view], slant=_slant(shown), mirror=True)[0]
        apart = float(np.median(np.linalg.norm(last.points - points, axis=1))) / long
        points = points + step * (last.points - points)
    points = _without_hidden(points, last.seen)
    confidence = last.score * math.exp(-apart / _APART) * (_INSIDE_OUT if _mirrored(points) else 1.0)
    middle, half = np.nanmean(points, 0), 2 * face_unit(points)
    top, left = (max(0, int(v - half + 0.5)) for v in middle[::-1])
    bottom, right = (
        min(e, int(v + half + 0.5) + 1) for v, e in zip(middle[::-1], (height, width), strict=True)
    )
    return Face(points, confidence, (top, bottom, left, right), last.person)


def _mirrored(points: Points) -> bool:
    """Return whether the eyes lie the wrong way round to the mouth: then they are an eye and an ear, or no eyes."""
    (x, y), (u, v) = points[1] - points[0], points[3] - points[:2].mean(0)
    return bool(x * v - y * u < -0.2 * face_unit(points) ** 2)


def _slant(points: Points) -> float:
    """Tell the angle that lays the eyes level; 0 where one is hidden, or where they stand nearly above each other."""
    across, down = points[1] - points[0]
    if not math.hypot(across, down) > 0.5 * face_unit(points):
        return 0.0
    slant = -math.atan2(down, across)
    return slant if abs(slant) < _MOST_SLANT else 0.0


def _without_hidden(points: Points, seen: NDArray[np.float64]) -> Points:
    """Blank the less certain eye where it is not in sight; what else is hidden is a guess worth having."""
    shown = points.copy()
    worse = int(seen[1] < seen[0])
    if seen[worse] < 0.5:
        shown[worse] = np.nan
    return shown


def face_unit(points: Points) -> float:
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
