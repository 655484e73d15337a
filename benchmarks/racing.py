"""Train GANs for a race: the loop that ``gan_race.py`` and ``critic_race.py`` share, with its clock and its checkpoints.

The clock runs while steps are trained, not while pictures are judged or checkpoints written.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from chimera_gan.config import GanConfig
from chimera_gan.gan_learner import GanLearner
from person_cat import pixel_distance

from chimera_core.api import Batch, Draw, Engine, FuserData
from chimera_core.data.batches import ImageSplit, TrainingBatches
from chimera_core.data.order import equal_shares
from chimera_core.data.preparing import plan_packing, prepare
from chimera_core.data.subsets import spread_subset
from chimera_core.files.toml import read_toml
from chimera_core.plugins.discovery import default_host
from chimera_core.precision import choose_precision
from chimera_core.randomness import seed_step
from chimera_core.runs.checkpoints import newest_checkpoint, restore, save_checkpoint
from chimera_core.scoring.judge.features import QualityJudge
from chimera_core.training.fuser_pictures import draw_samples

HELD_OUT = 512
SAMPLE_SEED = 1_000_003
TUTORIAL: dict[str, Any] = {
    "network": "dcgan",
    "noise": 100,
    "channels": 64,
    "generator_norm": "batch",
    "critic_norm": "batch",
    "condition": "none",
    "objective": "bce",
    "lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "ema": 0.999,
}
"""The DCGAN that PyTorch's tutorial trains (Radford et al. 2015), with averaged weights; its batch is 128."""

ClockName = Literal["images", "cpu_s", "wall_s"]


@dataclass(frozen=True)
class Images:
    """What is learned from, what is held out, and the classes."""

    train: ImageSplit
    val: ImageSplit
    classes: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Race:
    """One contestant with one seed.

    Args:
        options: of ``gan``.
        batch: images per step.
        seed: of everything.
        total_images: after which it ends.
        clock: that ``due`` is counted by.
        due: when it is measured, rising.
        limit: says by the readings of all clocks whether it ends before.
        folder: for checkpoints and a grid of samples; None: neither is written.
        checkpoint_s: CPU seconds between two checkpoints.
    """

    options: Mapping[str, Any]
    batch: int
    seed: int
    total_images: int
    clock: ClockName
    due: Sequence[float]
    limit: Callable[[Mapping[str, float]], bool]
    folder: Path | None = None
    checkpoint_s: float = 300.0


def open_images(config: Path, *, size: int) -> Images:
    """Pack the images that a file with a [source] table names."""
    table = read_toml(config, what="file of options").table["source"]
    packed = prepare(plan_packing(default_host(), table["name"], table.get("options", {}), size=size))
    return Images(packed.split("train"), packed.split("val"), packed.classes, size)


