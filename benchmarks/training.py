"""Time our training loop against the plain fp32 loop of a tutorial, our PGD against torchattacks', and checkpoints.

    python benchmarks/training.py [--only small-64] [--rounds 5] [--steps 4] [--compile] [--quick] [--json]

Both loops train the same network with Adam on the same images, which lie in memory or in the packed cache. The plain
one is what tutorials write: fp32, default memory format, Adam unfused. Ours is the real one, ``training.loop.train``, in the
precision that ``auto`` chooses. They take turns in one process, a few steps each, so that other work on the machine
meets both; a ratio is the median over the rounds. ``--compile`` adds a race of the compiled network.

PGD-10 starts at the images for both, in fp32, and must give the same pixels to 1e-6. A checkpoint holds network,
moving average and the moments of Adam; to resume is to read and verify it, and put it in place.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import DatasetSource, Example, FeatureEncoder, SourceInfo, pgd
from chimera_core.components.choice import choose, layered_options
from chimera_core.data.packed import PackedSplit
from chimera_core.data.packing import pack
from chimera_core.options.config import EncoderRef, SourceRef
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import default_host
from chimera_core.precision import choose_precision
from chimera_core.runs import checkpoints
from chimera_core.training import launch
from chimera_core.training.data import ListedData, TrainingData
from chimera_core.training.encoder import EncoderPlan
from chimera_core.training.loop import train as train_by_plan
from chimera_core.training.parts.ema import Ema
from chimera_core.training.parts.optimizers import build_optimizer, parameter_groups

CLASSES = 20
WARM_UP = 2  # steps: the first ones allocate memory and choose kernels


@dataclass(frozen=True)
class Trial:
    """A network, and what it is trained on."""

    title: str
    encoder: str
    size: int
    batch: int
    preset: str | None = None

    def build(self) -> FeatureEncoder:
        """Build the network with its first weights, which are the same every time."""
        host = default_host()
        component = host.find("feature-encoder", self.encoder)
        known = {"classes": CLASSES, "size": self.size} if self.encoder == "cnn" else {"classes": CLASSES}
        options = layered_options(component, host, self.preset, known)
        encoder: FeatureEncoder = choose(host, "feature-encoder", self.encoder, options).load()
        return encoder


TRIALS = (
    Trial("report-64", "cnn", 64, 64, "report"),
    Trial("report-224", "cnn", 224, 16, "report"),
    Trial("small-64", "cnn", 64, 64, "small-64"),
    Trial("lite0-128", "timm", 128, 32),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was measured as Markdown, or as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=[trial.title for trial in TRIALS])
    parser.add_argument("--rounds", type=int, default=5, help="how often the two loops take turns")
    parser.add_argument("--steps", type=int, default=4, help="steps in each turn")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--compile", action="store_true", help="race the compiled network as well")
    parser.add_argument(
        "--quick", action="store_true", help="tiny batches and few steps: does it work at all?"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    given = parser.parse_args(arguments)
    rounds, steps = (2, 1) if given.quick else (given.rounds, given.steps)
    device = torch.device(given.device)
    chosen = [trial for trial in TRIALS if given.only is None or trial.title in given.only]
    if given.quick:
        chosen = [Trial(t.title, t.encoder, t.size, 4, t.preset) for t in chosen]
    found: dict[str, Any] = {"machine": describe_machine(device), "loops": [], "checkpoints": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number, trial in enumerate(chosen):
            for compiled in (False, True) if given.compile else (False,):
                folder = Path(scratch) / f"{number}-{compiled}"
                found["loops"].append(race_loops(trial, folder, device, rounds, steps, compiled=compiled))
            if not trial.title.startswith("report"):
                found["checkpoints"].append(
                    time_checkpoints(
                        trial, Path(scratch) / f"{number}-saved", device, 1 if given.quick else 5
                    )
                )
    found["pgd"] = race_attacks(device, rounds, images=4 if given.quick else 32)
    if (apart := found["pgd"].get("largest_difference", 0.0)) > 1e-6:
        raise SystemExit(f"PGD-10 differs from torchattacks' by {apart:g}")
    print(json.dumps(found, indent=1) if given.json else as_markdown(found))


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Say what decides the speed: instructions for bfloat16, threads, versions."""
    declared = torch.cpu.get_capabilities()
    return {
        "cpu": declared.get("cpu_name") or declared["architecture"],
        "amx_bf16": bool(declared.get("amx_bf16")),
        "avx512_bf16": bool(declared.get("avx512_bf16")),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": choose_precision("auto", device),
    }


