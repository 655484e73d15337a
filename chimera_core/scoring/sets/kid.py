"""Kernel distance between two sets of features: how far generated images are from real ones, as a judge sees them.

Legend: n, m images, D features, b images of a subset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chimera_core.errors import ConfigError, DataError, ShapeError

INCEPTION = "inception-2015-12-05"
"""Name of the one extractor whose kernel distance is called KID."""
FIELD_SEED = 2020
# A block of the kernel's matrix: 1024 x 5000 float64 are 41 MB.
_ROWS = 1024
# Smaller, so that little of the square beyond the diagonal is computed twice.
_HALF_ROWS = 256
# The errors that float32 products may make: what is asked for is equality with the field's to 1e-6, or 1e-4 of it.
_ABSOLUTE, _RELATIVE = 1e-6, 1e-4


@dataclass(frozen=True)
class KernelDistance:
    """Squared kernel distance of two sets, over subsets.

    ``mean`` and ``std`` (of the population, as the field prints it) are over ``subsets`` draws of ``subset_size``
    images from each set. An unbiased estimate of 0 may be negative.
    """

    mean: float
    std: float
    extractor: str
    subsets: int
    subset_size: int
    seed: int

    @property
    def name(self) -> str:
        """``KID`` with the field's Inception features, else ``KID[extractor]``: the two do not compare."""
        return "KID" if self.extractor == INCEPTION else f"KID[{self.extractor}]"


def kernel_distance(
    x: Tensor,
    y: Tensor,
    *,
    extractor: str,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = FIELD_SEED,
) -> KernelDistance:
    """Measure the kernel inception distance, or its like in another network's features.

    It is KID only with the field's Inception features; with any other extractor it is KID[extractor], a number that
    compares with numbers of that extractor alone. The result carries the name. Seed, subsets and their order are
    torch-fidelity's, so equal features give its numbers.

    Args:
        x: features of one set, float (n, D), on the CPU or a CUDA device.
        y: features of the other, float (m, D).
        extractor: name of the network that they come from.
        subset_size: b, images of each; they are drawn without replacement.
    Raises:
        ShapeError: if the features are no two (., D) tables.
        ConfigError: if there are no subsets, or subsets of fewer than two images.
        DataError: if a set has fewer images than a subset, or features that are not finite.
    Source: Binkowski et al. 2018, arXiv:1801.01401, section 4; subsets as torch-fidelity draws them.
    """
    _check_sets(x, y)
    if subsets < 1 or subset_size < 2:
        raise ConfigError(
            f"{subsets} subsets of {subset_size} images give no distance: draw 1 or more, of 2 images or more"
        )
    if min(len(x), len(y)) < subset_size:
        raise DataError(
            f"a subset of {subset_size} images is more than there are ({len(x)} and {len(y)}): "
            "give more images, or a smaller subset_size"
        )
    draws = _draws(len(x), len(y), subsets, subset_size, seed)
    found = np.array([_squared_mmd(x[a], y[b])[0] for a, b in draws], dtype=np.float64)
    return KernelDistance(float(found.mean()), float(found.std()), extractor, subsets, subset_size, seed)


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """Estimate the squared maximum mean discrepancy without bias, with the kernel k(a, b) = (a.b / D + 1)^3.

    With sums over i != j: sum k(x_i, x_j) / n(n-1) + sum k(y_i, y_j) / m(m-1) - 2 mean k(x_i, y_j).
    Summed in float64, a block of rows at a time. Products are float64 too, unless the features are float32 and the
    error of float32 products stays under 1e-6, or under 1e-4 of the distance; for half of the within-set products
    symmetry serves.

    Args:
        x: features, float (n, D), n of 2 or more.
        y: features, float (m, D), m of 2 or more.
    Raises:
        ShapeError, DataError: as in ``kernel_distance``.
    Source: Gretton et al. 2012, JMLR 13, lemma 6; the kernel is Binkowski's (2018, section 4).
    """
    _check_sets(x, y)
    return _squared_mmd(x, y)[0]


def _squared_mmd(x: Tensor, y: Tensor) -> tuple[float, bool]:
    """Give the distance, and whether float64 products were needed."""
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise DataError(f"sets of {n} and {m} images give no unbiased distance: give 2 or more of each")
    if x.dtype == y.dtype == torch.float32:
        value = _sums(x, y)
        if _float32_error(x, y) < max(_ABSOLUTE, _RELATIVE * abs(value)):
            return value, False
    return _sums(x.double(), y.double()), True


def _sums(x: Tensor, y: Tensor) -> float:
    n, m = len(x), len(y)
    within_x, within_y = _sum_of_pairs(x), _sum_of_pairs(y)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * _kernel_sum(x, y) / (n * m)


def _float32_error(x: Tensor, y: Tensor) -> float:
    """Bound what an error of 2^-23 in every product, all of one sign, would add to the distance."""
    longest = max(float(t.square().sum(1).max()) for t in (x, y)) / x.shape[1]
    return 3 * (longest + 1) ** 2 * longest * 2**-23


def _kernel_of(x: Tensor, y: Tensor) -> Tensor:
    base = (x @ y.T).mul_(1 / x.shape[1]).add_(1)
    return base.square().mul_(base)


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    blocks = (_kernel_of(x[start : start + _ROWS], y) for start in range(0, len(x), _ROWS))
    return sum(float(block.sum(dtype=torch.float64)) for block in blocks)


def _sum_of_pairs(x: Tensor) -> float:
    """Sum the kernel over all ordered pairs of different rows: twice what lies right of the diagonal."""
    total = 0.0
    for start in range(0, len(x), _HALF_ROWS):
        rows = x[start : start + _HALF_ROWS]
        own = _kernel_of(rows, rows)
        total += float(own.sum(dtype=torch.float64)) - float(own.diagonal().sum(dtype=torch.float64))
        if start + len(rows) < len(x):
            total += 2 * _kernel_sum(rows, x[start + len(rows) :])
    return total


def _draws(n: int, m: int, subsets: int, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    # RandomState, which numpy keeps as it is for ever: torch-fidelity draws by it, first x's subset, then y's.
    random = np.random.RandomState(seed)
    for _ in range(subsets):
        first = random.choice(n, size, replace=False)
        yield torch.from_numpy(first), torch.from_numpy(random.choice(m, size, replace=False))


def _check_sets(x: Tensor, y: Tensor) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"features are {tuple(x.shape)} and {tuple(y.shape)}: pass (n, D) and (m, D) of one extractor"
        )
    for name, features in (("first", x), ("second", y)):
        # In blocks: of a whole set the check would take half as much memory again as the set.
        blocks = range(0, len(features), _ROWS)
        rows = sum(int((~torch.isfinite(features[k : k + _ROWS])).any(1).sum()) for k in blocks)
        if rows:
            raise DataError(
                f"features of {rows} images of the {name} set are not finite: leave those images out"
            )
