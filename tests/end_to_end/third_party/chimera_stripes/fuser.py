"""Stripes of the parents, as wide as their weights."""

import torch
from torch.nn.functional import interpolate

from chimera_core.api import FusionGenerator


class Stripes(FusionGenerator):
    """Cut every parent to a square and show them in turn."""

    def fuse(self, parents, weights, *, seeds, size):
        squares = [interpolate(p.image[None].to(self.device), (size, size))[0] for p in parents]
        place = torch.linspace(0, self.config.stripes, size + 1)[:-1] % 1
        owner = torch.bucketize(place, torch.tensor(weights).cumsum(0)[:-1], right=True)
        made = torch.zeros_like(squares[0])
        for index, square in enumerate(squares):
            chosen = owner == index
            if self.config.direction == "across":
                made[:, chosen] = square[:, chosen]
            else:
                made[:, :, chosen] = square[:, :, chosen]
        return made.expand(len(seeds), -1, -1, -1)
