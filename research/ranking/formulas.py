"""Formulas 3 and 4 of the score on the same creatures of the rankings, for docs/results/ranking.md.

The tables of the rankings are by formula 3, as they were when viewers were asked. Creatures of which ``formula_4`` is kept were
measured again by formula 4 after it was frozen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ranking.strengths import DRAWS, Array, strengths_of, tau_interval_of, tau_of, wins_of

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """Pairs of parents of which both formulas are known: ``wins`` and the scores, (pairs, fusers); 0 for a creature not made."""

    fusers: list[str]
    wins: Array
    third: Array
    fourth: Array
    pairs: int


def measured(kind: str) -> Measured:
    """Read the pairs of ``bodies`` or ``portraits`` of which every creature was measured by both."""
    kept = json.loads((HERE / f"{kind}.json").read_text())
    fusers = kept["fusers"]
    pairs = [p for p in kept["pairs"] if all("formula_4" in figures for figures in p["figures"].values())]

    def scores(pair: dict[str, Any], *, formula: int) -> list[float]:
        found = [pair["figures"].get(fuser) for fuser in fusers]
        return [0.0 if f is None else f["score"] if formula == 3 else f["formula_4"]["score"] for f in found]

    third, fourth = (np.array([scores(pair, formula=n) for pair in pairs]) for n in (3, 4))
    return Measured(fusers, wins_of([p["orders"] for p in pairs], fusers), third, fourth, len(pairs))


def agreement_of(wins: Array, scores: Array) -> Array:
    """Count choices for the higher score, and all, of each pair of parents: (pairs, 2). A tie counts half."""
    ahead = scores[:, :, None] - scores[:, None, :]
    right = (wins * (ahead > 0)).sum((1, 2)) + 0.5 * (wins * (ahead == 0)).sum((1, 2))
    return np.stack([right, wins.sum((1, 2))], 1)


def formulas_table() -> str:
    """Both formulas against viewers: tau over fusers, and the share of single choices for the higher score."""
    lines = [
        "| creatures | pairs | tau, formula 3 | tau, formula 4 | choices, formula 3 | choices, formula 4 | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, words in (
        ("bodies", "animals with their bodies"),
        ("portraits", "faces (the first of them)"),
    ):
        found = measured(kind)
        strengths = strengths_of(found.wins.sum(0))
        taus = []
        for scores in (found.third, found.fourth):
            low, high = tau_interval_of(found.wins, scores)
            taus.append(f"{tau_of(strengths, scores.mean(0)):.2f} ({low:.2f} to {high:.2f})")
        before, after = (agreement_of(found.wins, s) for s in (found.third, found.fourth))
        shares = [a[:, 0].sum() / a[:, 1].sum() for a in (before, after)]
        drawn = np.random.default_rng(0).integers(0, found.pairs, (DRAWS, found.pairs))
        moved = (after - before)[drawn, 0].sum(1) / after[drawn, 1].sum(1)
        low, high = np.percentile(moved, [2.5, 97.5])
        lines.append(
            f"| {words} | {found.pairs} | {taus[0]} | {taus[1]} | {shares[0]:.2f} | {shares[1]:.2f} "
            f"| {shares[1] - shares[0]:+.2f} ({low:+.2f} to {high:+.2f}) |"
        )
    return "\n".join(lines)


def means_table(kind: str) -> str:
    """Mean scores of the fusers by both formulas, best by viewers first, and the factors of formula 4."""
    found = measured(kind)
    kept = json.loads((HERE / f"{kind}.json").read_text())["pairs"]
    lines = ["| fuser | formula 3 | formula 4 | integrity | presence | unity |", "|---|---|---|---|---|---|"]
    for k in np.argsort(-strengths_of(found.wins.sum(0))):
        own = [p["figures"][found.fusers[k]] for p in kept if found.fusers[k] in p["figures"]]
        factors = [
            np.mean([f["formula_4"][name] for f in own if "formula_4" in f])
            for name in ("integrity", "presence", "unity")
        ]
        cells = (found.third[:, k].mean(), found.fourth[:, k].mean(), *factors)
        lines.append(f"| {found.fusers[k]} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    return "\n".join(lines)
