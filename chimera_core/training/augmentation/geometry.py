"""Changes of geometry, each image by its own amount. Images are float (N, 3, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def flip(x: Tensor, chosen: Tensor) -> Tensor:
    """Mirror left and right where ``chosen``, bool (N,)."""
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(3), x)


def shift(x: Tensor, down: Tensor, right: Tensor, *, mirrored: Tensor | None = None) -> Tensor:
    """Move images by whole pixels; what comes in from outside is the image reflected at its border.

    Args:
        x: images, float (N, C, H, W).
        down: int64 (N,), smaller than H.
        right: int64 (N,), smaller than W.
        mirrored: bool (N,); these are mirrored afterwards.
    Returns:
        float (N, C, H, W), channels last.
    """
    height, width = x.shape[-2:]
    rows = _reflect(torch.arange(height, device=x.device) - down[:, None], height)
    columns = _reflect(torch.arange(width, device=x.device) - right[:, None], width)
    if mirrored is not None:
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    images = torch.arange(len(x), device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def affine(x: Tensor, matrix: Tensor) -> Tensor:
    """Move images by matrices; black comes in from outside.

    Args:
        x: images, float (N, C, H, W).
        matrix: float (N, 2, 3). It takes the position (right, down) of a pixel of the result, in pixels from the
            centre, to the position in ``x`` where its value is read, bilinearly.
    """
    height, width = x.shape[-2:]
    down = (torch.arange(height, device=x.device) - (height - 1) / 2)[:, None]
    right = torch.arange(width, device=x.device) - (width - 1) / 2
    m = matrix[..., None, None]
    # Elementwise and not affine_grid, whose matrix product may round differently for another number of images.
    source_right = m[:, 0, 0] * right + m[:, 0, 1] * down + m[:, 0, 2]
    source_down = m[:, 1, 0] * right + m[:, 1, 1] * down + m[:, 1, 2]
    grid = torch.stack([source_right / (width / 2), source_down / (height / 2)], dim=-1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def rotation(degrees: Tensor) -> Tensor:
    """Make matrices for ``affine`` that turn images counter-clockwise: float (N,) -> (N, 2, 3)."""
    angle = torch.deg2rad(degrees)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Read clockwise (down is positive) to turn the picture the other way.
    return torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).view(-1, 2, 3)


def _reflect(position: Tensor, count: int) -> Tensor:
    """Bring positions of -count + 1 ... 2 count - 2 inside, mirrored at the outermost pixels."""
    return (count - 1) - ((count - 1) - position.abs()).abs()
