"""The laws of what plugins may add beside the four interfaces: attacks, augmentations, metrics of creatures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from chimera_core.interfaces.additions import AdversarialAttack, BatchAugmentation, CreatureMetric
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.laws import Law, NotTriedError, law, laws_of
from chimera_core.randomness import Draw
from chimera_core.testing.encoders import SmallEncoder
from chimera_core.testing.laws.randomness import seed_everything
from chimera_core.testing.laws.subject import Once, describe

ATTACK_PAGE = "reference/hooks.md#adversarialattack"
AUGMENTATION_PAGE = "reference/hooks.md#batchaugmentation"
METRIC_PAGE = "reference/hooks.md#creaturemetric"
EPS = 0.05
_IMAGES, _CLASSES, _SIDE = 6, 3, 16
_ROWS = torch.tensor([1, 4])
_ROUNDING = 1e-5


def check_attack(
    build: Callable[[], AdversarialAttack], *, expected_failures: Mapping[str, str] | None = None
) -> list[Law]:
    """List the laws of an attack, to be tried one by one.

    Args:
        build: makes it with ``eps`` 0.05 and a norm that it knows; called at the first law that is tried.
        expected_failures: by the law's name, why this attack does not keep it.
    Raises:
        ConfigError: if a failure is declared of no law.
    """
    return laws_of(AttackLaws(build), expected_failures)


def check_augmentation(
    build: Callable[[], BatchAugmentation], *, expected_failures: Mapping[str, str] | None = None
) -> list[Law]:
    """List the laws of an augmentation; see ``check_attack``."""
    return laws_of(AugmentationLaws(build), expected_failures)


def check_metric(
    build: Callable[[], CreatureMetric], *, expected_failures: Mapping[str, str] | None = None
) -> list[Law]:
    """List the laws of a metric of creatures; see ``check_attack``."""
    return laws_of(MetricLaws(build), expected_failures)


class _ImageLaws(ABC):
    """What is asked of whatever makes images of images, by the numbers of a draw."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        generator = torch.Generator().manual_seed(0)
        self._x = torch.rand(_IMAGES, 3, _SIDE, _SIDE, generator=generator)
        self._y = torch.arange(_IMAGES) % _CLASSES
        self._draw = Draw(1, 0, torch.arange(_IMAGES), step=0)

    @cached_property
    def _subject(self) -> Once[Any]:
        return Once(self._build, "it cannot be built")

    @cached_property
    def _made(self) -> Once[Tensor]:
        return Once(lambda: self._call(self._x.clone(), self._y, self._draw), "it gives no images")

    @abstractmethod
    def _call(self, x: Tensor, y: Tensor, draw: Draw) -> Tensor:
        """Make images of images."""

    def _sound(self) -> Tensor:
        made = self._made()
        if not isinstance(made, Tensor) or made.shape != self._x.shape:
            raise NotTriedError("its images have another shape")
        return made

    def _shape_fault(self) -> str | None:
        self._subject()
        made: Any = self._made.first()
        if not isinstance(made, Tensor) or made.shape != self._x.shape or made.dtype != self._x.dtype:
            return f"{describe(made)} for {describe(self._x)}."
        return None

    def _range_fault(self) -> str | None:
        made = self._sound()
        if not torch.isfinite(made).all():
            return "NaN or infinite pixel values."
        low, high = float(made.min()), float(made.max())
        return None if low >= -1e-6 and high <= 1 + 1e-6 else f"pixels from {low:.3g} to {high:.3g}."

    def _input_fault(self) -> str | None:
        self._sound()
        x = self._x.clone()
        self._call(x, self._y, self._draw)
        return (
            None if torch.equal(x, self._x) else f"pixels changed by {float((x - self._x).abs().max()):.3g}."
        )

    def _global_fault(self) -> str | None:
        self._sound()
        found = []
        for seed in (1, 2):
            seed_everything(seed)
            found.append(self._call(self._x.clone(), self._y, self._draw))
        off = float((found[0] - found[1]).abs().max())
        return f"images differ by up to {off:.3g}." if off else None

    def _batch_fault(self) -> str | None:
        made = self._sound()
        part = self._call(self._x[_ROWS].clone(), self._y[_ROWS], self._draw.of(_ROWS))
        off = float((part - made[_ROWS]).abs().max())
        return f"pixels differ by up to {off:.3g}." if off > 1e-3 else None


