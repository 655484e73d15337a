from __future__ import annotations

import pytest
import torch
from torch import nn

from chimera_core.errors import ConfigError, PluginError
from chimera_core.training.parts.optimizers import build_optimizer, parameter_groups, schedule, set_rate


def test_norms_and_biases_are_not_decayed_unless_asked() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    groups = parameter_groups(module, weight_decay=0.1)
    assert {g["weight_decay"]: len(g["params"]) for g in groups} == {0.1: 1, 0.0: 3}
    (only,) = parameter_groups(module, weight_decay=0.1, decay_all=True)
    assert len(only["params"]) == 4


def test_the_longest_prefix_gives_a_parameter_its_rate() -> None:
    module = nn.ModuleDict({"body": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "head": nn.Linear(2, 2)})
    groups = parameter_groups(module, weight_decay=0.0, factors={"body": 0.1, "body.1": 0.5})
    assert {g["factor"]: len(g["params"]) for g in groups} == {0.1: 2, 0.5: 2, 1.0: 2}
    optimizer = build_optimizer(groups, "sgd", lr=2.0)
    set_rate(optimizer, 0.5)
    assert sorted(g["lr"] for g in optimizer.param_groups) == [0.1, 0.5, 1.0]


def test_an_optimizer_made_otherwise_is_refused_with_what_to_call() -> None:
    optimizer = torch.optim.Adam(nn.Linear(2, 2).parameters(), lr=0.5)
    with pytest.raises(PluginError, match=r"Adam has .* build_optimizer .*'base_lr': 0.5"):
        set_rate(optimizer, 0.1)


def test_frozen_parameters_are_left_out_and_a_wholly_frozen_network_is_refused() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    assert [len(g["params"]) for g in parameter_groups(module, weight_decay=0)] == [1]
    with pytest.raises(ConfigError, match="nothing would learn"):
        parameter_groups(module.requires_grad_(False), weight_decay=0)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimizer_is_fused_and_goes_downhill(name: str) -> None:
    module = nn.Linear(4, 1)
    optimizer = build_optimizer(parameter_groups(module, weight_decay=0), name, lr=0.05)  # type: ignore[arg-type]
    assert optimizer.defaults["fused"]
    x = torch.rand(16, 4, generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(20):
        loss = module(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_cosine_rises_over_the_warm_up_and_falls_to_zero() -> None:
    rate = schedule("cosine", total_images=1100, warmup_images=100)
    assert rate(0) == pytest.approx(1 / 101)
    assert rate(50) == pytest.approx(51 / 101)
    assert rate(100) == 1
    assert rate(600) == pytest.approx(0.5)
    assert rate(1100) == pytest.approx(0, abs=1e-12)
    assert rate(2000) == pytest.approx(0, abs=1e-12)


def test_one_cycle_is_that_of_torch() -> None:
    steps = 50
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, cycle_momentum=False
    )
    # torch peaks at step 0.3 * steps - 1 of steps - 1; ours at 0.3 of the images: compare at these landmarks.
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step() if len(rates) < steps else None
    ours = schedule("one-cycle", total_images=1000)
    assert ours(0) == pytest.approx(rates[0])
    assert ours(300) == pytest.approx(max(rates))
    assert ours(1000) == pytest.approx(rates[-1])
    assert ours(650) == pytest.approx(rates[32], abs=0.03)


def test_constant_is_one_without_warm_up() -> None:
    rate = schedule("constant", total_images=10)
    assert rate(0) == rate(9) == 1


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="warm-up of 20 images is longer"):
        schedule("cosine", total_images=10, warmup_images=20)
