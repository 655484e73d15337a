"""Strengths of fusers from viewers' rankings, beside the score.

Bradley and Terry's model (R. A. Bradley, M. E. Terry: "Rank analysis of incomplete block designs: I. The method of paired
comparisons", Biometrika 39, 1952): the chance that i is chosen over j is 1 / (1 + exp(s_j - s_i)). A ranking counts as its
pairwise choices. Those of one pair of parents depend on each other, so every interval is over pairs of parents, redrawn whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from chimera_core.statistics import compare_paired, holm, wilcoxon_p

Array = NDArray[np.float64]
DRAWS = 1000
# As if every two fusers had met once more with a tie: keeps one that always loses at a finite strength.
PRIOR = 0.5
STEPS = 30


@dataclass(frozen=True)
class Difference:
    """How viewers and score tell a first fuser from a second; p values corrected over all pairs of fusers (Holm)."""

    first: str
    second: str
    choices: float
    """Share of choices that the first won, ties as halves."""
    p_choices: float
    score: float
    """Mean difference of score, the first's minus the second's."""
    p_score: float


def wins_of(rankings: Sequence[Sequence[Sequence[str]]], fusers: Sequence[str]) -> Array:
    """Count choices, (pairs of parents, fusers, fusers): how often the row's fuser was ranked above the column's.

    ``rankings[p][v]`` is viewer v's order of pair p, best first. A fuser that made no creature of a pair is absent, and
    counts as last; two that are absent tie.
    """
    wins = np.zeros((len(rankings), len(fusers), len(fusers)))
    for p, viewers in enumerate(rankings):
        for order in viewers:
            place = {fuser: k for k, fuser in enumerate(order)}
            ranks = np.array([place.get(fuser, len(order)) for fuser in fusers])
            wins[p] += (ranks[:, None] < ranks[None, :]) + 0.5 * (ranks[:, None] == ranks[None, :])
        np.fill_diagonal(wins[p], 0)
    return wins


def strengths_of(wins: Array) -> Array:
    """Fit strengths to choices, (..., fusers, fusers), by Newton's method; (..., fusers), of mean 0."""
    fusers = wins.shape[-1]
    total = wins + PRIOR * (1 - np.eye(fusers))
    met = total + np.swapaxes(total, -1, -2)
    strengths = np.zeros(wins.shape[:-1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(strengths[..., None, :] - strengths[..., :, None]))
        slope = (total - met * chance).sum(-1)
        spread = met * chance * (1 - chance)
        # Strengths are known up to a constant: the added one fixes their mean.
        bend = np.eye(fusers) * spread.sum(-1)[..., None] - spread + 1 / fusers
        strengths = strengths + np.linalg.solve(bend, slope[..., None])[..., 0].clip(-1, 1)
    return strengths - strengths.mean(-1, keepdims=True)


def redrawn_wins(wins: Array, *, seed: int = 0) -> tuple[NDArray[np.int64], Array]:
    """Draw pairs of parents anew, (draws, pairs), and sum their choices, (draws, fusers, fusers)."""
    chosen = np.random.default_rng(seed).integers(0, len(wins), (DRAWS, len(wins)))
    return chosen, np.stack([wins[rows].sum(0) for rows in chosen])


def intervals_of(wins: Array) -> tuple[Array, Array]:
    """Give the 95 % interval of each strength, over pairs of parents."""
    low, high = np.percentile(strengths_of(redrawn_wins(wins)[1]), [2.5, 97.5], axis=0)
    return low, high


def differences_of(fusers: Sequence[str], wins: Array, scores: Array) -> list[Difference]:
    """Compare every two fusers over pairs of parents by Wilcoxon's test; ``scores`` is (pairs of parents, fusers)."""
    pairs = list(itertools.combinations(range(len(fusers)), 2))
    shares = [wins[:, i, j] / (wins[:, i, j] + wins[:, j, i]) for i, j in pairs]
    p_choices = holm([wilcoxon_p(share - 0.5) for share in shares])
    tests = compare_paired({fuser: dict(enumerate(scores[:, k])) for k, fuser in enumerate(fusers)})
    return [
        Difference(fusers[i], fusers[j], float(share.mean()), p, test.difference, test.p_holm)
        for (i, j), share, p, test in zip(pairs, shares, p_choices, tests, strict=True)
    ]


def tau_of(first: Array, second: Array) -> float:
    """Give Kendall's tau-b of two figures of the same fusers."""
    return float(kendalltau(first, second).statistic)


def tau_interval_of(wins: Array, scores: Array) -> tuple[float, float]:
    """Give the 95 % interval of tau between strengths and mean scores, over pairs of parents."""
    chosen, summed = redrawn_wins(wins)
    drawn = [tau_of(s, scores[rows].mean(0)) for s, rows in zip(strengths_of(summed), chosen, strict=True)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
