"""A metric that anyone can check by eye."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chimera_core.api import CreatureMetric


class Brightness(CreatureMetric):
    """How bright a creature is, less the brightness that its parents have by their weights."""

    better = ""
    meaning = "Mean of the pixels less that of the parents by their weights: 0 for a pixel average, -1 to 1."

    def measure(self, images: Tensor, parents: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Measure every creature by itself; see ``CreatureMetric``."""
        own = torch.stack([parent.double().mean() for parent in parents])
        return images.double().mean((1, 2, 3)) - weights.double() @ own
