"""GANs trained in processes of their own: killed at any moment, and shared by two."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimera_core.runs.checkpoints import list_checkpoints
from chimera_core.training.parts.metrics import TIMINGS, read_metrics

IMAGES = 240
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
images = 240
precision = "fp32"
device = "cpu"
log_images = 16
quality_images = 80
sample_images = 160
checkpoint_images = 80
judge_images = 10
[source]
name = "folder"
options.root = "{folder}/pictures"
[judge]
name = "timm"
options.model = "test_efficientnet"
options.weights = "none"
"""


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
        self.server = fork_server(sys.executable, self.environ)

    def start(self, run: str, *more: object) -> Any:
        line = [
            "fuser",
            "train",
            "cyclegan" if "cyclegan" in run else "gan",
            "--run",
            str(self.run(run)),
            *map(str, more),
        ]
        return self.server.start({"arguments": line}, cwd=self.folder, environ=self.environ)

    def new(self, run: str, *more: object) -> Any:
        return self.start(run, "--config", self.folder / "config.toml", *more)

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any]) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"), fork_server)


@pytest.fixture(scope="module")
def work(workshop: Workshop, killable: Callable[..., Any]) -> Callable[[str], Any]:
    @functools.cache
    def give(kind: str) -> Any:
        def start(name: str) -> Any:
            resume = ["--resume"] if (folder(name) / "run.json").exists() else []
            often = ["--checkpoint-minutes", 0.002] if name != "whole" else []
            return workshop.new(folder(name).name, *KINDS[kind], *often, *resume)

        def folder(name: str) -> Path:
            return workshop.run(f"{kind}-{name}")

        def result(name: str) -> dict[str, Any]:
            names = (f"{IMAGES:09d}.safetensors", "best.safetensors")
            files = {n: (folder(name) / "checkpoints" / n).read_bytes() for n in names}
            return {**files, "lines": _lines_of(folder(name)), "status": status_of(folder(name))}

        def look(name: str) -> Callable[[str], None]:
            """It goes on from the newest checkpoint."""
            newest = max(list_checkpoints(folder(name) / "checkpoints"), default=0)

            def check(err: str) -> None:
                assert not newest or f"going on from {newest:,} images" in err

            return check

        return killable(start=start, result=result, folder=folder, look=look, alone="trained", patience_s=PATIENCE_S)  # fmt: skip

    return give


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_instants_and_resumed_by_the_same_line_it_gives_the_same_bytes(
    work: Callable[[str], Any], kind: str
) -> None:
    work(kind).kill_at_random_instants(few=1, in_a_row=2)


def test_of_two_that_train_at_once_one_is_sent_away(work: Callable[[str], Any]) -> None:
    work("wgan-gp").start_two_at_once()


def status_of(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["status"])


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
