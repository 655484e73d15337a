"""Train: the loop, from top to bottom, whatever learns.

A step is a function of the state before it and of its number: order, augmentation, attack and dropout draw their random
numbers from (seed, epoch, index of the example) or (seed, step). So a run that goes on from a checkpoint goes the very
same way. On several devices each process takes its share of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from chimera_core.data.batches import TrainingBatches
from chimera_core.interfaces.components import no_progress
from chimera_core.interfaces.learner import Engine
from chimera_core.randomness import Draw, seed_step
from chimera_core.runs import checkpoints
from chimera_core.training import launch
from chimera_core.training.learner import Learner, TrainingPlan
from chimera_core.training.parts.best import forget_best, take_best, write_best
from chimera_core.training.parts.clock import Clock, is_due
from chimera_core.training.parts.guard import NanGuard, is_sound
from chimera_core.training.parts.interrupts import Stop
from chimera_core.training.parts.metrics import Means, MetricsLog, read_metrics
from chimera_core.training.parts.optimizers import schedule
from chimera_core.training.parts.plot import draw_progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PULSE = 16  # steps between two questions that make a GPU wait
_PLOT_S = 30.0  # the plot is drawn again after so long, and at the end: drawing takes half a second


@dataclass
class Outcome:
    """How a training ended: ``done``, ``stopped`` (by the clock, or for want of progress) or ``interrupted``."""

    status: Literal["done", "stopped", "interrupted"]
    images: int
    wall_s: float
    best: dict[str, Any] | None = None
    final: dict[str, Any] = field(default_factory=dict)


def train(
    learner: Learner,
    plan: TrainingPlan,
    fabric: Fabric,
    folder: Path,
    *,
    resume: checkpoints.Checkpoint | None = None,
    stop: Stop | None = None,
    progress: Callable[[float, float], None] = no_progress,
    notify: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train until the length is reached, the time is up, quality stands still or a signal came.

    Args:
        fabric: launched.
        folder: of the run; it is there.
        progress: called with (done, total) in images.
    Returns:
        How it ended. ``checkpoints/`` holds the last states and ``best.safetensors``: the weights that measured best, or
        the last ones where nothing is measured.
    Raises:
        RunError: if it diverges twice, or the disk refuses.
    """
    config, device, is_first = plan.config, fabric.device, fabric.is_global_zero
    states = folder / checkpoints.FOLDER
    modules, optimizers = learner.modules, learner.optimizers
    total = plan.total_steps * config.batch
    batches = TrainingBatches(
        plan.data.train,
        batch=config.batch,
        seed=config.seed,
        device=device,
        sampling=config.sampling if plan.data.shares is None else plan.data.shares,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
    )
    rate = schedule(config.schedule, total_images=total, warmup_images=config.warmup_images)
    guard, means = NanGuard(), Means()
    # Where the schedule is, in images: of a length in minutes, by the share of these that has passed.
    step, position, place = 0, 0, 0
    best: dict[str, Any] | None = None

    def restore_training_state(checkpoint: checkpoints.Checkpoint) -> None:
        nonlocal step, best, position
        checkpoints.restore(checkpoint, modules=modules, optimizers=optimizers)
        state = checkpoint.state
        guard.restore(state["guard"])
        means.restore(state["means"], device)
        step, best, position = checkpoint.images // config.batch, state["best"], int(state["metrics"])
        if is_first and best is not None:
            take_best(states, best["images"])

    if resume is not None:
        restore_training_state(resume)
    log = _open_log(plan, folder, position) if is_first else None
    clock = Clock(max_minutes=config.max_minutes, wall_s=float(resume.state["wall_s"]) if resume else 0.0)
    learner.start()

    def engine(images: int) -> Engine:
        return Engine(
            device=device,
            images=images,
            rate=rate(place if plan.is_timed else images) * guard.factor,
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
            if not learner.is_measured:
                # First, so that a kill in between leaves none that is older than the checkpoint.
                checkpoints.make_folder(states)
                tensors, noted = learner.weights({"images": step * config.batch})
                checkpoints.write_tensors(states / checkpoints.BEST, tensors, metadata=noted)
            checkpoints.save_checkpoint(
                states,
                step * config.batch,
                modules=modules,
                optimizers=optimizers,
                state=state,
                keep=config.keep,
                protect=[] if guard.good is None else [guard.good],
            )
            forget_best(states, best)
        clock.saved()

    def measure(images: int) -> None:
        nonlocal best
        found = learner.measure(engine(images))
        if log is not None and found:
            log.log(images, **found, wall_s=round(clock.wall_s, 2))
            best = learner.better(found, best, images)
            if best["images"] == images:
                write_best(states, images, *learner.weights(best))

    def plot() -> None:
        if is_first:
            path, title = folder / "progress.png", learner.title(folder.name)
            draw_progress(path, read_metrics(folder), learner.panels, title=title)

    if step == 0:
        save(good=True)
    stream = batches.from_step(step)
    clock.start_lap(step * config.batch)
    interrupted = measure_now = False
    begun = step
    (time_is_up,) = launch.agree(fabric, plan.is_timed and clock.is_over)  # of a run that goes on
    stalled = _has_stalled(best, learner.patience)  # of a run that goes on: it may have ended so
    while (plan.is_timed or step < plan.total_steps) and not (time_is_up or interrupted or stalled):
        batch = next(stream)
        before, images = step * config.batch, (step + 1) * config.batch
        seed_step(config.seed, step, fabric.global_rank)
        if plan.is_timed:
            place = round(total * launch.average_number(fabric, clock.share))
        draw = Draw(config.seed, batch.epoch, batch.indices, step=step)
        lent = engine(before)
        scalars = launch.average(fabric, learner.step(batch, draw=draw, engine=lent))
        guard.check(torch.stack([scalars[name] for name in learner.watched or scalars]))
        means.add(scalars)
        step += 1
        progress(images, images / max(clock.share, 1e-3) if plan.is_timed else total)

        is_last = not plan.is_timed and step == plan.total_steps
        log_now = is_due(config.log_images or 0, before, images)
        measure_now = is_due(learner.measure_images, before, images) or is_last
        draw_now = is_due(learner.sample_images, before, images) or is_last
        save_good = is_due(config.checkpoint_images or 0, before, images) or is_last
        due = log_now or measure_now or draw_now or save_good
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
            notify(f"the loss is not finite after {images:,} images: back to {good:,}, at half the rate")
            half = guard.factor
            restore_training_state(checkpoints.read_checkpoint(states, good))
            guard.factor = half
            if log is not None:
                checkpoints.remove_after(states, good)
                log.cut(position)
                log.log(good, event="rate halved", diverged_at=images)
            stream = batches.from_step(step)
            time_is_up = False
            continue
        if log_now:
            found = means.take()
            if log is not None:
                speed = round(clock.lap(images), 1)
                seen = {**found, **learner.rates(lent), "images_per_s": speed}
                log.log(images, epoch=batch.epoch, **seen, wall_s=round(clock.wall_s, 2))
        if measure_now:
            measure(images)
            (stalled,) = launch.agree(fabric, is_first and _has_stalled(best, learner.patience))
        if draw_now and is_first:
            learner.draw_pictures(images)
        if measure_now or draw_now:
            clock.start_lap(images)
            if clock.picture_is_due(_PLOT_S):
                plot()
        if save_now or stalled:
            save(good=save_good)

    images = step * config.batch
    status: Literal["done", "stopped", "interrupted"] = "done"
    if plan.is_timed:
        status = "interrupted" if interrupted else "done" if time_is_up else "stopped"
    elif step < plan.total_steps:
        status = "interrupted" if interrupted else "stopped"
    ended_by_time = status == ("done" if plan.is_timed else "stopped") and step > begun
    if ended_by_time and not stalled:
        if not measure_now:
            measure(images)
        if is_first:
            learner.draw_pictures(images)
    elif stalled:
        notify(
            f"quality has not improved in {learner.patience} measurements: stopped after {images:,} images"
        )
    plot()
    if log is not None:
        log.close()
    measured = [line for line in read_metrics(folder) if learner.metric in line][-1:] if is_first else []
    return Outcome(status, images, clock.wall_s, best, measured[0] if measured else {})


def _has_stalled(best: Mapping[str, Any] | None, patience: int | None) -> bool:
    return patience is not None and best is not None and bool(best["since"] >= patience)


def _open_log(plan: TrainingPlan, folder: Path, position: int) -> MetricsLog:
    logger = plan.logger.load(folder=folder) if plan.logger is not None else None
    return MetricsLog(folder, position=position, logger=logger)
