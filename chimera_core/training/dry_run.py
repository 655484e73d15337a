"""``--dry-run``: what a training will take, before it is started. Nothing of a run is written, no image is read."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.components.choice import choose
from chimera_core.data.batches import Batch, ImageSplit
from chimera_core.data.subsets import spread_subset
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.interfaces.learner import Engine, FuserLearner
from chimera_core.options.training import EncoderTraining, FuserTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw, seed_step
from chimera_core.training.data import TrainingData
from chimera_core.training.encoder import EncoderPlan
from chimera_core.training.encoder_plan import plan_encoder
from chimera_core.training.fuser import count_parameters
from chimera_core.training.fuser_plan import FuserStart, check_beginning, start_fuser
from chimera_core.training.parts.memory import MemoryEstimate, available_memory, estimate_memory
from chimera_core.training.parts.optimizers import build_optimizer, parameter_groups
from chimera_core.training.plan import without_memory

_STEPS = 3
_FUSER_STEPS = 4
_IMAGES = 512  # what a fuser looks at before it learns, at most
_USABLE = 0.9
_TIMED = 4 << 30  # bytes of networks at most that a CPU is timed on: a step of greater ones takes minutes


def describe_encoder(
    config: EncoderTraining,
    host: PluginHost,
    *,
    may_fill: Sequence[str] = ("classes", "size"),
) -> dict[str, Any]:
    """Return what the training of an encoder will take.

    Returns:
        Plain values: shapes, parameters, bytes, the batch that fits, and images per second at the batch asked for;
        None where it does not fit.
    Raises:
        ChimeraError: for whatever is wrong with the options or the data.
    """
    plan = plan_encoder(config, host, may_fill=may_fill, is_dry=True)
    resolved = plan.config
    memory = estimate_memory(
        plan.encoder.train(),
        lambda batch: _loss(plan, plan.encoder, batch),
        optimizer=resolved.optimizer,
        has_ema=resolved.ema > 0,
        precision=resolved.precision,
    )
    available = available_memory(plan.device)
    share = resolved.batch // resolved.devices
    fits = memory.total(share) <= available
    return {
        **_facts(plan.device, resolved.precision, plan.data, steps=plan.total_steps, batch=resolved.batch),
        **({"steps": None, "images": None} if plan.is_timed else {}),
        "minutes": resolved.max_minutes,
        "classes": len(plan.classes),
        "input": [resolved.batch, 3, resolved.size, resolved.size],
        "logits": [resolved.batch, len(plan.classes)],
        "parameters": memory.parameters,
        "learned": memory.learned,
        "bytes": {**_parts(memory), "total": memory.total(share), "available": available},
        "fitting_batch": memory.fitting_batch(available, most=min(1024, len(plan.data.train)))
        * resolved.devices,
        "images_per_s": _encoder_speed(plan, host, share) if fits else None,
    }


def describe_fuser(config: FuserTraining, host: PluginHost) -> dict[str, Any]:
    """Return what the training of a fuser will take; grey images stand in for those of the data.

    Returns:
        Plain values: counts, parameters by network, bytes of the networks with their gradients and optimizers (not of
        what a step keeps for its backward pass), and images per second at the batch asked for; None where the networks
        do not fit, or are too large for a CPU to be timed on.
    Raises:
        ChimeraError: for whatever is wrong with the options or the data.
    """
    start = start_fuser(config, host, is_dry=True)
    data, device = start.data, start.device
    grey = _Grey(spread_subset(data.train, max(_IMAGES, config.batch)), config.size)
    try:
        learner = _without_memory(start, grey) or start.build(grey)
    except ConfigError:  # there are too few of them, perhaps: all of them take longer
        grey = _Grey(data.train, config.size)
        learner = start.build(grey)
    check_beginning(config, learner)
    sizes = _learner_bytes(learner)
    available = available_memory(device)
    most = min(_TIMED, available) if device.type == "cpu" else available
    can_be_timed = sum(sizes.values()) < _USABLE * most
    return {
        **_facts(device, start.config.precision, data, steps=start.steps, batch=config.batch),
        "classes": list(data.images.classes),
        "size": config.size,
        "batch": config.batch,
        "parameters": count_parameters(learner),
        "bytes": {**sizes, "total": sum(sizes.values()), "available": available},
        "images_per_s": _fuser_speed(start, grey) if can_be_timed else None,
    }


def _parts(memory: MemoryEstimate) -> dict[str, int]:
    names = ("weights", "gradients", "optimizer", "ema", "casts", "per_image")
    return {name: value for name, value in dataclasses.asdict(memory).items() if name in names}


def _loss(plan: EncoderPlan, encoder: FeatureEncoder, batch: int) -> Tensor:
    device = next(encoder.parameters()).device
    x = torch.full((batch, 3, plan.config.size, plan.config.size), 0.5, device=device)
    y = torch.zeros(batch, dtype=torch.int64, device=device)
    draw = Draw(plan.config.seed, 0, torch.arange(batch, device=device), step=0)
    try:
        return plan.trainer.loss(encoder, x, y, draw=draw)[0]
    except ChimeraError:
        raise
    except Exception:  # plugin border: a trainer that looks at values cannot work without memory
        if device.type != "meta":
            raise
        return F.cross_entropy(encoder(x), y)


def _encoder_speed(plan: EncoderPlan, host: PluginHost, batch: int) -> float:
    """Train a few steps on grey images, on the device and in the precision of the training, and time them."""
    config, device = plan.config, plan.device
    encoder: FeatureEncoder = choose(
        host, "feature-encoder", config.encoder.name, config.encoder.options
    ).load()
    mixed = config.precision == "bf16"
    encoder.to(device).train()
    if mixed:
        encoder.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(parameter_groups(encoder, weight_decay=0), config.optimizer, lr=1e-6)

    def step(number: int) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            loss = _loss(plan, encoder, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return round(batch * config.devices / min(_seconds(step, range(_STEPS))), 1)


class _Grey:
    """Grey images with a little noise, so that they have directions in any encoder's features."""

    def __init__(self, like: ImageSplit, size: int) -> None:
        self.labels, self.domains = like.labels, like.domains
        self._size = size

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""
        return len(self) * 3 * self._size**2

    def take(self, indices: Tensor) -> Tensor:
        """Make images: int64 (N,) -> uint8 (N, 3, S, S)."""
        return torch.randint(96, 160, (len(indices), 3, self._size, self._size), dtype=torch.uint8)


