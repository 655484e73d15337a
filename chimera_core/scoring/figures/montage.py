"""How much of a picture is its parents' own pixels: what is laid or pasted together is a montage, and no new creature.

Legend: n pictures, P parents, S the size that is scored, h, w places of a window.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import ShapeError

# A window of 7 x 7 pixels at 64: no generator repeats so much of a photograph by chance.
_RADIUS, _SIGMA = 3, 1.5
# A window that parents explain less than this holds something of its own.
_LEAST_EXPLAINED = 0.5
# Of flat windows, which any picture explains (a fiftieth of the pixel range, squared, summed over the channels).
_RIDGE = 1e-4
_SWEEPS = 30


def kept_pixels(images: Tensor, parents: Tensor, weights: Tensor) -> Tensor:
    """Return how much of each parent's own structure a picture repeats in its place.

    In every window the picture is explained by the parents' windows there: non-negative least squares with a constant.
    Where that succeeds, a parent whose coefficient reaches its weight is all there; parents' windows count by their
    contrast.

    Args:
        images: pictures, float (n, 3, S, S) in [0, 1].
        parents: as a fuser was given them, (P, 3, S, S).
        weights: shares that were asked for, (n, P); a parent without a share is left out.
    Returns:
        float32 (n, P) in [0, 1]: 1 for each parent of a double exposure, the parents' shares for a collage, near 0 for what
        was drawn anew.
    Raises:
        ShapeError: if they do not fit together, or are smaller than a window of 7 x 7.
    Source: ours.
    """
    if images.shape[1:] != parents.shape[1:] or weights.shape != (len(images), len(parents)):
        raise ShapeError(
            f"images {tuple(images.shape)}, parents {tuple(parents.shape)} and weights {tuple(weights.shape)} do not "
            "fit: pass (n, 3, S, S), (P, 3, S, S) and (n, P)"
        )
    if min(images.shape[-2:]) < (window := 2 * _RADIUS + 1):
        raise ShapeError(f"images are {tuple(images.shape)}: pass at least {window} x {window} pixels")
    own = [_covariance(p[None], p[None])[0] for p in parents]  # each (h, w)
    among = torch.stack([torch.stack([_covariance(p[None], q[None])[0] for q in parents]) for p in parents])
    given = torch.stack([_covariance(images, p[None]) for p in parents], 1)  # (n, P, h, w)
    total = _covariance(images, images).clamp(min=0)
    given = given * (weights > 0).to(given)[:, :, None, None]
    shares = _non_negative(among, given)
    explained = 2 * (shares * given).sum(1) - torch.einsum("nphw,pqhw,nqhw->nhw", shares, among, shares)
    fit = (explained / (total + _RIDGE)).clamp(0, 1)
    copied = ((fit - _LEAST_EXPLAINED) / (1 - _LEAST_EXPLAINED)).clamp(min=0)
    reached = (shares / weights.to(shares).clamp(min=1e-6)[:, :, None, None]).clamp(max=1)
    contrast = torch.stack(own).clamp(min=0).sqrt()
    contrast = contrast / contrast.sum((1, 2), keepdim=True).clamp(min=1e-6)
    kept: Tensor = (contrast * copied[:, None] * reached).sum((2, 3)) * (weights > 0).to(images)
    return kept.clamp(0, 1)


def montage_of(kept: Tensor, weights: Tensor) -> Tensor:
    """Return how much of a montage pictures are: 1 if each parent's own pixels are there in its share or more.

    Args:
        kept: of ``kept_pixels``, (n, P).
        weights: shares that were asked for, (n, P).
    Returns:
        (n,) in [0, 1]; 0 for a copy of one parent, and where one parent has all the weight.
    """
    ratios = kept / weights.to(kept).clamp(min=1e-6)
    ratios = ratios.clamp(max=1).masked_fill(weights <= 0, 1.0).min(1).values
    return ratios * ((weights > 0).sum(1) > 1).to(ratios)


def _non_negative(among: Tensor, given: Tensor) -> Tensor:
    """Solve for coefficients (n, P, h, w) >= 0 by coordinate descent, which needs no factorisation at each place."""
    count = len(among)
    found = torch.zeros_like(given)
    for _ in range(_SWEEPS if count > 1 else 1):
        for k in range(count):
            others = sum((among[k, j] * found[:, j] for j in range(count) if j != k), torch.zeros(()))
            found[:, k] = ((given[:, k] - others) / (among[k, k] + _RIDGE)).clamp(min=0)
    return found


def _covariance(a: Tensor, b: Tensor) -> Tensor:
    """Give the windows' covariance of pictures (n, 3, S, S), summed over the channels: (n, h, w)."""
    return (_blurred(a * b) - _blurred(a) * _blurred(b)).sum(1)


def _blurred(images: Tensor) -> Tensor:
    n, channels, height, width = images.shape
    flat = images.reshape(n * channels, 1, height, width)
    kernel = _kernel().to(images)
    made = F.conv2d(F.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return made.view(n, channels, *made.shape[-2:])


@cache
def _kernel() -> Tensor:
    places = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float32)
    kernel = torch.exp(-places.square() / (2 * _SIGMA**2))
    return kernel / kernel.sum()
