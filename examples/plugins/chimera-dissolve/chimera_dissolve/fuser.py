"""Each cell of the picture from one parent, by lot."""

from collections.abc import Sequence

import torch
from chimera_core.api import FusionGenerator, Parent, resize_shorter
from torch import Tensor
from torch.nn.functional import interpolate, one_hot


class Dissolve(FusionGenerator):
    """Draws for each cell which parent it shows; the weights are the odds."""

    def fuse(
        self,
        parents: Sequence[Parent],
        weights: Sequence[float],
        *,
        seeds: Sequence[int],
        size: int,
    ) -> Tensor:
        """Make one creature per seed: float32 (len(seeds), 3, H, W) in [0, 1]."""
        shape = resize_shorter(_image_of(parents[0]), size).shape[1:]
        images = [
            interpolate(_image_of(p)[None], shape, mode="bicubic", antialias=True).clamp(0, 1)
            for p in parents
        ]
        stacked = torch.cat(images).to(self.device)  # parents lie on the CPU
        made = []
        for k, seed in enumerate(seeds):
            shares = self._shares(weights, seed)
            if self.config.edges == "soft":
                shares = interpolate(shares, shape, mode="bilinear")
            else:
                shares = interpolate(shares, shape, mode="nearest")
            made.append((shares[0, :, None] * stacked).sum(0))
            self.progress(k + 1, len(seeds))
        return torch.stack(made).clamp(0, 1)

    def _shares(self, weights: Sequence[float], seed: int) -> Tensor:
        """Draw one owner per cell: (1, parents, cells, cells), 1 where the cell is the parent's."""
        generator = torch.Generator().manual_seed(seed)  # the seed alone, whatever the batch
        lots = torch.rand(self.config.cells, self.config.cells, generator=generator)
        bounds = torch.tensor(weights).cumsum(0)[:-1]
        owners = torch.bucketize(lots, bounds, right=True)
        return one_hot(owners, len(weights)).permute(2, 0, 1)[None].float().to(self.device)


def _image_of(parent: Parent) -> Tensor:
    assert parent.image is not None  # only photographs are accepted: the host refuses the rest
    return parent.image
