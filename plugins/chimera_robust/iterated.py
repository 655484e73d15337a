"""Training on attacks of several steps: ``pgd`` and ``trades``."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import Draw, FeatureEncoder, RobustnessTrainer, attack_mode, pgd
from chimera_robust.config import PgdConfig, TradesConfig
from chimera_robust.standard import accuracy

_TRADES_NOISE = 0.001  # where the two predictions are equal, their divergence has no gradient


class PgdTrainer(RobustnessTrainer):
    """Cross entropy on images attacked by several projected steps from a random start.

    Source: Madry et al. 2018, arXiv:1706.06083. They take 7 steps of a quarter of the radius; ours are 2.5 / steps.
    """

    def __init__(self, config: PgdConfig) -> None:
        self.config = config

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack images. See ``RobustnessTrainer``."""
        config = self.config
        return pgd(
            encoder,
            x,
            y,
            norm=config.norm,
            eps=config.radius,
            steps=config.steps,
            step=config.step,
            draw=draw,
            statistics=config.statistics,
        )

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the cross entropy on attacked images; metric ``robust_accuracy``. See ``RobustnessTrainer``."""
        logits = encoder(self.perturb(encoder, x, y, draw=draw)).float()
        return F.cross_entropy(logits, y), {"robust_accuracy": accuracy(logits, y)}


class TradesTrainer(RobustnessTrainer):
    """Cross entropy on clean images, plus ``beta`` times the divergence of what is seen near them.

    The attack climbs the divergence KL(clean || attacked), starting from a little noise; it needs no classes. The
    clean prediction that it moves away from is computed once.

    Source: Zhang et al. 2019, arXiv:1901.08573, algorithm 1 and the authors' code: attack on running statistics of
    batch norm, gradients through both predictions.
    """

    def __init__(self, config: TradesConfig) -> None:
        self.config = config

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Move images to where the encoder sees something else. See ``RobustnessTrainer``."""
        config = self.config
        x = x.detach().float()
        with torch.no_grad(), attack_mode(encoder, statistics=config.statistics):
            clean = encoder(x).float().softmax(1)
        noise = draw.normal(*x.shape[1:], purpose="trades/noise")
        return pgd(
            encoder,
            x,
            y,
            norm=config.norm,
            eps=config.radius,
            steps=config.steps,
            step=config.step,
            start=x + _TRADES_NOISE * noise,
            objective=lambda logits: divergence(clean, logits),
            statistics=config.statistics,
        )

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss; metrics ``accuracy``, ``robust_accuracy``, ``clean_loss`` and ``divergence``.

        See ``RobustnessTrainer``.
        """
        x_adv = self.perturb(encoder, x, y, draw=draw)
        clean, attacked = encoder(x).float(), encoder(x_adv).float()
        clean_loss = F.cross_entropy(clean, y)
        apart = divergence(clean.softmax(1), attacked)
        return clean_loss + self.config.beta * apart, {
            "accuracy": accuracy(clean, y),
            "robust_accuracy": accuracy(attacked, y),
            "clean_loss": clean_loss.detach(),
            "divergence": apart.detach(),
        }


def divergence(clean: Tensor, attacked: Tensor) -> Tensor:
    """Compute the mean of KL(clean || attacked) over a batch.

    Args:
        clean: probabilities (N, K).
        attacked: logits (N, K).
    """
    return F.kl_div(attacked.log_softmax(1), clean, reduction="batchmean")
