"""The mathematics of style transfer inside a mask: pure functions, no network and no state.

C channels, H and W pixels of a picture, h and w cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# A mask that covers less than this many cells says nothing about style; it keeps divisions finite.
_LEAST_CELLS = 1e-3


def shrink_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Average a mask down (or up) to the cells of a feature map.

    Args:
        mask: float (1, H, W) in [0, 1].
        size: (h, w), the cells of the map.
    Returns:
        float (1, h, w): the share of every cell that the mask covers.
    """
    return F.interpolate(mask[None], size, mode="area")[0]


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


def transfer_colour(image: Tensor, mask: Tensor, model: Tensor, model_mask: Tensor) -> Tensor:
    """Give an image the mean and the covariance of another's colours, moving each colour as little as possible.

    Args:
        image: float (3, H, W) in [0, 1]; all of it is mapped, the mask only says where colours are measured.
        mask: float (1, H, W) in [0, 1].
        model: float (3, H2, W2) in [0, 1], whose colours are taken.
        model_mask: float (1, H2, W2) in [0, 1].
    Returns:
        float (3, H, W) in [0, 1].
    Source: Pitie and Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping", equation 12.
    """
    mean, covariance = _colour_statistics(image, mask)
    model_mean, model_covariance = _colour_statistics(model, model_mask)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    matrix = inverse @ _power(root @ model_covariance @ root, 0.5) @ inverse
    return (matrix @ (image.flatten(1) - mean) + model_mean).view_as(image).clamp(0, 1)


def colour_spread(image: Tensor, mask: Tensor) -> Tensor:
    """Give the matrix (3, 3) that turns white noise into noise of a picture's colours: their covariance's root.

    Args:
        image: float (3, H, W) in [0, 1].
        mask: float (1, H, W) in [0, 1], where colours are measured.
    """
    return _power(_colour_statistics(image, mask)[1], 0.5)


def _colour_statistics(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and covariance (3, 3) of the colours under a mask."""
    weights = mask.flatten() / mask.sum().clamp_min(_LEAST_CELLS)
    colours = image.flatten(1)
    mean = (colours * weights).sum(1, keepdim=True)
    centred = colours - mean
    # The ridge (a hundredth of the pixel range, squared) lets grey and one-colour pictures be inverted.
    return mean, (centred * weights) @ centred.T + 1e-4 * torch.eye(3, dtype=image.dtype, device=image.device)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Power of a symmetric positive semi-definite matrix."""
    values: Tensor
    vectors: Tensor
    # On the CPU: the oldest torch that we take has no eigh for Apple's GPUs, and 3 x 3 numbers travel at no cost.
    values, vectors = torch.linalg.eigh(matrix.cpu())
    return ((vectors * values.clamp_min(1e-8).pow(exponent)) @ vectors.T).to(matrix)
