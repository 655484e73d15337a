"""Plain training, and the measure that all trainers share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import Draw, FeatureEncoder, RobustnessTrainer
from chimera_robust.config import StandardConfig


class Standard(RobustnessTrainer):
    """Cross entropy on the images as they are."""

    def __init__(self, config: StandardConfig) -> None:
        self.config = config

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Give the images back. See ``RobustnessTrainer``."""
        return x

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the cross entropy; metric ``accuracy``. See ``RobustnessTrainer``."""
        logits = encoder(x).float()
        loss = F.cross_entropy(logits, y, label_smoothing=self.config.label_smoothing)
        return loss, {"accuracy": accuracy(logits, y)}


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """Give the share of right answers; y is (N,) classes, or (N, K) shares of mixed images, whose largest counts."""
    target = y if y.ndim == 1 else y.argmax(1)
    return (logits.detach().argmax(1) == target).float().mean()
