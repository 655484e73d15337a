"""Find the animal in a photograph: its outline, and how sure that is.

A small decoder on an encoder's features (``outline_network``) says where the animal is; a small animal is looked at
again in a closer crop. ``fine`` goes on: what looks like that (a linear discriminant on shallow features), and where
its edge runs (GrabCut).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.edges import follow_edges, one_animal, scaled
from chimera_core.subjects.outline_network import LEVELS, outline_decoder
from chimera_core.subjects.window import Box, box_area, cut_box, or_whole

Quality = Literal["fine", "fast"]

# Longer sides in pixels at which a view is seen; what is fine in one is coarse in the next.
_LOOKS: dict[Quality, tuple[int, ...]] = {"fine": (256, 384), "fast": (320,)}
# A box under half of the frame is looked at again, closer; what is seen there counts about twice as much.
_SMALL_SUBJECT = 0.5
_MOST_LOOKS = 3
_CLOSER_WEIGHT = 0.65
_LEAST_BOX_SIDE = 24
# Fewer pixels than this share of the picture, at most, are crumbs.
_LEAST_SHARE = 5e-4
# Odds beyond e to this power are taken for no more, lest one view outvote the others.
_MOST_ODDS = 8.0
# Outside the pieces that are kept a pixel is an animal's with this chance at most.
_CRUMB_CHANCE = 0.2
# On other animals the chance is so low that GrabCut leaves them to the ground.
_OTHERS_CHANCE = 0.02
_RIM, _SPECK = np.ones((7, 7), np.uint8), np.ones((3, 3), np.uint8)


class Outline(NamedTuple):
    """What was found in a picture."""

    mask: Tensor
    """float (1, H, W) in [0, 1]; all zeros where no animal is seen."""
    confidence: float
    """In [0, 1]: how certain the pixels within are, times how well the mirror image agrees; 0 where nothing is seen."""


def find_outline(encoder: FeatureEncoder, image: Tensor, *, quality: Quality = "fine") -> Outline:
    """Outline the animal of a photograph, the foremost of several; a person is one, too.

    Args:
        encoder: the default one, frozen; the decoder knows no other's features.
        image: float (3, H, W) in [0, 1], any size.
        quality: ``fine`` follows edges of colour; ``fast`` is what the decoder says, in a third of the time.
    Returns:
        The mask, on the image's device, and the confidence.
    Raises:
        ShapeError: if the encoder is another one.
    Source: the decoder: ours, see OUTLINE.md beside its weights; GrabCut: Rother et al. 2004.
    """
    views = _look(encoder, image, _LOOKS[quality])
    chances = views.mean(0).sigmoid()
    subject = one_animal((chances > 0.5).cpu().numpy(), chances.cpu().numpy())
    if subject.sum() < max(8, _LEAST_SHARE * subject.size):
        return Outline(torch.zeros_like(image[:1]), 0.0)
    confidence = _confidence(views, subject)
    soft = _without_crumbs(chances, subject)[None]
    if quality == "fast":
        return Outline(soft, confidence)
    box = _box_around(subject, margin=0.3)
    found = follow_edges(encoder, cut_box(image, box), cut_box(_without_others(chances, subject), box))
    if not bool((found > 0.5).any()):  # GrabCut took all of it for ground
        return Outline(soft, confidence)
    # GrabCut knows edges and takes shadows along, the decoder knows animals and is coarse: both have a say, and
    # where they differ nothing is left half transparent.
    mask = torch.zeros_like(soft)
    cut_box(mask, box)[:] = ((found + cut_box(soft, box)) - 0.5).clamp(0, 1)
    return Outline(mask, confidence)


def find_subject(encoder: FeatureEncoder, image: Tensor, *, quality: Quality = "fine") -> Tensor:
    """Mask the animal of a photograph, or all of it where nothing stands out. See ``find_outline``.

    Returns:
        float (1, H, W) in [0, 1], on the image's device.
    """
    return or_whole(find_outline(encoder, image, quality=quality).mask)


def _look(encoder: FeatureEncoder, image: Tensor, sizes: Sequence[int]) -> Tensor:
    """Give log-odds of "animal" as seen straight and mirrored, (2, H, W); small animals are seen closer, too."""
    height, width = image.shape[-2:]
    odds = _log_odds(encoder, image, sizes)
    box: Box = (0, height, 0, width)
    for _ in range(1, _MOST_LOOKS):
        chances = cut_box(odds, box).mean(0).sigmoid().cpu().numpy()
        subject = one_animal(chances > 0.5, chances)
        if not subject.any():
            break
        inner = _box_around(subject, margin=0.2)
        closer = (box[0] + inner[0], box[0] + inner[1], box[2] + inner[2], box[2] + inner[3])
        small = min(closer[1] - closer[0], closer[3] - closer[2]) < _LEAST_BOX_SIDE
        if small or box_area(closer) > _SMALL_SUBJECT * box_area(box):
            break
        seen = _log_odds(encoder, cut_box(image, closer), sizes)
        again = (1 - _CLOSER_WEIGHT) * cut_box(odds, closer) + _CLOSER_WEIGHT * seen
        # Other animals far from this one were crumbs beside it.
        odds = torch.full_like(odds, -_MOST_ODDS)
        cut_box(odds, closer)[:] = again
        box = closer
    return odds


def _log_odds(encoder: FeatureEncoder, image: Tensor, sizes: Sequence[int]) -> Tensor:
    """Run the decoder on a picture and its mirror image, averaged over sizes: (2, H, W)."""
    decoder = outline_decoder(image.device)
    total = torch.zeros(2, *image.shape[-2:], device=image.device)
    for size in sizes:
        view = scaled(image[None], size)
        pair = torch.cat([view, view.flip(-1)]).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            odds = decoder(encoder.feature_maps(pair, LEVELS)).clamp(-_MOST_ODDS, _MOST_ODDS)
        odds = torch.stack([odds[0], odds[1].flip(-1)])
        total += F.interpolate(odds, image.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return total / len(sizes)


def _confidence(views: Tensor, subject: NDArray[np.bool_]) -> float:
    """Multiply the mean chance within the outline with how well straight and mirrored views overlap."""
    inside = torch.from_numpy(subject).to(views.device)
    straight, mirrored = views.sigmoid()
    certainty = (straight + mirrored)[inside].mean() / 2
    overlap = torch.minimum(straight, mirrored).sum() / torch.maximum(straight, mirrored).sum()
    return float(certainty * overlap)


def _without_crumbs(chances: Tensor, subject: NDArray[np.bool_]) -> Tensor:
    """Keep soft chances (H, W) on and around the pieces that count, and push them down elsewhere."""
    near = cv2.dilate(subject.astype(np.uint8), _RIM) > 0
    kept = torch.where(torch.from_numpy(near).to(chances.device), chances, chances.clamp_max(_CRUMB_CHANCE))
    # Pinholes were closed.
    return torch.where(torch.from_numpy(subject).to(chances.device), kept.clamp_min(0.5), kept)


def _without_others(chances: Tensor, subject: NDArray[np.bool_]) -> Tensor:
    """Take back chances (H, W) of other animals, lest GrabCut take them for this one's limbs."""
    others = ((chances > 0.5).cpu().numpy() & ~subject).astype(np.uint8)
    taken = cv2.dilate(cv2.morphologyEx(others, cv2.MORPH_OPEN, _SPECK), _RIM) > 0
    taken &= cv2.dilate(subject.astype(np.uint8), _RIM) == 0
    return torch.where(torch.from_numpy(taken).to(chances.device), chances.clamp_max(_OTHERS_CHANCE), chances)


def _box_around(subject: NDArray[np.bool_], *, margin: float) -> Box:
    """Box a mask (H, W) with something in it, widened by a share of its sides and six pixels."""
    height, width = subject.shape
    rows, columns = np.nonzero(subject)
    top, bottom, left, right = (
        int(edge) for edge in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    )
    down, across = int((bottom - top) * margin) + 6, int((right - left) * margin) + 6
    return max(0, top - down), min(height, bottom + down), max(0, left - across), min(width, right + across)
