"""Train GANs side by side: quality by images seen and by wall time, and whether the critic's number follows it.

Run: python benchmarks/gan_race.py FOLDER --source examples/person-cat.toml [--only modern-64 ...] [--seeds 0 1 2]
     [--images 400k] [--points 20] [--from-images 20k] [--minutes M] [--samples 1000]
     [--judge ENCODER] [--device cpu] [--precision auto]
     python benchmarks/gan_race.py FOLDER --summary [-o PICTURE]

Contestants, all at 64 px on the same images: the presets modern-64, wgan-gp and wgan-clip; ``report``, the second
report's networks and objective (preset report-persondog) enlarged to 64 px; ``tutorial-ema``, the DCGAN that PyTorch's
tutorial trains (Radford et al. 2015: batch norm, Adam 2e-4 and 0.5, bce without smoothing, batch 128) with averaged weights.

Each measures itself at points spaced evenly in log images: the kernel distance of the raw generator (the one the critic
met) and of the averaged one to held-out real images, the critic's number on held-out images, and the seconds of training
alone. With --minutes the race ends by the clock. What is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import torch
from chimera_gan.presets import MODERN_64, REPORT_PERSONDOG, WGAN_CLIP, WGAN_GP
from person_cat import default_judge, load_judge
from racing import TUTORIAL, Images, Race, open_images, run
from scipy.stats import spearmanr
from training import describe_machine

from chimera_core.files.atomic import atomic_path
from chimera_core.scoring.judge.features import QualityJudge

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SIZE = 64
CONTESTANTS: dict[str, tuple[Mapping[str, Any], int]] = {
    # Name: options, batch.
    "modern-64": (MODERN_64.options, 64),
    "report": (REPORT_PERSONDOG.options, 128),
    "tutorial-ema": (TUTORIAL, 128),
    "wgan-gp": (WGAN_GP.options | {"condition": "none"}, 64),
    "wgan-clip": (WGAN_CLIP.options | {"condition": "none"}, 64),
}
# What each critic's number is called, and whether it falls as quality rises, as the kernel distance does.
NUMBERS = {
    "wasserstein": "critic_held_out",
    "bce": "critic_held_out_loss",
    "relativistic": "critic_held_out_loss",
}


def main() -> None:
    """Train what is asked for, or sum up what there is."""
    args = _arguments()
    if args.summary:
        print(summarise(args.folder, args.output))
        return
    images = open_images(args.source, size=SIZE)
    judge = QualityJudge(
        load_judge(args.judge, device=args.device),
        args.judge,
        images.val,
        images=args.samples,
        device=args.device,
        subset_size=min(args.samples, len(images.val)) // 2,
    )
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        for seed in args.seeds:
            points = args.folder / f"{name}-{seed}.json"
            if points.exists():
                continue
            found = race(name, seed, images, judge, args)
            with atomic_path(points) as path:
                path.write_text(json.dumps(found, indent=1) + "\n")


def race(
    name: str, seed: int, images: Images, judge: QualityJudge, args: argparse.Namespace
) -> dict[str, Any]:
    """Train one contestant with one seed; measure it at every point."""
    options, batch = CONTESTANTS[name]
    device = torch.device(args.device)
    found = run(
        Race(
            options,
            batch,
            seed,
            args.images,
            "images",
            spaced(args.from_images, args.images, args.points),
            lambda now: args.minutes is not None and now["wall_s"] > 60 * args.minutes,
        ),
        images,
        judge,
        device=device,
        precision=args.precision,
        label=name,
    )
    return {
        "contestant": name,
        "seed": seed,
        "batch": batch,
        "judge": judge.name,
        "judge_size": judge.size,
        "machine": describe_machine(device),
        **found,
    }


def spaced(first: int, last: int, count: int) -> list[int]:
    """Give so many counts of images, evenly in their logarithm, both ends among them."""
    ratio = math.log(last / first) / max(1, count - 1)
    return [round(first * math.exp(k * ratio)) for k in range(count)]


def summarise(folder: Path, picture: Path | None) -> str:
    """Tell quality at the end, and the rank correlation of the critic's number with it."""
    races = [json.loads(path.read_text()) for path in sorted(folder.glob("*-*.json"))]
    lines = [
        "| contestant | seeds | images, by seed | s | KID at the end (of the used weights), by seed | Spearman, critic's number "
        "with KID of the raw generator, by seed | mean |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in CONTESTANTS:
        mine = [race for race in races if race["contestant"] == name]
        if not mine:
            continue
        ends = [race["points"][-1] for race in mine]
        kids = [end.get("kid_averaged", end["kid_raw"]) for end in ends]
        rhos = [correlation(race) for race in mine]
        counts = ", ".join(f"{end['images']:,}" for end in ends)
        lines.append(
            f"| `{name}` | {len(mine)} | {counts} | {statistics.mean(e['wall_s'] for e in ends):.0f} | "
            f"{', '.join(f'{kid:.4f}' for kid in kids)} (mean {statistics.mean(kids):.4f}) | "
            f"{', '.join(f'{rho:.2f}' for rho in rhos)} | {statistics.mean(rhos):.2f} |"
        )
    if picture is not None:
        draw_races(races, picture)
    return "\n".join(
        [*lines, f"KID[{races[0]['judge']} at {races[0]['judge_size']} px]" if races else "nothing yet"]
    )


def correlation(race: Mapping[str, Any]) -> float:
    """Rank the critic's number on held-out images against the raw generator's distance."""
    number = NUMBERS[race["options"]["objective"]]
    points = race["points"]
    return float(spearmanr([p[number] for p in points], [p["kid_raw"] for p in points]).statistic)


def draw_races(races: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Draw distance by images, and the critic's number beside it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    colours = dict(zip(CONTESTANTS, ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#666666"), strict=True))
    seen: set[str] = set()
    for race in races:
        name, points = race["contestant"], race["points"]
        label = None if name in seen else name
        seen.add(name)
        images = [p["images"] for p in points]
        used = [p.get("kid_averaged", p["kid_raw"]) for p in points]
        left.plot(images, used, color=colours[name], label=label, alpha=0.8)
        number = NUMBERS[race["options"]["objective"]]
        right.scatter(
            [p[number] for p in points], [p["kid_raw"] for p in points], s=9, color=colours[name], label=label
        )
    left.set(xscale="log", yscale="log", xlabel="images seen", ylabel=f"KID[{races[0]['judge']}]")
    right.set(
        xscale="symlog",
        yscale="log",
        xlabel="the critic's number on held-out images",
        ylabel="KID, raw generator",
    )
    left.legend()
    with atomic_path(picture) as path:
        figure.savefig(path, dpi=110, format=picture.suffix.lstrip("."))
    plt.close(figure)


def _images(text: str) -> int:
    units = {"k": 1000, "m": 1_000_000}
    unit = units.get(text[-1].lower())
    return int(float(text[:-1]) * unit) if unit else int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", type=Path, default=Path("examples/person-cat.toml"))
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=_images, default=400_000)
    parser.add_argument("--from-images", type=_images, default=20_000)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--samples", type=int, default=1000, help="and real images at most, for a distance")
    parser.add_argument("--judge", default=default_judge())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