def run(
    race: Race, images: Images, judge: QualityJudge, *, device: torch.device, precision: str, label: str
) -> dict[str, Any]:
    """Train one contestant, or go on from its newest checkpoint; measure it at every point.

    Args:
        race: what is trained, and how long.
        images: packed.
        judge: of quality.
        device: of the networks.
        precision: auto, fp32 or bf16.
        label: what to call it in the line that is printed for each point.
    Returns:
        ``options``, ``precision`` and ``points``: readings of the clocks, losses, what the critics find on held-out
        images, and of the raw and of the averaged generator the kernel distance and the variety: how far its pictures are
        from each other, as a share of how far real ones are.
    """
    config = GanConfig(**race.options)
    torch.manual_seed(race.seed)
    data = FuserData(
        images.train,
        images.classes,
        images.size,
        batch=race.batch,
        seed=race.seed,
        total_images=race.total_images,
    )
    learner = GanLearner(config, data, device=device)
    precision = choose_precision(precision, device)
    for module in learner.modules.values() if precision == "bf16" else ():
        module.to(memory_format=torch.channels_last)
    engine = Engine(
        device, autocast=lambda: torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    )
    shares = equal_shares(images.train.labels) if len(images.classes) > 1 else "natural"
    batches = TrainingBatches(images.train, batch=race.batch, seed=race.seed, device=device, sampling=shares)
    held_out = _batch_of(images.val, HELD_OUT, device)
    variety = pixel_distance(held_out.pixels().cpu())
    step, clock, points = _take_up(race, learner)
    due = [at for at in race.due if not points or at > points[-1][race.clock]]
    # A race may have been killed between its last checkpoint and its result.
    saved_s, is_over = clock.read()["cpu_s"], bool(points) and race.limit(points[-1])
    clock.start()
    for real in batches.from_step(step):
        if is_over or step * race.batch >= race.total_images:
            break
        seed_step(race.seed, step)
        draw = Draw(race.seed, real.epoch, real.indices, step=step)
        parts = learner.step(real, draw=draw, engine=dataclasses.replace(engine, images=step * race.batch))
        step += 1
        now = {"images": step * race.batch, **clock.read()}
        is_over = race.limit(now) or now["images"] >= race.total_images
        if is_over or (due and now[race.clock] >= due[0]):
            clock.stop(device)
            now |= clock.read()
            found = {key: float(value) for key, value in parts.items()}
            found |= learner.critic_estimate(
                held_out, draw=Draw(race.seed, int(now["images"]), held_out.indices), engine=engine
            )
            for kind, averaged in (("raw", False), ("averaged", True))[: 2 if config.ema else 1]:
                made = learner.sample(judge.images, seed=SAMPLE_SEED, averaged=averaged)
                found |= {f"{key}_{kind}": value for key, value in judge.measure(made).items()}
                found[f"variety_{kind}"] = pixel_distance(made[:HELD_OUT]) / variety
            points.append(now | found)
            print(json.dumps({"name": label, "seed": race.seed, **points[-1]}), flush=True)
            due = [at for at in due if at > now[race.clock]]
        if race.folder is not None and (is_over or clock.read()["cpu_s"] - saved_s > race.checkpoint_s):
            clock.stop(device)
            saved_s = clock.read()["cpu_s"]
            save_checkpoint(
                race.folder / "checkpoints",
                step * race.batch,
                modules=learner.modules,
                optimizers=learner.optimizers,
                state={**clock.read(), "points": points},
                keep=1,
            )
        clock.start()
    if race.folder is not None:
        draw_samples(race.folder, learner, step * race.batch)
    return {"options": config.model_dump(mode="json"), "precision": precision, "points": points}


class _Clock:
    """Seconds of training, by the wall and of all threads of this process."""

    def __init__(self, wall_s: float = 0.0, cpu_s: float = 0.0) -> None:
        self._sums = [wall_s, cpu_s]
        self._since: tuple[float, float] | None = None

    def start(self) -> None:
        if self._since is None:
            self._since = (time.perf_counter(), time.process_time())

    def stop(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()
        found, self._since = self.read(), None
        self._sums = [found["wall_s"], found["cpu_s"]]

    def read(self) -> dict[str, float]:
        wall_s, cpu_s = self._sums
        if self._since is not None:
            wall_s += time.perf_counter() - self._since[0]
            cpu_s += time.process_time() - self._since[1]
        return {"wall_s": wall_s, "cpu_s": cpu_s}


def _take_up(race: Race, learner: GanLearner) -> tuple[int, _Clock, list[dict[str, float]]]:
    """Give the next step, the clock and the points so far, of the newest checkpoint where there is one."""
    if race.folder is None:
        return 0, _Clock(), []
    found, troubles = newest_checkpoint(race.folder / "checkpoints")
    for trouble in troubles:
        print(trouble, flush=True)
    if found is None:
        return 0, _Clock(), []
    restore(found, modules=learner.modules, optimizers=learner.optimizers)
    clock = _Clock(found.state["wall_s"], found.state["cpu_s"])
    return found.images // race.batch, clock, list(found.state["points"])


def _batch_of(split: ImageSplit, count: int, device: torch.device) -> Batch:
    some = spread_subset(split, count)
    rows = torch.arange(len(some))
    there = rows.to(device)
    return Batch(some.take(rows).to(device), some.labels.to(there), some.domains.to(there), there)
