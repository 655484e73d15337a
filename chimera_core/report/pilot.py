"""What a finished comparison, and viewers' choices, say as a pilot: the pairs, seeds and viewers that the next one needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import quote
from chimera_core.report.choices import Choices
from chimera_core.report.formatting import counted
from chimera_core.report.power import (
    MOST,
    Array,
    Spread,
    choices_needed,
    correlation,
    factor_to_be_safe,
    fewest_pairs,
    pairs_needed,
    shown_by,
    spread_of,
)
from chimera_core.report.record import ComparisonRecord
from chimera_core.statistics import LEAST_PAIRS

LEVEL = 0.05
SEEDS = (1, 3, 10)
"""Numbers of seeds that are considered, where the pilot has several."""
VIEWERS = (1, 3, 5)
"""Odd numbers of viewers: every choice has a majority."""
_FEW_PAIRS, _FEW_CHOICES = 20, 50


def plan_of(
    record: ComparisonRecord, *, difference: float, tests: int | None, seed: int = 0
) -> dict[str, Any]:
    """Say what pairs and seeds each two fusers of a pilot need.

    Args:
        difference: in score, that is to be seen.
        tests: the level is corrected for so many; None: for all pairs of the fusers that were measured.
        seed: of the simulation.
    Returns:
        Plain values, as ``chimera report --power --json`` prints them under ``score``.
    Raises:
        ConfigError: if it is too small to say anything.
    """
    order = [place.fuser for place in sorted(record.ranking, key=lambda p: p.rank) if place.mean is not None]
    if len(order) < 2:
        raise ConfigError(
            f"comparison {quote(record.name)} measured fewer than two fusers: there is nothing to tell apart"
        )
    level = LEVEL / (tests or math.comb(len(order), 2))
    pairs = {(a, b): differences_of(record, a, b) for a, b in combinations(order, 2)}
    enough = {fusers: table for fusers, table in pairs.items() if _measured(table) >= LEAST_PAIRS}
    rows, spreads = [], []
    # Where all are too few, the first says so.
    for (a, b), table in (enough or pairs).items():
        spread = spread_of(table)
        spreads.append(spread)
        own = max(1, len(record.seeds)) if spread.seeds is not None else 1
        needed = {
            seeds: pairs_needed(spread, seeds=seeds, difference=difference, level=level, seed=seed)
            for seeds in (SEEDS if spread.seeds is not None else SEEDS[:1])
        }
        rows.append(
            {
                "a": a,
                "b": b,
                "difference": spread.mean,
                "sd_parents": spread.parents,
                "sd_seeds": spread.seeds,
                "shown_by_pilot": shown_by(spread, seeds=own, level=level, seed=seed),
                "pairs": {str(seeds): found for seeds, found in needed.items()},
                "pairs_to_be_safe": {str(s): _to_be_safe(found, spread) for s, found in needed.items()},
            }
        )
    fewest = min(spread.pairs for spread in spreads)
    return {
        "comparison": record.name,
        "difference": difference,
        "level": level,
        "pilot": {"pairs": fewest, "seeds": len(record.seeds), "weights": len(record.weights)},
        "fusers": rows,
        "remarks": [
            *_remarks(fewest, spreads, level),
            *(
                f"{a} - {b}: left out, for only {counted(_measured(table), 'pair')} of parents had both measured"
                for (a, b), table in pairs.items()
                if (a, b) not in enough
            ),
        ],
    }


def plan_of_choices(choices: Choices, *, share: float, tests: int | None) -> dict[str, Any]:
    """Say how many choices show that viewers prefer one fuser, by the number of viewers.

    Args:
        share: of their votes for it.
        tests: the level is corrected for so many; None: for all pairs of the fusers that met.
    Returns:
        Plain values, as ``chimera report --power --json`` prints them under ``choices``.
    Raises:
        ConfigError: if they do not say how alike viewers choose.
    """
    alike = correlation(choices.groups)
    level = LEVEL / (tests or math.comb(len(choices.fusers), 2))
    needed = {v: choices_needed(viewers=v, share=share, alike=alike, level=level) for v in VIEWERS}
    remarks = []
    if choices.count < _FEW_CHOICES:
        remarks.append(f"of {choices.count} choices it is hardly known how alike viewers choose")
    return {
        "share": share,
        "level": level,
        "pilot": {"choices": choices.count, "viewers": choices.viewers, "fusers": len(choices.fusers)},
        "agreement": choices.agreement,
        "correlation": alike,
        "choices": {str(viewers): found for viewers, found in needed.items()},
        "remarks": remarks,
    }


def differences_of(record: ComparisonRecord, a: str, b: str) -> Array:
    """Give a fuser's score less another's, float (pairs, seeds), means over weights; NaN where one was not measured.

    Creatures count in which every parent has a part, as in the ranking.
    """
    tuples, seeds = [t.id for t in record.tuples], list(dict.fromkeys(c.seed for c in record.cells))
    met: dict[tuple[str, int, int], list[float]] = {}
    for cell in record.cells:
        score = cell.metrics.get("score")
        if cell.fuser in (a, b) and min(cell.weights) > 0 and score is not None and score.value is not None:
            met.setdefault((cell.fuser, cell.tuple, cell.seed), []).append(score.value)
    means = {key: sum(values) / len(values) for key, values in met.items()}
    table = [[means.get((a, t, s), math.nan) - means.get((b, t, s), math.nan) for s in seeds] for t in tuples]
    return np.array(table, dtype=float).reshape(len(tuples), len(seeds))


def _measured(differences: Array) -> int:
    return int(np.isfinite(differences).any(1).sum())


def _to_be_safe(pairs: int | None, spread: Spread) -> int | None:
    found = None if pairs is None else math.ceil(pairs * factor_to_be_safe(spread.pairs))
    return found if found is None or found <= MOST else None


def _remarks(pairs: int, spreads: Sequence[Spread], level: float) -> list[str]:
    from scipy import stats

    found = []
    if pairs < _FEW_PAIRS:
        low, high = (math.sqrt((pairs - 1) / stats.chi2.ppf(q, pairs - 1)) for q in (0.9, 0.1))
        found.append(
            f"a pilot of {pairs} pairs is small: the standard deviations are known within a factor of {low:.2f} to "
            f"{high:.2f} only (80 %), and the pairs that are needed within its square"
        )
    if pairs < (least := fewest_pairs(level)):
        found.append(f"{pairs} pairs are never significant at p < {level:.2g}: that takes {least} at least")
    if all(spread.seeds is None for spread in spreads):
        found.append("the pilot has one seed: what more seeds would bring is not known")
    return found
