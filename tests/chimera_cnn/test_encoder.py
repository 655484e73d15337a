"""The cnn encoder: the reports' networks to the digit, and laws that hold for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from chimera_cnn.config import PRESETS, CnnConfig
from chimera_cnn.encoder import CnnEncoder
from safetensors.torch import save_file
from torch import nn

from chimera_core import load_encoder
from chimera_core.api import ChimeraError, ConfigError, DataError, FeatureEncoder, ShapeError
from chimera_core.testing import Law, check_component, parametrize_with_laws
from chimera_core.training.parts.optimizers import layer_factors, parameter_groups

OPTIONS = {preset.name: dict(preset.options) for preset in PRESETS}


def on_paper(preset: str, **options: Any) -> CnnEncoder:
    """Build a network without memory for its weights: the report's takes 3.3 GB."""
    with torch.device("meta"):
        return CnnEncoder(CnnConfig(**{**OPTIONS[preset], **options}))


def small(preset: str) -> FeatureEncoder:
    options = {**OPTIONS[preset], "classes": 7}
    if options.get("blocks") == "plain":
        options |= {"size": 32, "hidden": 16, "widths": options["widths"][:3]}
    return load_encoder("cnn", **options)


@parametrize_with_laws(check_component("cnn"))
def test_cnn_keeps_the_laws_of_an_encoder(law: Law) -> None:
    law()


def test_the_reports_network_has_its_parameters_to_the_digit() -> None:
    network = on_paper("report")
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert linear[0].weight.shape == (1024, 256 * 56 * 56)
    assert linear[0].weight.numel() == 822_083_584
    assert linear[1].weight.shape == (182, 1024)
    convolutions = sum(9 * a * b + b for a, b in ((3, 64), (64, 128), (128, 256)))
    norms = sum(2 * width for width in (64, 128, 256))
    expected = convolutions + norms + 822_083_584 + 1024 + 182 * 1024 + 182
    assert sum(p.numel() for p in network.parameters()) == expected == 822_642_870


def test_the_reports_network_has_its_layers() -> None:
    kinds = [type(m).__name__ for m in on_paper("report").modules() if not list(m.children())]
    level = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert [k for k in kinds if k not in ("Identity", "Dropout")] == 3 * level + [
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
    ]
    for convolution in (m for m in on_paper("report").modules() if isinstance(m, nn.Conv2d)):
        assert (convolution.kernel_size, convolution.stride, convolution.padding) == ((3, 3), (1, 1), (1, 1))


def test_the_enhanced_one_has_a_fourth_convolution_dropout_and_other_constants() -> None:
    network = on_paper("report-enhanced")
    assert [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)] == [64, 128, 256, 512]
    assert sum(p.numel() for p in network.parameters()) == 412_782_262
    assert network.dropout.p == 0.5
    assert network.config.mean == (0.485, 0.456, 0.406)
    assert on_paper("report").config.mean == (0.5, 0.5, 0.5)


def test_the_first_linear_layer_follows_the_size() -> None:
    at_64 = on_paper("report", size=64)
    assert next(m for m in at_64.modules() if isinstance(m, nn.Linear)).weight.shape == (1024, 256 * 8 * 8)


def test_small_64_is_small() -> None:
    assert sum(p.numel() for p in on_paper("small-64").parameters()) < 3_000_000