def race_loops(
    trial: Trial, folder: Path, device: torch.device, rounds: int, steps: int, *, compiled: bool
) -> dict[str, Any]:
    """Let the two loops take turns; ours calls its ``progress`` after each step, and there the plain one runs."""
    count = 4 * trial.batch
    packing = {
        "source": "made-up",
        "size": trial.size,
        "fit": "crop",
        "options": {},
        "plugin": "",
        "version": "",
    }
    packed = pack(MadeUp(count, trial.size), {"format": 1, **packing}, folder / "cache", workers=1)
    train = packed.split("train")
    plain = PlainLoop(trial.build().to(device), train, trial.batch, device)
    plain_s: list[float] = []
    ours_s: list[float] = []
    done = 0
    start = 0.0

    def take_turns(images: float, total: float) -> None:
        nonlocal done, start
        done += 1
        if done < WARM_UP or (done - WARM_UP) % steps:
            return
        wait_for(device)
        if done == WARM_UP:
            plain.run(WARM_UP)
        else:
            ours_s.append(time.perf_counter() - start)
        if len(ours_s) == rounds:
            raise _EnoughError
        plain_s.append(plain.run(steps))
        start = time.perf_counter()

    encoder = trial.build()
    parameters = sum(p.numel() for p in encoder.parameters())
    run_ours(trial, encoder, train, folder / "run", device, take_turns, compiled=compiled)
    images = trial.batch * steps
    return {
        "network": trial.title,
        "compiled": compiled,
        "size": trial.size,
        "batch": trial.batch,
        "parameters": parameters,
        "plain_images_per_s": images / statistics.median(plain_s),
        "ours_images_per_s": images / statistics.median(ours_s),
        "ratio": statistics.median(a / b for a, b in zip(plain_s, ours_s, strict=True)),
        "plain_s": plain_s,
        "ours_s": ours_s,
    }


