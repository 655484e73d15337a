"""The generators that belong to nobody: torch's own, numpy's and the standard library's."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def seed_all_but_torch(seed: int) -> None:
    """Seed those that no training seeds."""
    np.random.seed(seed)
    random.seed(seed)


class GlobalState:
    """The state of the global generators at one time."""

    def __init__(self) -> None:
        self._torch = torch.get_rng_state()
        self._numpy = np.random.get_state()
        self._random = random.getstate()

    def changed(self) -> str:
        """Name the generators that have moved since; empty if none has."""
        _, keys, *place = self._numpy
        _, keys_now, *place_now = np.random.get_state()
        moved = {
            "torch": not torch.equal(self._torch, torch.get_rng_state()),
            "numpy.random": place != place_now or not np.array_equal(keys, keys_now),
            "random": self._random != random.getstate(),
        }
        return " and ".join(name for name, has in moved.items() if has)

    def restore(self) -> None:
        """Put them back."""
        torch.set_rng_state(self._torch)
        np.random.set_state(self._numpy)
        random.setstate(self._random)
