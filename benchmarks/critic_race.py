"""Which critic is worth its time: own with R1 and R2, projected, both, and the tutorial's DCGAN, at equal CPU time.

Run: OMP_NUM_THREADS=1 nice python benchmarks/critic_race.py FOLDER --source examples/person-cat.toml [--size 64|128]
     [--only own projected both tutorial] [--seeds 0 1 2] [--minutes 60] [--points 12] [--samples 1000]
     [--judge robust-small-64] [--judge-size 64] [--checkpoint-minutes 5] [--device cpu] [--clock cpu_s|wall_s]
     python benchmarks/critic_race.py FOLDER --summary [-o PICTURE]
     python benchmarks/critic_race.py FOLDER --blind OUT

One training runs at a time, all contestants of a seed before the next seed; --minutes is of each, and counts CPU seconds of
training alone, because others use the machine (a GPU's race goes by --clock wall_s). A killed race goes on from its last
checkpoint when it is started again, and what has ended is not trained again. Start one process per FOLDER.

``own``, ``projected`` and ``both`` are the preset modern-64 (or modern-128) with that critic. Quality is the kernel distance
of --samples images to held-out ones, by a network of another family and training than the critic's eyes: distances in features
of its own kind flatter a projected critic. Variety is how far pictures are from each other, as a share of how far real ones are:
a projected critic soon gives sharp faces, of which there may be two. --blind copies the final grids under letters in random
order, and writes OUT-key.json beside that folder.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import torch
from chimera_gan.presets import MODERN_64, MODERN_128
from person_cat import load_judge
from racing import TUTORIAL, Images, Race, open_images, run
from training import describe_machine

from chimera_core.files.atomic import atomic_path
from chimera_core.scoring.judge.features import QualityJudge

matplotlib.use("Agg")
from matplotlib import pyplot as plt

NAMES = ("own", "projected", "both", "tutorial")
COLOURS = dict(zip(NAMES, ("#0072B2", "#D55E00", "#009E73", "#666666"), strict=True))
NO_END = 1_000_000_000  # images


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is asked for, sum up what there is, or hide the names of its pictures."""
    args = _arguments(argv)
    if args.summary:
        print(summarise(results(args.folder), args.output))
        return
    if args.blind:
        hide(args.folder, args.blind)
        return
    images = open_images(args.source, size=args.size)
    judge = QualityJudge(
        load_judge(args.judge, device=args.device),
        args.judge,
        images.val,
        images=args.samples,
        size=args.judge_size,
        device=args.device,
        subset_size=min(args.samples, len(images.val)) // 2,
    )
    for seed in args.seeds:
        for name in args.only:
            if not (args.folder / f"{name}-{seed}" / "result.json").exists():
                train(name, seed, images, judge, args)


def contestant(name: str, *, size: int) -> tuple[dict[str, Any], int]:
    """Give the options and the batch of a contestant."""
    if name == "tutorial":
        return TUTORIAL, 128
    preset = {64: MODERN_64, 128: MODERN_128}[size]
    return {**preset.options, "critic": name}, preset.training["batch"]


