"""How ``cyclegan`` learns: two translators, two critics, and the way there and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from chimera_core.api import (
    Batch,
    ConfigError,
    Draw,
    Ema,
    Engine,
    FuserData,
    FuserLearner,
    build_optimizer,
    parameter_groups,
    set_rate,
)
from chimera_gan.cyclegan_config import CycleGanConfig
from chimera_gan.cyclegan_networks import (
    LEAST_SIZE,
    STRIDE,
    FakePool,
    PatchCritic,
    Translator,
    initialise_critic,
    initialise_translator,
)

SIDES = ("first", "second")
# The paper's weights are for differences of pixels in [-1, 1], which are twice as large as those of ours.
_SPAN = 2.0


class CycleGanLearner(FuserLearner):
    """Two translators and two critics.

    Every image takes its own way: translated into the other class, judged there, and translated back. The paper takes
    one image of each class per step, but its loss nowhere joins the two, so a batch may hold any numbers of both.
    Losses are sums over images, divided by what a balanced batch has of a class: so a batch without one class
    trains the other, and the gradients of processes that share a batch average to those of one.

    The pools of past translations are those of each process; a checkpoint keeps the first one's.

    Raises:
        ConfigError: if there are not two classes, or the size is no multiple of ``STRIDE``.
    Source: Zhu et al. 2017, arXiv:1703.10593.
    """

    def __init__(self, config: CycleGanConfig, data: FuserData, *, device: torch.device | str) -> None:
        self.config, self.data, self.device = config, data, torch.device(device)
        if data.size % STRIDE or data.size < LEAST_SIZE:
            raise ConfigError(
                f"cyclegan cannot make {data.size} pixels: take a multiple of {STRIDE} from {LEAST_SIZE} on"
            )
        self.classes = _two_classes(config, data.classes)
        self.shows_sweeps = (
            len(data.classes) == 2
        )  # the loop would sweep between classes that are not learned
        self._labels = [data.classes.index(name) for name in self.classes]
        self._members = [torch.nonzero(data.images.labels == label).flatten() for label in self._labels]
        for name, members in zip(self.classes, self._members, strict=True):
            if not len(members):
                raise ConfigError(f"class '{name}' has no image to learn from: name another or add images")
        generator = torch.Generator().manual_seed(data.seed)
        self.translators = nn.ModuleDict(
            {f"to_{side}": Translator(config.width, config.blocks) for side in SIDES}
        )
        self.critics = nn.ModuleDict({side: PatchCritic(config.critic_width) for side in SIDES})
        self.pools = nn.ModuleDict({side: FakePool(config.pool, data.size) for side in SIDES})
        for side in SIDES:
            initialise_translator(self.translators[f"to_{side}"], generator)  # type: ignore[arg-type]
            initialise_critic(self.critics[side], generator)  # type: ignore[arg-type]
        for network in (self.translators, self.critics):
            network.to(self.device).to(memory_format=torch.channels_last)
        self.pools.to(self.device)
        self.average = Ema(self.translators, config.ema)
        self.modules = {
            "translators": self.translators,
            "critics": self.critics,
            "pools": self.pools,
            "average": self.average.module,
        }
        self.optimizers = {
            f"{name}_optimizer": build_optimizer(
                parameter_groups(self.modules[name], weight_decay=0.0),
                "adam",
                lr=config.lr,
                betas=(0.5, 0.999),
            )
            for name in ("translators", "critics")
        }

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        """Update translators, then critics."""
        x = batch.pixels()
        rate = engine.rate * rate_factor(engine.images, total_images=self.data.total_images)
        for optimizer in self.optimizers.values():
            set_rate(optimizer, rate)

        rows = [torch.nonzero(batch.labels == label).flatten() for label in self._labels]
        reals = [x[r].contiguous(memory_format=torch.channels_last) for r in rows]
        share = len(x) / 2  # what a balanced batch has of each class
        losses = {
            name: torch.zeros((), device=x.device) for name in ("adversarial", "cycle", "identity", "still")
        }
        fakes = []
        self.critics.requires_grad_(False)
        with engine.autocast():
            for side, real in enumerate(reals):
                fakes.append(self._translate_and_return(side, real, losses, share))
        cycle = self.config.cycle * _SPAN
        weights = {
            "cycle": cycle,
            "identity": cycle * self.config.identity,
            "still": cycle * self.config.still,
        }
        total = sum((weights.get(name, 1.0) * loss for name, loss in losses.items()), torch.zeros(()))
        self._update("translators", total, engine)
        self.average.update(self.translators, draw.step or 0)

        self.critics.requires_grad_(True)
        critic_loss = torch.zeros((), device=x.device)
        with engine.autocast():
            for side, fake in enumerate(fakes):
                name = SIDES[1 - side]
                shown = self.pools[name].exchange(fake, draw.of(rows[side]))  # type: ignore[operator]
                critic_loss = critic_loss + critic_objective(
                    self.critics[name], reals[1 - side], shown, share
                )
        self._update("critics", critic_loss, engine)
        logged = {**losses, "critic": critic_loss}
        return {name: loss.detach() for name, loss in logged.items()}

    def state(self) -> dict[str, Tensor]:
        """Give the averaged translators, and a few training images of each class."""
        averaged = {name: value.float().cpu() for name, value in self.average.module.state_dict().items()}
        return averaged | {
            f"bank.{side}": self._take(self._spread(members, self.config.bank))
            for side, members in zip(SIDES, self._members, strict=True)
        }

    def facts(self) -> dict[str, Any]:
        """Name the two classes."""
        return dict(zip(SIDES, self.classes, strict=True))

    @torch.no_grad()
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        """Translate training images, seeds in turn into the second and the first class."""
        networks = self.average.module if averaged else self.translators
        made: list[Tensor] = []
        for k in range(count):
            own = seed + k
            side = own % 2
            chosen = torch.randint(
                len(self._members[side]), (1,), generator=torch.Generator().manual_seed(own)
            )
            image = self._take(self._members[side][chosen]).to(self.device)
            made.append(networks[f"to_{SIDES[1 - side]}"](image).float().cpu())  # type: ignore[index]
        return torch.cat(made)

    def _translate_and_return(
        self, side: int, real: Tensor, losses: dict[str, Tensor], share: float
    ) -> Tensor:
        """Send images of one class there and back, add up their losses, and give the translations."""
        if not len(real):
            return real
        there, back = (self.translators[f"to_{SIDES[other]}"] for other in (1 - side, side))
        fake: Tensor = there(real)
        judged = self.critics[SIDES[1 - side]](fake)
        losses["adversarial"] = losses["adversarial"] + per_image(judged - 1, power=2) / share
        losses["cycle"] = losses["cycle"] + per_image(back(fake) - real, power=1) / share
        if self.config.identity:
            losses["identity"] = losses["identity"] + per_image(back(real) - real, power=1) / share
        if self.config.still:
            losses["still"] = losses["still"] + per_image(there(real, 0.0) - real, power=1) / share
        return fake

    def _update(self, name: str, loss: Tensor, engine: Engine) -> None:
        """Step one optimizer. All gradients exist, in every process, whichever classes its batch held."""
        learned = list(self.modules[name].parameters())
        for parameter in learned:
            parameter.grad = torch.zeros_like(parameter)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        engine.average_gradients(learned)
        self.optimizers[f"{name}_optimizer"].step()

    def _take(self, indices: Tensor) -> Tensor:
        return self.data.images.take(indices).float().div(255)

    def _spread(self, members: Tensor, count: int) -> Tensor:
        """Choose images evenly from all of a class."""
        return members[torch.linspace(0, len(members) - 1, min(count, len(members))).long()]


def rate_factor(images: int, *, total_images: int) -> float:
    """Give the factor of the learning rates: 1 for half of the training, then a line to 0.

    Source: Zhu et al. 2017, section 4.
    """
    return min(1.0, max(0.0, 2 * (1 - images / total_images)))


def critic_objective(critic: nn.Module, reals: Tensor, fakes: Tensor, share: float) -> Tensor:
    """Compute the least-squares loss of a critic: 1 for real images, 0 for translations.

    Args:
        critic: images (N, 3, H, W) -> one number per patch.
        reals: float (N, 3, H, W) in [0, 1]; N may be 0.
        fakes: float (M, 3, H, W) in [0, 1]; M may be 0.
        share: what the sums over images are divided by.
    Returns:
        Scalar; half of the sum of both parts, which slows the critic down.
    Source: Mao et al. 2017, arXiv:1611.04076; the half: Zhu et al. 2017, section 4.
    """
    loss = torch.zeros((), device=fakes.device)
    if len(reals):
        loss = loss + per_image(critic(reals) - 1, power=2)
    if len(fakes):
        loss = loss + per_image(critic(fakes), power=2)
    return loss / (2 * share)


def per_image(x: Tensor, *, power: int) -> Tensor:
    """Sum over images (N, ...) of each one's mean |x| ** power, in fp32."""
    size = x.float().abs()
    return (size if power == 1 else size.square()).flatten(1).mean(1).sum()


def _two_classes(config: CycleGanConfig, known: tuple[str, ...]) -> tuple[str, str]:
    """Find the two classes that the options name, or the only two.

    Raises:
        ConfigError: if there are none such.
    """
    if config.first is None or config.second is None:
        if len(known) != 2:
            raise ConfigError(
                f"cyclegan learns two classes, but the data have {len(known)} ({', '.join(known[:5])}): "
                "name two with --first and --second"
            )
        return known[0], known[1]
    for name in (config.first, config.second):
        if name not in known:
            raise ConfigError(f"the data have no class '{name}': their classes are {', '.join(known[:20])}")
    return config.first, config.second
