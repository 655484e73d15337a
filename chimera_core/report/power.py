"""How many pairs of parents, seeds and viewers show a difference, reckoned from a pilot.

A comparison tests two fusers by Wilcoxon's signed ranks over pairs of parents (``chimera_core.statistics``). Its power is
simulated: pairs are drawn from the pilot's own, with what differs between their seeds, and the difference that is to be seen
is put in. Of viewers' choices it is reckoned exactly, from how alike they choose.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chimera_core.errors import ConfigError
from chimera_core.statistics import LEAST_PAIRS

POWER = 0.8
MOST = 2000
"""More pairs or choices are not considered."""
_SIMULATIONS = 1000
_EXACT_UP_TO = 50  # as scipy.stats.wilcoxon chooses

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """How the difference of two fusers varied in a pilot.

    Args:
        mean: of the differences.
        parents: standard deviation between pairs of parents, without what seeds add to it.
        seeds: standard deviation between seeds of one pair; None where each has one.
        between: the pairs' deviations, float (pairs,), scaled to have ``parents`` as their standard deviation.
        within: the seeds' deviations, float (any,), scaled to have ``seeds``; (0,) where there are none.
    """

    mean: float
    parents: float
    seeds: float | None
    between: Array
    within: Array

    @property
    def pairs(self) -> int:
        """Pairs of parents in the pilot."""
        return len(self.between)

    def sd(self, seeds: int) -> float:
        """Give the standard deviation between pairs of which each has so many seeds."""
        return math.sqrt(self.parents**2 + (self.seeds or 0.0) ** 2 / seeds)


def spread_of(differences: Array) -> Spread:
    """Take the variation of a difference apart: between pairs of parents, and between seeds of one pair.

    Args:
        differences: float (pairs, seeds) of one fuser's score less another's; NaN where one was not measured.
    Raises:
        ConfigError: of too few pairs.
    Source: one-way analysis of variance with random effects. That drawn deviations have the estimated variances, for
        which those of the sample are scaled: Carpenter, Goldstein and Rasbash 2003, "A novel bootstrap procedure for
        assessing the relationship between class size and achievement", Applied Statistics 52.
    """
    table = differences[np.isfinite(differences).any(1)]
    if len(table) < LEAST_PAIRS:
        raise ConfigError(
            f"a pilot of {len(table)} pairs of parents does not say how much they differ: make one of {LEAST_PAIRS} or "
            "more; 12 say it within a third"
        )
    counts = np.isfinite(table).sum(1)
    means: Array = np.nanmean(table, axis=1)
    residuals = (table - means[:, None])[np.isfinite(table) & (counts > 1)[:, None]]
    degrees = int((counts - 1).sum())
    seeds = math.sqrt(float((residuals**2).sum()) / degrees) if degrees else None
    own = float(means.var(ddof=1)) - (seeds or 0.0) ** 2 * float((1 / counts).mean())
    parents = math.sqrt(max(0.0, own))
    return Spread(
        float(means.mean()),
        parents,
        seeds,
        _scaled(means - means.mean(), parents),
        _scaled(residuals, seeds or 0.0) if degrees else np.zeros(0),
    )


def factor_to_be_safe(pairs: int) -> float:
    """Give by how much more pairs are to be taken, because a pilot's variance may have come out too small.

    Returns:
        The upper 80 % limit of the variance, over its estimate.
    Source: Browne 1995, "On the use of a pilot sample for sample size determination", Statistics in Medicine 14.
    """
    from scipy import stats

    return float((pairs - 1) / stats.chi2.ppf(0.2, pairs - 1))


def fewest_pairs(level: float) -> int:
    """Count the pairs of which the test can be significant at all: the most extreme ranks have the chance 2 / 2^n.

    Args:
        level: of the test, two-sided, corrected already.
    """
    return max(LEAST_PAIRS, math.ceil(1 - math.log2(level)))


def pairs_needed(spread: Spread, *, seeds: int, difference: float, level: float, seed: int = 0) -> int | None:
    """Count the pairs of parents with which Wilcoxon's test shows a difference with 80 % power; None: above ``MOST``.

    Args:
        seeds: of each pair.
        difference: that is to be seen, in score.
        level: of the test, two-sided, corrected already.
        seed: of the simulation.
    """
    from scipy import stats

    z = stats.norm.isf(level / 2) + stats.norm.isf(1 - POWER)
    fewest = fewest_pairs(level)
    # By the normal distribution, where ranks need pi / 3 times the pairs of means.
    guess = (z * spread.sd(seeds) / difference) ** 2 * math.pi / 3

    def is_enough(pairs: int) -> bool:
        noise = _noise(spread, pairs, seeds, seed)
        return _power(noise, difference, level) >= POWER

    return _smallest(is_enough, low=fewest, guess=guess, most=MOST)


def shown_by(spread: Spread, *, seeds: int, level: float, seed: int = 0) -> float | None:
    """Give the smallest difference that as many pairs as the pilot's show with 80 % power; None: they show none.

    Args:
        seeds: of each pair.
        level: of the test, two-sided, corrected already.
        seed: of the simulation.
    """
    if spread.pairs < fewest_pairs(level):
        return None
    noise = _noise(spread, spread.pairs, seeds, seed)
    low, high = 0.0, max(spread.sd(seeds), 1e-6)
    while _power(noise, high, level) < POWER:
        high *= 2
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _power(noise, middle, level) >= POWER else (middle, high)
    return high


def choices_needed(*, viewers: int, share: float, alike: float, level: float) -> int | None:
    """Count the choices, each of other parents, whose majorities show that viewers prefer one fuser; None: above ``MOST``.

    The test is the exact binomial one of the majorities against a half.

    Args:
        viewers: of each choice, an odd number.
        share: of the viewers' votes for the better fuser.
        alike: correlation of the votes on one choice, in [0, 1].
        level: of the test, two-sided, corrected already.
    """
    from scipy import stats

    if alike <= 0:
        won = float(stats.binom.sf(viewers // 2, viewers, share))
    elif alike >= 1:
        won = share
    else:
        strength = (1 - alike) / alike
        won = float(stats.betabinom.sf(viewers // 2, viewers, share * strength, (1 - share) * strength))
    counts = np.arange(1, MOST + 1)
    power = stats.binom.sf(stats.binom.isf(level / 2, counts, 0.5), counts, won)
    # It goes up and down by steps: from there on it is enough.
    too_few = np.flatnonzero(power < POWER)
    found = int(too_few[-1]) + 2 if len(too_few) else 1
    return found if found <= MOST else None


def _scaled(values: Array, sd: float) -> Array:
    own = float(np.sqrt((values**2).mean())) if len(values) else 0.0
    return values * (sd / own) if own > 0 else np.zeros_like(values)


def _noise(spread: Spread, pairs: int, seeds: int, seed: int) -> Array:
    """Draw the deviations of many comparisons: float (simulations, pairs)."""
    rng = np.random.default_rng((seed, pairs, seeds))
    drawn = _drawn(rng, spread.between, pairs)
    for _ in range(seeds if len(spread.within) else 0):
        drawn += _drawn(rng, spread.within, pairs) / seeds
    # No two are equal, so that ranks have no ties.
    return drawn + rng.normal(0, 1e-9, drawn.shape)


def _drawn(rng: np.random.Generator, deviations: Array, pairs: int) -> Array:
    """Draw deviations with either sign, for the test asks of symmetric differences, from a smoothed distribution.

    Six values as they are would be six lumps, whose ranks a small difference does not change. The smoothing keeps the
    variance, and is the less the more values there are.

    Source: Silverman and Young 1987, "The bootstrap: to smooth or not to smooth?", Biometrika 74.
    """
    shape = (_SIMULATIONS, pairs)
    drawn = rng.choice(deviations, shape) * rng.choice([-1.0, 1.0], shape)
    width = 1.06 * len(deviations) ** -0.2  # of a kernel, in standard deviations
    sd = float(np.sqrt((deviations**2).mean()))
    found: Array = (drawn + rng.normal(0, width * sd, shape)) / math.sqrt(1 + width**2)
    return found


def _power(noise: Array, difference: float, level: float) -> float:
    moved = noise + difference
    ranks = np.abs(moved).argsort(1).argsort(1) + 1
    return float(((ranks * (moved > 0)).sum(1) >= _critical(moved.shape[1], level)).mean())


@functools.lru_cache(maxsize=4096)
def _critical(pairs: int, level: float) -> float:
    """Give the smallest sum of positive ranks that is significant; infinity where none is."""
    from scipy import stats

    mean = pairs * (pairs + 1) / 4
    if pairs > _EXACT_UP_TO:
        return float(mean + stats.norm.isf(level / 2) * math.sqrt(mean * (2 * pairs + 1) / 6))
    chances = np.ones(1)
    for rank in range(1, pairs + 1):
        chances = np.convolve(chances, [0.5, *[0.0] * (rank - 1), 0.5])
    tails = chances[::-1].cumsum()[::-1]
    significant = np.flatnonzero(2 * tails <= level * (1 + 1e-12))
    return float(significant[0]) if len(significant) else math.inf


def _smallest(is_enough: Callable[[int], bool], *, low: int, guess: float, most: int) -> int | None:
    """Find about the smallest number, within 2 %, that is enough; None: none up to ``most`` is."""
    high = min(max(low, math.ceil(guess)), most)
    while not is_enough(high):
        if high == most:
            return None
        low, high = high + 1, min(most, math.ceil(high * 1.3))
    while high - low > max(0, high // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return high


def correlation(groups: Sequence[Sequence[Sequence[int]]]) -> float:
    """Estimate how alike viewers vote on one choice, beyond how often the fuser wins: 0 not at all, 1 always.

    Args:
        groups: by pair of fusers, by choice: the votes, 1 for the first fuser and 0 for the other.
    Raises:
        ConfigError: where no choice has two votes, or no pair of fusers two choices.
    Source: the intraclass correlation of binary data by analysis of variance, Ridout, Demetrio and Firth 1999,
        "Estimating intraclass correlation for binary data", Biometrics 55.
    """
    between = within = 0.0
    choices = votes = squares = 0
    kept = [group for g in groups if len(group := [c for c in g if len(c) > 1]) > 1]
    for group in kept:
        mean = sum(map(sum, group)) / sum(map(len, group))
        for choice in group:
            own = sum(choice) / len(choice)
            between += len(choice) * (own - mean) ** 2
            within += sum((vote - own) ** 2 for vote in choice)
            choices, votes, squares = choices + 1, votes + len(choice), squares + len(choice) ** 2
    if not kept:
        raise ConfigError(
            "the choices do not say how alike viewers choose: let two viewers or more make two choices or more between the "
            "same two fusers"
        )
    ms_between, ms_within = between / (choices - len(kept)), within / (votes - choices)
    size = (votes - squares / votes) / (choices - 1)
    total = ms_between + (size - 1) * ms_within
    return min(1.0, max(0.0, (ms_between - ms_within) / total)) if total else 1.0
