"""Fréchet distance between two sets of features, from statistics that stream: no set need lie in memory whole.

Legend: n images, D features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from chimera_core.errors import DataError, ShapeError
from chimera_core.scoring.kid import INCEPTION

# Rows that are taken up at a time: 2048 x 2048 float64 are 34 MB.
_ROWS = 2048


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
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)
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
        for rows in features.split(_ROWS):
            self._add_block(rows.detach().cpu().double())

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance, float64 (D, D).

        Raises:
            DataError: if there are fewer than two images.
        """
        if self.n < 2:
            raise DataError(f"{self.n} images have no covariance: give 2 or more")
        return self._scatter / (self.n - 1)

    def _add_block(self, rows: Tensor) -> None:
        if not bool(torch.isfinite(rows).all()):
            raise DataError("features are not finite: leave those images out")
        count = len(rows)
        if not count:
            return
        if not self.n:
            self.mean, self._scatter = rows.new_zeros(rows.shape[1]), rows.new_zeros(2 * (rows.shape[1],))
        mean = rows.mean(0)
        centred = rows - mean
        step, total = mean - self.mean, self.n + count
        self._scatter.addmm_(centred.T, centred)
        self._scatter.addr_(step, step, alpha=self.n * count / total)
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

    The trace of the root is the sum of the roots of the eigenvalues of C_x^(1/2) C_y C_x^(1/2), which is symmetric:
    two symmetric eigenproblems instead of one that is not. Of fewer images than twice D it says little: the
    covariances have no full rank, and the distance is too large.

    Args:
        x: statistics of one set.
        y: of the other.
        extractor: name of the network that the features come from.
    Raises:
        ShapeError: if the two have another number of features.
        DataError: if a set has fewer than two images.
    Source: Heusel et al. 2017, arXiv:1706.08500, equation 6; Dowson and Landau 1982.
    """
    if x.n and y.n and len(x.mean) != len(y.mean):
        raise ShapeError(f"sets have {len(x.mean)} and {len(y.mean)} features: use one extractor")
    first, second = x.covariance, y.covariance
    difference = x.mean - y.mean
    root = _root_trace(first.numpy(), second.numpy())
    value = float(difference.square().sum() + first.trace() + second.trace()) - 2 * root
    return FrechetDistance(value, extractor, x.n, y.n)


def _root_trace(first: np.ndarray, second: np.ndarray) -> float:
    values, vectors = linalg.eigh(first, driver="evd")
    # Rounding leaves eigenvalues of -1e-16 where there should be 0.
    root = vectors * np.sqrt(values.clip(min=0))
    inner = root.T @ second @ root
    eigenvalues = linalg.eigvalsh((inner + inner.T) / 2, driver="evd")
    return float(np.sqrt(eigenvalues.clip(min=0)).sum())
