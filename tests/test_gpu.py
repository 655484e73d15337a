"""Every component on a CUDA device. Skipped, with its reason, where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chimera_core import fuse, load_encoder
from chimera_core.fusing import Fusion, plan_fusion

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "resnet18", "vit_tiny_patch16_224"])
def test_an_encoder_says_the_same_on_the_gpu(model: str) -> None:
    weights = "auto" if model == "tf_efficientnet_lite0" else "none"
    encoder = load_encoder("timm", model=model, weights=weights)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = encoder(x)
        maps = encoder.feature_maps(x, range(len(encoder.levels)))
        encoder.to("cuda")
        assert torch.allclose(encoder(x.cuda()).cpu(), expected, atol=2e-2, rtol=1e-2)
        for here, there in zip(maps, encoder.feature_maps(x.cuda(), range(len(maps))), strict=True):
            assert torch.allclose(there.cpu(), here, atol=5e-2, rtol=5e-2)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_style_transfer_runs_on_the_gpu(picture: Callable[..., Path], optimizer: str) -> None:
    parents = [picture("a.png"), picture("b.png", colour=(10, 200, 30))]
    made = fuse(parents, n=2, size=64, device="cuda", optimizer=optimizer, iterations=10)
    assert made.device.startswith("cuda")
    assert made.images.shape[:3] == (2, 3, 64)
    first = fuse(parents, [1.0, 0.0], size=64, device="cuda")
    expected = fuse(parents, [1.0, 0.0], size=64, device="cpu")
    assert (first.images - expected.images).abs().max() < 1 / 255


def test_the_same_seed_gives_the_same_creature_on_the_gpu(picture: Callable[..., Path]) -> None:
    fusion = Fusion(
        plan_fusion([picture("a.png"), picture("b.png")], size=64, device="cuda", options={"iterations": 10})
    )
    one, two = (fusion.make((0.5, 0.5), [3]) for _ in range(2))
    assert (one - two).abs().max() <= 1 / 255
