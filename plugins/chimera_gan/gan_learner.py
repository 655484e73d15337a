"""A generative adversarial network while it learns.

One step: the critic learns from a batch and as many fakes, then, each ``critic_steps``-th time, the generator.
Everything is in the range [-1, 1] in here, and in [0, 1] outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from chimera_core.api import (
    Batch,
    Draw,
    Ema,
    Engine,
    FuserData,
    FuserLearner,
    TrainedFacts,
    build_optimizer,
    parameter_groups,
    set_rate,
)
from chimera_gan.building import build_generator
from chimera_gan.conditions import Condition, build_condition
from chimera_gan.config import GanConfig
from chimera_gan.critics import build_critics
from chimera_gan.diffaugment import augment, draw_augmentation
from chimera_gan.generating import generate
from chimera_gan.growing import (
    begin,
    check_start,
    factors,
    hold_trunk,
    part_of,
    restoring_loss,
    stage_losses,
    weighted,
)
from chimera_gan.latents import FEWEST, LatentSearch
from chimera_gan.networks import Generator, GrownGenerator

_OF_EACH = ("loss", "estimate")  # what every critic logs; only the own critic has penalties


class GanLearner(FuserLearner):
    """Generator, critic and condition of one training.

    Args:
        config: the fuser's options.
        data: what is learned from.
        device: of the networks.
    """

    def __init__(self, config: GanConfig, data: FuserData, *, device: torch.device | str) -> None:
        self.config = config
        self.data = data
        self.device = torch.device(device)
        self.condition: Condition = build_condition(config, data).to(self.device)
        torch.manual_seed(data.seed)
        self.generator = build_generator(config, size=data.size, condition=self.condition.size).to(
            self.device
        )
        self.critics = build_critics(config, size=data.size, condition=self.condition.size)
        self.average = Ema(self.generator, config.ema) if config.ema else None
        networks: dict[str, nn.Module] = {"generator": self.generator}
        networks |= {name: critic.network.to(self.device) for name, critic in self.critics.items()}
        self.optimizers = {
            f"{name}_optimizer": build_optimizer(
                parameter_groups(
                    network, weight_decay=0, factors=factors(config) if name == "generator" else None
                ),
                "adam",
                lr=config.lr if name == "generator" else config.critic_lr or config.lr,
                betas=(config.beta1, config.beta2),
            )
            for name, network in networks.items()
        }
        self.modules = {**networks, "condition": self.condition}
        # Whether a generator without condition makes a class at all is not known while it learns.
        self.shows_sweeps = config.condition != "none"
        self._search = LatentSearch(config, data, device=self.device) if self._has_latents() else None
        if self.average is not None:
            self.modules["average"] = self.average.module
        self._make: Any = self.generator
        self.starts_from_another = config.grown

    def begin_from(self, state: Mapping[str, Tensor], options: Any, facts: TrainedFacts) -> None:
        """Begin with the generator of another GAN, whole or as trunk, and mean the same by a condition.

        Raises:
            ConfigError: if the other's options do not fit.
            DataError: if its tensors do not.
        """
        check_start(self.config, options, size=self.data.size, facts=facts)
        begin(self.generator, state)
        if self.average is not None:
            begin(self._used(), state)
        if self.config.condition == "instance":
            self.condition.begin(part_of(state, "condition."), facts.classes)
        else:
            self.condition.begin({}, facts.classes)

    def compile(self) -> None:
        """Compile generator and critic where no gradient of a gradient is taken."""
        for critic in self.critics.values():
            critic.compile()
        self._make = torch.compile(self.generator)

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        """Let the critic learn, and the generator when it is its turn."""
        self.condition.prepare(self.data)
        for optimizer in self.optimizers.values():
            set_rate(optimizer, engine.rate)
        self.generator.train()
        hold_trunk(self.generator, self.config, images=engine.images)
        for critic in self.critics.values():
            critic.network.train()
        real = batch.pixels() * 2 - 1
        step = draw.step or 0
        if isinstance(self.generator, GrownGenerator) and engine.images < self.config.grown_alone:
            return self._teach_stage(self.generator, real, engine, step)
        condition, strength = self._conditions(batch, draw)
        parts = self._teach_critics(real, condition, strength, draw, engine, step)
        if (step + 1) % self.config.critic_steps == 0:
            parts |= self._teach_generator(real, condition, strength, draw, engine)
            if self.average is not None:
                self.average.update(self.generator, step // self.config.critic_steps)
        return parts

    def _conditions(self, batch: Batch, draw: Draw) -> tuple[Tensor | None, Tensor | None]:
        """Give the condition of the generator, and the share of it that the critic sees.

        Mixed conditions belong to no image: the critic judges those fakes, and the real images beside them, by its
        unconditional part alone.
        """
        own = self.condition.of_images(batch)
        if own is None or not self.config.mixed:
            return own, None
        is_mixed = draw.uniform(purpose="is mixed").view(-1) < self.config.mixed
        mixed = self.condition.mixed_with_another(own, batch, draw)
        return torch.where(is_mixed[:, None], mixed, own), 1.0 - is_mixed.float()

    def _teach_critics(
        self,
        real: Tensor,
        condition: Tensor | None,
        strength: Tensor | None,
        draw: Draw,
        engine: Engine,
        step: int,
    ) -> dict[str, Tensor]:
        noise = draw.normal(self.config.noise, purpose="noise for the critic")
        with engine.autocast(), torch.no_grad():
            fake = self._make(noise, condition, draw=draw).float()
        real_views, fake_views = self._vary(real, draw, "real"), self._vary(fake, draw, "fake")
        parts: dict[str, Tensor] = {}
        for name, critic in self.critics.items():
            with engine.autocast():
                found = critic.losses(real_views, fake_views, condition, strength, draw=draw, step=step)
            self._update(name, found.pop("total"), engine)
            critic.after_step()
            parts |= {f"{name}_{k}" if k in _OF_EACH else k: value for k, value in found.items()}
        return parts

    def _teach_generator(
        self, real: Tensor, condition: Tensor | None, strength: Tensor | None, draw: Draw, engine: Engine
    ) -> dict[str, Tensor]:
        noise = draw.normal(self.config.noise, purpose="noise for the generator")
        for critic in self.critics.values():
            critic.network.requires_grad_(False)
        parts: dict[str, Tensor] = {}
        with engine.autocast():
            if isinstance(self.generator, GrownGenerator):
                coarse, made = self.generator.both(noise, condition, draw=draw)
                parts = stage_losses(self.generator, self.config, real=real, coarse=coarse, fake=made)
            else:
                made = self._make(noise, condition, draw=draw).float()
            fake = self._vary(made, draw, "fake again")
            losses = [
                critic.generator_loss(fake, lambda: self._vary(real, draw, "real again"), condition, strength)
                for critic in self.critics.values()
            ]
            loss = torch.stack(losses).sum()
        self._update("generator", loss + weighted(parts, self.config) if parts else loss, engine)
        for critic in self.critics.values():
            critic.network.requires_grad_(True)
        return {"generator_loss": loss.detach()} | {name: part.detach() for name, part in parts.items()}

    def _teach_stage(
        self, generator: GrownGenerator, real: Tensor, engine: Engine, step: int
    ) -> dict[str, Tensor]:
        """Let the new stage learn from photographs alone."""
        with engine.autocast():
            loss = restoring_loss(generator, real)
        self._update("generator", loss, engine)
        if self.average is not None:
            self.average.update(generator, step)
        return {"restored_loss": loss.detach()}

    def _vary(self, x: Tensor, draw: Draw, purpose: str) -> Tensor:
        """Vary what the critic sees."""
        if not self.config.augment:
            return x
        return augment(x, draw_augmentation(draw, purpose, kinds=self.config.augment))

    def _update(self, name: str, loss: Tensor, engine: Engine) -> None:
        network, optimizer = self.modules[name], self.optimizers[f"{name}_optimizer"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        engine.average_gradients(network.parameters())
        optimizer.step()
        optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """Give generator and condition as the fuser needs them."""
        made_by = self._used()
        tensors = {f"generator.{name}": value for name, value in made_by.state_dict().items()}
        if self._search is not None:
            found = self._search.find(made_by)
            tensors |= {"latents.mean": found.mean, "latents.counts": found.counts}
        return tensors | {f"condition.{name}": value for name, value in self.condition.kept().items()}

    def facts(self) -> dict[str, Any]:
        """Count the samples of each class of a generator without condition, and name the classes that it does not make."""
        if self._search is None:
            return {}
        counts = dict(zip(self.data.classes, self._search.find(self._used()).counts.tolist(), strict=True))
        lacking = [name for name, count in counts.items() if count < FEWEST]
        return {"samples_by_class": counts, **({"classes_without_latent": lacking} if lacking else {})}

    def _used(self) -> Generator:
        """Give the generator that is used in the end."""
        return cast(Generator, self.average.module) if self.average else self.generator

    def _has_latents(self) -> bool:
        return self.config.condition == "none" and len(self.data.classes) > 1

    @torch.no_grad()
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        """Make images for conditions as the data have them."""
        self.condition.prepare(self.data)
        network = self._used() if averaged else self.generator
        was_training = network.training
        network.eval()
        seeds = range(seed, seed + count)
        made = generate(
            network, seeds, self.condition.drawn(seeds), noise=self.config.noise, device=self.device
        )
        network.train(was_training)
        return made.cpu()

    @torch.no_grad()
    def critic_estimate(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, float]:
        """Measure how much higher the critic rates held-out images than fakes under their conditions.

        For a Wasserstein critic that is its estimate of the distance between the two distributions.
        """
        if self.config.condition == "instance":
            condition = self.condition.of_unknown(batch)
        else:
            condition = self.condition.of_images(batch)
        networks = [self.generator, *(critic.network for critic in self.critics.values())]
        was = [network.training for network in networks]
        for network in networks:
            network.eval()
        with engine.autocast():
            noise = draw.normal(self.config.noise, purpose="noise for the held-out")
            fake = self.generator(noise, condition, draw=draw).float()
            real = batch.pixels() * 2 - 1
            found = {name: critic.held_out(real, fake, condition) for name, critic in self.critics.items()}
        for network, was_training in zip(networks, was, strict=True):
            network.train(was_training)
        return {f"{name}_{key}": value for name, values in found.items() for key, value in values.items()}
