"""Training in processes of their own: killed at any moment, interrupted, shared by two."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core.training.metrics import TIMINGS, read_metrics
from chimera_core.weights import load_state

IMAGES = 2400
ARGUMENTS = (
    "--source folder --encoder tiny --trainer plain --size 16 --batch 8 --precision fp32 --lr 0.03 --device cpu "
    f"--images {IMAGES} --ema 0.9 --log-images 80 --validate-images 240 --checkpoint-images 240"
).split()


class Workshop:
    """A folder with pictures, a plugin and a cache, and ``chimera encoder train`` started in it."""

    def __init__(self, folder: Path, site: Path, pictures: Path) -> None:
        self.folder = folder
        self.pictures = pictures
        self.environ = os.environ | {
            "PYTHONPATH": str(site),
            "CHIMERA_CACHE": str(folder / "cache"),
            "CHIMERA_RUNS": str(folder / "runs"),
            "OMP_NUM_THREADS": "1",
        }

    def start(self, run: str, *more: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "chimera_core.cli", "encoder", "train", "--run", run]
        return subprocess.Popen(
            [*command, *map(str, more)],
            env=self.environ,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, run: str, *more: object) -> tuple[int, str]:
        process = self.start(run, *more)
        _, err = process.communicate(timeout=200)
        return process.returncode, err

    def new(self, *more: object) -> list[object]:
        return [*ARGUMENTS, "--source.root", self.pictures, *more]

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, tiny_site: Path, pictures: Path) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"), tiny_site, pictures)


@pytest.fixture(scope="module")
def whole(workshop: Workshop) -> Path:
    code, err = workshop.train("whole", *workshop.new())
    assert code == 0, err
    return workshop.run("whole")


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(run)]


def assert_same(one: Path, two: Path) -> None:
    for name in (f"{IMAGES:09d}.safetensors", "best.safetensors"):
        assert (one / "checkpoints" / name).read_bytes() == (two / "checkpoints" / name).read_bytes(), name
    assert lines_of(one) == lines_of(two)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.003)


def has_metrics(run: Path) -> bool:
    path = run / "metrics.jsonl"
    return path.exists() and path.stat().st_size > 0


def test_sigkill_at_random_moments_and_resume_give_the_same_bytes(workshop: Workshop, whole: Path) -> None:
    chance = random.Random(0)
    wall_s = json.loads((whole / "run.json").read_text())["wall_s"]
    run = workshop.run("killed")
    process = workshop.start("killed", *workshop.new("--checkpoint-minutes", 0.002))
    kills = 0
    for _ in range(3):
        size = (run / "metrics.jsonl").stat().st_size if has_metrics(run) else 0
        wait_for(
            lambda size=size: has_metrics(run) and (run / "metrics.jsonl").stat().st_size != size, process
        )  # type: ignore[misc]
        time.sleep(chance.uniform(0, wall_s / 3))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        process = workshop.start("killed", "--resume")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert kills >= 1
    assert_same(whole, run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_with_130(workshop: Workshop, whole: Path, number: signal.Signals) -> None:
    name = f"signal-{number.name}"
    run = workshop.run(name)
    process = workshop.start(name, *workshop.new())
    wait_for(lambda: has_metrics(run), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted after" in err and "--resume" in err and "Traceback" not in err
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    code, err = workshop.train(name, "--resume")
    assert code == 0, err
    assert_same(whole, run)


@pytest.fixture(scope="module")
def alike(workshop: Workshop) -> tuple[Path, Path]:
    """Train the same 20 steps in one process and in two."""
    more = workshop.new("--no-encoder.norm", "--encoder.dropout", 0, "--encoder.width", 8, "--log-images", 8)
    short = [x for x in more if x != str(IMAGES)]
    short[short.index("--images")] = "--images=160"
    for name, devices in (("alone", 1), ("shared", 2)):
        code, err = workshop.train(name, *short, "--devices", devices)
        assert code == 0, err
    return workshop.run("alone"), workshop.run("shared")


def test_two_processes_learn_as_one(alike: tuple[Path, Path]) -> None:
    alone, shared = (read_metrics(run) for run in alike)
    losses = [[line["loss"] for line in lines if "loss" in line] for lines in (alone, shared)]
    assert len(losses[0]) == len(losses[1]) == 20
    assert losses[0][0] != losses[0][-1]
    assert max(abs(a - b) for a, b in zip(*losses, strict=True)) < 1e-4
    last = [[line for line in lines if "val_accuracy" in line][-1] for lines in (alone, shared)]
    assert last[0]["val_loss"] == pytest.approx(last[1]["val_loss"], abs=1e-4)
    weights = [load_state(run / "checkpoints" / "best.safetensors") for run in alike]
    for name in weights[0]:
        assert torch.allclose(weights[0][name], weights[1][name], atol=1e-4), name


def children_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def test_a_killed_process_ends_the_others_with_a_clear_word(workshop: Workshop) -> None:
    run = workshop.run("bereft")
    process = workshop.start("bereft", *workshop.new("--devices", 2, "--images=10M"))
    wait_for(lambda: has_metrics(run), process)
    ranks = children_of(process.pid)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    said = [line for line in err.splitlines() if line.startswith("chimera: ")]
    assert re.search(
        r"process 1 of 2 was killed \(SIGKILL\) and the others were stopped: go on with --resume", said[-1]
    )
    assert "Traceback" not in err
    assert not any(os.path.exists(f"/proc/{rank}") for rank in ranks)
