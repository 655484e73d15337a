"""``--dry-run``: what a training will take, before it is started."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.components.choice import build
from chimera_core.errors import ChimeraError
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw
from chimera_core.training.encoder_plan import EncoderPlan, plan_training
from chimera_core.training.options import EncoderTraining
from chimera_core.training.parts.memory import MemoryEstimate, available_memory, estimate_memory
from chimera_core.training.parts.optimizers import build_optimizer, parameter_groups

_STEPS = 3


def describe_training(
    config: EncoderTraining,
    host: PluginHost,
    *,
    may_fill: Sequence[str] = ("classes", "size"),
) -> dict[str, Any]:
    """Say what a training will take; nothing of a run is written.

    Args:
        config: as of ``plan_training``.
        host: where components are found.
        may_fill: as of ``plan_training``.
    Returns:
        Plain values: shapes, parameters, bytes, the batch that fits, and images per second at the batch asked for;
        None where it does not fit.
    Raises:
        ChimeraError: for whatever is wrong with the options or the data.
    """
    with warnings.catch_warnings():
        # Weights that are loaded into a network without memory go nowhere, and torch says so.
        warnings.simplefilter("ignore")
        plan = plan_training(config, host, may_fill=may_fill, is_dry=True)
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
        "device": str(plan.device),
        "precision": resolved.precision,
        "train_images": len(plan.train),
        "val_images": len(plan.val),
        "val_split": plan.val_name,
        "classes": len(plan.classes),
        "lost": plan.lost.facts if plan.lost is not None else None,
        "input": [resolved.batch, 3, resolved.size, resolved.size],
        "logits": [resolved.batch, len(plan.classes)],
        "steps": plan.total_steps,
        "images": plan.total_steps * resolved.batch,
        "parameters": memory.parameters,
        "learned": memory.learned,
        "bytes": {**_parts(memory), "total": memory.total(share), "available": available},
        "fitting_batch": memory.fitting_batch(available, most=min(1024, len(plan.train))) * resolved.devices,
        "images_per_s": _speed(plan, host, share) if fits else None,
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


def _speed(plan: EncoderPlan, host: PluginHost, batch: int) -> float:
    """Train a few steps on grey images, on the device and in the precision of the training, and time them."""
    config, device = plan.config, plan.device
    encoder: FeatureEncoder = build(host, "feature-encoder", config.encoder.name, config.encoder.options)
    encoder.to(device).train()
    mixed = config.precision == "bf16"
    if mixed:
        encoder.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(parameter_groups(encoder, weight_decay=0), config.optimizer, lr=1e-6)
    times = []
    for _ in range(_STEPS):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            loss = _loss(plan, encoder, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - start)
    return round(batch * config.devices / min(times), 1)