class PlainLoop:
    """What a tutorial writes: fp32, default memory format, Adam one parameter after the other."""

    def __init__(self, encoder: FeatureEncoder, split: PackedSplit, batch: int, device: torch.device) -> None:
        self.encoder = encoder.train()
        self.images = split.take(torch.arange(len(split))).contiguous()
        self.labels = split.labels
        self.batch = batch
        self.device = device
        self.optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
        self.order: Iterator[Tensor] = iter(())

    def run(self, steps: int) -> float:
        """Train so many steps; give the seconds."""
        start = time.perf_counter()
        running = 0.0
        for _ in range(steps):
            rows = next(self.order, None)
            if rows is None:
                self.order = iter(torch.randperm(len(self.images)).split(self.batch))
                rows = next(self.order)
            x = self.images[rows].to(self.device).float() / 255
            y = self.labels[rows].to(self.device)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.encoder(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            running += loss.item()
        wait_for(self.device)
        return time.perf_counter() - start


def run_ours(
    trial: Trial,
    encoder: FeatureEncoder,
    train: PackedSplit,
    folder: Path,
    device: torch.device,
    progress: Callable[[float, float], None],
    *,
    compiled: bool,
) -> None:
    """Run ``training.loop.train`` until ``progress`` has had enough."""
    config = EncoderTraining(
        source=SourceRef(name="made-up"),
        encoder=EncoderRef(name=trial.encoder),
        size=trial.size,
        batch=trial.batch,
        precision=choose_precision("auto", device),
        compile=compiled,
        optimizer="adam",
        weight_decay=0.0,
        schedule="constant",
    )
    trainer = choose(default_host(), "robustness-trainer", "robust:standard", {}).load()
    folder.mkdir(parents=True)
    images = ListedData(tuple(map(str, range(CLASSES))), (), {})
    plan = EncoderPlan(
        config=config,
        data=TrainingData(images=images, train=train, val=train, val_name="train"),
        device=device,
        total_steps=1_000_000,
        encoder=encoder,
        trainer=trainer,
    )
    fabric = launch.open_fabric(device, config.precision)  # type: ignore[arg-type]
    try:
        train_by_plan(plan.learner(fabric, folder), plan, fabric, folder, progress=progress)
    except _EnoughError:
        return


def race_attacks(device: torch.device, rounds: int, *, images: int) -> dict[str, Any]:
    """Let our PGD-10 and torchattacks' take turns on one network in fp32; ours runs alone where theirs is not installed.

    Returns:
        Images per second of each, their ratio and ``largest_difference`` of a pixel; or of ours and an ``error``.
    """
    trial = Trial("small-64", "cnn", 64, images, "small-64")
    encoder = trial.build().to(device).eval()
    source = MadeUp(images, trial.size)
    x = torch.stack([source[k].image for k in range(images)]).to(device).float() / 255
    y = torch.tensor(source.labels, device=device)
    attacks = [lambda: pgd(encoder, x, y, eps=8 / 255, step=2 / 255, steps=10)]
    found: dict[str, Any] = {"network": trial.title, "images": images}
    try:
        import torchattacks
    except ImportError:
        found["error"] = "torchattacks is not installed: pip install '.[parity]'"
    else:
        theirs = torchattacks.PGD(encoder, eps=8 / 255, alpha=2 / 255, steps=10, random_start=False)
        attacks.insert(0, lambda: theirs(x, y))
    first = [attack() for attack in attacks]  # all are warm then, too
    wait_for(device)
    seconds: list[list[float]] = [[] for _ in attacks]
    for turn in range(len(attacks) * rounds):
        start = time.perf_counter()
        attacks[turn % len(attacks)]()
        wait_for(device)
        seconds[turn % len(attacks)].append(time.perf_counter() - start)
    found["ours_images_per_s"] = images / statistics.median(seconds[-1])
    if "error" not in found:
        found["largest_difference"] = float((first[0] - first[1]).abs().max())
        found["torchattacks_images_per_s"] = images / statistics.median(seconds[0])
        found["ratio"] = statistics.median(a / b for a, b in zip(*seconds, strict=True))
    return found


def time_checkpoints(trial: Trial, folder: Path, device: torch.device, repeats: int) -> dict[str, Any]:
    """Save a training's state and take it up again, with a moving average and the moments of Adam."""
    encoder = trial.build().to(device)
    ema = Ema(encoder, 0.999)
    optimizer = build_optimizer(parameter_groups(encoder, weight_decay=0), "adam", lr=1e-3)
    for parameter in encoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    modules = {"model": encoder, "ema": ema.module}
    optimizers = {"optimizer": optimizer}
    saved_s, resumed_s = [], []
    for number in range(repeats):
        start = time.perf_counter()
        checkpoints.save_checkpoint(folder, number, modules=modules, optimizers=optimizers, state={})
        saved_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        newest, _ = checkpoints.newest_checkpoint(folder)
        assert newest is not None and newest.images == number
        checkpoints.restore(newest, modules=modules, optimizers=optimizers)
        wait_for(device)
        resumed_s.append(time.perf_counter() - start)
    return {
        "network": trial.title,
        "bytes": sum(f.stat().st_size for f in folder.glob(f"{repeats - 1:09d}.*")),
        "save_s": statistics.median(saved_s),
        "resume_s": statistics.median(resumed_s),
    }


def as_markdown(found: dict[str, Any]) -> str:
    """Lay the figures out as tables."""
    machine = found["machine"]
    has = {True: "yes", False: "no"}
    lines = [
        f"{machine['gpu'] or machine['cpu']}: AMX {has[machine['amx_bf16']]}, AVX-512 bf16 "
        f"{has[machine['avx512_bf16']]}; {machine['threads']} threads, torch {machine['torch']}, "
        f"auto precision {machine['precision']}",
        "",
        "| network | px | batch | plain fp32 loop, images/s | ours, images/s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['network']}{', compiled' if r['compiled'] else ''} | {r['size']} | {r['batch']} "
        f"| {r['plain_images_per_s']:.1f} | {r['ours_images_per_s']:.1f} | {r['ratio']:.2f} |"
        for r in found["loops"]
    ]
    attack = found["pgd"]
    lines += [
        "",
        "| PGD-10 at equal results | torchattacks, images/s | ours, images/s | ratio |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| n/a: {attack['error']} | | | |"
        if "error" in attack
        else f"| {attack['network']}, fp32, {attack['images']} images | {attack['torchattacks_images_per_s']:.1f} "
        f"| {attack['ours_images_per_s']:.1f} | {attack['ratio']:.2f} |"
    ]
    lines += ["", "| checkpoint with average and moments | MB | save, s | resume, s |", "|---|---|---|---|"]
    lines += [
        f"| {r['network']} | {r['bytes'] / 1e6:.1f} | {r['save_s']:.3f} | {r['resume_s']:.3f} |"
        for r in found["checkpoints"]
    ]
    return "\n".join(lines)


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class MadeUp(DatasetSource):
    """Stripes whose width and direction tell the class, in noise."""

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size
        self.labels = [k % CLASSES for k in range(count)]

    @property
    def info(self) -> SourceInfo:
        """Say what there is."""
        return SourceInfo("made-up", tuple(f"stripes-{k}" for k in range(CLASSES)), {"train": self.count})

    def open(self, split: str) -> MadeUp:
        """Give the only split."""
        return self

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        label = self.labels[index]
        rows, columns = np.mgrid[: self.size, : self.size]
        wave = np.sin((rows * np.cos(label) + columns * np.sin(label)) * (0.2 + label / CLASSES))
        noise = np.random.default_rng(index).normal(0, 30, (3, self.size, self.size))
        pixels = (128 + 80 * wave + noise).clip(0, 255).astype(np.uint8)
        return Example(torch.from_numpy(pixels), label)


class _EnoughError(Exception):
    """Leaves our loop when all rounds are run."""


if __name__ == "__main__":
    main()
