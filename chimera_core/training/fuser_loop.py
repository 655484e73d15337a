"""Train a fuser: the loop, from top to bottom.

The learner says what a step is; the loop owns order, checkpoints, resuming, pictures and quality. As in
``encoder_loop``, a step is a function of the state before it and of its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from chimera_core.data.batches import Batch, ImageSplit, TrainingBatches
from chimera_core.data.subsets import spread_subset
from chimera_core.errors import PluginError
from chimera_core.interfaces.components import FeatureEncoder, FusionGenerator
from chimera_core.interfaces.learner import Engine, FuserLearner, TrainedFacts
from chimera_core.randomness import Draw, seed_step
from chimera_core.runs import checkpoints
from chimera_core.scoring.judge.features import QualityJudge
from chimera_core.training import launch
from chimera_core.training.fuser_options import FuserTraining
from chimera_core.training.fuser_pictures import draw_samples, draw_sweeps
from chimera_core.training.parts.best import forget_best, take_best, write_best
from chimera_core.training.parts.clock import Clock, is_due
from chimera_core.training.parts.guard import NanGuard, is_sound
from chimera_core.training.parts.interrupts import Stop
from chimera_core.training.parts.metrics import Means, MetricsLog, read_metrics
from chimera_core.training.parts.optimizers import schedule
from chimera_core.training.parts.plot import draw_progress
from chimera_core.training.resuming import take_up

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PULSE = 16  # steps between two questions that make a GPU wait
_PICTURE_S = 30.0  # the plot is drawn again after so long, and at the end
_HELD_OUT = 512  # held-out images at most that the critic is asked about
_SAMPLE_SEED = 1_000_003  # of the images whose quality is measured; those of the pictures begin at 0
_SUBSET = 1000  # images at most of a draw of the kernel distance, as the field has it
_TOGETHER = 64  # images made at a time
_LOSSES = ("critic_loss", "projected_loss", "generator_loss", "loss", "cycle_loss", "identity_loss")
_PANELS = (_LOSSES, ("kid",), ("critic_estimate", "critic_held_out"), ("rate",))


@dataclass(frozen=True)
class FuserJob:
    """What is trained on what.

    ``fuser`` and ``options`` make the fuser that draws sweeps on the way; without a ``judge`` no quality is measured.
    """

    learner: FuserLearner
    fuser: type[FusionGenerator]
    options: Any
    train: ImageSplit
    val: ImageSplit
    classes: tuple[str, ...]
    config: FuserTraining
    folder: Path
    total_steps: int
    shares: Mapping[int, float] | None = None
    judge: FeatureEncoder | None = None


@dataclass
class FuserOutcome:
    """How a training ended: ``done``, ``stopped`` (by the clock, or for want of progress) or ``interrupted``."""

    status: Literal["done", "stopped", "interrupted"]
    images: int
    wall_s: float
    best: dict[str, Any] | None = None
    final: dict[str, Any] = field(default_factory=dict)


def train_fuser(
    job: FuserJob,
    fabric: Fabric,
    *,
    resume: checkpoints.Checkpoint | None = None,
    stop: Stop | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> FuserOutcome:
    """Train until the length is reached, the time is up, quality stands still or a signal came.

    Args:
        job: with every value of its config resolved.
        fabric: launched.
        resume: checkpoint to go on from.
        stop: set by a signal.
        progress: called with (done, total) in images.
        say: called with what the user should know.
    Returns:
        How it ended. ``checkpoints/`` holds the last states and ``best.safetensors``: what ``FusionGenerator.load``
        takes, of the best quality, or the last one where no quality is measured.
    Raises:
        PluginError: if the learner gives a module and an optimizer one name.
        RunError: if it diverges twice, or the disk refuses.
    """
    config, learner, device = job.config, job.learner, fabric.device
    modules, optimizers = learner.modules, learner.optimizers
    if shared := sorted(modules.keys() & optimizers.keys()):  # a checkpoint keeps both by their names
        raise PluginError(
            f"a module and an optimizer of this fuser are both called {shared[0]!r}: rename one"
        )
    if config.precision == "bf16":
        for module in modules.values():
            module.to(memory_format=torch.channels_last)
    judge = _judge_of(job, device)
    batches = TrainingBatches(
        job.train,
        batch=config.batch,
        seed=config.seed,
        device=device,
        sampling=config.sampling if job.shares is None else job.shares,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
    )
    rate = schedule(
        config.schedule, total_images=job.total_steps * config.batch, warmup_images=config.warmup_images
    )
    guard, means = NanGuard(), Means()
    folder, is_first = job.folder / checkpoints.FOLDER, fabric.is_global_zero
    step, best, position = 0, None, 0
    if resume is not None:
        step, best, position = take_up(
            resume, modules, optimizers, guard, means, batch=config.batch, device=device
        )
        if is_first and best is not None:
            take_best(folder, best["images"])
    log = (
        MetricsLog(job.folder, position=position, tensorboard=config.log == "tensorboard")
        if is_first
        else None
    )
    clock = Clock(max_minutes=config.max_minutes, wall_s=float(resume.state["wall_s"]) if resume else 0.0)
    if config.compile:
        learner.compile()

    def engine(images: int) -> Engine:
        return Engine(
            device=device,
            images=images,
            rate=rate(images) * guard.factor,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            autocast=fabric.autocast,
            average_gradients=lambda parameters: launch.average_gradients(fabric, parameters),
        )

    def save(*, good: bool) -> None:
        if good:
            guard.mark_good(step * config.batch)
        if log is not None:
            state = {
                "step": step,
                "best": best,
                "metrics": log.position,
                "wall_s": clock.wall_s,
                "guard": guard.state(),
                "means": means.state(),
            }
            if judge is None:
                # First, so that a kill in between leaves none that is older than the checkpoint.
                checkpoints.make_folder(folder)
                tensors, noted = _fusing(learner, {"images": step * config.batch})
                checkpoints.write_tensors(folder / checkpoints.BEST, tensors, metadata=noted)
            checkpoints.save_checkpoint(
                folder,
                step * config.batch,
                modules=modules,
                optimizers=optimizers,
                state=state,
                keep=config.keep,
                protect=[] if guard.good is None else [guard.good],
            )
            forget_best(folder, best)
        clock.saved()

    def measure(images: int) -> None:
        """Measure quality; one process does it, the others wait at the next step."""
        nonlocal best
        if log is None or judge is None:
            return
        found: dict[str, Any] = judge.measure(_many(learner, config.judge_images))
        found |= _ask_critic(job, engine(images), images)
        log.log(images, **found, extractor=judge.name, wall_s=round(clock.wall_s, 2))
        measured, since = (best["measured"], best["since"] + 1) if best else (0, 0)
        if best is None or found["kid"] <= best["kid"]:
            best, since = {"images": images, "kid": found["kid"], "extractor": judge.name}, 0
            write_best(folder, images, *_fusing(learner, best))
        best |= {"measured": measured + 1, "since": since}

    def show(images: int) -> None:
        if is_first:
            draw_samples(job.folder, learner, images)
            if learner.shows_sweeps and len(job.classes) > 1:
                draw_sweeps(job.folder, _fuser_of(job, device), job.classes, images, size=config.size)

    def paint() -> None:
        if is_first:
            title = job.folder.name + (f": kid is KID[{judge.name}]" if judge else "")
            draw_progress(job.folder / "progress.png", read_metrics(job.folder), _PANELS, title=title)

    if step == 0:
        save(good=True)
    stream = batches.from_step(step)
    clock.start_lap(step * config.batch)
    time_is_up = interrupted = measure_now = False
    standing = _stands_still(best, config)  # of a run that goes on: it may have ended so
    while step < job.total_steps and not (time_is_up or interrupted or standing):
        batch = next(stream)
        seed_step(config.seed, step, fabric.global_rank)
        draw = Draw(config.seed, batch.epoch, batch.indices, step=step)
        before, images = step * config.batch, (step + 1) * config.batch
        lent = engine(before)
        parts = learner.step(_flipped(batch, draw, config.augment), draw=draw, engine=lent)
        parts = launch.average(fabric, parts)
        guard.check(torch.stack(list(parts.values())))
        means.add(parts)
        step += 1
        progress(images, job.total_steps * config.batch)

        is_last = step == job.total_steps
        log_now = is_due(config.log_images or 0, before, images)
        measure_now = is_due(config.quality_images or 0, before, images) or is_last
        show_now = is_due(config.sample_images or 0, before, images) or is_last
        save_good = is_due(config.checkpoint_images or 0, before, images) or is_last
        due = log_now or measure_now or show_now or save_good
        if not (due or device.type == "cpu" or step % _PULSE == 0):
            continue
        # All processes must do the same: what one of them sees of clock and signals counts for all.
        time_is_up, interrupted, save_now, diverged = launch.agree(
            fabric,
            clock.is_over,
            stop is not None and stop.requested,
            clock.save_is_due(config.checkpoint_minutes),
            guard.has_diverged(),
        )
        save_now = save_now or time_is_up or interrupted or save_good
        if (save_now or measure_now) and not diverged:
            (diverged,) = launch.agree(fabric, not is_sound(*modules.values()))
        if diverged:
            good = guard.go_back(images)
            say(f"the loss is not finite after {images:,} images: back to {good:,}, at half the rate")
            half = guard.factor
            checkpoint = checkpoints.read_checkpoint(folder, good)
            step, best, position = take_up(
                checkpoint, modules, optimizers, guard, means, batch=config.batch, device=device
            )
            guard.factor = half
            if log is not None:
                checkpoints.remove_after(folder, good)
                if best is not None:
                    take_best(folder, best["images"])
                log.cut(position)
                log.log(good, event="rate halved", diverged_at=images)
            stream = batches.from_step(step)
            time_is_up = False
            continue
        if log_now:
            found = means.take()
            if log is not None:
                speed = round(clock.lap(images), 1)
                now = {"rate": lent.rate, "images_per_s": speed, "wall_s": round(clock.wall_s, 2)}
                log.log(images, epoch=batch.epoch, **found, **now)
        if measure_now:
            measure(images)
            (standing,) = launch.agree(fabric, is_first and _stands_still(best, config))
        if show_now:
            show(images)
        if measure_now or show_now:
            clock.start_lap(images)
            if clock.picture_is_due(_PICTURE_S):
                paint()
        if save_now or standing:
            save(good=save_good)

    images = step * config.batch
    status: Literal["done", "stopped", "interrupted"] = "done"
    if step < job.total_steps:
        status = "interrupted" if interrupted else "stopped"
    if status == "stopped" and not standing:
        if not measure_now:
            measure(images)
        show(images)
    elif standing:
        say(f"quality has not improved in {config.patience} measurements: stopped after {images:,} images")
    paint()
    measured = [line for line in read_metrics(job.folder) if "kid" in line][-1:] if is_first else []
    return FuserOutcome(status, images, clock.wall_s, best, measured[0] if measured else {})


def _flipped(batch: Batch, draw: Draw, augment: str) -> Batch:
    """Mirror half of the images."""
    if augment == "none":
        return batch
    mirrored = draw.uniform(purpose="flip").view(-1, 1, 1, 1) < 0.5
    return replace(batch, images=torch.where(mirrored, batch.images.flip(-1), batch.images))


def _judge_of(job: FuserJob, device: torch.device) -> QualityJudge | None:
    """Build the judge; its spread is over random halves of the images, 1000 at most: draws of all would be alike."""
    if job.judge is None or job.config.judge is None:
        return None
    name, images = job.config.judge.name, job.config.judge_images
    half = max(2, min(images, len(job.val)) // 2)
    return QualityJudge(
        job.judge.to(device).eval(),
        name,
        job.val,
        images=images,
        device=device,
        subset_size=min(half, _SUBSET),
    )


def _many(learner: FuserLearner, count: int) -> Tensor:
    starts = range(0, count, _TOGETHER)
    return torch.cat(
        [learner.sample(min(_TOGETHER, count - k), seed=_SAMPLE_SEED + k, averaged=True) for k in starts]
    )


def _ask_critic(job: FuserJob, engine: Engine, images: int) -> dict[str, float]:
    """Ask the critic about held-out images."""
    some = spread_subset(job.val, min(_HELD_OUT, job.config.batch * 8))
    rows = torch.arange(len(some))
    there = rows.to(engine.device)
    batch = Batch(some.take(rows).to(engine.device), some.labels.to(there), some.domains.to(there), there)
    return job.learner.critic_estimate(batch, draw=Draw(job.config.seed, images, there), engine=engine)


def _fuser_of(job: FuserJob, device: torch.device) -> FusionGenerator:
    """Make the fuser of what has been learned so far, by the interface alone."""
    fuser = job.fuser(job.options, device=device)
    facts = TrainedFacts(job.classes, job.config.size, job.learner.facts())
    fuser.load({name: t.detach().cpu() for name, t in job.learner.state().items()}, facts)
    return fuser


def _fusing(learner: FuserLearner, noted: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Give what ``FusionGenerator.load`` takes: tensors, and the plain values that their file carries."""
    facts = {"images": noted["images"], "kid": noted.get("kid"), "facts": learner.facts()}
    return learner.state(), facts


def _stands_still(best: Mapping[str, Any] | None, config: FuserTraining) -> bool:
    return config.patience is not None and best is not None and best["since"] >= config.patience
