"""Every component on a CUDA device. Skipped, with its reason, where there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chimera_core import fuse, load_encoder
from chimera_core.api import Draw
from chimera_core.attacks.square import square
from chimera_core.components.choice import choose
from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import check_request
from chimera_core.plugins.discovery import default_host
from chimera_core.training.augmentation.presets import PRESETS
from chimera_core.training.parts.metrics import read_metrics

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
    made = fuse(
        parents,
        fuser="style-transfer",
        n=2,
        size=64,
        device="cuda",
        coat="gram",
        optimizer=optimizer,
        iterations=10,
    )
    assert made.device.startswith("cuda")
    assert made.images.shape[:3] == (2, 3, 64)
    first = fuse(parents, [1.0, 0.0], fuser="style-transfer", size=64, device="cuda")
    expected = fuse(parents, [1.0, 0.0], fuser="style-transfer", size=64, device="cpu")
    assert (first.images - expected.images).abs().max() < 1 / 255


def test_the_same_seed_gives_the_same_creature_on_the_gpu(picture: Callable[..., Path]) -> None:
    fusion = Fusion(
        check_request(
            [picture("a.png"), picture("b.png")],
            fuser="style-transfer",
            size=64,
            device="cuda",
            options={"iterations": 10},
        )
    )
    one, two = (fusion.make((0.5, 0.5), [3]) for _ in range(2))
    assert (one - two).abs().max() <= 1 / 255


def test_feature_morph_runs_on_the_gpu_and_gives_the_same_creature_again(
    picture: Callable[..., Path],
) -> None:
    parents = [picture("a.png"), picture("b.png", colour=(10, 200, 30))]
    options = {"iterations": 10}
    fusion = Fusion(check_request(parents, fuser="feature-morph", size=64, device="cuda", options=options))
    one, two = (fusion.make((0.5, 0.5), [3, 4]) for _ in range(2))
    assert one.shape[:3] == (2, 3, 64)
    assert (one - two).abs().max() <= 1 / 255
    first = fusion.make((1.0, 0.0), [3])
    expected = fuse(parents, [1.0, 0.0], fuser="feature-morph", size=64, device="cpu")
    assert (first - expected.images).abs().max() < 1 / 255


@pytest.mark.parametrize("name", ["standard", "fgsm", "n-fgsm", "pgd", "trades", "report-fgsm"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_trainer_trains_on_the_gpu(name: str, precision: str) -> None:
    encoder = load_encoder("cnn", widths=(8, 16), depth=1, classes=3, device="cuda").train()
    trainer = choose(default_host(), "robustness-trainer", name, {}).load()
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)).cuda()
    y = (torch.arange(8) % 3).cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss, metrics = trainer.loss(encoder, x, y, draw=Draw(0, 0, torch.arange(8).cuda(), step=99))
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is not None for p in encoder.parameters())
    assert all(metric.device.type == "cuda" for metric in metrics.values())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_square_attack_stays_in_its_ball_on_the_gpu(norm: str) -> None:
    encoder = load_encoder("cnn", widths=(8,), depth=1, device="cuda")
    x, y = torch.rand(4, 3, 16, 16).cuda(), torch.zeros(4, dtype=torch.int64).cuda()
    moved = square(encoder, x, y, norm=norm, eps=0.2, queries=20, draw=Draw(0, 0, torch.arange(4).cuda())) - x
    lengths = moved.flatten(1).norm(p=float("inf") if norm == "linf" else 2, dim=1)
    assert lengths.max() <= 0.2 + 1e-5


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_augmentation_is_the_same_on_the_gpu(name: str) -> None:
    x = (torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    here = PRESETS[name](x, Draw(0, 0, torch.arange(8)))
    there = PRESETS[name](x.cuda(), Draw(0, 0, torch.arange(8).cuda())).cpu()
    # A rounding error may turn over a value at the threshold of an operation.
    assert ((here - there).abs() > 1e-3).float().mean() < 0.01


_GANS = [
    ("gan", name)
    for name in (
        "report-zebra",
        "report-mnist",
        "report-celeba",
        "report-persondog",
        "wgan-clip",
        "wgan-gp",
        "modern-64",
        "modern-128",
        "grown-128",
    )
]


@pytest.mark.parametrize(("fuser", "preset"), [*_GANS, ("cyclegan", "cyclegan-64")])
def test_every_fuser_preset_trains_on_the_gpu_and_fuses(
    fuser: str,
    preset: str,
    picture: Callable[..., Path],
    tmp_path: Path,
    here: Callable[..., tuple[int, str, str]],
) -> None:
    for name, red in (("red", 220), ("blue", 20)):
        for k in range(12):
            made = picture(f"{name}-{k}.png", colour=(red, 10 * k, 240 - red))
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            made.rename(tmp_path / "data" / name / made.name)
    unconditional = ("report-mnist", "report-celeba", "report-persondog")
    size = 28 if preset in unconditional else 128 if preset.endswith("-128") else 64
    small = ["--size", size, "--batch", 8, "--images", 80, "--judge-images", 10]
    small += ["--components", 8] if preset in ("report-zebra", "modern-64", "modern-128") else []
    small += ["--init-from", "person-cat"] if preset == "grown-128" else []
    run = tmp_path / "run"
    source = ["--source", "folder", "--source.root", tmp_path / "data"]
    code, _, err = here(
        "fuser", "train", fuser, "--preset", preset, *source, *small, "--device", "cuda", "--run", run
    )
    assert code == 0, err
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "done" and record["images"] == 80 and record["device"].startswith("cuda")
    assert all(math.isfinite(line["kid"]) for line in read_metrics(run) if "kid" in line)
    out = tmp_path / "creature.png"
    code, _, err = here("fuse", "red", "blue", "--fuser", run, "--device", "cuda", "-o", out)
    if preset in unconditional:
        # What has learned next to nothing may not make a class yet, and says so.
        assert code in (0, 2) and len(err.splitlines()) <= 1, err
    else:
        assert code == 0, err


@pytest.mark.parametrize("preset", ["report", "report-enhanced", "small-64"])
def test_every_encoder_preset_trains_on_the_gpu(preset: str) -> None:
    options = next(
        p.options for p in default_host().find("feature-encoder", "cnn").spec.presets if p.name == preset
    )
    encoder = load_encoder("cnn", **{**options, "classes": 3, "size": 64}, device="cuda").train()
    x = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)).cuda()
    torch.nn.functional.cross_entropy(encoder(x), (torch.arange(8) % 3).cuda()).backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
