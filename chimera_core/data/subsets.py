"""Parts of a split, and which split is for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.data.order import seeded
from chimera_core.errors import ConfigError
from chimera_core.options import suggest

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation", "test", "testing")
HELD_OUT = "held-out"
HELD_OUT_SHARE = 0.2


class SubsetSplit:
    """Some examples of a split, as a split; ``origins`` are their indices there."""

    def __init__(self, split: ImageSplit, origins: Tensor) -> None:
        self.split = split
        self.origins = origins
        self.labels = split.labels[origins]
        self.domains = split.domains[origins]

    def __len__(self) -> int:
        return len(self.origins)

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""
        return self.split.nbytes * len(self) // max(1, len(self.split))

    def take(self, indices: Tensor) -> Tensor:
        """Copy images out: int64 (N,) -> uint8 (N, 3, S, S)."""
        return self.split.take(self.origins[indices])


def spread_subset(split: ImageSplit, count: int) -> ImageSplit:
    """Take at most so many examples, evenly out of a split."""
    if count >= len(split):
        return split
    return SubsetSplit(split, torch.linspace(0, len(split) - 1, count).round().long())


def hold_out(split: ImageSplit, *, share: float, seed: int) -> tuple[SubsetSplit, SubsetSplit]:
    """Part a split at random into (the rest, a share of each class); a class of one image stays in the rest."""
    order = torch.randperm(len(split), generator=seeded("held out", seed))
    labels = split.labels[order]
    held = torch.zeros(len(split), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        own = order[labels == label]
        held[own[: round(share * len(own)) if len(own) > 1 else 0]] = True
    every = torch.arange(len(split))
    return SubsetSplit(split, every[~held]), SubsetSplit(split, every[held])


def of_domains(split: ImageSplit, names: Sequence[str], known: Sequence[str]) -> SubsetSplit:
    """Keep the examples of some domains.

    Raises:
        ConfigError: for a domain that the source does not have, or if no example is left.
    """
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no domain '{name}'" + (suggest(name, known) or ": the source has none")
            )
    wanted = torch.tensor([known.index(name) for name in names])
    kept = torch.isin(split.domains, wanted).nonzero()[:, 0]
    if not len(kept):
        raise ConfigError(f"domains {', '.join(names)} have no image in this split: name others")
    return SubsetSplit(split, kept)


def name_splits(counts: Mapping[str, int], train: str | None, val: str | None) -> tuple[str, str]:
    """Choose the splits to learn from and to validate on.

    Args:
        counts: images by split.
        train: the user's choice, or None.
        val: the user's choice, or None.
    Returns:
        Two names; the second is ``held-out`` where there is no other split to validate on.
    Raises:
        ConfigError: if a split does not exist or is empty, or it is not clear which to learn from.
    """
    filled = [name for name, count in counts.items() if count]
    for name in (train, val):
        if name is not None and name != HELD_OUT and name not in filled:
            raise ConfigError(f"there is no split '{name}' with images" + suggest(name, filled))
    if train is None:
        fitting = [name for name in TRAIN_NAMES if name in filled] or (filled if len(filled) == 1 else [])
        if not fitting:
            raise ConfigError(f"which split is to be learned from? say --train-split ({', '.join(filled)})")
        train = fitting[0]
    if val is None:
        val = next((name for name in VAL_NAMES if name in filled and name != train), HELD_OUT)
    return train, val
