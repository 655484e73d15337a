"""In which order a training sees the examples: a pure function of seed, epoch and shares.

There is no sampler state: whoever knows the step knows the batch, so a run that was interrupted goes on with the
very next images, and the ranks of a distributed run deal one order out among themselves.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from chimera_core.errors import ConfigError


def seeded(*keys: object) -> torch.Generator:
    """Make a generator whose numbers depend on the words alone, e.g. (purpose, seed, epoch)."""
    digest = hashlib.blake2b("/".join(map(str, keys)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def epoch_order(count: int, *, seed: int, epoch: int) -> Tensor:
    """Shuffle all examples: int64 (count,)."""
    return torch.randperm(count, generator=seeded("order", seed, epoch))


def shared_order(groups: Sequence[int], shares: Mapping[int, float], *, seed: int, epoch: int) -> Tensor:
    """Draw as many examples as there are, so that every group has its share of them.

    The shares are kept exactly (largest remainder), not on average, and within a group no example is seen twice
    more often than another: it goes round its group in a new order each time.

    Args:
        groups: the group (class or domain) of every example.
        shares: share of each group; they sum to 1. Groups that are not named are never drawn.
        seed: of the run.
        epoch: counts from 0.
    Returns:
        int64 (len(groups),), indices of examples, shuffled.
    Raises:
        ConfigError: if a group with a share has no example, or the shares are no shares.
    """
    members = _members(groups)
    check_shares(shares, members)
    counts = _largest_remainder(len(groups), shares)
    generator = seeded("shared order", seed, epoch)
    drawn = []
    for group in sorted(counts):
        own = members[group]
        rounds = math.ceil(counts[group] / len(own))
        tours = [own[torch.randperm(len(own), generator=generator)] for _ in range(rounds)]
        drawn.append(torch.cat([torch.empty(0, dtype=torch.int64), *tours])[: counts[group]])
    order = torch.cat(drawn)
    return order[torch.randperm(len(order), generator=generator)]


def check_shares(shares: Mapping[int, float], present: Collection[int]) -> None:
    """Check that shares can be kept by the groups that are present.

    Raises:
        ConfigError: naming the group that has no example, or the sum.
    """
    for group, share in shares.items():
        if not (math.isfinite(share) and share >= 0):
            raise ConfigError(f"the share of group {group} is {share:g}: give 0 or more")
        if share > 0 and group not in present:
            raise ConfigError(f"group {group} has a share of {share:g} but no image: give it 0")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"shares must sum to 1, but they sum to {sum(shares.values()):g}")


def equal_shares(groups: Sequence[int]) -> dict[int, float]:
    """Give every group that has an example the same share."""
    present = sorted(_members(groups))
    return {group: 1 / len(present) for group in present}


def _members(groups: Sequence[int]) -> dict[int, Tensor]:
    tensor = torch.as_tensor(groups, dtype=torch.int64)
    return {group: (tensor == group).nonzero()[:, 0] for group in sorted(set(tensor.tolist()))}


def _largest_remainder(total: int, shares: Mapping[int, float]) -> dict[int, int]:
    exact = {group: total * share for group, share in shares.items()}
    counts = {group: math.floor(value) for group, value in exact.items()}
    by_remainder = sorted(exact, key=lambda group: (counts[group] - exact[group], group))
    for group in by_remainder[: total - sum(counts.values())]:
        counts[group] += 1
    return counts