def _without_memory(start: FuserStart, images: ImageSplit) -> FuserLearner | None:
    """Build the networks without memory for their weights; None where the fuser must look at values."""
    try:
        with without_memory():
            return start.build(images, "meta")
    except ChimeraError:
        raise
    except Exception:  # plugin border: what looks at values raises many kinds
        return None


def _learner_bytes(learner: FuserLearner) -> dict[str, int]:
    state = [t for module in learner.modules.values() for t in module.state_dict().values()]
    groups = [group for optimizer in learner.optimizers.values() for group in optimizer.param_groups]
    learned = sum(p.numel() for p in {id(p): p for g in groups for p in g["params"]}.values())
    has_moments = any("betas" in group for group in groups)
    return {
        "weights": sum(t.numel() * t.element_size() for t in state),
        "gradients": 4 * learned,
        "optimizer": (8 if has_moments else 4) * learned,
    }


def _fuser_speed(start: FuserStart, images: ImageSplit) -> float:
    """Train a few steps on grey images, on the device and in the precision of the training, and time them."""
    config, device = start.config, start.device
    some = spread_subset(images, max(_IMAGES, config.batch))
    try:  # what looks at all images before it learns shall look at few
        learner = start.build(_Grey(some, config.size))
    except ConfigError:  # these may be fewer than it needs
        learner = start.build(images)
    mixed = config.precision == "bf16"
    for module in learner.modules.values() if mixed else ():
        module.to(memory_format=torch.channels_last)
    share = config.batch // config.devices
    rows = torch.arange(share)
    pixels = images.take(rows).to(device).contiguous(memory_format=torch.channels_last)
    batch = Batch(pixels, images.labels[rows].to(device), images.domains[rows].to(device), rows.to(device))
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=mixed)

    def step(number: int) -> Tensor:
        seed_step(config.seed, number)
        scalars = learner.step(
            batch,
            draw=Draw(config.seed, 0, batch.indices, step=number),
            engine=Engine(device, images=number * config.batch, autocast=autocast),
        )
        return torch.stack([value.float() for value in scalars.values()])

    # From step 1: what a fuser does at every 16th step only would count too much.
    seconds = _seconds(step, range(1, _FUSER_STEPS + 1))
    return round(config.batch / statistics.median(seconds), 1)


def _facts(
    device: torch.device, precision: str, data: TrainingData, *, steps: int, batch: int
) -> dict[str, Any]:
    return {
        "device": str(device),
        "precision": precision,
        "train_images": len(data.train),
        "val_images": len(data.val),
        "val_split": data.val_name,
        "lost": data.lost.facts if data.lost is not None else None,
        "steps": steps,
        "images": steps * batch,
    }


def _seconds(step: Callable[[int], Tensor], numbers: Sequence[int]) -> list[float]:
    """Time steps, each to the end of its work on the device."""
    seconds = []
    for number in numbers:
        start = time.perf_counter()
        step(number).sum().item()
        seconds.append(time.perf_counter() - start)
    return seconds
