"""The tables of docs/results/ranking.md, from bodies.json and portraits.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ranking.formulas import formulas_table, means_table
from ranking.strengths import (
    Difference,
    differences_of,
    intervals_of,
    strengths_of,
    tau_interval_of,
    tau_of,
    wins_of,
)

from chimera_core.statistics import estimate

HERE = Path(__file__).parent
LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """What was kept of one kind of parents."""

    fusers: list[str]
    wins: NDArray[np.float64]
    scores: NDArray[np.float64]
    made: NDArray[np.bool_]
    figures: list[dict[str, Any]]


@cache
def ranking_of(kind: str) -> Ranking:
    """Read the figures and orders of ``bodies`` or ``portraits``; a creature that was not made scores 0."""
    kept = json.loads((HERE / f"{kind}.json").read_text())
    fusers, pairs = kept["fusers"], kept["pairs"]
    wins = wins_of([pair["orders"] for pair in pairs], fusers)
    figures = [pair["figures"] for pair in pairs]
    scores = np.array([[f[fuser]["score"] if fuser in f else 0.0 for fuser in fusers] for f in figures])
    made = np.array([[fuser in f for fuser in fusers] for f in figures])
    return Ranking(fusers, wins, scores, made, figures)


def strengths_table(kind: str) -> str:
    """Fusers by strength, best first, with the mean score."""
    found = ranking_of(kind)
    strengths = strengths_of(found.wins.sum(0))
    low, high = intervals_of(found.wins)
    won = found.wins.sum((0, 2)) / (found.wins + found.wins.transpose(0, 2, 1)).sum((0, 2))
    lines = ["| fuser | strength | choices won | score | creatures |", "|---|---|---|---|---|"]
    for k in np.argsort(-strengths):
        score = estimate(found.scores[:, k].tolist())
        lines.append(
            f"| {found.fusers[k]} | {strengths[k]:+.2f} ({low[k]:+.2f} to {high[k]:+.2f}) | {won[k]:.2f} "
            f"| {score.mean:.3f} ({score.low:.3f} to {score.high:.3f}) | {found.made[:, k].sum()} of {len(found.made)} |"
        )
    return "\n".join(lines)


def statements(kind: str) -> str:
    """What holds after correction, in choices and in score."""
    found = ranking_of(kind)
    differences = differences_of(found.fusers, found.wins, found.scores)
    both = [d for d in map(_turned, differences) if d.p_choices < LEVEL and d.p_score < LEVEL and d.score > 0]
    against = [
        d for d in map(_turned, differences) if d.p_choices < LEVEL and d.p_score < LEVEL and d.score < 0
    ]
    viewers = sum(d.p_choices < LEVEL for d in differences)
    score = sum(d.p_score < LEVEL for d in differences)
    strengths, means = strengths_of(found.wins.sum(0)), found.scores.mean(0)
    low, high = tau_interval_of(found.wins, found.scores)
    lines = [
        f"Of {len(differences)} pairs of fusers viewers tell {viewers} apart and the score {score}; they agree on {len(both)} "
        f"and contradict each other on {len(against)}. Kendall's tau between strength and score is "
        f"**{tau_of(strengths, means):.2f}** ({low:.2f} to {high:.2f}).",
        "",
        "| better | than | choices won | p | score | p |",
        "|---|---|---|---|---|---|",
        *(_row(d) for d in sorted(both, key=lambda d: -d.choices)),
    ]
    if against:
        lines += [
            "",
            "Where viewers and score contradict each other:",
            "",
            "| viewers prefer | to | choices won | p | score | p |",
            "|---|---|---|---|---|---|",
            *(_row(d) for d in sorted(against, key=lambda d: -d.choices)),
        ]
    return "\n".join(lines)


def _turned(difference: Difference) -> Difference:
    """Name the fuser first that viewers prefer."""
    if difference.choices >= 0.5:
        return difference
    d = difference
    return Difference(d.second, d.first, 1 - d.choices, d.p_choices, -d.score, d.p_score)


def _row(d: Difference) -> str:
    return (
        f"| {d.first} | {d.second} | {d.choices:.2f} | {_p(d.p_choices)} | {d.score:+.3f} | {_p(d.p_score)} |"
    )


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}"


TABLES = {
    f"{part.__name__.replace('_', '-')}-{kind}": partial(part, kind)
    for kind in ("bodies", "portraits")
    for part in (strengths_table, statements)
}
TABLES |= {"formulas": formulas_table, "means-bodies": partial(means_table, "bodies")}
