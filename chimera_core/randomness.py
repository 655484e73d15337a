"""Random numbers that belong to an example, not to a process.

A training step's random numbers are a pure function of (seed, epoch, index of the example, purpose). So they do not
change with the number of processes that share a batch, nor when a run is interrupted and goes on; there is no
generator state to keep. The hash is SplitMix64 on a counter, in integer arithmetic that every device does alike.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


class Draw:
    """The random numbers of one batch.

    Args:
        seed: of the run.
        epoch: counts from 0; the same example gets other numbers in the next epoch.
        indices: int64 (N,), the examples' indices in their data set; the results lie on its device.
        step: which batch of the run this is, the same in every process; None where nobody counts.
    """

    def __init__(self, seed: int, epoch: int, indices: Tensor, *, step: int | None = None) -> None:
        self.seed = seed
        self.epoch = epoch
        self.indices = indices
        self.step = step

    def of(self, rows: Tensor) -> Draw:
        """Give the draw of some of these examples: positions (M,) in the batch, or a mask (N,)."""
        return Draw(self.seed, self.epoch, self.indices[rows], step=self.step)

    def uniform(self, *shape: int, purpose: str) -> Tensor:
        """Draw float32 (N, *shape), uniform in [0, 1), other ones for every purpose."""
        bits = (self._bits(math.prod(shape), purpose) >> 40) & 0xFFFFFF
        return (bits.float() / 2**24).view(-1, *shape)

    def normal(self, *shape: int, purpose: str) -> Tensor:
        """Draw float32 (N, *shape), standard normal (Box-Muller)."""
        first = self.uniform(*shape, purpose=f"{purpose}/radius")
        second = self.uniform(*shape, purpose=f"{purpose}/angle")
        return torch.sqrt(-2 * torch.log1p(-first)) * torch.cos(2 * math.pi * second)

    def integers(self, high: int, *shape: int, purpose: str) -> Tensor:
        """Draw int64 (N, *shape), uniform in 0 ... high - 1; ``high`` is far below 2**24."""
        return (self.uniform(*shape, purpose=purpose) * high).long().clamp_(max=high - 1)

    def _bits(self, count: int, purpose: str) -> Tensor:
        """Hash (N, count) counters to 64 bits each."""
        key = hashlib.blake2b(f"{self.seed}/{self.epoch}/{purpose}".encode(), digest_size=8).digest()
        stream = _mix(self.indices.long() * _GOLDEN + int.from_bytes(key, "little", signed=True))
        counter = torch.arange(1, count + 1, device=self.indices.device) * _GOLDEN
        return _mix(stream[:, None] + counter)


def _mix(x: Tensor) -> Tensor:
    """Finish SplitMix64 (Steele et al. 2014); shifts of int64 are arithmetic, so the sign is masked off."""
    x = (x ^ ((x >> 30) & (2**34 - 1))) * _MIX_1
    x = (x ^ ((x >> 27) & (2**37 - 1))) * _MIX_2
    return x ^ ((x >> 31) & (2**33 - 1))


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed torch's own generators for one step: dropout and the like in networks draw from them.

    So their state is a function of the step, and no checkpoint has to keep it. Each rank has its own numbers.
    """
    key = hashlib.blake2b(f"step/{seed}/{step}/{rank}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(key, "little") >> 1)
