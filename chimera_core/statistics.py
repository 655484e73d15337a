"""Intervals and tests: what may be said about fusers over pairs of parents, and about shares, and what not.

Creatures of the same parents are not independent, whatever their seeds and weights, so parents are what is drawn anew
and compared: a fuser has one mean for each tuple of parents.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 9999
LEAST_PAIRS = 5
"""Of fewer tuples the bootstrap tells nothing: of two it spans the two, whatever they stand for."""

_Z = 1.959963984540054  # the normal distribution holds 95 % within so many deviations
_ROUNDING = 1e-12
"""Values that differ by no more are equal: the bootstrap's correction divides by powers of what they differ by."""

Means = Mapping[int, float]
"""Mean of a measurement by tuple of parents."""


@dataclass(frozen=True)
class Estimate:
    """A mean over tuples with its interval; ``low`` and ``high`` are None of fewer than ``LEAST_PAIRS`` tuples."""

    mean: float
    low: float | None
    high: float | None
    pairs: int


@dataclass(frozen=True)
class PairedTest:
    """How two fusers differ on the parents that both have: mean of a - b, its interval, and Wilcoxon's p."""

    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    pairs: int


def means_by_tuple(values: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Average measurements (tuple, value) within each tuple of parents."""
    gathered: dict[int, list[float]] = {}
    for tuple_id, value in values:
        gathered.setdefault(tuple_id, []).append(value)
    return {tuple_id: float(np.mean(found)) for tuple_id, found in sorted(gathered.items())}


def estimate(means: Means | Sequence[float], *, seed: int = 0) -> Estimate:
    """Give the mean over tuples, with its clustered bootstrap interval (BCa, 95 %).

    Clusters are tuples of parents; each counts by its mean, however many seeds and weights it has. So drawing clusters
    anew is drawing their means anew.

    Raises:
        ValueError: if there is none.
    Source: Efron 1987, "Better bootstrap confidence intervals"; scipy.stats.bootstrap does it.
    """
    values = np.array(list(means.values()) if isinstance(means, Mapping) else means, dtype=float)
    if not len(values):
        raise ValueError("there is nothing to estimate")
    mean = float(values.mean())
    if len(values) < LEAST_PAIRS:
        return Estimate(mean, None, None, len(values))
    if np.ptp(values) <= _ROUNDING * max(1.0, abs(mean)):
        return Estimate(mean, mean, mean, len(values))
    low, high = _interval(values, seed)
    return Estimate(mean, low, high, len(values))


def estimate_crossed(table: NDArray[np.float64], *, seed: int = 0) -> Estimate:
    """Give the mean of a table of means by tuple and training, with an interval that knows of both.

    Of one training it is ``estimate``. Of more, rows and columns are drawn anew independently (95 %, percentiles), which
    is a little wider than needed.

    Args:
        table: (tuples, trainings); NaN where nothing was measured.
    Raises:
        ValueError: if there is nothing but NaN.
    Source: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1.
    """
    table = table[np.isfinite(table).any(1)][:, np.isfinite(table).any(0)]
    if table.shape[1] < 2:
        return estimate(table[:, 0].tolist() if table.size else [], seed=seed)
    tuples, trainings = table.shape
    mean = float(np.nanmean(table))
    if tuples < LEAST_PAIRS:
        return Estimate(mean, None, None, tuples)
    rng = np.random.default_rng(seed)
    rows = rng.integers(tuples, size=(RESAMPLES, tuples))
    columns = rng.integers(trainings, size=(RESAMPLES, trainings))
    drawn = table[rows[:, :, None], columns[:, None, :]].reshape(RESAMPLES, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a draw of nothing but NaN is left out
        low, high = np.nanquantile(np.nanmean(drawn, axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(mean, float(low), float(high), tuples)


def compare_paired(fusers: Mapping[str, Means], *, seed: int = 0) -> list[PairedTest]:
    """Compare all pairs of fusers on the parents that both have; p by Wilcoxon, and corrected by Holm for all pairs.

    Args:
        fusers: means by tuple, by fuser.
    """
    names = list(fusers)
    found = []
    for k, a in enumerate(names):
        for b in names[k + 1 :]:
            shared = sorted(fusers[a].keys() & fusers[b].keys())
            if not shared:
                continue
            differences = np.array([fusers[a][t] - fusers[b][t] for t in shared])
            found.append((a, b, estimate(differences.tolist(), seed=seed), wilcoxon_p(differences)))
    corrected = holm([p for *_, p in found])
    return [
        PairedTest(a, b, est.mean, est.low, est.high, p, adjusted, est.pairs)
        for (a, b, est, p), adjusted in zip(found, corrected, strict=True)
    ]


def wilcoxon_p(differences: NDArray[np.float64]) -> float:
    """Give the two-sided p of the signed-rank test; 1 where no difference is left, zeros being dropped (Wilcoxon)."""
    from scipy import stats

    # Differences of rounding are none, and would be ranked as such.
    real = differences[np.abs(differences) > _ROUNDING]
    if not len(real):
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ties and few pairs, where it takes the normal approximation
        return float(stats.wilcoxon(real).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Correct p values for their number, so that the chance of one false claim among all stays at the level.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = sorted(range(len(ps)), key=lambda k: ps[k])
    corrected = [0.0] * len(ps)
    largest = 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[k]))
        corrected[k] = largest
    return corrected


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a share that was seen as ``correct`` of ``n``.

    Unlike the textbook's p ± 1.96 s it stays within [0, 1], and n of n leaves room for doubt.

    Raises:
        ValueError: if n is 0.
    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953; Brown, Cai and DasGupta 2001 recommend it for small n.
    """
    if n <= 0:
        raise ValueError("of no images there is no share")
    share, z2 = correct / n, _Z**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # Exact at the ends, where rounding would leave 1e-17.
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == n else centre + half)


def tied_with(name: str, tests: Sequence[PairedTest]) -> list[str]:
    """List the fusers that a fuser cannot be told from: the interval of the difference holds 0, or there is none."""
    tied = []
    for test in tests:
        if name in (test.a, test.b):
            is_clear = test.low is not None and test.high is not None and (test.low > 0 or test.high < 0)
            if not is_clear:
                tied.append(test.b if test.a == name else test.a)
    return tied


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return how alike two judges rank, -1 to 1 (tau-b); None for fewer than two, or where one does not rank at all."""
    from scipy import stats

    if len(first) < 2:
        return None
    tau = float(stats.kendalltau(first, second).statistic)
    return tau if np.isfinite(tau) else None


def _interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)
