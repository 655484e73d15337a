"""Going on from a checkpoint: what every loop takes up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from chimera_core.runs import checkpoints
from chimera_core.training.parts.guard import NanGuard
from chimera_core.training.parts.metrics import Means


def take_up(
    checkpoint: checkpoints.Checkpoint,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    guard: NanGuard,
    means: Means,
    *,
    batch: int,
    device: torch.device,
) -> tuple[int, dict[str, Any] | None, int]:
    """Go on from a checkpoint.

    Args:
        checkpoint: that was read.
        modules: whose state it puts back.
        optimizers: likewise.
        guard: likewise.
        means: likewise.
        batch: images per step.
        device: of the means.
    Returns:
        (step, best so far, length of the metrics in bytes).
    """
    checkpoints.restore(checkpoint, modules=modules, optimizers=optimizers)
    state = checkpoint.state
    guard.restore(state["guard"])
    means.restore(state["means"], device)
    return checkpoint.images // batch, state["best"], int(state["metrics"])
