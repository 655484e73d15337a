"""The first report's adversarial training, kept with its mistake so that the mistake can be measured."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import (
    ConfigError,
    Draw,
    FeatureEncoder,
    RobustnessTrainer,
    attack_mode,
    input_gradient,
)
from chimera_robust.config import ReportFgsmConfig
from chimera_robust.standard import accuracy


class ReportFgsm(RobustnessTrainer):
    """A step of ``alpha`` along the gradient's sign on *normalised* images, then a clamp to [0, 1].

    Normalised images have mean 0, so the clamp takes away all that is darker than the mean: half the picture. What is
    left maps back to pixels between mean and mean + std, so the result is in [0, 1] as every attack's, and the encoder,
    normalising it again, sees exactly what the report's network saw. ``clamp`` off is the same step without the
    mistake, kept to the pixels' own range.

    Unstated in the report: whether it learned from clean images too (we take attacked ones only), and the mode of
    batch norm during the attack (running statistics, as our other trainers).

    Source: report 1, "Out-of-domain attempt 1"; the clamp is that of PyTorch's FGSM tutorial, whose images are not
    normalised.
    """

    def __init__(self, config: ReportFgsmConfig) -> None:
        self.config = config

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack images as the report did. See ``RobustnessTrainer``.

        Raises:
            ConfigError: if the encoder does not say how it normalises (attributes ``mean`` and ``std``).
        """
        mean, std = _normalisation(encoder)
        x = x.detach().float()
        with attack_mode(encoder):
            gradient = input_gradient(encoder, x, lambda logits: F.cross_entropy(logits, y))
        # By the chain rule the gradient of the normalised image is std times this one: the sign is the same.
        normalised = (x - mean) / std + self.config.alpha * gradient.sign()
        if self.config.clamp:
            normalised = normalised.clamp(0, 1)
        return (normalised * std + mean).clamp(0, 1)

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the cross entropy on attacked images; metric ``robust_accuracy``. See ``RobustnessTrainer``."""
        logits = encoder(self.perturb(encoder, x, y, draw=draw)).float()
        return F.cross_entropy(logits, y), {"robust_accuracy": accuracy(logits, y)}


def _normalisation(encoder: FeatureEncoder) -> tuple[Tensor, Tensor]:
    """Read an encoder's mean and std, as (3, 1, 1)."""
    found = [getattr(encoder, name, None) for name in ("mean", "std")]
    if not all(isinstance(value, torch.Tensor) and value.numel() == 3 for value in found):
        raise ConfigError(
            f"encoder {type(encoder).__name__} does not say how it normalises (mean and std of 3 channels): "
            "use cnn or timm with report-fgsm"
        )
    mean, std = (value.detach().view(3, 1, 1) for value in found if value is not None)
    return mean, std