@pytest.mark.parametrize("preset", sorted(OPTIONS))
def test_maps_have_the_channels_and_strides_that_levels_promise(preset: str) -> None:
    network = small(preset)
    x = torch.rand(2, 3, 32, 32)
    maps = network.feature_maps(x, range(len(network.levels)))
    for level, found in zip(network.levels, maps, strict=True):
        assert found.shape == (2, level.channels, 32 // level.stride, 32 // level.stride)
    last, first = network.feature_maps(x, [1, 0])
    assert torch.equal(last, maps[1]) and torch.equal(first, maps[0])
    assert network.feature_maps(x, []) == []
    with pytest.raises(ConfigError, match=r"levels 0 to \d, but 9"):
        network.feature_maps(x, [9])


@pytest.mark.parametrize("preset", sorted(OPTIONS))
def test_logits_embedding_and_maps_agree(preset: str) -> None:
    network = small(preset)
    x = torch.rand(2, 3, 32, 32)
    logits, (maps,) = network.logits_and_maps(x, [1])
    assert torch.equal(logits, network(x)) and logits.shape == (2, 7)
    assert torch.equal(network.classifier(network.embed(x)), logits)
    (gradient,) = torch.autograd.grad(logits[0].max(), maps)
    assert gradient.abs().sum() > 0


def test_a_deeper_level_costs_nothing_that_was_not_asked_for() -> None:
    network = small("small-64")
    network.stages[2].register_forward_hook(lambda *a: pytest.fail("level 2 was computed"))
    network.feature_maps(torch.rand(1, 3, 32, 32), [1])


def test_normalisation_is_inside() -> None:
    plain = load_encoder("cnn", widths=(4,), depth=1, mean=(0, 0, 0), std=(1, 1, 1))
    normalising = load_encoder("cnn", widths=(4,), depth=1, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    x = torch.rand(1, 3, 16, 16)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    assert torch.allclose(normalising(x), plain((x - mean) / std), atol=1e-6)


def test_first_weights_come_from_the_seed_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (load_encoder("cnn", widths=(4, 8), seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["stem.weight"], other["stem.weight"])


def test_weights_come_from_a_safetensors_file_and_no_other_network_fits(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    network = load_encoder("cnn", widths=(4, 8), seed=5)
    save_file(network.state_dict(), file)
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(load_encoder("cnn", widths=(4, 8), weights=str(file))(x), network(x))
    with pytest.raises(DataError, match=r"w\.safetensors: 'classifier.weight' has shape \(20, 8\)") as caught:
        load_encoder("cnn", widths=(4, 8), classes=3, weights=str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(OPTIONS))
def test_it_learns_in_both_precisions(preset: str) -> None:
    network = small(preset).train()
    network.dropout.p = 0.0  # its noise would hide the progress of so few steps
    x, y = torch.rand(14, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(14) % 7
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for step in range(8):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=step % 2 == 0):
            loss = nn.functional.cross_entropy(network(x).float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_layers_nearer_to_the_pixels_may_learn_more_slowly() -> None:
    network = load_encoder("cnn", widths=(4, 8), depth=1, classes=3)
    factors = layer_factors(network, 0.5)
    assert factors["classifier.weight"] == 1.0
    assert factors["stages.1.0.conv1.weight"] == 0.5
    assert factors["stages.0.0.conv1.weight"] == 0.25
    assert factors["stem.weight"] == 0.125
    assert factors.keys() == dict(network.named_parameters()).keys()
    groups = parameter_groups(network, weight_decay=0.1)
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for p in network.parameters() if p.ndim > 1}


def test_any_sufficient_size_goes_into_the_residual_network() -> None:
    network = load_encoder("cnn")
    assert network(torch.rand(1, 3, 16, 25)).shape == (1, 20)
    with pytest.raises(ShapeError, match="images are 15 x 40 pixels, but this cnn needs at least 16 x 16"):
        network(torch.rand(1, 3, 40, 15))


def test_a_flattening_network_takes_the_size_it_was_built_for() -> None:
    network = small("report")
    with pytest.raises(ShapeError, match=r"48 x 40 pixels, but this cnn is built for 32 x 32: .* size 40"):
        network(torch.rand(1, 3, 40, 48))
    with pytest.raises(ShapeError, match=r"images are \(3, 32, 32\)"):
        network(torch.rand(3, 32, 32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "widths must be one positive number"),
        ({"widths": (4, 0)}, "widths must be one positive number"),
        ({"std": (1, 1, 0)}, "those of std positive"),
        ({"mean": (0.5,)}, "three numbers each"),
        ({"blocks": "plain", "widths": (4, 4, 4, 4), "size": 8}, "size must be at least 16"),
        ({"blocks": "dense"}, "'blocks'"),
        ({"classes": 1}, "'classes'"),
        ({"weights": "w.pth"}, "must be a .safetensors file"),
        ({"weights": "no.safetensors"}, "no file of weights"),
        ({"width": (4,)}, "did you mean 'widths'"),
    ],
)
def test_bad_input_is_one_clear_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ChimeraError, match=message) as caught:
        load_encoder("cnn", **options)
    assert "\n" not in str(caught.value)
