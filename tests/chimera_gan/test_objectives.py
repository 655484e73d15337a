"""Objectives by hand: values and gradients, for a critic that is linear."""

from __future__ import annotations

import math

import pytest
import torch
from chimera_gan.objectives import OBJECTIVES, Bce, Objective, choose_objective
from torch import Tensor

# Two numbers per image; the critic's logit is their product with W.
W = [1.0, -2.0]
REAL = [[3.0, 1.0], [0.0, 0.25]]  # logits 1 and -0.5
FAKE = [[1.0, 0.5], [1.0, -1.0]]  # logits 0 and 3


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def tensor(values: list[float] | list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def losses(objective: Objective) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    w, real, fake = tensor(W), tensor(REAL), tensor(FAKE)
    return (
        objective.critic_loss(real @ w, fake @ w),
        objective.generator_loss(real @ w, fake @ w),
        w,
        fake,
    )


# By name: the critic's loss, its slopes by the four logits (real, real, fake, fake), the generator's, by the fakes.
BY_HAND = {
    "bce": (
        (softplus(-1) + softplus(0.5)) / 2 + (softplus(0) + softplus(3)) / 2,
        [(sigmoid(1) - 1) / 2, (sigmoid(-0.5) - 1) / 2, 0.25, sigmoid(3) / 2],
        (softplus(0) + softplus(-3)) / 2,
        [-0.25, (sigmoid(3) - 1) / 2],
    ),
    "lsgan": (
        ((0 + 2.25) / 2 + (0 + 9) / 2) / 2,
        [0.0, -0.75, 0.0, 1.5],
        (1 + 4) / 4,
        [-0.5, 1.0],
    ),
    "hinge": ((0 + 1.5) / 2 + (1 + 4) / 2, [0.0, -0.5, 0.5, 0.5], -1.5, [-0.5, -0.5]),
    "wasserstein": (1.5 - 0.25, [-0.5, -0.5, 0.5, 0.5], -1.5, [-0.5, -0.5]),
    "relativistic": (
        (softplus(-1) + softplus(3.5)) / 2,
        [-sigmoid(-1) / 2, -sigmoid(3.5) / 2, sigmoid(-1) / 2, sigmoid(3.5) / 2],
        (softplus(1) + softplus(-3.5)) / 2,
        [-sigmoid(1) / 2, -sigmoid(-3.5) / 2],
    ),
}


def test_every_objective_is_computed_by_hand() -> None:
    assert BY_HAND.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", BY_HAND)
def test_values(name: str) -> None:
    critic, generator, _, _ = losses(OBJECTIVES[name])
    assert critic.item() == pytest.approx(BY_HAND[name][0])
    assert generator.item() == pytest.approx(BY_HAND[name][2])


@pytest.mark.parametrize("name", BY_HAND)
def test_gradient_of_the_critic(name: str) -> None:
    """The logits' slopes by w are the images."""
    critic, _, w, _ = losses(OBJECTIVES[name])
    slopes = BY_HAND[name][1]
    expected = [sum(s * image[k] for s, image in zip(slopes, REAL + FAKE, strict=True)) for k in (0, 1)]
    (gradient,) = torch.autograd.grad(critic, w)
    assert gradient.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("name", BY_HAND)
def test_gradient_of_the_generator(name: str) -> None:
    """The logits' slope by an image is w."""
    _, generator, _, fake = losses(OBJECTIVES[name])
    (gradient,) = torch.autograd.grad(generator, fake)
    expected = [[slope * weight for weight in W] for slope in BY_HAND[name][3]]
    torch.testing.assert_close(gradient, torch.tensor(expected, dtype=torch.float64))


def test_label_smoothing_is_one_sided() -> None:
    """At label 0.9 a real image's loss is least where the critic says 0.9; fakes are judged as without it."""
    smooth, plain = choose_objective("bce", real_label=0.9), Bce()
    real, fake = tensor([2.0]), tensor([0.5])
    loss = smooth.critic_loss(real, fake)
    assert loss.item() == pytest.approx(0.9 * softplus(-2) + 0.1 * softplus(2) + softplus(0.5))
    by_real, by_fake = torch.autograd.grad(loss, (real, fake))
    assert by_real.item() == pytest.approx(sigmoid(2) - 0.9)
    assert by_fake.item() == pytest.approx(sigmoid(0.5))
    sure = tensor([math.log(0.9 / 0.1)])
    assert torch.autograd.grad(smooth.critic_loss(sure, fake), sure)[0].item() == pytest.approx(0)
    assert torch.equal(smooth.generator_loss(real, fake), plain.generator_loss(real, fake))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_sure_critic_makes_nothing_infinite(name: str) -> None:
    objective = choose_objective(name)
    far = torch.tensor([200.0, -200.0])
    assert objective.critic_loss(far, -far).isfinite() and objective.generator_loss(far, -far).isfinite()
