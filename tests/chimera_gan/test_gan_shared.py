"""A GAN that two processes train together learns as in one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimera_core.files.weights import load_state
from chimera_core.training.parts.metrics import read_metrics

BATCH, STEPS = 4, 10
PATIENCE_S = 900.0  # against hanging for ever, on cores that others keep busy
KINDS: dict[str, str] = {
    "wgan-gp": "--preset wgan-gp --dropout 0.3",
    "relativistic": "--objective relativistic --r1 1 --r2 1 --penalty-every 4 --mixed 0.5 --dropout 0.3 "
    "--fuser.augment colour --fuser.augment translation --fuser.augment cutout",
}
COMMON = (
    "fuser train gan --source folder --source.root pictures --size 28 --channels 4 --noise 8 --generator-norm none "
    "--critic-norm none --precision fp32 --device cpu --judge none --log-images 4 --lr 1e-3"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any]) -> Path:
    """Train each kind alone and shared; gives the folder of the runs."""
    folder = tmp_path_factory.mktemp("shared")
    _draw_pictures(folder / "pictures")
    length = ["--batch", str(BATCH), "--images", str(BATCH * STEPS)]
    places = {"CHIMERA_CACHE": str(folder / "cache"), "CHIMERA_RUNS": str(folder / "runs")}
    environ = {**os.environ, **places, "OMP_NUM_THREADS": "1"}
    server = fork_server(sys.executable, environ)
    for kind in KINDS:
        for world in (1, 2):
            line = [*COMMON.split(), *KINDS[kind].split(), *length, "--run", f"{kind}-{world}"]
            for process in server.start_together(line, world, cwd=folder, environ=environ):
                _, err = process.communicate(timeout=PATIENCE_S)
                assert process.returncode == 0, err
    return folder / "runs"


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_ten_steps_are_those_of_one_process(runs: Path, kind: str) -> None:
    alone, shared = (_losses(runs / f"{kind}-{world}") for world in (1, 2))
    assert [list(line) for line in alone] == [list(line) for line in shared] and len(alone) == STEPS
    penalty = "gradient_penalty" if kind == "wgan-gp" else "r1"
    assert sum(penalty in line for line in alone) == (STEPS if kind == "wgan-gp" else 3)
    assert sum("generator_loss" in line for line in alone) == (2 if kind == "wgan-gp" else STEPS)
    assert alone[0]["critic_loss"] != alone[-1]["critic_loss"]
    far = max(abs(one[name] - two[name]) for one, two in zip(alone, shared, strict=True) for name in one)
    assert far < 1e-4
    weights, others = (load_state(runs / f"{kind}-{n}" / "checkpoints/best.safetensors") for n in (1, 2))
    assert max(float((weights[name] - others[name]).abs().max()) for name in weights) < 1e-4


def _losses(run: Path) -> list[dict[str, Any]]:
    left_out = ("images", "epoch", "rate", "images_per_s", "wall_s")
    lines = [line for line in read_metrics(run) if "critic_loss" in line]
    return [{name: value for name, value in line.items() if name not in left_out} for line in lines]


def _draw_pictures(root: Path) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 8)):
        for k, name in enumerate(("cat", "person")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.normal(120, 40, (28, 28, 3))
                pixels[..., k] += 60
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
