"""The trainers: values by hand on a linear encoder, laws on a small network."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chimera_core import load_encoder
from chimera_core.api import ChimeraError, ConfigError, Draw, FeatureEncoder, RobustnessTrainer
from chimera_core.components.choice import choose, layered_options
from chimera_core.plugins.discovery import default_host
from chimera_core.testing import Law, check_component, parametrize_with_laws

NAMES = ("standard", "fgsm", "n-fgsm", "pgd", "free", "trades", "report-fgsm")


def make(name: str, **options: Any) -> RobustnessTrainer:
    trainer: RobustnessTrainer = choose(default_host(), "robustness-trainer", name, options).load()
    return trainer


class Linear(FeatureEncoder):
    """Two classes told apart by one pixel: logits (0, 4 x_red), whatever the mode."""

    levels = ()

    def __init__(self, gain: float = 4.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x: Tensor) -> Tensor:
        red = self.gain * x[:, 0].flatten(1).mean(1)
        return torch.stack([torch.zeros_like(red), red], dim=1)

    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def feature_maps(self, x: Tensor, levels: Any) -> list[Tensor]:
        return []


class Fixed(Draw):
    """A draw whose uniform and normal numbers are all ``value``."""

    def __init__(self, value: float, n: int = 1) -> None:
        super().__init__(0, 0, torch.arange(n))
        self.value = value

    def uniform(self, *shape: int, purpose: str) -> Tensor:
        return torch.full((len(self.indices), *shape), self.value)

    normal = uniform


def red(value: float) -> Tensor:
    return torch.tensor([value, 0.5, 0.5]).view(1, 3, 1, 1)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


@pytest.fixture
def network() -> FeatureEncoder:
    return load_encoder("cnn", widths=(4, 8), depth=1, classes=3).train()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Draw]:
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return x, torch.tensor([0, 1, 2, 0, 1, 2]), Draw(1, 0, torch.arange(6))


@parametrize_with_laws(check_component("standard"))
def test_standard_keeps_the_laws_of_a_trainer(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("fgsm"))
def test_fgsm_keeps_the_laws_of_a_trainer(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("n-fgsm"))
def test_n_fgsm_keeps_the_laws_of_a_trainer(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("pgd"))
def test_pgd_keeps_the_laws_of_a_trainer(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("trades"))
def test_trades_keeps_the_laws_of_a_trainer(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("report-fgsm"))
def test_report_fgsm_keeps_the_laws_of_a_trainer(law: Law) -> None:
    law()


def test_standard_is_cross_entropy() -> None:
    loss, metrics = make("standard").loss(Linear(), red(0.25), torch.tensor([1]), draw=Fixed(0))
    assert math.isclose(loss.item(), softplus(-1.0), rel_tol=1e-6)
    assert metrics["accuracy"] == 1
    smooth, _ = make("standard", label_smoothing=0.2).loss(
        Linear(), red(0.25), torch.tensor([1]), draw=Fixed(0)
    )
    assert math.isclose(smooth.item(), 0.9 * softplus(-1.0) + 0.1 * softplus(1.0), rel_tol=1e-6)


def test_fgsm_by_hand() -> None:
    # Start at 0.5 + 0.1 (2 * 0.75 - 1) = 0.55; the step of 0.125 against class 1 leads to 0.425, inside the ball.
    trainer = make("fgsm", eps=0.1)
    x_adv = trainer.perturb(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.75))
    assert torch.allclose(x_adv[0, 0], torch.tensor(0.425))
    # From 0.45 it would lead to 0.325, and the ball ends at 0.4.
    x_adv = trainer.perturb(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.25))
    assert torch.allclose(x_adv[0, 0], torch.tensor(0.4))
    loss, metrics = trainer.loss(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.25))
    assert math.isclose(loss.item(), softplus(-1.6), rel_tol=1e-5)
    assert metrics["robust_accuracy"] == 1


def test_n_fgsm_by_hand() -> None:
    # Noise 0.2 (2 * 0.25 - 1) = -0.1 and a step of -0.1: the image ends outside the ball of 0.1, unclipped.
    x_adv = make("n-fgsm", eps=0.1).perturb(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.25))
    assert torch.allclose(x_adv.flatten(), torch.tensor([0.3, 0.4, 0.4]))
    # Near the border of the box it is clipped to the box, before the step and after.
    x_adv = make("n-fgsm", eps=0.1).perturb(Linear(), red(0.05), torch.tensor([1]), draw=Fixed(0.25))
    assert x_adv.min() == 0
    loss, _ = make("n-fgsm", eps=0.1).loss(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.25))
    assert math.isclose(loss.item(), softplus(-1.2), rel_tol=1e-5)


def test_pgd_by_hand() -> None:
    trainer = make("pgd", eps=0.1, steps=2, step=0.03)
    x_adv = trainer.perturb(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.5))
    assert torch.allclose(x_adv.flatten(), torch.tensor([0.44, 0.5, 0.5]))
    trainer = make("pgd", eps=0.1, steps=5)  # steps of 0.05: two reach the border
    loss, _ = trainer.loss(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.5))
    assert math.isclose(loss.item(), softplus(-1.6), rel_tol=1e-5)


def test_pgd_in_l2_by_hand() -> None:
    trainer = make("pgd", norm="l2", eps=0.2, steps=4)
    x_adv = trainer.perturb(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0.5))
    # Only red has a gradient, so the whole radius goes into it in the end; the start's other channels are shortened.
    assert 0.19 < (x_adv - red(0.5)).norm() <= 0.2 + 1e-6
    assert x_adv[0, 0] < 0.35


def test_trades_by_hand() -> None:
    # Clean logit 2. Noise of +0.001 moves the prediction up, so the divergence is climbed upwards: to 0.6, logit 2.4.
    p, q = (1 / (1 + math.exp(-z)) for z in (2.0, 2.4))
    apart = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    trainer = make("trades", eps=0.1, steps=4, step=0.05, beta=3.0)
    loss, metrics = trainer.loss(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(1.0))
    assert math.isclose(metrics["divergence"].item(), apart, rel_tol=1e-3)
    assert math.isclose(loss.item(), softplus(-2.0) + 3 * metrics["divergence"].item(), rel_tol=1e-5)
    assert metrics["accuracy"] == metrics["robust_accuracy"] == 1


def test_trades_divides_by_the_images_and_not_by_the_classes() -> None:
    x, y = red(0.5).repeat(3, 1, 1, 1), torch.tensor([1, 1, 1])
    one, _ = make("trades", eps=0.1).loss(Linear(), x[:1], y[:1], draw=Fixed(1.0))
    three, _ = make("trades", eps=0.1).loss(Linear(), x, y, draw=Fixed(1.0, 3))
    assert torch.allclose(one, three)


def test_trades_learns_through_both_predictions(network: FeatureEncoder, batch: Any) -> None:
    x, y, draw = batch
    trainer = make("trades", eps=0.05, steps=2)
    x_adv = trainer.perturb(network, x, y, draw=draw)
    loss, _ = trainer.loss(network, x, y, draw=draw)
    loss.backward()
    expected = {n: p.grad.clone() for n, p in network.named_parameters()}
    network.zero_grad()
    clean, attacked = network(x), network(x_adv)
    apart = nn.functional.kl_div(attacked.log_softmax(1), clean.softmax(1), reduction="batchmean")
    (nn.functional.cross_entropy(clean, y) + 6 * apart).backward()
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], atol=1e-5), name


@pytest.mark.parametrize("name", NAMES)
def test_every_trainer_keeps_the_contract(name: str, network: FeatureEncoder, batch: Any) -> None:
    x, y, draw = batch
    before = {k: v.clone() for k, v in network.state_dict().items()}
    global_state = torch.get_rng_state()
    trainer = make(name)
    x_adv = trainer.perturb(network, x, y, draw=draw)
    assert x_adv.shape == x.shape and not x_adv.requires_grad and x_adv.min() >= 0 and x_adv.max() <= 1
    assert torch.equal(x_adv, trainer.perturb(network, x, y, draw=draw))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(m.training for m in network.modules()) and all(p.grad is None for p in network.parameters())
    loss, metrics = trainer.loss(network, x, y, draw=draw)
    loss.backward()
    assert loss.ndim == 0 and all(p.grad is not None for p in network.parameters())
    assert all(m.ndim == 0 and not m.requires_grad for m in metrics.values())
    assert torch.equal(global_state, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_every_trainer_works_in_bf16(name: str, network: FeatureEncoder, batch: Any) -> None:
    x, y, draw = batch
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert make(name).perturb(network, x, y, draw=draw).dtype == torch.float32
        loss, _ = make(name).loss(network, x, y, draw=draw)
    assert loss.dtype == torch.float32 and torch.isfinite(loss)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "report-fgsm"])
def test_mixed_images_have_shares_instead_of_classes(name: str, network: FeatureEncoder, batch: Any) -> None:
    x, y, draw = batch
    network.eval()
    hard, _ = make(name).loss(network, x, y, draw=draw)
    soft, metrics = make(name).loss(network, x, nn.functional.one_hot(y, 3).float(), draw=draw)
    assert torch.allclose(hard, soft, atol=1e-4)
    assert 0 <= next(iter(metrics.values())) <= 1


COSTS = {"standard": 1, "free": 1, "fgsm": 2, "n-fgsm": 2, "pgd": 8, "trades": 13, "report-fgsm": 2}


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_through_the_encoder_is_wasted(name: str, network: FeatureEncoder, batch: Any) -> None:
    calls: list[int] = []
    network.register_forward_hook(lambda *a: calls.append(1))
    x, y, draw = batch
    make(name).loss(network, x, y, draw=draw)
    # trades: one clean prediction to move away from, ten steps, and the two predictions of the loss.
    assert len(calls) == COSTS[name]


class Valley(Linear):
    """Looks robust to one long step and is not: it is wrong at distances of 0.04 to 0.08 alone."""

    def forward(self, x: Tensor) -> Tensor:
        moved = (x[:, 0].flatten(1).mean(1) - 0.5).abs()
        lead = 100 * (moved - 0.06).abs() - 2
        return torch.stack([torch.zeros_like(lead), self.gain * lead], dim=1)


def test_the_guard_notices_catastrophic_overfitting_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trainer = make("fgsm", eps=0.1, guard_every=2)
    x, y = red(0.5).repeat(4, 1, 1, 1), torch.ones(4, dtype=torch.int64)
    seen: list[Mapping[str, Tensor]] = []
    with caplog.at_level(logging.WARNING):
        for step in range(6):
            draw = Fixed(0.51, 4)
            draw.step = step
            seen.append(trainer.loss(Valley(), x, y, draw=draw)[1])
    assert ["probe_pgd_accuracy" in metrics for metrics in seen] == [False, True] * 3
    assert seen[1]["probe_fgsm_accuracy"] == 1 and seen[1]["probe_pgd_accuracy"] == 0
    (record,) = caplog.records
    assert "catastrophic overfitting" in record.getMessage() and "use n-fgsm or pgd" in record.getMessage()


def test_the_guard_is_silent_where_nothing_is_hidden(
    caplog: pytest.LogCaptureFixture, network: FeatureEncoder, batch: Any
) -> None:
    trainer = make("fgsm", guard_every=1)
    x, y, draw = batch
    with caplog.at_level(logging.WARNING):
        _, metrics = trainer.loss(network, x, y, draw=draw)
    assert "probe_pgd_accuracy" in metrics and not caplog.records
    assert "probe_pgd_accuracy" not in make("fgsm", guard_every=0).loss(network, x, y, draw=draw)[1]


def test_report_fgsm_shows_the_encoder_what_the_report_showed_it() -> None:
    encoder = load_encoder("cnn", blocks="plain", widths=(4,), hidden=8, size=16, classes=3)
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1])
    x_adv = make("report-fgsm").perturb(encoder, x, y, draw=Fixed(0, 2))
    normalised = ((x - encoder.mean) / encoder.std).requires_grad_()
    logits = encoder(normalised * encoder.std + encoder.mean)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, y), normalised)
    expected = (normalised + 0.1 * gradient.sign()).clamp(0, 1)
    assert torch.allclose((x_adv - encoder.mean) / encoder.std, expected, atol=1e-5)
    # The clamp takes away all that is darker than the mean.
    assert (x_adv >= encoder.mean - 1e-6).all()
    unclamped = make("report-fgsm", clamp=False).perturb(encoder, x, y, draw=Fixed(0, 2))
    assert ((unclamped - x).abs() <= 0.1 * encoder.std + 1e-6).all()


def test_report_fgsm_needs_to_know_the_normalisation() -> None:
    with pytest.raises(ConfigError, match="encoder Linear does not say how it normalises"):
        make("report-fgsm").perturb(Linear(), red(0.5), torch.tensor([1]), draw=Fixed(0))


def test_budgets_have_the_fields_defaults() -> None:
    assert make("pgd").config.radius == 4 / 255
    assert make("pgd", norm="l2").config.radius == 1.0
    assert make("pgd", norm="l2", eps=8).config.radius == 8


def test_the_preset_for_fusion_is_a_small_l2_budget() -> None:
    component = default_host().find("robustness-trainer", "trades")
    options = layered_options(component, default_host(), "fusion")
    assert make("trades", **options).config.norm == "l2"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pgd", {"eps": 8}, "option 'eps' of robustness-trainer pgd: .*write 8/255, but it is 8"),
        ("fgsm", {"eps": 4.0}, "write 4/255"),
        ("trades", {"eps": 1}, "write 1/255"),
        ("n-fgsm", {"eps": 16}, "write 16/255"),
        ("pgd", {"eps": 300}, "write 8/255"),
        ("pgd", {"eps": 0}, "must be a positive number"),
        ("pgd", {"norm": "l2", "eps": -1}, "must be a positive number"),
        ("pgd", {"norm": "l1"}, "'norm'"),
        ("n-fgsm", {"norm": "l2"}, "'norm'"),
        ("pgd", {"steps": 0}, "'steps'"),
        ("fgsm", {"epsilon": 0.1}, "did you mean 'eps'"),
        ("trade", {}, "did you mean 'trades'"),
    ],
)
def test_bad_input_is_one_clear_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ChimeraError, match=message) as caught:
        make(name, **options)
    assert "\n" not in str(caught.value)


def test_free_training_moves_its_perturbation_by_the_backward_pass_and_within_the_ball() -> None:
    encoder = load_encoder("cnn", classes=3, widths=(4,), depth=1)
    trainer: Any = make("free", eps=0.1, replays=3)
    x, y = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    trainer.begin((4, 3, 16, 16), torch.device("cpu"))
    draw = Draw(0, 0, torch.arange(4))
    first, _ = trainer.loss(encoder, x, y, draw=draw)
    assert not trainer.state.delta.any()
    first.backward()
    moved = trainer.state.delta.clone()
    assert moved.abs().amax() == pytest.approx(0.1) and trainer.replays == 3
    second, _ = trainer.loss(encoder, x, y, draw=draw)
    assert second > first  # the encoder was not updated: the perturbation alone has climbed
    for _ in range(5):
        trainer.loss(encoder, x, y, draw=draw)[0].backward()
    assert trainer.state.delta.abs().amax() <= 0.1 + 1e-6
    assert set(trainer.state.state_dict()) == {"delta"}
