"""A judge: a frozen network that looks at every picture in one way, and is not the one that a fuser used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chimera_core.interfaces import FeatureEncoder
from chimera_core.plugins import PluginHost
from chimera_core.scoring.features import RESIZE, at_size, judge_features
from chimera_core.scoring.judge_names import judge_of
from chimera_core.use import load_encoder

SIDE = 128
TEXTURE_SIZE, _TEXTURE_STRIDE = 64, 8


@dataclass(frozen=True, eq=False)
class Judge:
    """A network that embeds pictures at one size.

    Args:
        name: which figures carry.
        encoder: on ``device``.
        side: at which it looks in pixels; pictures come there by ``RESIZE`` from the size that is scored.
        device: where it is.
    """

    name: str
    encoder: FeatureEncoder
    side: int = SIDE
    device: torch.device | str = "cpu"

    @property
    def resize(self) -> str:
        """How pictures reach it."""
        return f"{RESIZE}; looked at with {self.side} px"

    def features(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """Embed images (n, 3, S, S), uint8 or float in [0, 1]: float32 (n, D), on the CPU."""
        return judge_features(self.encoder, images, size=self.side, device=self.device)

    def textures(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """Give mean and spread of each channel of the feature map whose stride is nearest to 8: float32 (n, 2 C).

        So deep a map sees eyes and fur, and still sees blur, noise and seams, which an embedding overlooks. A network
        without levels gives its embedding. Larger pictures come down to ``TEXTURE_SIZE`` first: else sharp ones would
        have other textures than a reference of small images that was enlarged.
        """
        batches = [images] if isinstance(images, Tensor) else images
        images = (at_size(batch, min(batch.shape[-1], TEXTURE_SIZE)) for batch in batches)
        if not self.encoder.levels:
            return self.features(images)
        far = [abs(math.log(level.stride / _TEXTURE_STRIDE)) for level in self.encoder.levels]
        level = far.index(min(far))

        def read(pixels: Tensor) -> Tensor:
            (found,) = self.encoder.feature_maps(pixels, [level])
            return torch.cat([found.mean((2, 3)), found.std((2, 3))], 1)

        return judge_features(self.encoder, images, size=self.side, device=self.device, read=read)


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
        host: knows runs, models and components.
        name: a run, an exported file or a model of an encoder, an offline timm model, ``timm/NAME``, or a component.
        options: of a component.
        side: at which it looks in pixels.
        device: where it works.
    Raises:
        ConfigError: if there is none of that name; it names the nearest.
        DataError: if its weights are not to be had.
    """
    found = judge_of(host, name, options or {})
    encoder = load_encoder(found.component, device=device, **found.options).requires_grad_(False)
    return Judge(str(found.options.get("model", name)), encoder, side, device)
