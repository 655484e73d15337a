"""Colours of an animal, given to another: pure functions."""

from __future__ import annotations

import torch
from torch import Tensor

# A mask that covers less than this many pixels says nothing about colour; it keeps divisions finite.
_LEAST_PIXELS = 1e-3


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
    weights = mask.flatten() / mask.sum().clamp_min(_LEAST_PIXELS)
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
