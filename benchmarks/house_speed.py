"""Times what a user waits for with two installations, in turns: before a change and after it.

    python benchmarks/house_speed.py BEFORE/bin/python AFTER/bin/python [--rounds 5]

Each task is a process of its own, on one thread and a CPU; the order within a round changes with each round. Prints
the medians in seconds, and their ratio: after / before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN = "--source folder --source.root pictures --batch 8 --images 160 --size 64 --precision fp32 --device cpu --run new"
BLIND = "--components 16 --encoder timm --encoder.model test_efficientnet --encoder.weights none --encoder-size 32"
TASKS = {
    "--help": "--help",
    "plugins list": "plugins list",
    "fuse": "fuse one.png two.png --fuser style-transfer --size 128 --iterations 2 --device cpu -o out.png",
    "modern-64, 20 steps": f"fuser train gan --preset modern-64 {BLIND} --judge none --sample-images 160 {TRAIN}",
    "small-64, 20 steps": f"encoder train --encoder cnn --trainer standard {TRAIN}",
    "compare, 20 cells": "compare cells.toml --run new --jobs 1 --device cpu",
}
# Two fusers, and the two controls that every comparison adds to them, at five seeds: 20 cells.
CELLS = """name = "cells"
size = 32
seeds = [0, 1, 2, 3, 4]
weights = [[0.5, 0.5]]
[parents]
tuples = [["one.png", "two.png"]]
[judge]
encoder = "cnn"
[fusers.average]
fuser = "pixel-average"
[fusers.collage]
fuser = "collage"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pythons", nargs=2, type=Path, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=TASKS, help="a task; several may be named")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw(folder)
        print(f"{'task':22}{'before':>9}{'after':>9}{'ratio':>8}   median of {asked.rounds} rounds, in s")
        for task in asked.only or TASKS:
            times: list[list[float]] = [[], []]
            for number in range(-1, asked.rounds):  # the first round fills caches of files and is not counted
                for k in (0, 1) if number % 2 else (1, 0):
                    taken = _time(folder, asked.pythons[k], TASKS[task])
                    if number >= 0:
                        times[k].append(taken)
            before, after = map(statistics.median, times)
            print(f"{task:22}{before:9.3f}{after:9.3f}{after / before:8.3f}", flush=True)


def _time(folder: Path, python: Path, line: str) -> float:
    """Run a command of an installation once, with nothing left of the one before; give the seconds."""
    shutil.rmtree(folder / "runs" / "new", ignore_errors=True)
    own = {
        "CHIMERA_CACHE": str(folder / "cache"),
        "CHIMERA_RUNS": str(folder / "runs"),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",  # an installation has its byte code; the first round writes it
    }
    start = time.perf_counter()
    # Not resolved: a virtual environment's python is a link out of it.
    command = [str(python.absolute()), "-m", "chimera_core.cli", *line.split()]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    taken = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{python}: {line}: {done.stderr}")
    return taken


def _draw(folder: Path) -> None:
    generator = np.random.default_rng(0)

    def draw(path: Path, size: int, colour: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 160, (size, size, 3))
        pixels[size // 4 : 3 * size // 4, size // 4 : 3 * size // 4, colour] += 80
        Image.fromarray(pixels.astype(np.uint8)).save(path)

    draw(folder / "one.png", 256, 0)
    draw(folder / "two.png", 256, 1)
    for k, name in enumerate(("cat", "person")):
        for number in range(48):
            draw(folder / "pictures" / ("train" if number < 40 else "val") / name / f"{number}.png", 64, k)
    (folder / "cells.toml").write_text(CELLS)


if __name__ == "__main__":
    main()
