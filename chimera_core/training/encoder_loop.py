"""Train an encoder: the loop, from top to bottom.

A step is a function of the weights before it and of its number: order, augmentation, attack and dropout draw their
random numbers from (seed, epoch, index of the example) or (seed, step). So a run that goes on from a checkpoint goes
the very same way.

On several devices each process takes its share of every batch and DDP averages the gradients. Batch norm sees only a
process's own share; its running statistics are those of the first process. Networks without it train as on one device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from chimera_core.data.batches import Batch, ImageSplit, TrainingBatches, evaluation_batches
from chimera_core.data.subsets import spread_subset
from chimera_core.evaluation.accuracy import Counts, count_attacked, count_predictions
from chimera_core.interfaces.components import FeatureEncoder, RobustnessTrainer
from chimera_core.randomness import Draw, seed_step
from chimera_core.runs import checkpoints
from chimera_core.training import launch
from chimera_core.training.options import EncoderTraining
from chimera_core.training.parts.best import forget_best, take_best, write_best
from chimera_core.training.parts.clock import Clock, is_due
from chimera_core.training.parts.ema import Ema
from chimera_core.training.parts.guard import NanGuard, is_sound
from chimera_core.training.parts.interrupts import Stop
from chimera_core.training.parts.metrics import Means, MetricsLog, read_metrics
from chimera_core.training.parts.optimizers import (
    build_optimizer,
    layer_factors,
    parameter_groups,
    schedule,
    set_rate,
)
from chimera_core.training.parts.plot import draw_progress
from chimera_core.training.resuming import take_up

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PULSE = 16  # steps between two questions that make a GPU wait
_ATTACKED = 1024  # images of the validation split at most that are attacked: an attack costs many passes
_PICTURE_S = 30.0  # the picture is drawn again after so long, and at the end: drawing takes half a second
_PANELS = (
    ("loss", "val_loss", "clean_loss", "divergence"),
    ("accuracy", "robust_accuracy", "val_accuracy", "val_robust_accuracy", "val_macro_f1"),
    ("lr",),
)


Vary = Callable[[Tensor, Tensor, Draw], tuple[Tensor, Tensor]]
"""Augmentation: images (N, 3, H, W), labels (N,) and their draw -> images, and labels or shares of classes (N, K)."""


@dataclass(frozen=True)
class EncoderJob:
    """What is trained on what."""

    encoder: FeatureEncoder
    trainer: RobustnessTrainer
    train: ImageSplit
    val: ImageSplit
    classes: int
    config: EncoderTraining
    folder: Path
    total_steps: int
    shares: Mapping[int, float] | None = None
    vary: Vary = lambda x, y, draw: (x, y)


@dataclass
class Outcome:
    """How a training ended: ``done``, ``stopped`` (by the clock) or ``interrupted``, and how good it is."""

    status: Literal["done", "stopped", "interrupted"]
    images: int
    wall_s: float
    best: dict[str, Any] | None = None
    final: dict[str, Any] = field(default_factory=dict)


def train_encoder(
    job: EncoderJob,
    fabric: Fabric,
    *,
    resume: checkpoints.Checkpoint | None = None,
    stop: Stop | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train until the length is reached, the time is up or a signal came.

    Args:
        job: with every value of its config resolved.
        fabric: launched.
        resume: checkpoint to go on from.
        stop: set by a signal.
        progress: called with (done, total) in images.
        say: called with what the user should know.
    Returns:
        How it ended. ``checkpoints/`` holds the last states and ``best.safetensors``.
    Raises:
        RunError: if it diverges twice, or the disk refuses.
    """
    config, encoder, device = job.config, job.encoder.to(fabric.device), fabric.device
    if config.precision == "bf16":
        encoder.to(memory_format=torch.channels_last)
    ema = Ema(encoder, config.ema) if config.ema else None
    judged = ema.module if ema else encoder
    optimizer = build_optimizer(
        parameter_groups(
            encoder,
            weight_decay=config.weight_decay,
            decay_all=config.optimizer != "adamw",
            factors=layer_factors(encoder, config.layer_decay),
        ),
        config.optimizer,
        lr=config.lr,
        momentum=config.momentum,
    )
    modules: dict[str, nn.Module] = {"model": encoder, **({"ema": ema.module} if ema else {})}
    optimizers = {"optimizer": optimizer}
    learned = [p for group in optimizer.param_groups for p in group["params"]]
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
        encoder.compile()
    objective = fabric.setup_module(_Objective(encoder, job.trainer))

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

    def validate(images: int) -> None:
        nonlocal best
        found = _validate(job, judged, encoder, fabric)
        if log is not None:
            log.log(images, **found, wall_s=round(clock.wall_s, 2))
            best = _keep_best(best, found, images, judged, folder)

    def paint() -> None:
        if is_first:
            draw_progress(
                job.folder / "progress.png", read_metrics(job.folder), _PANELS, title=job.folder.name
            )

    if step == 0:
        save(good=True)
    encoder.train()
    stream = batches.from_step(step)
    clock.start_lap(step * config.batch)
    time_is_up = interrupted = False
    while step < job.total_steps and not (time_is_up or interrupted):
        batch = next(stream)
        factor = rate(step * config.batch) * guard.factor
        lr = set_rate(optimizer, factor)
        seed_step(config.seed, step, fabric.global_rank)
        draw = Draw(config.seed, batch.epoch, batch.indices, step=step)
        x, y = job.vary(batch.pixels(), batch.labels, draw)

        loss, parts = objective(_Inputs(x, y, draw))
        fabric.backward(loss)
        if config.clip is not None:
            parts["gradient_norm"] = clip_grad_norm_(learned, config.clip)
        optimizer.step()
        optimizer.zero_grad()
        if ema:
            ema.update(encoder, step)

        parts = launch.average(fabric, {"loss": loss, **parts})
        guard.check(parts["loss"])
        means.add(parts)
        before, images = step * config.batch, (step + 1) * config.batch
        step += 1
        progress(images, job.total_steps * config.batch)

        log_now = is_due(config.log_images or 0, before, images)
        validate_now = is_due(config.validate_images or 0, before, images) or step == job.total_steps
        save_good = is_due(config.checkpoint_images or 0, before, images) or step == job.total_steps
        if not (log_now or validate_now or save_good or device.type == "cpu" or step % _PULSE == 0):
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
        if save_now and not diverged:
            (diverged,) = launch.agree(fabric, not is_sound(encoder))
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
                if best is not None:
                    take_best(folder, best["images"])
                checkpoints.remove_after(folder, good)
                log.cut(position)
                log.log(good, event="rate halved", diverged_at=images)
            stream = batches.from_step(step)
            time_is_up = False
            continue
        if log_now and log is not None:
            speed = clock.lap(images)
            log.log(
                images,
                epoch=batch.epoch,
                **means.take(),
                lr=lr,
                images_per_s=round(speed, 1),
                wall_s=round(clock.wall_s, 2),
            )
        elif log_now:
            means.take()
        if validate_now:
            validate(images)
            clock.start_lap(images)
            if clock.picture_is_due(_PICTURE_S):
                paint()
        if save_now:
            save(good=save_good)

    images = step * config.batch
    status: Literal["done", "stopped", "interrupted"] = "done"
    if step < job.total_steps:
        status = "interrupted" if interrupted else "stopped"
    if status == "stopped":
        validate(images)
    paint()
    final = [line for line in read_metrics(job.folder) if "val_accuracy" in line][-1:] if is_first else []
    return Outcome(status, images, clock.wall_s, best, final[0] if final else {})


