"""How much of its parents' contrast a creature keeps: averages of pixels are flat."""

from collections.abc import Sequence

import torch
from chimera_core.api import CreatureMetric
from torch import Tensor


class Vivid(CreatureMetric):
    """Compares standard deviations of pixels."""

    better = ""
    meaning = (
        "Standard deviation of the pixels, as a share of that of the parents by their weights; 0 or more."
    )

    def measure(self, images: Tensor, parents: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Measure every creature by itself: images (n, 3, S, S), weights (n, P) -> (n,)."""
        of_parents = torch.stack([self._contrast(parent).mean() for parent in parents])
        expected = weights.to(of_parents) @ of_parents
        share = self._contrast(images) / expected
        return share.where(expected > 0, torch.nan)  # of flat parents no share can be given

    def _contrast(self, images: Tensor) -> Tensor:
        seen = images if self.config.colour else images.mean(1, keepdim=True)
        return seen.flatten(2).std(2).mean(1)
