"""Find images that are there twice, and those that lie on both sides of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

SHOWN = 20


def find_duplicates(
    hashes: Mapping[str, Sequence[str]], names: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Count pairs of equal images.

    Args:
        hashes: of every image, by split.
        names: of every image, by split.
    Returns:
        ``pairs``: number of pairs of equal images; ``across``: those of them whose images are in two splits, which
        makes a test easier than it looks; ``examples`` and ``across_examples``: names of the first pairs of each.
    """
    where: dict[str, list[tuple[str, str]]] = {}
    for split, found in hashes.items():
        for digest, name in zip(found, names[split], strict=True):
            where.setdefault(digest, []).append((split, name))
    pairs = [pair for places in where.values() for pair in combinations(places, 2)]
    across = [pair for pair in pairs if pair[0][0] != pair[1][0]]
    within = [pair for pair in pairs if pair[0][0] == pair[1][0]]
    return {
        "pairs": len(pairs),
        "across": len(across),
        "examples": [_shown(pair) for pair in within[:SHOWN]],
        "across_examples": [_shown(pair) for pair in across[:SHOWN]],
    }


def _shown(pair: tuple[tuple[str, str], tuple[str, str]]) -> list[str]:
    return [f"{split}: {name}" for split, name in pair]