def smooth(y: Tensor, *, classes: int, share: float) -> Tensor:
    """Spread a share of each label over all classes.

    Args:
        y: classes int64 (N,), or their shares float (N, K).
        classes: K.
        share: in [0, 1).
    Returns:
        y itself where the share is 0, otherwise float (N, K) with rows that sum to 1.
    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """
    if not share:
        return y
    whole = F.one_hot(y, classes).float() if y.ndim == 1 else y
    return whole * (1 - share) + share / classes


class _Inputs:
    """A batch on its way into the network.

    No tuple or dataclass: in mixed precision Fabric rounds every floating tensor that it finds in those to bfloat16,
    whose steps near 1 are as large as 1/255. Images and attacks stay in fp32; only the network computes in less.
    """

    def __init__(self, images: Tensor, labels: Tensor, draw: Draw) -> None:
        self.images = images
        self.labels = labels
        self.draw = draw


class _Objective(nn.Module):
    """The loss as one module: DDP's hooks see one forward and one backward pass, and not those of attacks within."""

    def __init__(self, encoder: FeatureEncoder, trainer: RobustnessTrainer) -> None:
        super().__init__()
        self.encoder = encoder
        self.trainer = trainer

    def forward(self, inputs: _Inputs) -> tuple[Tensor, dict[str, Tensor]]:
        return self.trainer.loss(self.encoder, inputs.images, inputs.labels, draw=inputs.draw)


def _validate(job: EncoderJob, judged: nn.Module, encoder: nn.Module, fabric: Fabric) -> dict[str, float]:
    """Measure accuracy on the validation split, shared out among the processes; robust too where training attacks."""
    launch.share_buffers(fabric, judged, encoder)

    def own_batches(images: ImageSplit) -> Iterator[Batch]:
        return evaluation_batches(
            images,
            batch=max(64, job.config.batch // fabric.world_size),
            device=fabric.device,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        )

    with fabric.autocast():
        own = count_predictions(judged, own_batches(job.val), classes=job.classes, device=fabric.device)
        some = spread_subset(job.val, _ATTACKED)
        attacked = count_attacked(
            judged, own_batches(some), job.trainer, seed=job.config.seed, device=fabric.device
        )
    counts = Counts(launch.total(fabric, own.confusion), launch.total(fabric, own.loss))
    found = {"val_accuracy": counts.accuracy, "val_macro_f1": counts.macro_f1, "val_loss": counts.mean_loss}
    right, n = launch.total(fabric, attacked).tolist()
    if n:
        found["val_robust_accuracy"] = right / n
    return found


def _keep_best(
    best: dict[str, Any] | None, found: dict[str, float], images: int, judged: nn.Module, folder: Path
) -> dict[str, Any] | None:
    """Write the weights that validated best, under attack where training attacks; of equals, the later.

    Source: that robust accuracy falls again while other measures still improve: Rice et al. 2020, arXiv:2002.11569.
    """
    new = {"images": images, "accuracy": found["val_accuracy"]}
    if "val_robust_accuracy" in found:
        new["robust_accuracy"] = found["val_robust_accuracy"]
    key = "robust_accuracy" if "robust_accuracy" in new else "accuracy"
    if best is not None and new[key] < best.get(key, -1.0):
        return best
    write_best(folder, images, judged.state_dict(), new)
    return new
