"""Training on single-step attacks: ``fgsm`` with its guard, and ``n-fgsm``."""

from __future__ import annotations

import logging

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import (
    Draw,
    FeatureEncoder,
    RobustnessTrainer,
    attack_mode,
    fgsm,
    input_gradient,
    pgd,
)
from chimera_robust.config import FgsmConfig, NFgsmConfig
from chimera_robust.standard import accuracy

_LOG = logging.getLogger(__name__)
_GUARD_STEPS = 10
# Catastrophic overfitting takes PGD accuracy to 0 within an epoch while FGSM accuracy rises above the clean one. In
# sound training the two differ by some points; measured on one batch, they may differ by a few more.
_GUARD_GAP, _GUARD_SHARE = 0.15, 0.5


class FgsmTrainer(RobustnessTrainer):
    """One step of 1.25 eps from a random start, projected to the ball; cross entropy on the attacked images.

    Every ``guard_every`` steps a PGD-10 probe attacks the batch, too. Where it wins much more often than the single
    step, the encoder has learned to hide its gradient instead of resisting; that is logged as a warning, once.

    Source: Wong et al. 2020, arXiv:2001.03994, algorithm 3; the probe is theirs (section 5.4), on every kind of set.
    """

    def __init__(self, config: FgsmConfig) -> None:
        self.config = config
        self._calls = 0
        self._warned = False

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack images with one step. See ``RobustnessTrainer``."""
        config = self.config
        return fgsm(
            encoder,
            x,
            y,
            norm=config.norm,
            eps=config.radius,
            step=config.step * config.radius,
            draw=draw,
            statistics=config.statistics,
        )

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the cross entropy on attacked images. See ``RobustnessTrainer``.

        Metrics are ``robust_accuracy``, and at every ``guard_every``-th step, counted by ``draw.step``,
        ``probe_pgd_accuracy`` and ``probe_fgsm_accuracy`` under the same statistics of batch norm.
        """
        x_adv = self.perturb(encoder, x, y, draw=draw)
        probe = self._probe(encoder, x, x_adv, y, draw) if self._is_due(draw) else {}
        logits = encoder(x_adv).float()
        return F.cross_entropy(logits, y), {"robust_accuracy": accuracy(logits, y), **probe}

    def _is_due(self, draw: Draw) -> bool:
        step = self._calls if draw.step is None else draw.step
        self._calls += 1
        every = self.config.guard_every
        return every > 0 and step % every == every - 1

    def _probe(
        self, encoder: FeatureEncoder, x: Tensor, x_fgsm: Tensor, y: Tensor, draw: Draw
    ) -> dict[str, Tensor]:
        config = self.config
        x_pgd = pgd(
            encoder,
            x,
            y,
            norm=config.norm,
            eps=config.radius,
            steps=_GUARD_STEPS,
            draw=draw,
            statistics=config.statistics,
        )
        with torch.no_grad(), attack_mode(encoder, statistics=config.statistics):
            by_pgd, by_fgsm = (accuracy(encoder(attacked), y) for attacked in (x_pgd, x_fgsm))
        if not self._warned and by_pgd < _GUARD_SHARE * by_fgsm and by_fgsm - by_pgd > _GUARD_GAP:
            self._warned = True
            _LOG.warning(
                "catastrophic overfitting: %.0f %% of a batch stay right under the fgsm of training, but only %.0f %% "
                "under PGD-10; the encoder is not robust: use n-fgsm or pgd, or lower eps",
                100 * by_fgsm.item(),
                100 * by_pgd.item(),
            )
        return {"probe_pgd_accuracy": by_pgd, "probe_fgsm_accuracy": by_fgsm}


class NFgsmTrainer(RobustnessTrainer):
    """One step from noise of twice the radius, not clipped to the ball; cross entropy on the attacked images.

    So attacked images lie up to 3 eps away (2 of noise, 1 of step), always in [0, 1].

    Source: de Jorge et al. 2022, arXiv:2202.01181, algorithm 1 and the authors' code, which also keeps to the box.
    """

    def __init__(self, config: NFgsmConfig) -> None:
        self.config = config

    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Move images by noise and one step. See ``RobustnessTrainer``."""
        eps = self.config.radius
        x = x.detach().float()
        noise = (2 * draw.uniform(*x.shape[1:], purpose="n-fgsm/noise") - 1) * (self.config.noise * eps)
        noisy = (x + noise).clamp(0, 1)
        with attack_mode(encoder, statistics=self.config.statistics):
            gradient = input_gradient(encoder, noisy, lambda logits: F.cross_entropy(logits, y))
        return (noisy + self.config.step * eps * gradient.sign()).clamp(0, 1)

    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the cross entropy on moved images; metric ``robust_accuracy``. See ``RobustnessTrainer``."""
        logits = encoder(self.perturb(encoder, x, y, draw=draw)).float()
        return F.cross_entropy(logits, y), {"robust_accuracy": accuracy(logits, y)}