def train(name: str, seed: int, images: Images, judge: QualityJudge, args: argparse.Namespace) -> None:
    """Train one contestant with one seed, or what is left of it, and write ``result.json`` into its folder."""
    options, batch = contestant(name, size=images.size)
    folder, seconds = args.folder / f"{name}-{seed}", 60 * args.minutes
    found = run(
        Race(
            options,
            batch,
            seed,
            NO_END,
            args.clock,
            [seconds * (k + 1) / args.points for k in range(args.points)],
            lambda now: now[args.clock] >= seconds,
            folder,
            60 * args.checkpoint_minutes,
        ),
        images,
        judge,
        device=torch.device(args.device),
        precision=args.precision,
        label=name,
    )
    found = {
        "contestant": name,
        "seed": seed,
        "batch": batch,
        "size": images.size,
        "clock": args.clock,
        "judge": judge.name,
        "judge_size": judge.size,
        "samples": judge.images,
        "machine": describe_machine(torch.device(args.device)),
        **found,
    }
    with atomic_path(folder / "result.json") as path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def results(folder: Path) -> list[dict[str, Any]]:
    """Read the trainings that have ended."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*-*/result.json"))]


def summarise(races: Sequence[Mapping[str, Any]], picture: Path | None) -> str:
    """Tell images and quality at the end as a table; draw quality by time."""
    if not races:
        return "nothing has ended yet"
    lines = [
        "| critic | images in the time, by seed | kernel distance at the end, by seed | mean | variety, by seed |",
        "|---|---|---|---|---|",
    ]
    for name in NAMES:
        ends = [race["points"][-1] for race in races if race["contestant"] == name]
        if ends:
            kids = [end["kid_averaged"] for end in ends]
            counts = ", ".join(f"{end['images']:,}" for end in ends)
            variety = ", ".join(f"{end['variety_averaged']:.2f}" for end in ends)
            lines.append(
                f"| `{name}` | {counts} | {', '.join(f'{kid:.4f}' for kid in kids)} | {statistics.mean(kids):.4f} | "
                f"{variety} |"
            )
    if picture is not None:
        draw(races, picture)
    first = races[0]
    minutes = first["points"][-1][first["clock"]] / 60
    return "\n".join(
        [
            *lines,
            f"KID[{first['judge']} at {first['judge_size']} px], {first['samples']} samples, {first['size']} px, "
            f"{minutes:.1f} minutes of {first['clock'].removesuffix('_s')} each, {first['precision']}",
        ]
    )


def draw(races: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Draw the averaged generator's distance by time."""
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    seen: set[str] = set()
    for race in races:
        name, clock = race["contestant"], race["clock"]
        axis.plot(
            [point[clock] / 60 for point in race["points"]],
            [point["kid_averaged"] for point in race["points"]],
            color=COLOURS[name],
            label=None if name in seen else name,
            marker=".",
            alpha=0.8,
        )
        seen.add(name)
    axis.set(
        yscale="log",
        xlabel=f"minutes of training ({races[0]['clock'].removesuffix('_s')})",
        ylabel=f"KID[{races[0]['judge']}]",
    )
    axis.legend()
    with atomic_path(picture) as path:
        figure.savefig(path, dpi=110, format=picture.suffix.lstrip("."))
    plt.close(figure)


def hide(folder: Path, out: Path) -> None:
    """Copy the last grid of each training as SEED-LETTER.png, in an order drawn anew, and write the key beside the folder."""
    out.mkdir(parents=True, exist_ok=True)
    races, chance = results(folder), random.SystemRandom()
    key: dict[str, str] = {}
    for seed in sorted({race["seed"] for race in races}):
        names = [race["contestant"] for race in races if race["seed"] == seed]
        chance.shuffle(names)
        for letter, name in zip("ABCDEFGH", names, strict=False):
            (*_, last) = sorted((folder / f"{name}-{seed}" / "samples").glob("*.png"))
            key[f"{seed}-{letter}"] = name
            shutil.copyfile(last, out / f"{seed}-{letter}.png")
    with atomic_path(out.with_name(f"{out.name}-key.json")) as path:
        path.write_text(json.dumps(key, indent=1) + "\n")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", type=Path, default=Path("examples/person-cat.toml"))
    parser.add_argument("--size", type=int, choices=[64, 128], default=64)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clock", choices=["cpu_s", "wall_s"], default="cpu_s")
    parser.add_argument("--points", type=int, default=12)
    parser.add_argument("--samples", type=int, default=1000, help="and real images at most, for a distance")
    parser.add_argument("--judge", default="robust-small-64")
    parser.add_argument("--judge-size", type=int, default=64)
    parser.add_argument("--checkpoint-minutes", type=float, default=5.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--blind", type=Path, metavar="OUT")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
