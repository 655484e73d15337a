"""A plugin with a tiny encoder, trainers and a source, as installed packages show themselves: by metadata on the path."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PLUGIN = """
from chimera_core.api import ComponentSpec, Config, Preset, hookimpl, option

CHIMERA_API = 1


class TinyConfig(Config):
    classes: int = option(7, help="number of classes", ge=2)
    size: int = option(999, help="side of the images")
    width: int = option(4, help="channels", ge=1)
    norm: bool = option(True, help="with batch norm")
    dropout: float = option(0.25, help="share dropped")


class PlainConfig(Config):
    explode_at: int = option(0, help="give a loss that is not finite at this step", ge=0)
    noise: float = option(0.1, help="largest change of a pixel", ge=0)
    below_rate: float = option(0.0, help="explode only above this factor of the rate")


class WrongLabelsConfig(Config):
    label: int = option(3, help="label of an image; there are three classes")


@hookimpl
def chimera_dataset_sources():
    return [ComponentSpec("wrong-labels", "a label that is none of its classes", "tiny_network:WrongLabels",
                          WrongLabelsConfig)]


@hookimpl
def chimera_feature_encoders():
    return [ComponentSpec("tiny", "two convolutions", "tiny_network:Tiny", TinyConfig,
                          presets=(Preset("wide", "wider", {"width": 6, "classes": 5}),
                                   Preset("slow", "learns slowly", {"width": 3}, {"lr": 0.002, "ema": 0.5})))]


@hookimpl
def chimera_robustness_trainers():
    return [ComponentSpec("plain", "cross entropy, one signed step", "tiny_network:Plain", PlainConfig,
                          presets=(Preset("gentle", "little noise", {"noise": 0.05}, {"ema": 0.75}),)),
            ComponentSpec("standard", "cross entropy", "tiny_network:Plain", PlainConfig)]


class NoOptions(Config):
    pass


@hookimpl
def chimera_attacks():
    return [ComponentSpec("darken", "to black", "tiny_network:Darken", NoOptions),
            ComponentSpec("leap", "leaves its ball", "tiny_network:Leap", NoOptions)]


@hookimpl
def chimera_augmentations():
    return [ComponentSpec("invert", "half of the negatives", "tiny_network:Invert", NoOptions),
            ComponentSpec("shrink", "another shape", "tiny_network:Shrink", NoOptions)]


@hookimpl
def chimera_commands():
    return [ComponentSpec("hello", "greet somebody", "toys.hello:hello", NoOptions)]


@hookimpl
def chimera_run_loggers():
    return [ComponentSpec("notes", "lines of a file", "tiny_network:Notes", NoOptions),
            ComponentSpec("offline", "fails at once", "tiny_network:Offline", NoOptions)]
"""

NETWORK = """
import torch
from torch import nn
from torch.nn import functional as F
from chimera_core.api import (AdversarialAttack, BatchAugmentation, DatasetSource, Example, FeatureEncoder, Level,
                              RobustnessTrainer, RunLogger, SourceInfo)


class Darken(AdversarialAttack):
    norms = frozenset({"linf"})

    def __call__(self, encoder, x, y, *, draw):
        return (x - self.eps).clamp(0, 1)


class Leap(AdversarialAttack):
    def __call__(self, encoder, x, y, *, draw):
        return 1 - x


class Invert(BatchAugmentation):
    def __call__(self, x, draw):
        return torch.where(draw.uniform(purpose="invert").view(-1, 1, 1, 1) < 0.5, 1 - x, x)


class Shrink(BatchAugmentation):
    def __call__(self, x, draw):
        return x[..., ::2]


class Notes(RunLogger):
    def log(self, images, values):
        with open(self.folder / "notes.txt", "a") as file:
            print(images, *sorted(values), file=file)

    def close(self):
        with open(self.folder / "notes.txt", "a") as file:
            print("end", file=file)


class Offline(RunLogger):
    def log(self, images, values):
        raise ConnectionError("no network")


