"""What each trainer gives for the same wall time: clean accuracy against robust accuracy. Draws a picture.

Run: python benchmarks/trainers.py TINY_ANIMALS FOLDER [--minutes 8] [--seed 0] [--eps 4/255] [--only pgd]
     [-o docs/img/trainers.png]

Each trainer's speed is measured first by --dry-run, and its length in images follows from that, so that every
schedule ends where the time does. Runs lie in FOLDER; those that are there are resumed or only measured, so an
interrupted benchmark goes on. small-64 at 64 px, validated on the split val under PGD-20.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

from chimera_core.training.parts.metrics import read_metrics

matplotlib.use("Agg")
from matplotlib import pyplot as plt

TRAINERS = ("standard", "fgsm", "n-fgsm", "pgd", "trades")
BATCH = 128
STEPS = 2  # of the attack in training: more cost images, and time is what is equal here


def main() -> None:
    """Train, measure, print a table and draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eps", default="4/255")
    parser.add_argument("--only", nargs="+", choices=TRAINERS, default=TRAINERS)
    parser.add_argument("-o", "--output", type=Path, default=Path("trainers.png"))
    args = parser.parse_args()
    rows = [
        measure(name, args.data, args.folder, minutes=args.minutes, seed=args.seed, eps=args.eps)
        for name in args.only
    ]
    print("| trainer | images | wall, min | clean | PGD-20 |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['trainer']} | {row['images']:,} | {row['wall_s'] / 60:.1f} | {row['clean']:.1%} | {row['robust']:.1%} |"
        )
    (args.folder / "trainers.json").write_text(json.dumps(rows, indent=2) + "\n")
    draw(rows, args.output, eps=args.eps)


def measure(name: str, data: Path, folder: Path, *, minutes: float, seed: int, eps: str) -> dict[str, Any]:
    """Train with one trainer, if that has not been done, and attack what came out."""
    run = folder / f"{name}-{seed}"
    options: list[object] = [
        *("--source", "folder", "--source.root", data, "--encoder", "cnn"),
        *(
            "--trainer",
            name,
            "--batch",
            BATCH,
            "--augment",
            "crop-flip",
            "--optimizer",
            "adamw",
            "--lr",
            0.002,
        ),
        *("--schedule", "one-cycle", "--ema", 0.998, "--seed", seed, "--validate-images", "40k"),
        *(() if name == "standard" else ("--trainer.eps", eps)),
        *(("--trainer.steps", STEPS) if name in ("pgd", "trades") else ()),
    ]
    if (run / "run.json").is_file():
        if json.loads((run / "run.json").read_text())["status"] != "done":
            chimera("encoder", "train", "--run", run, "--resume")
    else:
        speed = json.loads(chimera("encoder", "train", *options, "--dry-run", "--json"))["images_per_s"]
        images = int(speed * minutes * 60) // BATCH * BATCH
        chimera("encoder", "train", *options, "--images", images, "--run", run)
    last = read_metrics(run)[-1]
    found = json.loads(
        chimera("encoder", "evaluate", run, "--attack", "pgd-20", "--eps", eps, "--seed", seed, "--json")
    )
    return {
        "trainer": name,
        "seed": seed,
        "images": last["images"],
        "wall_s": last["wall_s"],
        "n": found["n"],
        "clean": found["accuracy"],
        "robust": found["attacks"]["pgd-20"],
    }


def chimera(*arguments: object) -> str:
    """Run a command line of ours; give what it prints."""
    line = [sys.executable, "-P", "-m", "chimera_core.cli", *map(str, arguments)]
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout


def draw(rows: list[dict[str, Any]], path: Path, *, eps: str) -> None:
    """Draw clean against robust accuracy."""
    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    for row in rows:
        axes.plot(100 * row["clean"], 100 * row["robust"], "o")
        axes.annotate(
            row["trainer"],
            (100 * row["clean"], 100 * row["robust"]),
            xytext=(6, 4),
            textcoords="offset points",
        )
    axes.set_xlabel("clean accuracy, %")
    axes.set_ylabel(f"accuracy under PGD-20 at {eps}, %")
    axes.margins(0.2)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
