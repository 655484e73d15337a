"""Time a GAN's training against the plain fp32 loop of a tutorial.

    python benchmarks/gan.py [--rounds 8] [--steps 3] [--batch 64] [--compile] [--device cpu] [--json]

Both train the DCGAN of 64 pixels with the same objective (cross entropy), batch and Adam on the same images in memory. The
plain loop is what tutorials write: fp32, default memory format, Adam unfused, three backward passes. Ours is the real
learner (``chimera_gan``) in the precision that ``auto`` chooses. They take turns in one process, a few steps each, so that
other work on the machine meets both; the ratio is the median over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from chimera_gan.config import GanConfig
from chimera_gan.gan_learner import GanLearner
from torch import Tensor, nn
from torch.nn import functional as F
from training import describe_machine

from chimera_core.api import Draw, Engine, FuserData
from chimera_core.data.batches import TensorSplit, TrainingBatches
from chimera_core.precision import choose_precision
from chimera_core.randomness import seed_step

SIZE, NOISE, CHANNELS = 64, 100, 64
WARM_UP = 2  # steps: the first ones allocate memory and choose kernels
OPTIONS: dict[str, Any] = {
    "network": "dcgan",
    "noise": NOISE,
    "channels": CHANNELS,
    "generator_norm": "batch",
    "critic_norm": "batch",
    "condition": "none",
    "objective": "bce",
    "ema": 0.0,
}


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8, help="how often the loops take turns")
    parser.add_argument("--steps", type=int, default=3, help="steps in each turn")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--compile", action="store_true", help="let the compiled networks take part")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    given = parser.parse_args()
    device = torch.device(given.device)
    images = torch.randint(0, 256, (8 * given.batch, 3, SIZE, SIZE), dtype=torch.uint8)
    runners = {
        "plain": plain_steps(images, given.batch, device),
        "ours": our_steps(images, given.batch, device),
    }
    if given.compile:
        runners["compiled"] = our_steps(images, given.batch, device, compiled=True)
    times = race(runners, rounds=given.rounds, steps=given.steps)
    speeds = {name: given.batch * given.steps / statistics.median(t) for name, t in times.items()}
    ratios = {
        name: statistics.median(p / o for p, o in zip(times["plain"], times[name], strict=True))
        for name in times
        if name != "plain"
    }
    found = {
        "machine": describe_machine(device),
        "batch": given.batch,
        "images_per_s": speeds,
        "ratios": ratios,
    }
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(" ".join(f"{k}={v}" for k, v in found["machine"].items()))
    print("| loop | images/s | ratio |\n|---|---|---|")
    for name, speed in speeds.items():
        print(f"| {name} | {speed:.1f} | {ratios.get(name, 1.0):.2f} |")


def race(runners: dict[str, Callable[[], None]], *, rounds: int, steps: int) -> dict[str, list[float]]:
    """Let them take turns; give the seconds of every turn."""
    for run in runners.values():
        for _ in range(WARM_UP):
            run()
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            start = time.perf_counter()
            for _ in range(steps):
                run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return times


def our_steps(
    images: Tensor, batch: int, device: torch.device, *, compiled: bool = False
) -> Callable[[], None]:
    """Give a function that makes one step of our learner."""
    split = TensorSplit(images, torch.zeros(len(images), dtype=torch.int64))
    data = FuserData(split, ("animal",), SIZE, batch=batch, seed=0, total_images=10**6)
    learner = GanLearner(GanConfig(**OPTIONS), data, device=device)
    mixed = choose_precision("auto", device) == "bf16"
    for module in learner.modules.values() if mixed else ():
        module.to(memory_format=torch.channels_last)
    if compiled:
        learner.compile()
    engine = Engine(device, autocast=lambda: torch.autocast(device.type, torch.bfloat16, enabled=mixed))
    stream = TrainingBatches(split, batch=batch, seed=0, device=device).from_step()
    count = 0

    def step() -> None:
        nonlocal count
        real = next(stream)
        seed_step(0, count)
        learner.step(real, draw=Draw(0, real.epoch, real.indices, step=count), engine=engine)
        count += 1

    return step


def plain_steps(images: Tensor, batch: int, device: torch.device) -> Callable[[], None]:
    """Give a function that makes one step as tutorials write it: three backward passes, noise from one generator."""
    generator, critic = _generator().to(device), _critic().to(device)
    rates = {"lr": 2e-4, "betas": (0.5, 0.999)}
    teach_generator = torch.optim.Adam(generator.parameters(), **rates)  # type: ignore[arg-type]
    teach_critic = torch.optim.Adam(critic.parameters(), **rates)  # type: ignore[arg-type]
    floats = (images.float() / 127.5 - 1).to(device)
    count = 0

    def judged(x: Tensor, label: float) -> Tensor:
        logits = critic(x).view(-1)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def step() -> None:
        nonlocal count
        start = batch * (count % 8)
        teach_critic.zero_grad()
        judged(floats[start : start + batch], 1.0).backward()  # type: ignore[no-untyped-call]
        fake = generator(torch.randn(batch, NOISE, 1, 1, device=device))
        judged(fake.detach(), 0.0).backward()  # type: ignore[no-untyped-call]
        teach_critic.step()
        teach_generator.zero_grad()
        judged(fake, 1.0).backward()  # type: ignore[no-untyped-call]
        teach_generator.step()
        count += 1

    return step


def _generator() -> nn.Module:
    widths = [8 * CHANNELS, 4 * CHANNELS, 2 * CHANNELS, CHANNELS]
    layers: list[nn.Module] = [nn.ConvTranspose2d(NOISE, widths[0], 4, bias=False)]
    for width, following in zip(widths, [*widths[1:], 3], strict=True):
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(width, following, 4, stride=2, padding=1, bias=False))
    return nn.Sequential(*layers, nn.Tanh())


def _critic() -> nn.Module:
    widths = [CHANNELS, 2 * CHANNELS, 4 * CHANNELS, 8 * CHANNELS]
    layers: list[nn.Module] = [nn.Conv2d(3, CHANNELS, 4, stride=2, padding=1, bias=False), nn.LeakyReLU(0.2)]
    for width, following in itertools.pairwise(widths):
        layers.append(nn.Conv2d(width, following, 4, stride=2, padding=1, bias=False))
        layers += [nn.BatchNorm2d(following), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, bias=False))


if __name__ == "__main__":
    main()