class Tiny(FeatureEncoder):
    def __init__(self, config):
        super().__init__()
        self.config = config
        norm = nn.BatchNorm2d if config.norm else (lambda n: nn.Identity())
        w = config.width
        self.body = nn.Sequential(nn.Conv2d(3, w, 3, 2, 1), norm(w), nn.ReLU(), nn.Conv2d(w, w, 3, 2, 1), norm(w), nn.ReLU())
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(w, config.classes)
        self.levels = (Level("body", w, 4),)

    def forward(self, x):
        return self.head(self.embed(x))

    def embed(self, x):
        return self.drop(self.body(x - 0.5).mean((2, 3)))

    def feature_maps(self, x, levels):
        return [self.body(x - 0.5) for _ in levels]


class WrongLabels(DatasetSource):
    def __init__(self, config):
        self.labels = [0, 1, 2, config.label] * 6

    @property
    def info(self):
        return SourceInfo("wrong-labels", ("a", "b", "c"), {"train": 24})

    def open(self, split):
        return self

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return Example(torch.full((3, 16, 16), index, dtype=torch.uint8), self.labels[index])


class Plain(RobustnessTrainer):
    def __init__(self, config):
        self.config = config

    def perturb(self, encoder, x, y, *, draw):
        start = (x + self.config.noise * (draw.uniform(*x.shape[1:], purpose="start") - 0.5)).requires_grad_()
        mode = encoder.training
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(F.cross_entropy(encoder.eval()(start), y), start)
        encoder.train(mode)
        return (start + self.config.noise / 2 * slope.sign()).clamp(0, 1).detach()

    def loss(self, encoder, x, y, *, draw):
        logits = encoder(self.perturb(encoder, x, y, draw=draw))
        loss = F.cross_entropy(logits, y)
        if self.config.explode_at and draw.step >= self.config.explode_at:
            loss = loss * float("nan")
        target = y if y.ndim == 1 else y.argmax(1)
        return loss, {"accuracy": (logits.argmax(1) == target).float().mean()}
"""


def install_tiny(folder: Path) -> Path:
    """Write the plugin as it lies in a site-packages folder."""
    (folder / "tiny_plugin.py").write_text(PLUGIN)
    (folder / "tiny_network.py").write_text(NETWORK)
    info = folder / "tiny_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[chimera.plugins]\ntiny = tiny_plugin\nfakes = chimera_core.testing.fakes.plugin\n"
    )
    return folder


@pytest.fixture(scope="session")
def tiny_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_tiny(tmp_path_factory.mktemp("site"))


@pytest.fixture
def tiny(tiny_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the plugin visible in this process, with a cache and runs of its own; gives the working folder."""
    from chimera_core.plugins import discovery as plugins

    monkeypatch.syspath_prepend(str(tiny_site))
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    plugins._discover_once.cache_clear()
    yield tmp_path
    plugins._discover_once.cache_clear()
    for name in ("tiny_plugin", "tiny_network"):
        sys.modules.pop(name, None)


Train = Callable[[], tuple[int, str, str]]


@pytest.fixture(scope="module")
def train_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, Train], Path]:
    """Train in a working folder and give the run ``one``; later tests of a module get a copy of it and of the cache."""
    kept = tmp_path_factory.mktemp("kept")

    def give(folder: Path, train: Train) -> Path:
        run = folder / "runs" / "one"
        if any(kept.iterdir()):
            shutil.copytree(kept, folder, dirs_exist_ok=True)
            return run
        code, out, err = train()
        assert code == 0, err
        assert out.endswith("runs/one\n")
        for name in ("cache", "runs"):
            shutil.copytree(folder / name, kept / name)
        return run

    return give


def write_pictures(
    root: Path, *, classes: int = 3, train: int = 24, val: int = 8, size: int = 16, flat: bool = False
) -> Path:
    """Write noisy pictures of one colour per class, as train/CLASS and val/CLASS, or CLASS alone."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for split, count in (("", train + val),) if flat else (("train", train), ("val", val)):
        for k in range(classes):
            folder = root / split / f"class-{k}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.normal(120, 40, (size, size, 3))
                pixels[..., k % 3] += 50
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def make_pictures() -> Callable[..., Path]:
    return write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "root")
