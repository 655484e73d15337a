"""A tiny encoder for tests: two convolutions and a linear classifier, without batch norm or dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from chimera_core.errors import ConfigError
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.records import Level


class SmallEncoder(FeatureEncoder):
    """Two convolutions of stride 2.

    Args:
        classes: K.
        width: channels of the first level; the second has twice as many.
        seed: of the weights; the global generator is left alone.
    """

    def __init__(self, classes: int = 3, *, width: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.levels = (Level("first", width, 2), Level("second", 2 * width, 4))
        self.mean, self.std = torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.25)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Conv2d(3, width, 3, stride=2, padding=1)
            self.second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
            self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (N, 3, H, W) in [0, 1]: logits (N, K)."""
        logits: Tensor = self.head(self.embed(x))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """Embed images: (N, 2 * width)."""
        return self._maps(x)[1].mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        """Read feature maps; see ``FeatureEncoder.feature_maps``."""
        if any(level not in (0, 1) for level in levels):
            raise ConfigError(f"this encoder has the levels 0 and 1, but {list(levels)} were asked for")
        maps = self._maps(x)
        return [maps[level] for level in levels]

    def _maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.first((x - self.mean.to(x)) / self.std.to(x)).relu()
        return first, self.second(first).relu()
