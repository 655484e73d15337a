"""Which pixels are an animal's head: a decoder on frozen features that sees the head's surroundings closely."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.head import HEAD_SCORE
from chimera_core.subjects.outline_network import LEVELS, head_decoder

# Side in pixels at which the surroundings are seen, and how many times the head's box they measure: first by what the
# probe takes for head, which is less than all of it, then by what was seen.
VIEW = 256
_ROOM = (2.3, 1.75)
_LEAST_SIDE = 16.0


def head_mask(encoder: FeatureEncoder, image: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """Tell head from neck, chest, paws and whatever lies in front of them, pixel by pixel.

    Args:
        encoder: the default encoder (frozen EfficientNet-Lite0); the decoder knows no other features.
        image: float (3, H, W) in [0, 1].
        scores: float (1, H, W) in [0, 1], where the head is about (``head_map``).
        mask: float (1, H, W) in [0, 1], where the animal is.
    Returns:
        float (1, H, W) in [0, 1] on the CPU: the probability of head, of one animal; zeros where ``scores`` shows none.
        It is not cut to the mask.
    Raises:
        ShapeError: if the encoder is another one.
    Source: ours, see HEAD.md beside its weights.
    """
    found = torch.zeros(1, *image.shape[-2:])
    hot = (scores[0].cpu() > HEAD_SCORE) & (mask[0].cpu() > 0.5)
    strength = scores[0].cpu()
    for room in _ROOM:
        box = _strongest(hot, strength)
        if box is None:
            return found
        middle, side = box
        found = _seen(encoder, image, middle, max(_LEAST_SIDE, room * side))
        hot, strength = (found[0] > 0.5) & (mask[0].cpu() > 0.5), found[0]
    return found


def _strongest(hot: Tensor, strength: Tensor) -> tuple[tuple[float, float], float] | None:
    """Give middle (x, y) and longer side of the piece of a mask (H, W) that holds most strength; None where none is."""
    pieces, count = ndimage.label(hot.numpy())
    if count == 0:
        return None
    held = ndimage.sum(strength.numpy(), pieces, range(1, count + 1))
    rows, columns = (pieces == 1 + int(held.argmax())).nonzero()
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    return (float(left + right) / 2, float(top + bottom) / 2), float(max(bottom - top, right - left))


def _seen(encoder: FeatureEncoder, image: Tensor, middle: tuple[float, float], side: float) -> Tensor:
    """See a square of the picture, and its mirror image; what lies outside the picture repeats its edge."""
    height, width = image.shape[-2:]
    left, top = (round(at - side / 2) for at in middle)
    size = round(side)
    rows = torch.arange(top, top + size).clamp(0, height - 1)
    columns = torch.arange(left, left + size).clamp(0, width - 1)
    view = image[:, rows.to(image.device)][:, :, columns.to(image.device)][None]
    view = F.interpolate(view, (VIEW, VIEW), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    with torch.no_grad():
        maps = encoder.feature_maps(torch.cat([view, view.flip(-1)]), LEVELS)
        odds = head_decoder(maps[0].device)(maps).cpu()
    odds = (odds[:1] + odds[1:].flip(-1)) / 2
    odds = F.interpolate(odds, (size, size), mode="bilinear", antialias=True, align_corners=False)
    whole = torch.zeros(1, height, width)
    there = slice(max(0, top), min(height, top + size)), slice(max(0, left), min(width, left + size))
    seen = (
        slice(there[0].start - top, there[0].stop - top),
        slice(there[1].start - left, there[1].stop - left),
    )
    whole[:, *there] = odds[0].sigmoid()[:, *seen]
    return whole
