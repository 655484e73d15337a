"""Three small convolutions, with random weights or with yours."""

from collections.abc import Sequence
from pathlib import Path

import torch
from chimera_core.api import ConfigError, FeatureEncoder, Level, check_state, load_state
from torch import Tensor, nn

from chimera_tiny.plugin import TinyConfig


class Tiny(FeatureEncoder):
    """Sees images (N, 3, H, W) in [0, 1]."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        widths = [config.width, 2 * config.width, 4 * config.width]
        self.levels = tuple(Level(f"stage{k}", c, 2 ** (k + 1)) for k, c in enumerate(widths))
        with torch.random.fork_rng(devices=[]):  # the global random state stays as it was
            torch.manual_seed(config.seed)
            self.stages = nn.ModuleList(
                nn.Conv2d(c_in, c_out, 3, stride=2, padding=1)
                for c_in, c_out in zip([3, *widths[:-1]], widths, strict=True)
            )
            self.head = nn.Linear(widths[-1], config.classes)
        if config.weights is not None:
            self._load(config.weights)

    def forward(self, x: Tensor) -> Tensor:
        """Classify: logits (N, K)."""
        logits: Tensor = self.head(self.embed(x))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """Embed: features (N, D)."""
        return self._maps(x, len(self.levels))[-1].mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        """Read one map (N, C_l, H_l, W_l) for each level, in the order asked for."""
        for level in levels:
            if not 0 <= level < len(self.levels):
                last = len(self.levels) - 1
                raise ConfigError(f"tiny has levels 0 to {last}, but {level} was asked for")
        maps = self._maps(x, 1 + max(levels))
        return [maps[level] for level in levels]

    def logits_and_maps(self, x: Tensor, levels: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Give both of one pass, for class-activation maps. It may be left out."""
        maps = self._maps(x, len(self.levels))
        return self.head(maps[-1].mean((2, 3))), [maps[level] for level in levels]

    def _maps(self, x: Tensor, count: int) -> list[Tensor]:
        maps = []
        x = (x - 0.5) / 0.25  # an encoder normalises by itself: callers pass [0, 1]
        for stage in self.stages[:count]:
            x = stage(x).relu()
            maps.append(x)
        return maps

    def _load(self, path: Path) -> None:
        state = load_state(path)
        expected = {name: (tuple(t.shape), t.dtype) for name, t in self.state_dict().items()}
        check_state(state, expected, where=str(path))
        self.load_state_dict(state)
