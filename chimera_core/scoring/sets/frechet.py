"""Fréchet distance between two sets of features, from statistics that stream: no set need lie in memory whole.

Legend: n images, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from chimera_core.errors import DataError, ShapeError
from chimera_core.scoring.sets.kid import INCEPTION

# Rows that are taken up at a time: 512 x 2048 float64 are 8 MB.
_ROWS = 512
_SMALL = 1e-7


class FeatureStatistics:
    """Mean and covariance of features, taken up batch by batch in float64.

    Batches are joined by Chan's update, so that the order and size of batches change the result by rounding alone.

    Args:
        features: the first of them, float (n, D), or batches of such; more may be added.
    Raises:
        ShapeError, DataError: as in ``add``.
    Source: Chan, Golub and LeVeque 1983, The American Statistician 37, equation 2.1b.
    """

    def __init__(self, features: Tensor | Iterable[Tensor] = ()) -> None:
        self.n = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.scatter = torch.zeros(0, 0, dtype=torch.float64)
        """Sum of the outer products of what deviates from the mean, (D, D)."""
        for batch in [features] if isinstance(features, Tensor) else features:
            self.add(batch)

    def add(self, features: Tensor) -> None:
        """Take up more features, float (n, D).

        Raises:
            ShapeError: if they are no table, or not as wide as those before.
            DataError: if they are not finite.
        """
        if features.ndim != 2 or (self.n and features.shape[1] != len(self.mean)):
            wanted = f"(n, {len(self.mean)})" if self.n else "(n, D)"
            raise ShapeError(f"features are {tuple(features.shape)}: pass {wanted} of one extractor")
        for start in range(0, len(features), _ROWS):
            self._add_block(features[start : start + _ROWS].detach().cpu().double())

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance, float64 (D, D).

        Raises:
            DataError: if there are fewer than two images.
        """
        self.check()
        return self.scatter / (self.n - 1)

    def check(self) -> None:
        """Check that there are images enough for a covariance.

        Raises:
            DataError: if there are fewer than two.
        """
        if self.n < 2:
            raise DataError(f"{self.n} images have no covariance: give 2 or more")

    def _add_block(self, rows: Tensor) -> None:
        if not bool(torch.isfinite(rows).all()):
            raise DataError("features are not finite: leave those images out")
        count = len(rows)
        if not count:
            return
        if not self.n:
            self.mean, self.scatter = rows.new_zeros(rows.shape[1]), rows.new_zeros(2 * (rows.shape[1],))
        mean = rows.mean(0)
        centred = rows - mean
        step, total = mean - self.mean, self.n + count
        self.scatter.addmm_(centred.T, centred)
        self.scatter.addr_(step, step, alpha=self.n * count / total)
        self.mean = self.mean + step * (count / total)
        self.n = total


@dataclass(frozen=True)
class FrechetDistance:
    """Squared Fréchet distance of two Gaussians with the sets' means and covariances."""

    value: float
    extractor: str
    n: int
    m: int

    @property
    def name(self) -> str:
        """``FID`` with the field's Inception features, else ``FD[extractor]``: the two do not compare."""
        return "FID" if self.extractor == INCEPTION else f"FD[{self.extractor}]"


def frechet_distance(x: FeatureStatistics, y: FeatureStatistics, *, extractor: str) -> FrechetDistance:
    """Measure |mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)).

    The trace of the root is the sum of the roots of the eigenvalues of L^T C_y L, where C_x = L L^T: a symmetric
    problem, for which no eigenvectors are needed. Of fewer images than twice D the distance says little: the
    covariances have no full rank, and it is too large.

    Args:
        extractor: name of the network that the features come from.
    Raises:
        ShapeError: if the two have another number of features.
        DataError: if a set has fewer than two images.
    Source: Heusel et al. 2017, arXiv:1706.08500, equation 6; Dowson and Landau 1982.
    """
    if x.n and y.n and len(x.mean) != len(y.mean):
        raise ShapeError(f"sets have {len(x.mean)} and {len(y.mean)} features: use one extractor")
    for side in (x, y):
        side.check()
    difference = x.mean - y.mean
    traces = float(x.scatter.trace()) / (x.n - 1) + float(y.scatter.trace()) / (y.n - 1)
    # Divided at the end, so that no covariance need be held beside the scatters.
    root = _root_trace(x.scatter, y.scatter) / math.sqrt((x.n - 1) * (y.n - 1))
    return FrechetDistance(float(difference.square().sum()) + traces - 2 * root, extractor, x.n, y.n)


def _root_trace(first: Tensor, second: Tensor) -> float:
    """Give the trace of the root of the product of two symmetric matrices without negative eigenvalues."""
    factor, failed = torch.linalg.cholesky_ex(first)
    if failed or bool((factor.diagonal() < _SMALL * factor.diagonal().max()).any()):
        # No full rank: few images, or features that always agree.
        values, vectors = torch.linalg.eigh(first)
        factor = vectors * values.clamp(min=0).sqrt()
    inner = factor.T @ (second @ factor)
    del factor
    # Rounding leaves eigenvalues of -1e-16 where there should be 0. Only one triangle is read.
    return float(torch.linalg.eigvalsh(inner).clamp(min=0).sqrt().sum())
