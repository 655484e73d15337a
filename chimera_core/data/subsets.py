"""Parts of splits, and several as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.data.order import seeded
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import quote
from chimera_core.files.names import spelled_in
from chimera_core.options.config import suggest


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


class RelabelledSplit(SubsetSplit):
    """The examples of a split with other labels; those whose label is negative are left out.

    Args:
        labels: int64, one for each example of the split.
    """

    def __init__(self, split: ImageSplit, labels: Tensor) -> None:
        super().__init__(split, (labels >= 0).nonzero()[:, 0])
        self.labels = labels[self.origins]


class JoinedSplit:
    """Several splits, one after the other, as one."""

    def __init__(self, splits: Sequence[ImageSplit]) -> None:
        self.splits = tuple(splits)
        self.labels = torch.cat([split.labels for split in self.splits])
        self.domains = torch.cat([split.domains for split in self.splits])
        self._ends = torch.tensor([len(split) for split in self.splits]).cumsum(0)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""
        return sum(split.nbytes for split in self.splits)

    def take(self, indices: Tensor) -> Tensor:
        """Copy images out: int64 (N,) -> uint8 (N, 3, S, S)."""
        where = torch.searchsorted(self._ends, indices, right=True)
        if not len(indices):
            return self.splits[0].take(indices)
        images: Tensor | None = None
        for number in sorted(set(where.tolist())):
            rows = where == number
            start = int(self._ends[number]) - len(self.splits[number])
            taken = self.splits[number].take(indices[rows] - start)
            if images is None:
                images = taken.new_empty(len(indices), *taken.shape[1:]).contiguous(
                    memory_format=torch.channels_last
                )
            images[rows] = taken
        assert images is not None
        return images


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


def hold_out_plainly(split: ImageSplit, *, share: float, seed: int) -> tuple[SubsetSplit, SubsetSplit]:
    """Part a split at random into (the rest, a share), whatever the classes: some may lie on one side only."""
    order = torch.randperm(len(split), generator=seeded("held out", seed))
    held = torch.zeros(len(split), dtype=torch.bool)
    held[order[: round(share * len(split))]] = True
    every = torch.arange(len(split))
    return SubsetSplit(split, every[~held]), SubsetSplit(split, every[held])


def of_domains(split: ImageSplit, names: Sequence[str], known: Sequence[str]) -> SubsetSplit:
    """Keep the examples of some domains.

    Raises:
        ConfigError: for a domain that the source does not have, or if no example is left.
    """
    wanted = torch.tensor([known.index(name) for name in check_domains(names, known)])
    kept = torch.isin(split.domains, wanted).nonzero()[:, 0]
    if not len(kept):
        raise ConfigError(f"domains {', '.join(names)} have no image in this split: name others")
    return SubsetSplit(split, kept)


def check_domains(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Check that a source has domains of these names.

    Returns:
        The names as the source spells them.
    Raises:
        ConfigError: naming the first that it has not.
    """
    found = []
    for name in names:
        if (spelled := spelled_in(known, name)) is None:
            raise ConfigError(
                f"there is no domain {quote(name)}" + (suggest(name, known) or ": the source has none")
            )
        found.append(spelled)
    return tuple(found)
