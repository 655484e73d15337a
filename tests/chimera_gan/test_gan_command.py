"""``chimera fuser train gan``: what its presets weigh, and what it refuses, in one line."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from chimera_gan.config import GanConfig
from chimera_gan.gan_learner import GanLearner
from chimera_gan.presets import PRESETS
from PIL import Image

from chimera_core.api import FuserData
from chimera_core.data.batches import TensorSplit

Here = Callable[..., tuple[int, str, str]]
MILLIONS = {
    "report-zebra": 1235.1,
    "report-mnist": 0.9,
    "report-celeba": 0.9,
    "report-persondog": 0.9,
    "wgan-clip": 10.0,
    "wgan-gp": 10.4,
    "modern-64": 10.0,
    "modern-128": 14.9,
    "grown-128": 9.3,
}


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> Path:
    """Two folders of pictures, ``two`` with two classes and ``one`` with one, in the working folder."""
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    for root, classes in (("two", ("cat", "person")), ("one", ("cat",))):
        for name in classes:
            (tmp_path / root / name).mkdir(parents=True)
            for k in range(100):
                Image.new("RGB", (8, 8), (k, 2 * k, 255 - k)).save(tmp_path / root / name / f"{k}.png")
    return tmp_path


def train(*more: object, root: str = "two") -> list[object]:
    return ["fuser", "train", "gan", "--source", "folder", "--source.root", root, "--device", "cpu", *more]


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_built_without_memory_and_counted(preset: object) -> None:
    name, training = preset.name, preset.training  # type: ignore[attr-defined]
    split = TensorSplit(torch.empty(200, 0, dtype=torch.uint8), torch.arange(200) % 2)
    size, batch = training["size"], training["batch"]
    data = FuserData(split, ("cat", "person"), size, batch=batch, seed=0, total_images=1000)
    blind = {"encoder": {"name": "timm", "options": {"model": "test_efficientnet", "weights": "none"}}}
    with torch.device("meta"):
        learner = GanLearner(GanConfig(**preset.options, **blind), data, device="meta")  # type: ignore[attr-defined]
    weights = [p for module in learner.modules.values() for p in module.parameters()]
    assert all(p.is_meta for p in weights)
    assert round(sum(p.numel() for p in weights) / 1e6, 1) == MILLIONS[name]


def test_a_dry_run_of_the_first_report_takes_no_memory_for_its_billion_weights(
    pictures: Path, here: Here
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, out, err = here(*train("--preset", "report-zebra", "--dry-run", "--json"))
    assert code == 0, err
    found = json.loads(out)
    assert sum(found["parameters"].values()) == 1_235_104_001
    assert found["size"] == 448 and found["bytes"]["total"] > 19e9
    assert found["images_per_s"] is None
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 1e9
    code, out, err = here(*train("--preset", "report-zebra", "--dry-run"))
    assert "parameters: 1,235,104,001 (generator 617,883,904, critic 617,220,097)" in out
    assert "speed: not measured, the networks are too large" in out
    assert not (pictures / "runs").exists() and not (pictures / "cache").exists()


BAD: dict[str, tuple[list[object], str]] = {
    "size of dcgan": (train("--size", 40), "size 40: dcgan makes 28, 32, 64 or 128 pixels; set one of these"),
    "size of resnet": (
        train("--network", "resnet", "--size", 28),
        "size 28: resnet makes 32, 64 or 128 pixels; set one of these",
    ),
    "one class": (
        train("--preset", "wgan-gp", root="one"),
        "the data have one class only (cat): a GAN on classes needs two or more",
    ),
    "batch norm beside r1": (
        train("--preset", "report-persondog", "--r1", 1, "--r2", 1),
        "r1 and r2 cannot go with batch norm in the critic: set critic_norm to layer or none",
    ),
    "batch norm beside the gradient penalty": (
        train("--preset", "wgan-gp", "--critic-norm", "batch"),
        "gradient_penalty cannot go with batch norm in the critic",
    ),
    "more components than images": (
        train("--preset", "modern-64", "--components", 600),
        "600 components are more than encoder timm:timm has features",
    ),
    "a gradient penalty without an own critic": (
        train("--preset", "wgan-gp", "--critic", "projected"),
        "gradient_penalty cannot go with critic projected, which has its own objective and norms",
    ),
    "features too small for a critic": (
        train("--critic", "projected", "--critic-encoder.taps", "blocks.6", "--critic-encoder-size", 64),
        "encoder timm:timm gives the critic no feature maps of 4 to 16 pixels at 64 pixels: raise "
        "--critic-encoder-size, or take another --critic-encoder",
    ),
    "growing from nothing": (
        train("--preset", "grown-128"),
        "with these options it begins with one that has learned: name that by --init-from",
    ),
    "growing from no such thing": (
        train("--preset", "grown-128", "--init-from", "none"),
        "there is no run, exported file or model 'none' to begin from: check --init-from",
    ),
    "channels above their cap": (
        train("--channels", 64, "--most-channels", 32),
        "most_channels 32 is below channels 64: raise it, or lower channels",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("is_dry", [True, False], ids=["dry-run", "train"])
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_exit_2_and_leaves_no_run(
    what: str, is_dry: bool, pictures: Path, here: Here
) -> None:
    line, expected = BAD[what]
    code, out, err = here(*line, "--judge", "none", *(["--dry-run"] if is_dry else []))
    assert (code, out) == (2, "")
    assert [text for text in err.splitlines() if text.startswith("chimera: ")] == [err.splitlines()[-1]]
    assert expected in err.splitlines()[-1]
    assert not (pictures / "runs").exists()


SMALL = ["--network", "mlp", "--channels", 4, "--noise", 5, "--batch", 8, "--images", 16, "--judge", "none"]


@pytest.mark.slow
def test_a_run_grows_from_a_run_and_from_its_file_and_is_used_without_them(
    pictures: Path, here: Here
) -> None:
    small = train(*SMALL, "--condition", "class")
    assert here(*small, "--size", 8, "--run", "young")[0] == 0
    assert here("fuser", "export", "young", "-o", "young.safetensors")[0] == 0
    grow = [*small, "--grown", "--size", 16]
    for start, name in (("young", "one"), ("young.safetensors", "two")):
        code, _, err = here(*grow, "--init-from", start, "--run", name)
        assert code == 0, err
    assert here("fuser", "export", "one", "-o", "grown.safetensors")[0] == 0
    shutil.rmtree(pictures / "runs")
    (pictures / "young.safetensors").rename(pictures / "gone")
    code, _, err = here("fuse", "cat", "person", "--fuser", "grown.safetensors", "-o", "x.png", "--json")
    assert code == 0, err
    with Image.open("x.png") as made:
        assert made.size == (16, 16)


@pytest.mark.slow
def test_what_cannot_be_grown_from_is_one_line(pictures: Path, here: Here) -> None:
    small = train(*SMALL, "--condition", "class", "--grown", "--size", 16)
    for words, expected in (
        (
            ["--init-from", "person-cat"],
            "--init-from person-cat: it draws 64 px, and what begins with it needs 8",
        ),
        (["--init-from", "two.safetensors"], "there is no file of weights"),
        (
            ["--init-from", "person-cat", "--size", 128],
            "--init-from person-cat: its network is dcgan, and here it is mlp",
        ),
    ):
        code, out, err = here(*small, *words, "--run", "none")
        assert (code, out) == (2, "")
        assert expected in err.splitlines()[-1]
        assert not (pictures / "runs" / "none").exists()
