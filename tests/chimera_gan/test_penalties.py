"""Penalties by hand: on a linear critic, whose gradient is its weight, and on a square one."""

from __future__ import annotations

import pytest
import torch
from chimera_gan.networks import CRITICS
from chimera_gan.penalties import (
    clip_weights,
    gradient_by_pixels,
    is_due,
    lazy_weight,
    one_centred_penalty,
    zero_centred_penalty,
)
from torch import Tensor, nn

REAL = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
FAKE = torch.tensor([[3.0, 0.0], [2.0, 1.0]], dtype=torch.float64)


def weights() -> Tensor:
    return torch.tensor([3.0, -4.0], dtype=torch.float64, requires_grad=True)  # norm 5


def test_r1_of_a_linear_critic() -> None:
    """0.5 * weight * 25, and its slope by w is weight * w."""
    w, x = weights(), REAL.clone().requires_grad_(True)
    penalty = zero_centred_penalty(x @ w, x, weight=0.2)
    assert penalty.item() == pytest.approx(0.1 * 25)
    assert torch.autograd.grad(penalty, w)[0].tolist() == pytest.approx([0.6, -0.8])


def test_r1_is_the_mean_over_images_not_over_pixels() -> None:
    """D(x) = |x|^2 has gradient 2x: squared norms 20 and 4, so half their mean is 6."""
    x = REAL.clone().requires_grad_(True)
    assert zero_centred_penalty(x.square().sum(1), x, weight=1.0).item() == pytest.approx(6)


def test_wgan_gp_of_a_linear_critic() -> None:
    """weight * (5 - 1)^2 wherever it is asked, and its slope by w is 2 * weight * (5 - 1) * w / 5."""
    w = weights()
    mix = torch.tensor([0.25, 1.0])
    penalty = one_centred_penalty(lambda x: x @ w, REAL, FAKE, mix=mix, weight=10)
    assert penalty.item() == pytest.approx(160)
    assert torch.autograd.grad(penalty, w)[0].tolist() == pytest.approx([48, -64])


def test_wgan_gp_asks_between_the_images_of_each_pair() -> None:
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().sum(1)

    penalty = one_centred_penalty(critic, REAL, FAKE, mix=torch.tensor([0.25, 1.0]), weight=1)
    assert seen[0].tolist() == [[2.5, 0.5], [0.0, 1.0]]
    # Gradients 2x: norms sqrt(26) and 2.
    assert penalty.item() == pytest.approx(((26**0.5 - 1) ** 2 + 1) / 2)


def test_wgan_gp_of_a_critic_that_ignores_its_input_is_finite() -> None:
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    penalty = one_centred_penalty(lambda x: x @ w, REAL, FAKE, mix=torch.tensor([0.5, 0.5]), weight=10)
    assert penalty.item() == pytest.approx(10, abs=1e-4)
    assert torch.autograd.grad(penalty, w)[0].isfinite().all()


def test_an_images_gradient_depends_on_that_image_alone() -> None:
    torch.manual_seed(0)
    critic = CRITICS["dcgan"](28, channels=2, norm="layer")
    x = (torch.rand(3, 3, 28, 28) * 2 - 1).requires_grad_(True)
    together = gradient_by_pixels(critic(x), x)
    alone = gradient_by_pixels(critic(x[1:2]), x)[1:2]
    torch.testing.assert_close(together[1:2], alone)


@pytest.mark.parametrize("kind", ["zero", "one"])
def test_penalties_differentiate_by_the_weights(kind: str) -> None:
    """Second derivatives against finite differences, on a critic with a bend."""

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        def critic(x: Tensor) -> Tensor:
            return torch.tanh(x @ first) @ second

        if kind == "one":
            return one_centred_penalty(critic, REAL, FAKE, mix=torch.tensor([0.3, 0.6]), weight=2)
        x = REAL.clone().requires_grad_(True)
        return zero_centred_penalty(critic(x), x, weight=2)

    torch.manual_seed(0)
    first = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    second = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(penalty, (first, second))


def test_a_lazy_penalty_weighs_the_same_over_many_steps() -> None:
    every, weight, steps = 8, 0.3, 80
    total = sum(lazy_weight(weight, every=every) for step in range(steps) if is_due(step, every=every))
    assert total == pytest.approx(weight * steps)
    assert [step for step in range(20) if is_due(step, every=8)] == [0, 8, 16]
    assert all(is_due(step, every=1) for step in range(3)) and lazy_weight(weight, every=1) == weight


def test_clipping_leaves_small_weights_alone() -> None:
    weight = nn.Parameter(torch.tensor([-3.0, -0.01, 0.005, 0.02]))
    clip_weights([weight], limit=0.01)
    assert weight.tolist() == pytest.approx([-0.01, -0.01, 0.005, 0.01])
    assert weight.requires_grad
