"""A judge: a frozen network that looks at every picture in one way, and is not the one that a fuser used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.models.encoders import load_encoder
from chimera_core.plugins.discovery import PluginHost
from chimera_core.scoring.formula import RESIZE
from chimera_core.scoring.judge.features import at_size, judge_features
from chimera_core.scoring.judge.names import judge_of

SIDE = 128
TEXTURE_SIZE, _TEXTURE_STRIDE = 64, 8
# Deeper maps have so few places that an animal's outline means nothing in them.
_COAT_STRIDE = 16


@dataclass(frozen=True, eq=False)
class Judge:
    """A network that embeds pictures at one size.

    Args:
        name: which figures carry.
        encoder: on ``device``.
        side: at which it looks in pixels; pictures come there by ``RESIZE`` from the size that is scored.
    """

    name: str
    encoder: FeatureEncoder
    side: int = SIDE
    device: torch.device | str = "cpu"

    @property
    def resize(self) -> str:
        """How pictures reach it."""
        if self.encoder.resizes:
            return "as they are; it resizes them in its own way"
        return f"{RESIZE}; looked at with {self.side} px"

    @property
    def looks_at(self) -> int | None:
        """Give the side to which pictures are brought; None for a network that does so itself."""
        return None if self.encoder.resizes else self.side

    def level_near(self, stride: int) -> int | None:
        """Give the index of the level whose stride is nearest to one; None for a network without levels."""
        far = [abs(math.log(level.stride / stride)) for level in self.encoder.levels]
        return far.index(min(far)) if far else None

    def features(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """Embed images (n, 3, S, S), uint8 or float in [0, 1]: float32 (n, D), on the CPU."""
        return judge_features(self.encoder, images, size=self.looks_at, device=self.device)

    def textures(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """Give mean and spread of each channel of the feature map whose stride is nearest to 8: float32 (n, 2 C).

        So deep a map sees eyes and fur, and still sees blur, noise and seams, which an embedding overlooks. A network
        without levels gives its embedding. Larger pictures come down to ``TEXTURE_SIZE`` first: else sharp ones would
        have other textures than a reference of small images that was enlarged.
        """
        images = _small(images)
        level = self.level_near(_TEXTURE_STRIDE)
        if level is None:
            return self.features(images)

        def read(pixels: Tensor) -> Tensor:
            (found,) = self.encoder.feature_maps(pixels, [level])
            return torch.cat([found.mean((2, 3)), found.std((2, 3))], 1)

        return judge_features(self.encoder, images, size=self.looks_at, device=self.device, read=read)

    @property
    def coat_sizes(self) -> list[int]:
        """Numbers that ``coats`` gives of each level: twice its channels. None, for a network without levels."""
        return [2 * self.encoder.levels[k].channels for k in self._coat_levels]

    @property
    def _coat_levels(self) -> list[int]:
        return [k for k, level in enumerate(self.encoder.levels) if level.stride <= _COAT_STRIDE]

    def coats(self, images: Tensor | Iterable[Tensor], masks: Tensor | None = None) -> Tensor:
        """Give mean and spread of each channel of every level with a stride of 16 or less, within masks.

        Args:
            images: (n, 3, S, S), or batches of such, uint8 or float in [0, 1]; larger ones come down to ``TEXTURE_SIZE``.
            masks: float (n, 1, S, S), 1 where to look; with images in one tensor of no more than a batch. None: everywhere.
        Returns:
            float32 (n, sum of ``coat_sizes``).
        """

        def read(pixels: Tensor) -> Tensor:
            maps = self.encoder.feature_maps(pixels, self._coat_levels)
            return torch.cat([_within(found, masks) for found in maps], 1)

        return judge_features(self.encoder, _small(images), size=self.looks_at, device=self.device, read=read)


def _small(images: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
    batches = [images] if isinstance(images, Tensor) else images
    return (at_size(batch, min(batch.shape[-1], TEXTURE_SIZE)) for batch in batches)


def _within(found: Tensor, masks: Tensor | None) -> Tensor:
    """Give mean and spread of a map (n, C, h, w) within masks (n, 1, S, S): (n, 2 C)."""
    if masks is None:
        return torch.cat([found.mean((2, 3)), found.var((2, 3), correction=0).sqrt()], 1)
    # An animal that a coarse map does not see at all counts as the whole picture.
    shares = F.interpolate(masks.to(found), found.shape[-2:], mode="area").clamp(min=1e-3)
    shares = shares / shares.sum((2, 3), keepdim=True)
    mean = (found * shares).sum((2, 3), keepdim=True)
    spread = ((found - mean).square() * shares).sum((2, 3)).sqrt()
    return torch.cat([mean[..., 0, 0], spread], 1)


def load_judge(
    host: PluginHost,
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    side: int = SIDE,
    device: str | torch.device = "cpu",
) -> Judge:
    """Load a judge by its name.

    Args:
        name: a run, an exported file or a model of an encoder, an offline timm model, ``timm/NAME``, or a component.
        side: at which it looks in pixels.
    Raises:
        ConfigError: if there is none of that name; it names the nearest.
        DataError: if its weights are not to be had.
    """
    found = judge_of(host, name, options or {})
    encoder = load_encoder(found.component, device=device, **found.options).requires_grad_(False)
    return Judge(str(found.options.get("model", name)), encoder, side, device)
