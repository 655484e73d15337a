"""Batches straight from the packed cache: no decoding, no waiting, no state.

Images stay uint8 until they are on the device. A set that fits the accelerator's memory lies there whole; otherwise the
next batches are copied by a thread while the device works.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from chimera_core.data.order import check_shares, epoch_order, equal_shares, shared_order
from chimera_core.errors import ConfigError

Sampling = Literal["natural", "class", "domain"]
AHEAD = 2
# Of the device's free memory: the network, its gradients and activations need the rest.
_RESIDENT_SHARE = 0.5


class ImageSplit(Protocol):
    """What batches are cut from: ``PackedSplit``, or a small set in memory (``TensorSplit``)."""

    labels: Tensor
    domains: Tensor

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""

    def take(self, indices: Tensor) -> Tensor:
        """Copy images out: int64 (N,) -> uint8 (N, 3, S, S)."""


class TensorSplit:
    """A set of images in memory.

    Args:
        images: uint8 (n, 3, S, S).
        labels: int64 (n,).
        domains: int64 (n,); zeros when None.
    """

    def __init__(self, images: Tensor, labels: Tensor, domains: Tensor | None = None) -> None:
        self.images = images
        self.labels = labels
        self.domains = torch.zeros_like(labels) if domains is None else domains

    def __len__(self) -> int:
        return len(self.images)

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""
        return self.images.nbytes

    def take(self, indices: Tensor) -> Tensor:
        """Copy images out: int64 (N,) -> uint8 (N, 3, S, S)."""
        return self.images[indices].contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Batch:
    """N examples on the device: ``images`` uint8 (N, 3, S, S) channels-last; the rest int64 (N,)."""

    images: Tensor
    labels: Tensor
    domains: Tensor
    indices: Tensor
    epoch: int = 0

    def pixels(self) -> Tensor:
        """Give the images as float32 (N, 3, S, S) in [0, 1]."""
        return self.images.float().div_(255)


class TrainingBatches:
    """Endless shuffled batches. Batch k is a function of k alone, so to resume is to start at another step.

    Args:
        split: where the images are.
        batch: images per step, over all ranks.
        seed: of the order.
        device: where the batches go.
        sampling: ``natural``: every image once an epoch; ``class`` or ``domain``: equal shares of each; or the
            share of each class by its label.
        rank: of this process; it gets every ``world_size``-th image of each batch.
        world_size: number of processes. The last, partial batch of an epoch is dropped, so all take equal steps.
    Raises:
        ConfigError: if the batch is larger than the split, or cannot be dealt out evenly, or a share is wrong.
    """

    def __init__(
        self,
        split: ImageSplit,
        *,
        batch: int,
        seed: int,
        device: torch.device | str = "cpu",
        sampling: Sampling | Mapping[int, float] = "natural",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch > len(split):
            raise ConfigError(
                f"a batch of {batch} images is more than there are ({len(split)}): lower --batch"
            )
        if batch % world_size:
            raise ConfigError(
                f"a batch of {batch} images cannot be dealt out to {world_size} processes: make it a multiple"
            )
        self.split = split
        self.batch = batch
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.steps_per_epoch = len(split) // batch
        self._groups = (split.domains if sampling == "domain" else split.labels).tolist()
        if isinstance(sampling, str):
            self._shares = None if sampling == "natural" else equal_shares(self._groups)
        else:
            self._shares = dict(sampling)
            check_shares(self._shares, set(self._groups))
        self._fetch = _Fetcher(split, torch.device(device))
        self._order: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.int64))

    def indices(self, step: int) -> tuple[int, Tensor]:
        """Give the epoch of a step and the indices int64 (batch / world_size,) of this rank's images."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            if self._shares is None:
                order = epoch_order(len(self.split), seed=self.seed, epoch=epoch)
            else:
                order = shared_order(self._groups, self._shares, seed=self.seed, epoch=epoch)
            self._order = (epoch, order)
        start = position * self.batch
        return epoch, self._order[1][start + self.rank : start + self.batch : self.world_size]

    def at(self, step: int) -> Batch:
        """Fetch the batch of one step."""
        epoch, indices = self.indices(step)
        return self._fetch(indices, epoch)

    def from_step(self, start: int = 0) -> Iterator[Batch]:
        """Yield batches from a step on, for ever; the next ones are fetched meanwhile."""
        if self._fetch.is_resident:
            while True:
                yield self.at(start)
                start += 1
        with ThreadPoolExecutor(1) as pool:
            ahead: list[Future[Batch]] = [pool.submit(self.at, start + k) for k in range(AHEAD)]
            while True:
                ready = ahead.pop(0).result()
                start += 1
                ahead.append(pool.submit(self.at, start + AHEAD - 1))
                yield ready


def evaluation_batches(
    split: ImageSplit, *, batch: int, device: torch.device | str = "cpu", rank: int = 0, world_size: int = 1
) -> Iterator[Batch]:
    """Yield every example exactly once over all ranks, in order; the last batch may be smaller."""
    fetch = _Fetcher(split, torch.device(device))
    own = torch.arange(len(split))[rank::world_size]
    for start in range(0, len(own), batch):
        yield fetch(own[start : start + batch], 0)


class _Fetcher:
    """Copies examples to the device, from its own memory where the set fits there."""

    def __init__(self, split: ImageSplit, device: torch.device) -> None:
        self.split = split
        self.device = device
        self._resident: Tensor | None = None
        if device.type == "cuda" and split.nbytes < _RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            chunks = torch.arange(len(split)).chunk(math.ceil(len(split) / 4096))
            self._resident = torch.cat([split.take(chunk).to(device) for chunk in chunks])

    @property
    def is_resident(self) -> bool:
        """Whether fetching costs nothing worth doing ahead."""
        return self._resident is not None

    def __call__(self, indices: Tensor, epoch: int) -> Batch:
        there = indices.to(self.device)
        if self._resident is not None:
            images = self._resident[there].contiguous(memory_format=torch.channels_last)
        else:
            images = self.split.take(indices)
            if self.device.type == "cuda":
                images = images.pin_memory().to(self.device, non_blocking=True)
            else:
                images = images.to(self.device)
        labels, domains = self.split.labels[indices], self.split.domains[indices]
        return Batch(images, labels.to(self.device), domains.to(self.device), there, epoch)
