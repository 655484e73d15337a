"""A small convolutional network as ``FeatureEncoder``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from chimera_cnn.config import CnnConfig
from chimera_cnn.networks import (
    initialise_residual,
    plain_head,
    plain_level,
    residual_head,
    residual_level,
    residual_stem,
)
from chimera_core.api import ConfigError, FeatureEncoder, Level, ShapeError, check_state, load_state


class CnnEncoder(FeatureEncoder):
    """Levels of convolutions, a head that makes features of the last map, and a linear classifier.

    ``plain`` is the first report's network: it flattens, so images have exactly the size it was built for.
    ``residual`` averages, and takes any image of at least ``levels[-1].stride`` pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        strides = [2 ** (k + 1) for k in range(len(widths))]
        with _seeded(config.seed):
            if config.blocks == "plain":
                self.stem: nn.Module = nn.Identity()
                inputs = (3, *widths)
                self.stages = nn.ModuleList(plain_level(a, b) for a, b in zip(inputs, widths, strict=False))
                self.head = plain_head(widths[-1], config.size // strides[-1], config.hidden)
                features = config.hidden
            else:
                self.stem = residual_stem(widths[0])
                inputs = (widths[0], *widths)
                self.stages = nn.ModuleList(
                    residual_level(a, b, depth=config.depth, stride=1 if k == 0 else 2)
                    for k, (a, b) in enumerate(zip(inputs, widths, strict=False))
                )
                self.head = residual_head(widths[-1])
                features = widths[-1]
                initialise_residual(self)
            self.dropout = nn.Dropout(config.dropout)
            self.classifier = nn.Linear(features, config.classes)
        self.levels = tuple(
            Level(f"level{k}", width, stride)
            for k, (width, stride) in enumerate(zip(widths, strides, strict=True))
        )
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(config, name)).view(3, 1, 1), persistent=False)
        if config.weights is not None:
            self._load(config.weights)

    def forward(self, x: Tensor) -> Tensor:
        """Classify: images (N, 3, H, W) in [0, 1] -> logits (N, K)."""
        logits: Tensor = self.classifier(self.dropout(self.embed(x)))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """Embed: images (N, 3, H, W) in [0, 1] -> features (N, D), before dropout and classifier."""
        features: Tensor = self.head(self._maps(x, len(self.levels))[-1])
        return features

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        """Read feature maps, stopping at the deepest level asked for. See ``FeatureEncoder``."""
        self._check_levels(levels)
        maps = self._maps(x, max(levels, default=-1) + 1)
        return [maps[level] for level in levels]

    def logits_and_maps(self, x: Tensor, levels: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Classify and read feature maps in one autograd graph. See ``FeatureEncoder``."""
        self._check_levels(levels)
        maps = self._maps(x, len(self.levels))
        logits = self.classifier(self.dropout(self.head(maps[-1])))
        return logits, [maps[level] for level in levels]

    def parameter_depths(self) -> Mapping[str, int]:
        """Give each parameter's depth: 0 for the stem, one more for each level, then head and classifier."""
        last = len(self.stages) + 1
        depths = {}
        for name, _ in self.named_parameters():
            place, *rest = name.split(".")
            depths[name] = {"stem": 0, "stages": 1 + int(rest[0]) if rest[0].isdigit() else last}.get(
                place, last
            )
        return depths

    def _maps(self, x: Tensor, count: int) -> list[Tensor]:
        """Compute the maps of the first ``count`` levels."""
        self._check_images(x)
        x = self.stem((x - self.mean) / self.std)
        maps = []
        for stage in list(self.stages)[:count]:
            x = stage(x)
            maps.append(x)
        return maps

    def _check_images(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != 3:
            raise ShapeError(f"images are {tuple(x.shape)}: pass (N, 3, H, W)")
        height, width = x.shape[-2:]
        size, least = self.config.size, self.levels[-1].stride
        if self.config.blocks == "plain" and (height, width) != (size, size):
            raise ShapeError(
                f"images are {width} x {height} pixels, but this cnn is built for {size} x {size}: resize them, or "
                f"build it with size {min(height, width)}"
            )
        if min(height, width) < least:
            raise ShapeError(
                f"images are {width} x {height} pixels, but this cnn needs at least {least} x {least}: use larger "
                "images or fewer widths"
            )

    def _check_levels(self, levels: Sequence[int]) -> None:
        for level in levels:
            if not 0 <= level < len(self.levels):
                raise ConfigError(
                    f"this cnn has feature levels 0 to {len(self.levels) - 1}, but {level} was asked for"
                )

    def _load(self, weights: str) -> None:
        if Path(weights).suffix != ".safetensors":
            raise ConfigError(f"weights '{weights}' must be a .safetensors file")
        state = load_state(weights)
        own = self.state_dict()
        check_state(state, {k: (tuple(v.shape), v.dtype) for k, v in own.items()}, where=weights)
        self.load_state_dict(state)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw first weights from a seed, and leave torch's own generator as it was."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
