# What it does: imported on first use.
from torch.nn.functional import interpolate

from chimera_core.api import FusionGenerator, resize_shorter


class Average(FusionGenerator):
    def fuse(self, parents, weights, *, seeds, size):
        shape = resize_shorter(parents[0].image, size).shape[1:]
        images = [interpolate(p.image[None], shape, mode="bicubic", antialias=True) for p in parents]
        shares = [w**self.config.gamma for w in weights]
        mixed = sum(s * i for s, i in zip(shares, images)) / sum(shares)
        return mixed.clamp(0, 1).expand(len(seeds), -1, -1, -1)
