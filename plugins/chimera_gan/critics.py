"""The critics of a generator: one of its own, one on a frozen network's features, or both.

Each has its own network and its own objective. Images are in [-1, 1] here, and already varied (``diffaugment``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chimera_core.api import Draw
from chimera_gan.building import build_critic
from chimera_gan.config import GanConfig
from chimera_gan.frozen import FrozenFeatures
from chimera_gan.networks import Critic
from chimera_gan.networks.projected import ProjectedCritic
from chimera_gan.objectives import Hinge, choose_objective
from chimera_gan.penalties import (
    clip_weights,
    is_due,
    lazy_weight,
    one_centred_penalty,
    zero_centred_penalty,
)


class BaseCritic(ABC):
    """A critic network with its objective and penalties."""

    network: nn.Module

    @abstractmethod
    def losses(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Tensor | None,
        strength: Tensor | None,
        *,
        draw: Draw,
        step: int,
    ) -> dict[str, Tensor]:
        """Compute the losses of the critic on real and fake images.

        Args:
            real: (N, 3, S, S).
            fake: (N, 3, S, S), without gradient.
            condition: the condition that the fake images were made under.
            strength: (N,) the share of the condition that is judged; None: all of it.
            draw: of the examples.
            step: of the training.
        Returns:
            Scalars: ``total`` to minimise; the others, detached, to log: ``loss``, ``estimate``, penalties by name.
        """

    @abstractmethod
    def generator_loss(
        self, fake: Tensor, real: Callable[[], Tensor], condition: Tensor | None, strength: Tensor | None
    ) -> Tensor:
        """Compute the generator's loss against this critic; ``real`` gives real images where the objective needs them."""

    @abstractmethod
    def held_out(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> dict[str, float]:
        """Give ``held_out``, the mean logit of held-out real images less that of fakes, and the loss on them."""

    def after_step(self) -> None:  # noqa: B027
        """Do what follows a step of the optimizer; nothing by default."""

    def compile(self) -> None:  # noqa: B027
        """Compile what may be; nothing by default."""


class OwnCritic(BaseCritic):
    """A critic of pixels, with the objective and the penalties of the options."""

    network: Critic

    def __init__(self, config: GanConfig, *, size: int, condition: int) -> None:
        self.config = config
        self.network = build_critic(config, size=size, condition=condition)
        self.objective = choose_objective(config.objective, real_label=1 - config.label_smoothing)
        # Gradients of gradients cannot be compiled: penalties go through the critic itself.
        self._judge: Any = self.network

    def compile(self) -> None:
        """Compile the critic where no gradient of a gradient is taken."""
        self._judge = torch.compile(self.network)

    def losses(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Tensor | None,
        strength: Tensor | None,
        *,
        draw: Draw,
        step: int,
    ) -> dict[str, Tensor]:
        """Judge images. See ``BaseCritic``."""
        config = self.config
        penalised = [
            (name, weight, seen)
            for name, weight, seen in (("r1", config.r1, real), ("r2", config.r2, fake))
            if weight and is_due(step, every=config.penalty_every)
        ]
        # Others may see the same images, and want no gradient by them.
        seen = {name: x.detach().requires_grad_(True) for name, _, x in penalised}
        real, fake = seen.get("r1", real), seen.get("r2", fake)
        critic = self.network if penalised or config.gradient_penalty else self._judge
        real_logits = critic(real, condition, strength)
        fake_logits = critic(fake, condition, strength)
        loss = self.objective.critic_loss(real_logits, fake_logits)
        parts = {"loss": loss.detach()}
        for name, weight, _ in penalised:
            lazy = lazy_weight(weight, every=config.penalty_every)
            penalty = zero_centred_penalty(
                real_logits if name == "r1" else fake_logits, seen[name], weight=lazy
            )
            parts[name] = penalty.detach() / config.penalty_every
            loss = loss + penalty
        if config.gradient_penalty:
            penalty = one_centred_penalty(
                lambda x: critic(x, condition, strength),
                real,
                fake,
                mix=draw.uniform(purpose="between real and fake").view(-1),
                weight=config.gradient_penalty,
            )
            parts["gradient_penalty"] = penalty.detach()
            loss = loss + penalty
        return parts | {"estimate": (real_logits.mean() - fake_logits.mean()).detach(), "total": loss}

    def generator_loss(
        self, fake: Tensor, real: Callable[[], Tensor], condition: Tensor | None, strength: Tensor | None
    ) -> Tensor:
        """Judge fakes; real images count for ``relativistic`` alone. See ``BaseCritic``."""
        fake_logits = self._judge(fake, condition, strength)
        real_logits = fake_logits.detach()
        if self.config.objective == "relativistic":
            with torch.no_grad():
                real_logits = self._judge(real(), condition, strength)
        return self.objective.generator_loss(real_logits, fake_logits)

    def held_out(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> dict[str, float]:
        """Judge held-out images. See ``BaseCritic``."""
        real_logits, fake_logits = self.network(real, condition), self.network(fake, condition)
        loss = self.objective.critic_loss(real_logits, fake_logits)
        return {"held_out": float(real_logits.mean() - fake_logits.mean()), "held_out_loss": float(loss)}

    def after_step(self) -> None:
        """Clip weights, where that is wanted."""
        if self.config.clip_weights:
            clip_weights(self.network.parameters(), limit=self.config.clip_weights)


class FrozenCritic(BaseCritic):
    """Small critics on a frozen network's features: hinge, the mean over their scales, and no penalty (Sauer et al. 2021).

    The paper takes the sum over scales; Adam does not mind, and beside an own critic the mean weighs as much as that.
    """

    network: ProjectedCritic

    def __init__(self, config: GanConfig, *, condition: int) -> None:
        self.features = FrozenFeatures(config.critic_encoder, size=config.critic_encoder_size)
        self.network = ProjectedCritic(
            self.features.channels,
            self.features.sides,
            condition=condition if config.projection else 0,
            pixels=config.critic_pixels,
        )
        self.objective = Hinge()

    def losses(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Tensor | None,
        strength: Tensor | None,
        *,
        draw: Draw,
        step: int,
    ) -> dict[str, Tensor]:
        """Judge images. See ``BaseCritic``."""
        with torch.no_grad():
            real_maps, fake_maps = self.features.maps(real), self.features.maps(fake)
        real_logits = self.network(real_maps, condition, strength, pixels=real)
        fake_logits = self.network(fake_maps, condition, strength, pixels=fake)
        loss = self._critic_loss(real_logits, fake_logits)
        return {"loss": loss.detach(), "estimate": _gap(real_logits, fake_logits).detach(), "total": loss}

    def generator_loss(
        self, fake: Tensor, real: Callable[[], Tensor], condition: Tensor | None, strength: Tensor | None
    ) -> Tensor:
        """Judge fakes. See ``BaseCritic``."""
        logits = self.network(self.features.maps(fake), condition, strength, pixels=fake)
        return self._summed([self.objective.generator_loss(s, s) for s in logits])

    def held_out(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> dict[str, float]:
        """Judge held-out images. See ``BaseCritic``."""
        real_logits = self.network(self.features.maps(real), condition, pixels=real)
        fake_logits = self.network(self.features.maps(fake), condition, pixels=fake)
        loss = self._critic_loss(real_logits, fake_logits)
        return {"held_out": float(_gap(real_logits, fake_logits)), "held_out_loss": float(loss)}

    def _critic_loss(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        return self._summed([self.objective.critic_loss(r, f) for r, f in zip(real, fake, strict=True)])

    def _summed(self, losses: list[Tensor]) -> Tensor:
        """Take the mean over the scales, and add the pixels', which weighs as much: as one more scale it would hardly count."""
        scales = len(self.features.sides)
        return torch.stack([torch.stack(losses[:scales]).mean(), *losses[scales:]]).sum()


def build_critics(config: GanConfig, *, size: int, condition: int) -> dict[str, BaseCritic]:
    """Build what the options ask for, by name: ``critic``, and ``projected`` where there are two.

    Raises:
        ConfigError: if the networks do not see that size.
    """
    critics: dict[str, BaseCritic] = {}
    if config.critic != "projected":
        critics["critic"] = OwnCritic(config, size=size, condition=condition)
    if config.critic != "own":
        name = "projected" if critics else "critic"
        critics[name] = FrozenCritic(config, condition=condition)
    return critics


def _gap(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Give the mean logit of real images less that of fakes, averaged over scales."""
    return torch.stack([r.mean() - f.mean() for r, f in zip(real, fake, strict=True)]).mean()
