"""Adversarial training for free: ``free``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import Draw, FeatureEncoder, RobustnessTrainer, pgd
from chimera_robust.config import FreeConfig
from chimera_robust.standard import accuracy


class FreeTrainer(RobustnessTrainer):
    """Cross entropy on images plus a perturbation that climbs by the very backward passes that teach the encoder.

    Each batch is replayed; every update of the encoder gives the gradient by which the perturbation takes a step of ``eps``.
    It stays from batch to batch, so it is checkpointed.

    Source: Shafahi et al. 2019, arXiv:1904.12843, algorithm 1. Validation is under PGD, as theirs.
    """

    keeps_state = True

    def __init__(self, config: FreeConfig) -> None:
        self.config = config
        self.replays = config.replays
        self.state: _Perturbation = _Perturbation()

    def begin(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """Begin without perturbation. See ``RobustnessTrainer``."""
        self.state.delta = torch.zeros(shape, device=device)

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack images by PGD, which knows nothing of the training. See ``RobustnessTrainer``."""
        config = self.config
        return pgd(
            encoder, x, y, norm=config.norm, eps=config.radius, steps=config.steps, step=None, draw=draw
        )

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the cross entropy on perturbed images; its backward pass moves the perturbation, too.

        The metric is ``perturbed_accuracy``. See ``RobustnessTrainer``.
        """
        eps, kept = self.config.radius, self.state.delta
        if kept.shape != x.shape or kept.device != x.device:
            self.begin((len(x), *x.shape[1:]), x.device)
            kept = self.state.delta
        delta = kept.clone().requires_grad_()

        def step(gradient: Tensor) -> None:
            kept.add_(eps * gradient.detach().sign()).clamp_(-eps, eps)

        delta.register_hook(step)  # type: ignore[no-untyped-call]
        logits = encoder((x + delta).clamp(0, 1)).float()
        return F.cross_entropy(logits, y), {"perturbed_accuracy": accuracy(logits, y)}


class _Perturbation(nn.Module):
    delta: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("delta", torch.zeros(0))
