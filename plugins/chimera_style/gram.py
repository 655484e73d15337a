"""The mathematics of style transfer inside a mask: pure functions, no network and no state.

C channels, H and W pixels of a picture, h and w cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chimera_core.api import shrink_mask

# A mask that covers less than this many cells says nothing about style; it keeps divisions finite.
_LEAST_CELLS = 1e-3


def masked_gram(features: Tensor, mask: Tensor) -> Tensor:
    """Take the mean outer product of the feature vectors under a mask.

    Args:
        features: float (1, C, h, w).
        mask: float (1, H, W) in [0, 1], at any resolution.
    Returns:
        float (C, C), symmetric, positive semi-definite; it does not grow with the masked area.
    Source: Gatys et al. 2016 (CVPR), equation 3; the guidance mask is Gatys et al. 2017, arXiv:1611.07865, section 4.
    """
    weights = shrink_mask(mask, (features.shape[-2], features.shape[-1])).flatten()
    vectors = features[0].flatten(1) * weights
    return vectors @ vectors.T / weights.square().sum().clamp_min(_LEAST_CELLS)


def mix_grams(gram_sets: Sequence[Sequence[Tensor]], shares: Sequence[float]) -> list[Tensor]:
    """Average several pictures' Gram matrices, level by level.

    Args:
        gram_sets: one list of (C_l, C_l) matrices per picture, the same levels in each.
        shares: one share per picture; they sum to 1.
    """
    return [
        sum((share * gram for share, gram in zip(shares, level, strict=True)), torch.zeros_like(level[0]))
        for level in zip(*gram_sets, strict=True)
    ]


def gram_loss(grams: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Measure how far Gram matrices are from their targets, as a share of the targets' own size.

    Args:
        grams: one (C_l, C_l) matrix per level.
        targets: the same shapes.
    Returns:
        scalar >= 0, averaged over levels; 1 is the distance of an all-zero Gram matrix.
    Source: Gatys et al. 2016; the division by the target's norm is ours: it makes one weight fit every network.
    """
    losses = [
        (gram - target).square().sum() / target.square().sum().clamp_min(1e-12)
        for gram, target in zip(grams, targets, strict=True)
    ]
    return torch.stack(losses).mean()


def content_loss(features: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Measure how far features are from the layout's under a mask, as a share of the layout's energy there.

    Args:
        features: float (1, C, h, w).
        target: the layout's features, same shape.
        mask: float (1, H, W) in [0, 1].
    Returns:
        scalar >= 0.
    Source: Gatys et al. 2016, equation 1, normalised as `gram_loss` is.
    """
    weights = shrink_mask(mask, (features.shape[-2], features.shape[-1]))
    energy = (target * weights).square().sum().clamp_min(1e-12)
    return ((features - target) * weights).square().sum() / energy


def total_variation(image: Tensor) -> Tensor:
    """Take the mean absolute step between neighbouring pixels of a float (3, H, W) image."""
    return image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean()
