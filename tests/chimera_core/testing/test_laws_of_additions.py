"""The laws of attacks, augmentations and metrics: each mutant breaks the very law that it is named for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chimera_core.api import AdversarialAttack, BatchAugmentation, CreatureMetric, Draw
from chimera_core.testing import check_attack, check_augmentation, check_metric

Attacking = Callable[[nn.Module, Tensor, Tensor, Draw, float], Tensor]


def noise(encoder: nn.Module, x: Tensor, y: Tensor, draw: Draw, eps: float) -> Tensor:
    return (x + eps * (2 * draw.uniform(*x.shape[1:], purpose="noise") - 1)).clamp(0, 1)


def attack(call: Attacking, **attributes: Any) -> list[Any]:
    class Made(AdversarialAttack):
        def __call__(self, encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
            return call(encoder, x, y, draw, self.eps)

    for name, value in attributes.items():
        setattr(Made, name, value)
    return check_attack(lambda: Made(None, eps=0.05, norm="linf"))


def broken(laws: Sequence[Any]) -> list[str]:
    return [law.name for law in laws if law.outcome().verdict == "broken"]


def with_gradient(e: nn.Module, x: Tensor, y: Tensor, d: Draw, eps: float) -> Tensor:
    nn.functional.cross_entropy(e(x), y).backward()
    return x


ATTACKS: dict[str, tuple[Attacking, dict[str, Any]]] = {
    "builds": (noise, {"norms": frozenset()}),
    "attacked-images": (lambda e, x, y, d, eps: x[..., 1:], {}),
    "in-range": (lambda e, x, y, d, eps: x + eps, {}),
    "within-budget": (lambda e, x, y, d, eps: 1 - x, {}),
    "images-stay": (lambda e, x, y, d, eps: x.sub_(eps / 2).clamp_(0, 1), {}),
    "encoder-stays": (with_gradient, {}),
    "draws-alone": (lambda e, x, y, d, eps: (x + eps * torch.rand(1)).clamp(0, 1), {}),
    "draws-belong-to-examples": (
        lambda e, x, y, d, eps: (x + eps * x.mean().remainder(0.1) * 9).clamp(0, 1),
        {},
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_mutant_of_an_attack_breaks_its_law(name: str) -> None:
    call, attributes = ATTACKS[name]
    assert broken(attack(call, **attributes)) == [name]


def test_sound_ones_break_none() -> None:
    assert broken(attack(noise)) == []
    assert broken(vary(lambda x, draw: x.flip(-1))) == []
    assert broken(measure(lambda images, parents, weights: images.mean((1, 2, 3)))) == []


def vary(call: Callable[[Tensor, Draw], Tensor]) -> list[Any]:
    class Made(BatchAugmentation):
        def __call__(self, x: Tensor, draw: Draw) -> Tensor:
            return call(x, draw)

    return check_augmentation(lambda: Made(None))


VARIED: dict[str, Callable[[Tensor, Draw], Tensor]] = {
    "varied-images": lambda x, draw: x.double(),
    "in-range": lambda x, draw: x * 255,
    "images-stay": lambda x, draw: x.mul_(0.5),
    "draws-alone": lambda x, draw: x * torch.rand(1),
    "draws-belong-to-examples": lambda x, draw: x * (len(x) / 10),
}


@pytest.mark.parametrize("name", VARIED)
def test_a_mutant_of_an_augmentation_breaks_its_law(name: str) -> None:
    assert broken(vary(VARIED[name])) == [name]


def measure(
    call: Callable[[Tensor, Sequence[Tensor], Tensor], Tensor], meaning: str = "Mean of the pixels, 0 to 1."
) -> list[Any]:
    class Made(CreatureMetric):
        def measure(self, images: Tensor, parents: Sequence[Tensor], weights: Tensor) -> Tensor:
            return call(images, parents, weights)

    Made.meaning = meaning
    return check_metric(lambda: Made(None))


MEASURED: dict[str, Any] = {
    "explains-itself": (lambda i, p, w: i.mean((1, 2, 3)), ""),
    "value-for-each": (lambda i, p, w: i.mean(), "Mean of the pixels."),
    "inputs-stay": (lambda i, p, w: p[0].zero_().mean() + i.mean((1, 2, 3)), "Mean of the pixels."),
    "by-itself": (lambda i, p, w: i.mean((1, 2, 3)) - i.mean(), "Mean of the pixels."),
    "the-same-again": (lambda i, p, w: torch.rand(len(i)) * 1e-6, "Mean of the pixels."),
}


@pytest.mark.parametrize("name", MEASURED)
def test_a_mutant_of_a_metric_breaks_its_law(name: str) -> None:
    assert broken(measure(*MEASURED[name])) == [name]
