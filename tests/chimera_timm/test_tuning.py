"""Fine-tuning timm models: a new classifier, frozen parts, and rates by depth."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chimera_core import load_encoder
from chimera_core.api import ConfigError
from chimera_core.training.parts.optimizers import layer_factors, parameter_groups


@pytest.mark.slow
def test_a_new_classifier_is_drawn_from_the_seed_and_the_rest_stays() -> None:
    before = torch.get_rng_state()
    old, new, same = (load_encoder("timm", classes=c, seed=4) for c in (None, 7, 7))
    from_scratch = [load_encoder("timm", model="resnet18", weights="none", seed=4) for _ in range(2)]
    assert torch.equal(from_scratch[0].model.conv1.weight, from_scratch[1].model.conv1.weight)
    assert torch.equal(before, torch.get_rng_state())
    x = torch.rand(1, 3, 64, 64)
    assert new(x).shape == (1, 7)
    assert torch.equal(new.embed(x), old.embed(x))
    assert torch.equal(new(x), same(x))


@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "resnet18"])
def test_all_but_head_trains_the_classifier_alone(model: str) -> None:
    encoder = load_encoder("timm", model=model, weights="none", classes=3, freeze="all-but-head").train()
    learned = {name for name, p in encoder.named_parameters() if p.requires_grad}
    head = "classifier" if model.startswith("tf") else "fc"
    assert learned == {f"model.{head}.weight", f"model.{head}.bias"}
    assert encoder.training and not any(
        m.training for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)
    )


def test_frozen_stages_neither_learn_nor_count_statistics() -> None:
    encoder = load_encoder("timm", model="resnet18", weights="none", classes=3, freeze="2").train()
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    optimizer = torch.optim.SGD(parameter_groups(encoder, weight_decay=0.0), lr=0.1)
    nn.functional.cross_entropy(encoder(torch.rand(4, 3, 64, 64)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    changed = {k.split(".")[1] for k, v in encoder.state_dict().items() if not torch.equal(v, state[k])}
    assert changed == {"layer3", "layer4", "fc"}
    assert not encoder.eval().training and encoder.train().model.layer3.training


def test_rates_fall_towards_the_pixels() -> None:
    encoder = load_encoder("timm", model="resnet18", weights="none", classes=3)
    factors = layer_factors(encoder, 0.5)
    assert factors["model.fc.weight"] == 1.0
    assert factors["model.layer4.0.conv1.weight"] == 0.5
    assert factors["model.conv1.weight"] == 0.5**5
    assert layer_factors(encoder, 1.0) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": "5"}, "resnet18 has 4 stages, but 5 should be frozen"),
        ({"freeze": "head"}, "none, all-but-head or a number of stages"),
        ({"classes": 1}, "'classes'"),
    ],
)
def test_bad_input_is_one_clear_line(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_encoder("timm", model="resnet18", weights="none", **options)
    assert "\n" not in str(caught.value)


def test_nothing_to_train_is_an_error() -> None:
    encoder = load_encoder("cnn", widths=(4,)).requires_grad_(False)
    with pytest.raises(ConfigError, match="nothing"):
        parameter_groups(encoder, weight_decay=0.0)
