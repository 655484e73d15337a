"""Norms multiplied into convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from chimera_core.api import FeatureEncoder, load_encoder
from chimera_core.drawing.folding import folded

TINY = {"name": "timm:timm", "model": "lcnet_035", "weights": "none"}


def encoder(name: str, **options: Any) -> FeatureEncoder:
    made = load_encoder(name, device="cpu", **options).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            for statistic in (module.running_mean, module.running_var, module.weight, module.bias):
                assert statistic is not None
                statistic.copy_(torch.rand(statistic.shape, generator=generator) + 0.5)
    return made.eval()


def norms(inside: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in inside.modules())


def test_a_folded_encoder_sees_the_same_with_fewer_norms_and_the_given_one_stays() -> None:
    given = encoder(**TINY)
    count = norms(given)
    made = folded(given, (0, 1))
    picture = torch.rand(2, 3, 32, 40)
    (logits, maps), (wanted, wanted_maps) = (e.logits_and_maps(picture, (0, 1)) for e in (made, given))
    assert norms(made) < count == norms(given)
    assert torch.allclose(logits, wanted, atol=1e-4, rtol=1e-4)
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(maps, wanted_maps, strict=True))


def test_an_encoder_that_would_see_something_else_is_left_as_it_is() -> None:
    # Its first convolution is read by a norm and by the way around it.
    given = encoder("cnn", widths=(8, 16), depth=1, classes=3)
    assert folded(given, (0, 1)) is given


def test_an_encoder_in_training_mode_is_left_as_it_is() -> None:
    given = encoder(**TINY).train()
    assert folded(given, (0, 1)) is given
