"""GANs trained in processes of their own: killed at any moment, and shared by two."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimera_core.training.parts.metrics import TIMINGS, read_metrics

IMAGES = 480
# A release is tried with more: CHIMERA_TEST_KILLS=5 pytest -k sigkill
KILLS = int(os.environ.get("CHIMERA_TEST_KILLS", "1"))
PATIENCE_S = 900.0  # against hanging for ever, on cores that others keep busy
SMALL = ("--channels", 4, "--noise", 8, "--batch", 8, "--size", 28)
BLIND = ("--encoder", "timm", "--encoder.model", "test_efficientnet", "--encoder.weights", "none")
KINDS: dict[str, tuple[object, ...]] = {
    "bce": ("--preset", "report-persondog", *SMALL, "--probe-samples", 128),
    "wgan-gp": ("--preset", "wgan-gp", *SMALL),
    "instance": (
        "--preset",
        "modern-64",
        *SMALL,
        *BLIND,
        "--encoder-size",
        32,
        "--components",
        4,
        "--bank",
        4,
    ),
    "both critics": (
        "--critic",
        "both",
        "--r1",
        1,
        "--critic-encoder",
        "timm",
        "--critic-encoder.model",
        "test_efficientnet",
        "--critic-encoder.weights",
        "none",
        "--critic-encoder-size",
        32,
        *SMALL,
    ),
    "cyclegan": (
        "--width",
        4,
        "--blocks",
        1,
        "--critic-width",
        4,
        "--pool",
        6,
        "--bank",
        4,
        "--batch",
        8,
        "--size",
        28,
    ),
}
CONFIG = """
images = 480
precision = "fp32"
device = "cpu"
log_images = 16
quality_images = 80
sample_images = 240
checkpoint_images = 120
judge_images = 10
[source]
name = "folder"
options.root = "{folder}/pictures"
[judge]
name = "timm"
options.model = "test_efficientnet"
options.weights = "none"
"""


PRELOADED = (
    "chimera_core.training.run",
    "chimera_gan.cyclegan_fuser",
    "chimera_gan.gan_fuser",
    "chimera_timm.encoder",
    "lightning_fabric",
    "matplotlib.backends.backend_agg",
)


class Workshop:
    """A folder with pictures and a cache, and the command ``chimera fuser train`` started in it.

    Each start is a process of its own, forked from one that has imported all: importing torch takes longer than the
    whole training.
    """

    def __init__(self, folder: Path, fork_server: Callable[..., Any]) -> None:
        self.folder = folder
        _draw_pictures(folder / "pictures")
        (folder / "config.toml").write_text(CONFIG.format(folder=folder))
        self.environ = os.environ | {"CHIMERA_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        self.server = fork_server(sys.executable, self.environ, *PRELOADED)

    def start(self, run: str, *more: object) -> Any:
        # A run that is resumed knows its fuser.
        fuser = [] if "--resume" in more else ["cyclegan" if "cyclegan" in run else "gan"]
        line = ["fuser", "train", *fuser, "--run", str(self.run(run)), *map(str, more)]
        return self.server.start({"arguments": line}, cwd=self.folder, environ=self.environ)

    def new(self, run: str, *more: object) -> Any:
        return self.start(run, "--config", self.folder / "config.toml", *more)

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any]) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"), fork_server)


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("kind", KINDS)
def test_sigkill_at_random_moments_and_resume_give_the_same_bytes(workshop: Workshop, kind: str) -> None:
    whole, run = workshop.run(kind), workshop.run(f"{kind}-killed")
    workshop.new(kind, *KINDS[kind]).communicate(PATIENCE_S)
    assert status_of(whole) == "done"
    wall_s = json.loads((whole / "run.json").read_text())["wall_s"]
    chance = random.Random(KILLS)
    process = workshop.new(run.name, *KINDS[kind], "--checkpoint-minutes", 0.002)
    for images in sorted(chance.sample(range(16, IMAGES - 80, 16), KILLS)):
        _wait_until_seen(images, process, run)
        time.sleep(chance.uniform(0, wall_s * 80 / IMAGES))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL and status_of(run) == "running"
        process = workshop.start(run.name, "--resume")
    process.communicate(PATIENCE_S)
    assert status_of(run) == "done"
    for name in (f"{IMAGES:09d}.safetensors", "best.safetensors"):
        assert (run / "checkpoints" / name).read_bytes() == (whole / "checkpoints" / name).read_bytes(), name
    assert _lines_of(run) == _lines_of(whole)
    assert not list((run / "checkpoints").glob(".*.tmp"))


def status_of(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["status"])


def _wait_until_seen(images: int, process: Any, run: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        if max((line["images"] for line in read_metrics(run)), default=0) >= images:
            return
        time.sleep(0.005)


def _lines_of(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(run)]


def _draw_pictures(root: Path) -> None:
    """Draw noisy pictures of two colours as train/CLASS and val/CLASS."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 8)):
        for k, name in enumerate(("cat", "person")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.normal(120, 40, (28, 28, 3))
                pixels[..., k] += 60
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