class AttackLaws(_ImageLaws):
    """What is asked of an attack."""

    def _encoder(self) -> FeatureEncoder:
        return SmallEncoder().eval()

    def _call(self, x: Tensor, y: Tensor, draw: Draw, encoder: FeatureEncoder | None = None) -> Tensor:
        moved: Tensor = self._subject()(encoder or self._encoder(), x, y, draw=draw)
        return moved

    @law(ATTACK_PAGE)
    def builds(self) -> str | None:
        """Its constructor takes the options, ``eps`` and ``norm``, and makes an AdversarialAttack."""
        attack: Any = self._subject.first()
        if not isinstance(attack, AdversarialAttack):
            return f"{describe(attack)}."
        norms = set(attack.norms)
        return None if {"linf", "l2"} >= norms > set() else f"norms {sorted(norms)}."

    @law(ATTACK_PAGE)
    def attacked_images(self) -> str | None:
        """It gives images of the shape and type that it was given, without a gradient."""
        fault = self._shape_fault()
        return fault or ("images that carry a gradient." if self._made().requires_grad else None)

    @law(ATTACK_PAGE, after=("attacked_images",))
    def in_range(self) -> str | None:
        """Attacked images stay in [0, 1]."""
        return self._range_fault()

    @law(ATTACK_PAGE, after=("attacked_images",))
    def within_budget(self) -> str | None:
        """Attacked images stay within ``eps``."""
        attack = self._subject()
        moved = (self._sound() - self._x).flatten(1)
        far = float((moved.norm(dim=1) if attack.norm == "l2" else moved.abs()).max())
        return (
            f"a distance of {far:.4g} where {attack.eps:.4g} is the radius."
            if far > attack.eps + _ROUNDING
            else None
        )

    @law(ATTACK_PAGE, after=("attacked_images",))
    def images_stay(self) -> str | None:
        """The images that it is given are left as they were."""
        return self._input_fault()

    @law(ATTACK_PAGE, after=("attacked_images",))
    def encoder_stays(self) -> str | None:
        """The encoder keeps its mode and parameters, and none of these gets a gradient."""
        self._sound()
        encoder = self._encoder()
        before = {name: p.clone() for name, p in encoder.named_parameters()}
        self._call(self._x.clone(), self._y, self._draw, encoder)
        if any(module.training for module in encoder.modules()):
            return "it is in training mode afterwards."
        for name, parameter in encoder.named_parameters():
            if parameter.grad is not None:
                return f"{name} has a gradient."
            if not torch.equal(parameter, before[name]):
                return f"{name} changed."
        return None

    @law(ATTACK_PAGE, after=("attacked_images",))
    def draws_alone(self) -> str | None:
        """Its random numbers come from ``draw`` alone: the global generators decide nothing."""
        return self._global_fault()

    @law(ATTACK_PAGE, after=("attacked_images", "draws_alone"))
    def draws_belong_to_examples(self) -> str | None:
        """An example is attacked alike by itself and in a batch."""
        return self._batch_fault()


class AugmentationLaws(_ImageLaws):
    """What is asked of an augmentation."""

    def _call(self, x: Tensor, y: Tensor, draw: Draw) -> Tensor:
        varied: Tensor = self._subject()(x, draw)
        return varied

    @law(AUGMENTATION_PAGE)
    def builds(self) -> str | None:
        """Its constructor takes the options, and makes a BatchAugmentation."""
        made: Any = self._subject.first()
        return None if isinstance(made, BatchAugmentation) else f"{describe(made)}."

    @law(AUGMENTATION_PAGE)
    def varied_images(self) -> str | None:
        """It gives images of the shape and type that it was given."""
        return self._shape_fault()

    @law(AUGMENTATION_PAGE, after=("varied_images",))
    def in_range(self) -> str | None:
        """Varied images stay in [0, 1]."""
        return self._range_fault()

    @law(AUGMENTATION_PAGE, after=("varied_images",))
    def images_stay(self) -> str | None:
        """The images that it is given are left as they were."""
        return self._input_fault()

    @law(AUGMENTATION_PAGE, after=("varied_images",))
    def draws_alone(self) -> str | None:
        """Its random numbers come from ``draw`` alone: the global generators decide nothing."""
        return self._global_fault()

    @law(AUGMENTATION_PAGE, after=("varied_images", "draws_alone"))
    def draws_belong_to_examples(self) -> str | None:
        """An example becomes the same by itself and in a batch."""
        return self._batch_fault()


