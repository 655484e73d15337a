"""Find images that are there twice, and those that lie on both sides of a split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice, product
from math import comb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chimera_core.data.batches import ImageSplit

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
    groups = [places for places in where.values() if len(places) > 1]
    pairs = sum(comb(len(places), 2) for places in groups)
    within = sum(
        comb(count, 2) for places in groups for count in Counter(split for split, _ in places).values()
    )
    # Pairs are counted, not listed: ten thousand black frames make fifty million.
    return {
        "pairs": pairs,
        "across": pairs - within,
        "examples": [_shown(pair) for pair in islice(_pairs(groups, same=True), SHOWN)],
        "across_examples": [_shown(pair) for pair in islice(_pairs(groups, same=False), SHOWN)],
    }


def count_pairs(one: ImageSplit, other: ImageSplit) -> int:
    """Count pairs of equal images of which one lies in each split."""
    known = Counter(_digests(one))
    return sum(known[digest] for digest in _digests(other))


def _digests(split: ImageSplit) -> Iterator[bytes]:
    import torch

    for indices in torch.split(torch.arange(len(split)), 256):
        for image in split.take(indices).permute(0, 2, 3, 1).contiguous().numpy():
            yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _pairs(groups: Iterable[list[tuple[str, str]]], *, same: bool) -> Iterator[tuple[Any, Any]]:
    """Go through pairs of one split, or of two."""
    for places in groups:
        by_split: dict[str, list[tuple[str, str]]] = {}
        for place in places:
            by_split.setdefault(place[0], []).append(place)
        if same:
            for own in by_split.values():
                yield from combinations(own, 2)
        else:
            for one, other in combinations(by_split.values(), 2):
                yield from product(one, other)


def _shown(pair: tuple[tuple[str, str], tuple[str, str]]) -> list[str]:
    return [f"{split}: {name}" for split, name in pair]
