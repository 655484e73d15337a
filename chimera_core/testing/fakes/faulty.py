"""A fuser that does what no fuser should, for tests of whoever must survive it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import FusionGenerator, Parent
from chimera_core.testing.fakes.config import FaultyConfig

_CHUNK = 32 << 20


class FaultyFuser(FusionGenerator):
    """Mixes the parents' pixels at even seeds; at odd ones it fails as its options ask."""

    accepts = frozenset({"photo"})

    config: FaultyConfig

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Mix, or misbehave."""
        if self.config.diary:
            with open(self.config.diary, "a", encoding="utf-8", newline="\n") as diary:
                diary.write(f"{list(weights)} {list(seeds)}\n")
        time.sleep(self.config.pause_s)
        return torch.stack([self._creature(parents, weights, seed, size) for seed in seeds])

    def _creature(self, parents: Sequence[Parent], weights: Sequence[float], seed: int, size: int) -> Tensor:
        if seed % 2:
            failure = self.config.failure
            if failure == "raises":
                raise RuntimeError("as it was told\nin two lines")
            if failure == "nan":
                return torch.full((3, size, size), torch.nan)
            if failure == "shape":
                return torch.zeros(3, size // 2, size)
            if failure == "dies":
                os.abort()
            if failure == "hangs":
                time.sleep(1000)
            if failure == "eats":
                _eat()
        mixed = torch.stack(
            [w * _square(p.image, size) for p, w in zip(parents, weights, strict=True) if p.image is not None]
        ).sum(0)
        return (mixed + self.config.level + 0.01 * seed).clamp(0, 1)


def _square(image: Tensor, size: int) -> Tensor:
    return F.interpolate(image[None], (size, size), mode="area")[0]


def _eat() -> None:
    eaten = []
    while True:  # until somebody ends it
        eaten.append(torch.ones(_CHUNK, dtype=torch.uint8))
        time.sleep(0.005)