class MetricLaws:
    """What is asked of a metric of creatures."""

    def __init__(self, build: Callable[[], CreatureMetric]) -> None:
        self._build = build
        generator = torch.Generator().manual_seed(0)
        self._images = torch.rand(_IMAGES, 3, _SIDE, _SIDE, generator=generator)
        self._parents = [torch.rand(n, 3, 2 * _SIDE, _SIDE, generator=generator) for n in (1, 3)]
        first = torch.linspace(0, 1, _IMAGES, dtype=torch.float64)
        self._weights = torch.stack([first, 1 - first], 1)

    @cached_property
    def _metric(self) -> Once[CreatureMetric]:
        return Once(self._build, "it cannot be built")

    @cached_property
    def _values(self) -> Once[Tensor]:
        return Once(lambda: self._measure(torch.arange(_IMAGES)), "it gives no values")

    def _measure(self, rows: Tensor, parents: Sequence[Tensor] | None = None) -> Tensor:
        return self._metric().measure(
            self._images[rows].clone(), parents or [p.clone() for p in self._parents], self._weights[rows]
        )

    def _sound(self) -> Tensor:
        values = self._values()
        if not isinstance(values, Tensor) or values.shape != (_IMAGES,):
            raise NotTriedError("it gives no value for each creature")
        return values

    @law(METRIC_PAGE)
    def builds(self) -> str | None:
        """Its constructor takes the options, and makes a CreatureMetric."""
        metric: Any = self._metric.first()
        return None if isinstance(metric, CreatureMetric) else f"{describe(metric)}."

    @law(METRIC_PAGE)
    def explains_itself(self) -> str | None:
        """``meaning`` says what it measures, and ``better`` which way is better: reports have no other source."""
        metric = self._metric()
        if metric.better not in ("higher", "lower", ""):
            return f"better is {metric.better!r}."
        return None if len(metric.meaning) >= 10 else f"meaning is {metric.meaning!r}."

    @law(METRIC_PAGE)
    def value_for_each(self) -> str | None:
        """It gives one value for each creature, as a floating tensor (n,)."""
        self._metric()
        values: Any = self._values.first()
        if not isinstance(values, Tensor) or values.shape != (_IMAGES,) or not values.is_floating_point():
            return f"{describe(values)} for {_IMAGES} creatures."
        return None

    @law(METRIC_PAGE, after=("value_for_each",))
    def inputs_stay(self) -> str | None:
        """The images that it is given are left as they were."""
        self._sound()
        images, parents = self._images.clone(), [p.clone() for p in self._parents]
        self._metric().measure(images, parents, self._weights.clone())
        same = [
            torch.equal(a, b) for a, b in zip([images, *parents], [self._images, *self._parents], strict=True)
        ]
        return None if all(same) else "pixels changed."

    @law(METRIC_PAGE, after=("value_for_each",))
    def by_itself(self) -> str | None:
        """A creature has the same value by itself and in any company."""
        values = self._sound()
        part = self._measure(_ROWS)
        off = float((part - values[_ROWS]).nan_to_num(0).abs().max())
        return (
            f"values differ by up to {off:.3g}."
            if off > 1e-4 * max(1.0, float(values.nan_to_num(0).abs().max()))
            else None
        )

    @law(METRIC_PAGE, after=("value_for_each",))
    def the_same_again(self) -> str | None:
        """It gives the same value again, whatever the global generators are at."""
        self._sound()
        found = []
        for seed in (1, 2):
            seed_everything(seed)
            found.append(self._measure(_ROWS).nan_to_num(0))
        off = float((found[0] - found[1]).abs().max())
        return f"values differ by up to {off:.3g}." if off else None
