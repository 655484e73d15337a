"""Nearest neighbours among features: precision, recall, and how real one single image is.

Legend: n real images, m generated ones, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from chimera_core.errors import ConfigError, DataError, ShapeError

# Rows of a table of distances at a time: 1024 x 10,000 float32 are 41 MB.
_ROWS = 1024


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares in [0, 1]: of generated images within the real manifold, and of real ones within the generated."""

    precision: float
    recall: float
    k: int
    n: int
    m: int


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 3) -> PrecisionRecall:
    """Measure improved precision and recall.

    A set's manifold is the union of balls around its images, each as wide as the distance to its k-th nearest fellow.

    Args:
        real: features of real images, float (n, D).
        fake: features of generated images, float (m, D).
        k: neighbours; the paper takes 3.
    Raises:
        ShapeError: if the features are no two tables of one width.
        ConfigError: if k is below 1.
        DataError: if a set has k images or fewer, or features that are not finite.
    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, equations 1 to 3.
    """
    _check(real, fake)
    # Distances stay; the products that they are made of get small, and float32 is enough for them.
    centre = real.mean(0)
    real, fake = real - centre, fake - centre
    real_radii, fake_radii = neighbour_radii(real, k=k), neighbour_radii(fake, k=k)
    within_real = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    within_fake = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for start in range(0, len(real), _ROWS):
        rows = slice(start, start + _ROWS)
        distances = squared_distances(real[rows], fake)
        within_real |= (distances <= real_radii[rows, None]).any(0)
        within_fake[rows] = (distances <= fake_radii).any(1)
    return PrecisionRecall(
        float(within_real.double().mean()), float(within_fake.double().mean()), k, len(real), len(fake)
    )


def neighbour_radii(features: Tensor, *, k: int) -> Tensor:
    """Give every image's squared distance to its k-th nearest fellow, itself left out: (n,).

    Raises:
        ConfigError, DataError: as in ``precision_recall``.
    """
    if k < 1:
        raise ConfigError(f"k must be 1 or more, but it is {k}")
    if len(features) <= k:
        raise DataError(f"{len(features)} images have no {k} neighbours each: give more than {k}")
    radii = []
    for start in range(0, len(features), _ROWS):
        distances = squared_distances(features[start : start + _ROWS], features)
        own = torch.arange(len(distances), device=features.device)
        distances[
            own, own + start
        ] = -1  # itself is the nearest, also where rounding or a twin says otherwise
        radii.append(distances.topk(k + 1, largest=False).values[:, -1])
    return torch.cat(radii)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Give |x_i - y_j|^2 as (n, m), never below 0; by one matrix product, in the features' own dtype."""
    products = torch.addmm(y.square().sum(1)[None], x, y.T, alpha=-2)
    return products.add_(x.square().sum(1)[:, None]).clamp_(min=0)


def _check(real: Tensor, fake: Tensor) -> None:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ShapeError(
            f"features are {tuple(real.shape)} and {tuple(fake.shape)}: pass (n, D) and (m, D) of one extractor"
        )
    if not bool(torch.isfinite(real).all() and torch.isfinite(fake).all()):
        raise DataError("features are not finite: leave those images out")
