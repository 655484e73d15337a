"""The laws of a trainer of encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder, RobustnessTrainer
from chimera_core.laws import Law, NotTriedError, law, laws_of
from chimera_core.randomness import Draw
from chimera_core.testing.encoders import SmallEncoder
from chimera_core.testing.laws.randomness import seed_everything
from chimera_core.testing.laws.subject import Once, describe
from chimera_core.training.parts.metrics import RESERVED_BY_ENCODERS

PAGE = "reference/laws.md#of-a-trainer"
SHAPES_PAGE = "reference/contract.md#shapes-and-ranges"
_IMAGES, _CLASSES, _SIDE = 6, 3, 16
_ROUNDING = 1e-5

Budget = tuple[str, float]
"""Norm, ``linf`` or ``l2``, and radius on the [0, 1] pixel scale."""


def check_trainer(
    build: Callable[[], RobustnessTrainer],
    *,
    budget: Budget | None = None,
    encoder: Callable[[], FeatureEncoder] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Law]:
    """List the laws of a trainer, to be tried one by one.

    Args:
        build: makes it; called at the first law that is tried.
        budget: norm (``linf`` or ``l2``) and radius of its attack on the [0, 1] pixel scale. None: as its options say, if
            they are of ``BudgetConfig`` or have ``eps`` or ``eps_255``; of others it is not tried.
        encoder: makes the network that it trains, of 3 classes at 16 pixels; a small one of ours when None.
        expected_failures: by the law's name, why this trainer does not keep it.
    Raises:
        ConfigError: if a failure is declared of no law.
    """
    return laws_of(TrainerLaws(build, budget, encoder or SmallEncoder), expected_failures)


class TrainerLaws:
    """What is asked of a trainer."""

    def __init__(
        self,
        build: Callable[[], RobustnessTrainer],
        budget: Budget | None,
        encoder: Callable[[], FeatureEncoder],
    ) -> None:
        self._build, self._budget, self._new_encoder = build, budget, encoder
        generator = torch.Generator().manual_seed(0)
        self._x = torch.rand(_IMAGES, 3, _SIDE, _SIDE, generator=generator)
        self._y = torch.arange(_IMAGES) % _CLASSES
        self._draw = Draw(1, 0, torch.arange(_IMAGES), step=0)

    @cached_property
    def _trainer(self) -> Once[RobustnessTrainer]:
        return Once(self._build, "it cannot be built")

    @cached_property
    def _attacked(self) -> Once[Tensor]:
        return Once(lambda: self._perturb(), "it attacks no images")

    @cached_property
    def _loss(self) -> Once[tuple[Tensor, dict[str, Tensor]]]:
        return Once(lambda: self._lose(), "it gives no loss")

    def _encoder(self, *, training: bool = False) -> FeatureEncoder:
        return self._new_encoder().train(training)

    def _perturb(self, encoder: FeatureEncoder | None = None, x: Tensor | None = None) -> Tensor:
        encoder = encoder or self._encoder()
        x = self._x.clone() if x is None else x
        return self._trainer().perturb(encoder, x, self._y, draw=self._draw)

    def _lose(self, encoder: FeatureEncoder | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        encoder = encoder or self._encoder(training=True)
        return self._trainer().loss(encoder, self._x.clone(), self._y, draw=self._draw)

    def _sound(self) -> Tensor:
        attacked = self._attacked()
        if not isinstance(attacked, Tensor) or attacked.shape != self._x.shape:
            raise NotTriedError("its attacked images have another shape")
        return attacked

    def _pair(self) -> tuple[Tensor, dict[str, Tensor]]:
        given: Any = self._loss()
        if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict)):
            raise NotTriedError("its loss is not a pair")
        return given

    @law(PAGE)
    def builds(self) -> str | None:
        """Its constructor takes the options, and makes a RobustnessTrainer."""
        trainer: Any = self._trainer.first()
        return None if isinstance(trainer, RobustnessTrainer) else f"{describe(trainer)}."

    @law(SHAPES_PAGE)
    def attacked_images(self) -> str | None:
        """``perturb`` gives images of the shape and type that it was given, without a gradient."""
        self._trainer()
        attacked: Any = self._attacked.first()
        if not isinstance(attacked, Tensor) or attacked.shape != self._x.shape:
            return f"{describe(attacked)} for {describe(self._x)}."
        if attacked.dtype != self._x.dtype:
            return f"{describe(attacked)} for {describe(self._x)}."
        return "images that carry a gradient." if attacked.requires_grad else None

    @law(SHAPES_PAGE, after=("attacked_images",))
    def in_range(self) -> str | None:
        """Attacked images stay in [0, 1]."""
        attacked = self._sound()
        low, high = float(attacked.min()), float(attacked.max())
        return None if low >= -1e-6 and high <= 1 + 1e-6 else f"pixels from {low:.3g} to {high:.3g}."

    @law(PAGE, after=("attacked_images",))
    def within_budget(self) -> str | None:
        """Attacked images stay within the radius of the options."""
        attacked, budget = self._sound(), self._budget or _budget_of(self._trainer())
        if budget is None:
            raise NotTriedError("its options say no radius: give `budget`")
        norm, radius = budget
        moved = (attacked - self._x).flatten(1)
        far = float((moved.norm(dim=1) if norm == "l2" else moved.abs()).max())
        return (
            None
            if far <= radius + _ROUNDING
            else f"a distance of {far:.4g} where {radius:.4g} is the radius."
        )

    @law(PAGE)
    def scalar_loss(self) -> str | None:
        """``loss`` gives a finite scalar with a gradient to the encoder's parameters, and a dict of metrics."""
        self._trainer()
        encoder = self._encoder(training=True)
        given: Any = self._loss.first()
        if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict)):
            return f"{describe(given)} instead of (loss, metrics)."
        given = self._lose(encoder)
        loss = given[0]
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            has = "" if not isinstance(loss, Tensor) or loss.requires_grad else " without a gradient"
            return f"{describe(loss)}{has}."
        if not torch.isfinite(loss):
            return f"{float(loss)}."
        learned = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
        slopes = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
        still = [name for name, slope in zip(learned, slopes, strict=True) if slope is None]
        return f"no gradient for {still[0]}." if still else None

    @law(PAGE, after=("scalar_loss",))
    def metrics_are_scalars(self) -> str | None:
        """Its metrics are scalar tensors by name."""
        for name, value in self._pair()[1].items():
            if not isinstance(name, str) or not isinstance(value, Tensor) or value.numel() != 1:
                return f"metric {name!r} is {describe(value)}."
        return None

    @law(PAGE, after=("scalar_loss",))
    def metric_names_are_free(self) -> str | None:
        """No metric has a name that the training itself logs."""
        taken = sorted(set(self._pair()[1]) & RESERVED_BY_ENCODERS)
        return f"a metric named {taken[0]!r}." if taken else None

    @law(PAGE, after=("attacked_images", "scalar_loss"))
    def images_stay(self) -> str | None:
        """The images and labels that it is given are left as they were."""
        self._sound(), self._pair()
        x, y = self._x.clone(), self._y.clone()
        trainer = self._trainer()
        trainer.perturb(self._encoder(), x, y, draw=self._draw)
        trainer.loss(self._encoder(training=True), x, y, draw=self._draw)
        if not torch.equal(x, self._x):
            return f"pixels changed by up to {float((x - self._x).abs().max()):.3g}."
        return "requires_grad of the images changed." if x.requires_grad else None

    @law(PAGE, after=("attacked_images", "scalar_loss"))
    def encoder_mode_stays(self) -> str | None:
        """The encoder is in training or evaluation mode as it was found, after ``perturb`` and ``loss``."""
        self._sound(), self._pair()
        for mode in (True, False):
            encoder = self._encoder(training=mode)
            for name, call in (("perturb", self._perturb), ("loss", self._lose)):
                call(encoder)
                if any(m.training is not mode for m in encoder.modules()):
                    return f"after {name}, training is {not mode} where it was {mode}."
        return None

    @law(PAGE, after=("attacked_images",))
    def encoder_gradients_stay(self) -> str | None:
        """No parameter of the encoder gets a gradient, or loses its switch, by ``perturb`` or ``loss``: the loop does that."""
        self._sound()
        for call, made_by in ((self._perturb, "perturb"), (self._lose, "loss")):
            encoder = self._encoder(training=True)
            before = {name: t.clone() for name, t in encoder.named_parameters()}
            call(encoder)
            for name, parameter in encoder.named_parameters():
                if parameter.grad is not None:
                    return f"{name} has a gradient after {made_by}."
                if not parameter.requires_grad:
                    return f"requires_grad of {name} is off after {made_by}."
                if not torch.equal(parameter, before[name]):
                    return f"{name} changed by {made_by}."
        return None

    @law(PAGE, after=("attacked_images", "scalar_loss"))
    def no_state(self) -> str | None:
        """It keeps nothing from one step to the next but its ``state``: another one with that does the same."""
        self._pair()
        used, fresh = self._build(), self._build()
        for step in range(3):
            self._step(used, step)
        if used.state is not None and fresh.state is not None:
            fresh.begin((_IMAGES, 3, _SIDE, _SIDE), self._x.device)
            fresh.state.load_state_dict(used.state.state_dict())
        one, other = self._step(used, 3), self._step(fresh, 3)
        off = float((one - other).abs())
        return f"losses differ by {off:.3g} after three steps." if off > 1e-6 else None

    def _step(self, trainer: RobustnessTrainer, step: int) -> Tensor:
        draw = Draw(1, 0, torch.arange(_IMAGES), step=step)
        seed_everything(step)
        loss = trainer.loss(self._encoder(training=True), self._x.clone(), self._y, draw=draw)[0]
        torch.autograd.backward(loss)  # a trainer may learn from that, too
        return loss.detach()

    @law(PAGE, after=("attacked_images", "scalar_loss", "no_state"))
    def draws_alone(self) -> str | None:
        """Its random numbers come from ``draw`` alone: the global generators decide nothing."""
        self._sound(), self._pair()
        found = []
        for seed in (1, 2):
            seed_everything(seed)
            found.append((self._perturb(), self._lose()[0].detach()))
        (one, loss), (other, other_loss) = found
        off = max(float((one - other).abs().max()), float((loss - other_loss).abs()))
        return f"attacks or losses differ by up to {off:.3g}." if off else None

    @law(PAGE, after=("attacked_images", "draws_alone"))
    def draws_belong_to_examples(self) -> str | None:
        """An example is attacked alike by itself and in a batch, by the numbers that ``draw`` gives it."""
        attacked, trainer = self._sound(), self._trainer()
        rows = torch.tensor([1, 4])
        part = trainer.perturb(
            self._encoder(), self._x[rows].clone(), self._y[rows], draw=self._draw.of(rows)
        )
        off = float((part - attacked[rows]).abs().max())
        return f"pixels differ by up to {off:.3g}." if off > 1e-3 else None

    @law(PAGE, after=("attacked_images", "scalar_loss"))
    def shares_of_classes(self) -> str | None:
        """Labels may be shares of classes (N, K), as mixed images have them."""
        self._pair()
        shares = torch.nn.functional.one_hot(self._y, _CLASSES).float() * 0.9 + 0.1 / _CLASSES
        trainer = self._trainer()
        attacked: Any = trainer.perturb(self._encoder(), self._x.clone(), shares, draw=self._draw)
        loss: Any = trainer.loss(self._encoder(training=True), self._x.clone(), shares, draw=self._draw)[0]
        if attacked.shape != self._x.shape or loss.ndim or not torch.isfinite(loss):
            return f"{describe(attacked)} and a loss of {describe(loss)}."
        return None


def _budget_of(trainer: RobustnessTrainer) -> Budget | None:
    """Read norm and radius from a trainer's options."""
    config = getattr(trainer, "config", None)
    norm = getattr(config, "norm", "linf")
    if getattr(config, "eps", None) is not None:
        return norm, float(config.eps)  # type: ignore[union-attr]
    if getattr(config, "eps_255", None) is not None:
        return norm, float(config.eps_255) / 255  # type: ignore[union-attr]
    return None
