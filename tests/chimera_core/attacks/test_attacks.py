"""Laws of every attack: its ball, the box, and no trace on the encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from chimera_core import load_encoder
from chimera_core.api import (
    ConfigError,
    Draw,
    FeatureEncoder,
    ShapeError,
    attack_mode,
    fgsm,
    input_gradient,
    pgd,
    project_l2,
    project_linf,
    random_start,
)
from chimera_core.attacks.geometry import steepest
from chimera_core.attacks.square import square

ATTACKS: dict[str, Callable[..., Tensor]] = {
    "fgsm": lambda *a, draw, **k: fgsm(*a, **k),
    "fgsm, random start": lambda *a, draw, eps, **k: fgsm(*a, eps=eps, step=1.25 * eps, draw=draw, **k),
    "pgd": lambda *a, draw, **k: pgd(*a, steps=3, draw=draw, **k),
    "pgd with restarts": lambda *a, draw, **k: pgd(*a, steps=2, restarts=2, draw=draw, **k),
    "pgd, batch statistics": lambda *a, draw, **k: pgd(*a, steps=2, draw=draw, statistics="batch", **k),
    "square": lambda *a, draw, **k: square(*a, queries=12, draw=draw, **k),
}
NETWORK = load_encoder("cnn", widths=(4, 8), depth=1, classes=3)


def distance(a: Tensor, b: Tensor, norm: str) -> Tensor:
    return (a - b).flatten(1).norm(p=float("inf") if norm == "linf" else 2, dim=1)


@settings(max_examples=25, deadline=None)
@example(name="fgsm", norm="linf", eps=0.0012723003779613017, seed=0, side=8)
@given(
    name=st.sampled_from(sorted(ATTACKS)),
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.floats(1e-3, 0.99),
    seed=st.integers(0, 10**6),
    side=st.integers(8, 13),
)
def test_every_attack_stays_in_its_ball_and_in_the_box(
    name: str, norm: str, eps: float, seed: int, side: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    # A third black, a third white: the box binds.
    x = (3 * torch.rand(3, 3, side, side + 1, generator=generator) - 1).clamp(0, 1)
    y = torch.randint(3, (3,), generator=generator)
    draw = Draw(seed, 0, torch.arange(3))
    x_adv = ATTACKS[name](NETWORK, x, y, norm=norm, eps=eps, draw=draw)
    assert x_adv.shape == x.shape and x_adv.dtype == torch.float32 and not x_adv.requires_grad
    assert x_adv.min() >= 0 and x_adv.max() <= 1
    # A float32 pixel near 1 is rounded to 2**-24, which is more than a millionth of a small radius.
    rounding = 2**-24 * (1 if norm == "linf" else x[0].numel() ** 0.5)
    assert distance(x_adv, x, norm).max() <= eps * (1 + 1e-5) + rounding


@pytest.mark.parametrize("name", sorted(ATTACKS))
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks_leave_the_encoder_as_it_was(
    name: str, norm: str, encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]
) -> None:
    encoder.train()
    encoder.stages[1].eval()  # a frozen part is in another mode than the whole
    encoder.classifier.weight.requires_grad_(False)
    encoder.classifier.bias.grad = torch.ones(5)
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    modes = [m.training for m in encoder.modules()]
    x, y = batch
    ATTACKS[name](encoder, x, y, norm=norm, eps=0.1, draw=Draw(0, 0, torch.arange(10)))
    assert [m.training for m in encoder.modules()] == modes
    assert all(m.track_running_stats for m in encoder.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(torch.equal(v, state[k]) for k, v in encoder.state_dict().items())
    for key, parameter in encoder.named_parameters():
        assert parameter.requires_grad == (key != "classifier.weight")
        assert (parameter.grad is None) == (key != "classifier.bias")
    assert torch.equal(encoder.classifier.bias.grad, torch.ones(5))


def test_the_mode_comes_back_even_when_the_encoder_fails() -> None:
    network = load_encoder("cnn", widths=(4, 8), depth=1, classes=3).train()
    with pytest.raises(ShapeError):
        fgsm(network, torch.rand(1, 3, 2, 2), torch.tensor([0]), eps=0.1)
    assert all(m.training for m in network.modules())


@pytest.mark.parametrize("steps", [1, 7])
def test_pgd_costs_one_pass_a_step(steps: int, encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]) -> None:
    calls = []
    encoder.register_forward_hook(lambda *a: calls.append(1))
    pgd(encoder, *batch, eps=0.1, steps=steps, draw=Draw(0, 0, torch.arange(10)))
    assert len(calls) == steps


def test_gradients_of_parameters_are_not_computed(
    encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]
) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    masks: list[list[bool]] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.convolution_backward.default:
                masks.append(args[-1])  # for the input, the weight, the bias
            return func(*args, **(kwargs or {}))

    with Watch():
        fgsm(encoder, *batch, eps=0.1)
    convolutions = sum(isinstance(m, nn.Conv2d) for m in encoder.modules())
    assert masks == [[True, False, False]] * convolutions


def test_attacks_raise_the_loss_and_more_steps_raise_it_more(encoder: FeatureEncoder) -> None:
    x = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        y = encoder(x).argmax(1)

    def loss(images: Tensor) -> float:
        with torch.no_grad():
            return float(nn.functional.cross_entropy(encoder(images), y))

    one, ten = (pgd(encoder, x, y, eps=0.03, steps=k, step=0.03 if k == 1 else 0.01) for k in (1, 10))
    assert loss(x) < loss(one) < loss(ten)


def test_restarts_never_do_worse_than_one_start(encoder: FeatureEncoder) -> None:
    x = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    draw = Draw(0, 0, torch.arange(64))
    with torch.no_grad():
        y = encoder(x).argmax(1)
        once = encoder(pgd(encoder, x, y, eps=0.012, steps=2, draw=draw)).argmax(1) == y
        often = encoder(pgd(encoder, x, y, eps=0.012, steps=2, draw=draw, restarts=4)).argmax(1) == y
    assert not (often & ~once).any()
    assert once.any() and not once.all()


def test_an_image_is_attacked_alike_in_any_batch(
    encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    whole = square(encoder, x, y, eps=0.01, queries=30, draw=Draw(4, 0, torch.arange(10)))
    half = square(encoder, x[5:], y[5:], eps=0.01, queries=30, draw=Draw(4, 0, torch.arange(5, 10)))
    assert torch.equal(whole[5:], half)
    whole = pgd(encoder, x, y, norm="l2", eps=0.5, draw=Draw(4, 0, torch.arange(10)))
    half = pgd(encoder, x[5:], y[5:], norm="l2", eps=0.5, draw=Draw(4, 0, torch.arange(5, 10)))
    assert torch.allclose(whole[5:], half, atol=1e-4)


def test_attacks_work_on_pixels_in_fp32_under_autocast(
    encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    x = 0.2 + 0.6 * x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x_adv = pgd(encoder, x, y, eps=1e-3, steps=3, draw=Draw(0, 0, torch.arange(10)))
    # bf16 has no value between 0.5 and 0.5039: images in bf16 could not move by 0.001.
    assert x_adv.dtype == torch.float32
    assert torch.allclose((x_adv - x).abs().flatten(1).amax(1), torch.tensor(1e-3), rtol=1e-3)


def test_an_attack_works_where_gradients_are_switched_off(
    encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]
) -> None:
    with torch.no_grad():
        assert (fgsm(encoder, *batch, eps=0.1) != batch[0]).any()


def test_batch_statistics_are_those_of_the_batch(encoder: FeatureEncoder) -> None:
    x = torch.rand(6, 3, 16, 16)
    encoder.train()
    expected = encoder(x)
    encoder.eval()
    with attack_mode(encoder, statistics="batch"):
        assert torch.allclose(encoder(x), expected, atol=1e-5)
    with attack_mode(encoder):
        assert not torch.allclose(encoder(x), expected, atol=1e-5)


def test_projections_by_hand() -> None:
    x = torch.tensor([0.5, 0.95]).view(1, 1, 1, 2)
    x_adv = torch.tensor([0.9, 1.45]).view(1, 1, 1, 2)
    assert torch.allclose(project_linf(x_adv, x, eps=0.1).flatten(), torch.tensor([0.6, 1.0]))
    # The change (0.4, 0.5) has length 0.6403; a length of 0.32015 is half of it.
    assert torch.allclose(project_l2(x_adv, x, eps=0.3201562).flatten(), torch.tensor([0.7, 1.0]), atol=1e-6)
    assert torch.equal(project_l2(x, x, eps=0.1), x)
    with pytest.raises(ShapeError, match=r"x_adv is \(1, 1, 1, 2\) and x is \(1, 1, 2\)"):
        project_linf(x_adv, x[0], eps=0.1)


def test_the_l2_step_has_length_one_for_gradients_however_small() -> None:
    gradient = torch.tensor([[3.0, 4.0], [3e-30, 4e-30], [0.0, 0.0]]).view(3, 1, 1, 2)
    expected = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]]).view(3, 1, 1, 2)
    assert torch.allclose(steepest(gradient, norm="l2"), expected)


def test_random_starts_fill_the_ball() -> None:
    x = torch.full((400, 3, 4, 4), 0.5)
    draw = Draw(0, 0, torch.arange(400))
    linf = random_start(x, norm="linf", eps=0.1, draw=draw) - x
    assert abs(float(linf.std()) - 0.1 / 3**0.5) < 2e-3
    lengths = distance(random_start(x, norm="l2", eps=0.4, draw=draw), x, "l2")
    assert lengths.max() < 0.4 + 1e-6 and abs(float(lengths.mean()) - 0.2) < 0.02


def test_a_gradient_by_hand() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    network[1].weight.data = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]])
    x = torch.zeros(1, 3, 1, 1)
    found = input_gradient(network, x, lambda logits: (logits * torch.tensor([1.0, 3.0])).sum())
    assert found.flatten().tolist() == [1.0, 6.0, -1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 8}, r"write 8/255, but eps is 8"),
        ({"eps": 0}, "positive number, but eps is 0"),
        ({"eps": float("nan")}, "positive number, but eps is nan"),
        ({"eps": 0.1, "norm": "L2"}, "no norm 'L2': use linf or l2"),
        ({"eps": 0.1, "restarts": 3}, "3 restarts need random starts"),
    ],
)
def test_bad_input_is_one_clear_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        pgd(NETWORK, torch.rand(1, 3, 8, 8), torch.tensor([0]), **options)
    assert "\n" not in str(caught.value)


def test_square_refuses_images_without_room_for_a_square() -> None:
    with pytest.raises(ShapeError, match="at least 5 x 5"):
        square(NETWORK, torch.rand(1, 3, 4, 4), torch.tensor([0]), eps=0.1, draw=Draw(0, 0, torch.arange(1)))
