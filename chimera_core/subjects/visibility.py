"""How well a picture shows an animal's head and body: what makes it a good parent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from chimera_core.errors import DataError
from chimera_core.images import Picture
from chimera_core.images.pixels import MAX_ASPECT, from_uint8
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.head import head_maps
from chimera_core.subjects.neck import propose_cuts
from chimera_core.subjects.outline import find_outline

# A picture is looked at with this longer side in pixels; looks of outline and head are no larger.
_SIDE = 384

# Each figure with the factor it stands for, straight between the points. Ours, set by eye on photographs of dogs,
# pandas, horses and lions. No factor is 0: where all pictures fail in one thing, the others still order them.
_Points = Sequence[tuple[float, float]]
_OUTLINE: _Points = ((0.4, 0.05), (0.85, 1.0))
# Under about 0.35 fusers take it for no head at all.
_HEAD: _Points = ((0.2, 0.02), (0.35, 0.15), (0.75, 1.0))
# A head of over half of what is in sight leaves no body to put another one on; it may still be put on another's.
_SHARE: _Points = ((0.01, 0.1), (0.05, 1.0), (0.35, 1.0), (0.5, 0.6), (0.75, 0.15))
# Feet on the lower edge are usual, and a cut-out often ends where its animal does.
_BODY_CONTACT: _Points = ((0.25, 1.0), (1.2, 0.3))
_HEAD_CONTACT: _Points = ((0.2, 1.0), (1.5, 0.2))
# In a creature of 512 pixels a head is some 100 pixels large.
_HEAD_SIDE: _Points = ((12, 0.1), (48, 0.8), (96, 1.0))


@dataclass(frozen=True)
class Visibility:
    """What a picture shows of its animal.

    Args:
        outline: how sure the outline is, in [0, 1]; 1 for a cut-out, 0 where no animal was seen.
        head: overlap with the true head that is expected of the best cut's, in [0, 1]; 0 where none was found, as all that follows.
        head_share: share of the animal in sight that the head covers.
        body_contact: length along which the frame cuts the body, by the root of the animal's area.
        head_contact: length along which it cuts the head, by the root of the head's area.
        head_side: root of the head's area, in pixels of the picture.
    """

    outline: float = 0.0
    head: float = 0.0
    head_share: float = 0.0
    body_contact: float = 0.0
    head_contact: float = 0.0
    head_side: float = 0.0

    @property
    def score(self) -> float:
        """How good a parent it is, in [0, 1]: the product of what each figure is worth."""
        return math.prod(
            (
                _worth(self.outline, _OUTLINE),
                _worth(self.head, _HEAD),
                _worth(self.head_share, _SHARE),
                _worth(self.body_contact, _BODY_CONTACT),
                _worth(self.head_contact, _HEAD_CONTACT),
                _worth(self.head_side, _HEAD_SIDE),
            )
        )


def measure_visibility(encoder: FeatureEncoder, picture: Picture) -> Visibility:
    """Look at a picture with the fast outline, for an order among several; half a second on one core.

    Args:
        encoder: the default one, frozen, on the CPU.
        picture: of any size; a cut-out's alpha is its outline.
    Raises:
        DataError: if it is too elongated to be a parent.
    """
    height, width = picture.rgb.shape[:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise DataError(
            f"{picture.name} is {width} x {height}, too elongated: crop it to at most {MAX_ASPECT}:1"
        )
    scale = min(1.0, _SIDE / max(height, width))
    shape = (max(16, round(width * scale)), max(16, round(height * scale)))
    image = from_uint8(cv2.resize(picture.on_white(), shape, interpolation=cv2.INTER_AREA))
    if picture.alpha is not None and bool((picture.alpha < 128).any()):
        mask = from_uint8(cv2.resize(picture.alpha, shape, interpolation=cv2.INTER_AREA))
        sure = 1.0
    else:
        mask, sure = find_outline(encoder, image, quality="fast")
    solid = (mask[0] > 0.5).numpy()
    if not solid.any():
        return Visibility()
    with torch.no_grad():
        scores, *places = head_maps(encoder, image, mask).numpy()
    cuts = propose_cuts(mask[0].numpy(), scores, places=np.stack(places), most=1)
    area = float(solid.sum())
    if not cuts or not cuts[0].head.any():
        return Visibility(outline=sure, body_contact=_contact(solid, area))
    head = cuts[0].head
    size = float(head.sum())
    return Visibility(
        outline=sure,
        head=cuts[0].quality,
        head_share=size / area,
        body_contact=_contact(solid & ~head, area),
        head_contact=_contact(head, size),
        head_side=math.sqrt(size) / scale,
    )


def _contact(mask: NDArray[np.bool_], area: float) -> float:
    """Length of a mask (H, W) along the frame, by the root of an area in pixels."""
    along = sum(int(edge.sum()) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    return along / math.sqrt(area)


def _worth(value: float, points: _Points) -> float:
    return float(np.interp(value, [x for x, _ in points], [y for _, y in points]))
