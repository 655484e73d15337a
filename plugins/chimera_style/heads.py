"""What a creature does with heads: the layout's keeps its face, a coat's is no coat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from chimera_core.api import Subject, transfer_colour
from chimera_style.light import blurred

HEAD = 0.45
"""A score above this is head."""

# A piece with this share of the strongest piece's score is a head, too.
_STRONG = 0.5
# Share of the animal's size by which its outline and its head are kept clear of: either may be off by that.
_DOUBTFUL_RIM = 0.015
# A coat that is almost all head gives this share of its animal: what is least like a head.
_LEAST_BODY = 0.25
TINT_HALF_WAY, TINT_FULL = 0.35, 0.7
"""How far a head's colours move toward the coats', at equal weights and without any weight on the layout."""

# The coat fades out over the neck: sigma as a share of the animal's size, and the scores between which it does.
_NECK, _FADE = 0.035, (0.25, 0.6)
# A portrait would stay without a coat. Where the head is a larger share of the animal than the first number the coat
# comes through; at the second as much as the third says.
_PORTRAIT = (0.35, 0.6, 1.0)


def heads_only(scores: Tensor, mask: Tensor) -> Tensor:
    """Drop what is a head in small part only: a camel's hump, a cock's tail.

    Args:
        scores: float (1, H, W), how much each pixel is head, as `head_map` gives it.
        mask: float (1, H, W) in [0, 1], the animal.
    Returns:
        float (1, H, W) in [0, 1]: the scores around pieces that are about as strong as the strongest; two animals have
        two heads. Zeros where there is no piece.
    """
    values = scores[0].cpu().double().numpy()
    pieces, count = ndimage.label((values > HEAD) & (mask[0].cpu().numpy() > 0.5))
    if count == 0:
        return torch.zeros_like(scores)
    strengths = ndimage.sum(values, pieces, range(1, count + 1))
    strong = np.concatenate([[False], strengths >= _STRONG * strengths.max()])
    nearest = ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    near_strong = strong[pieces[nearest[0], nearest[1]]]
    return (scores * torch.from_numpy(near_strong).to(scores)).clamp(0, 1)


def kept(head: Tensor, mask: Tensor) -> Tensor:
    """Return how much of a layout's pixels stay because they are its head.

    Args:
        head: float (1, H, W) in [0, 1], how much each pixel is head.
        mask: float (1, H, W) in [0, 1], the animal.
    Returns:
        float (1, H, W) in [0, 1].
    """
    area = mask.sum().clamp_min(1)
    soft = blurred(head, torch.ones_like(mask), _NECK * math.sqrt(float(area)))
    keep = ((soft - _FADE[0]) / (_FADE[1] - _FADE[0])).clamp(0, 1)
    share = float((keep * mask).sum() / area)
    through = min(max((share - _PORTRAIT[0]) / (_PORTRAIT[1] - _PORTRAIT[0]), 0.0), 1.0) * _PORTRAIT[2]
    return keep * (1 - through)


def head_share(head: Tensor, mask: Tensor) -> float:
    """Give the share of an animal that its head covers; arguments as in `kept`."""
    return float(((head > HEAD) * mask).sum() / mask.sum().clamp_min(1))


def body_of(mask: Tensor, head: Tensor) -> Tensor:
    """Find what of a coat's animal surely is its body.

    Args:
        mask: float (1, H, W) in [0, 1], the animal.
        head: float (1, H, W) in [0, 1], how much each pixel is head.
    Returns:
        float (1, H, W) of 0 and 1; where the animal is almost all head, the quarter that is least like one.
    """
    animal = mask[0].cpu().numpy()
    solid = animal > 0.9
    if not solid.any():
        solid = animal >= animal.max()
    rim = max(1, round(_DOUBTFUL_RIM * math.sqrt(solid.sum())))
    # The frame's edge is no outline.
    inside = ndimage.binary_erosion(solid, iterations=rim, border_value=1)
    if inside.sum() < 0.25 * solid.sum():  # a thin animal, a snake say, would vanish
        inside = ndimage.binary_erosion(solid, iterations=1, border_value=1)
    if not inside.any():
        inside = solid
    score = ndimage.gaussian_filter(head[0].cpu().double().numpy(), rim)
    body = inside & ~ndimage.binary_dilation(score > HEAD, iterations=rim)
    if body.sum() < _LEAST_BODY * inside.sum():
        rank = max(1, int(_LEAST_BODY * inside.sum()))
        least_head = torch.from_numpy(score[inside]).kthvalue(rank).values
        body = inside & (score <= float(least_head))
    return torch.from_numpy(body).to(mask)[None]


def tinted(picture: Subject, coats: Sequence[Subject], shares: Sequence[float]) -> Tensor:
    """Give a layout the coats' colours, without their markings: what its head moves toward.

    Args:
        picture: the layout's canvas and mask.
        coats: pictures, and what of them is coat.
        shares: one per coat, sum 1.
    Returns:
        float (3, H, W) in [0, 1].
    """
    parts = [
        share * transfer_colour(*picture, *coat) for coat, share in zip(coats, shares, strict=True) if share
    ]
    return torch.stack(parts).sum(0)


def with_head(body: Tensor, canvas: Subject, keep: Tensor, colours: Tensor, *, tint: float) -> Tensor:
    """Put the layout's head on a drawing.

    Args:
        body: float (3, H, W), the drawing.
        canvas: the layout at the same size.
        keep: float (1, H, W) in [0, 1], as `kept` gives it.
        colours: float (3, H, W), as `tinted` gives them.
        tint: how far the head's colours move there, in [0, 1].
    """
    return body + keep * (canvas.image + tint * (colours - canvas.image) - body)
