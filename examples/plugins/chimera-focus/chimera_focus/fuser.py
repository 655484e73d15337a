"""Each spot from the parent in which an encoder sees more."""

from collections.abc import Sequence

import torch
from chimera_core.api import ConfigError, FusionGenerator, Parent, load_encoder, resize_shorter
from torch import Tensor
from torch.nn.functional import interpolate

from chimera_focus.plugin import FocusConfig


class Focus(FusionGenerator):
    """Weights every spot of a parent by how much the encoder finds there."""

    def __init__(self, config: FocusConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        named = config.encoder
        self.encoder = load_encoder(named.name, device=self.device, **named.options)
        levels = len(self.encoder.levels)
        if config.level >= levels:
            raise ConfigError(f"the encoder has {levels} levels, but level is {config.level}")

    @torch.no_grad()
    def fuse(
        self,
        parents: Sequence[Parent],
        weights: Sequence[float],
        *,
        seeds: Sequence[int],
        size: int,
    ) -> Tensor:
        """Make the same creature for every seed: nothing here is random."""
        shape = resize_shorter(_image_of(parents[0]), size).shape[1:]
        images = torch.cat(
            [
                interpolate(_image_of(p)[None], shape, mode="bicubic", antialias=True).clamp(0, 1)
                for p in parents
            ]
        ).to(self.device)
        (maps,) = self.encoder.feature_maps(images, [self.config.level])
        seen = interpolate(maps.square().mean(1, keepdim=True), shape, mode="bilinear")
        shares = seen.clamp(min=1e-6) * torch.tensor(weights, device=self.device).view(-1, 1, 1, 1)
        made = (images * shares / shares.sum(0)).sum(0, keepdim=True).clamp(0, 1)
        return made.expand(len(seeds), -1, -1, -1)


def _image_of(parent: Parent) -> Tensor:
    assert parent.image is not None  # only photographs are accepted: the host refuses the rest
    return parent.image
