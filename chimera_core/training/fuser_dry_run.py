"""``chimera fuser train --dry-run``: what a training will take, before it is started."""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from chimera_core.data.batches import Batch, ImageSplit
from chimera_core.data.subsets import spread_subset
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.interfaces.components import FusionGenerator
from chimera_core.interfaces.learner import Engine, FuserLearner
from chimera_core.models.names import find_trained
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw, seed_step
from chimera_core.training.data import Data, choose_splits, open_data
from chimera_core.training.fuser_options import FuserTraining
from chimera_core.training.fuser_plan import (
    build_learner,
    check_beginning,
    check_init_from,
    check_judged,
    find_learning_fuser,
)
from chimera_core.training.fuser_run import count_parameters
from chimera_core.training.parts.memory import available_memory
from chimera_core.training.planning import check_machine, count_steps, losses_of

_STEPS = 4
_IMAGES = 512  # what a fuser looks at before it learns, at most
_USABLE = 0.9
_TIMED = 4 << 30  # bytes of networks at most that a CPU is timed on: a step of greater ones takes minutes


def describe_fuser(config: FuserTraining, host: PluginHost) -> dict[str, Any]:
    """Say what a training will take; nothing of a run is written, and no image is read: grey ones stand in.

    Args:
        config: as of ``plan_fuser``.
        host: where components are found.
    Returns:
        Plain values: counts, parameters by network, bytes of the networks with their gradients and optimizers (not of
        what a step keeps for its backward pass), and images per second at the batch asked for; None where the networks
        do not fit, or are too large for a CPU to be timed on.
    Raises:
        ChimeraError: for whatever is wrong with the options or the data.
    """
    device, precision = check_machine(config, host.settings.path("cache"))
    _, fuser, options = find_learning_fuser(config, host)
    check_init_from(config, host)
    if config.judge is not None and not find_trained(host, config.judge.kind, config.judge.name):
        host.find(config.judge.kind, config.judge.name)
    data = open_data(config, host, is_dry=True)
    packed = data.images
    train, val, val_name = choose_splits(packed, config)
    lost = losses_of(config, data, train, val, val_name)
    check_judged(config, len(val), val_name)
    steps = count_steps(config, len(train))
    some = _Grey(spread_subset(train, max(_IMAGES, config.batch)), config.size)
    start = _Start(fuser, options, config.model_copy(update={"precision": precision}), packed, some, steps)
    try:
        learner = start.without_memory() or start(device)
    except ConfigError:  # there are too few of them, perhaps: all of them take longer
        start = replace(start, images=_Grey(train, config.size))
        learner = start(device)
    check_beginning(config, learner)
    sizes = _bytes(learner)
    available = available_memory(device)
    most = min(_TIMED, available) if device.type == "cpu" else available
    can_be_timed = sum(sizes.values()) < _USABLE * most
    return {
        "device": str(device),
        "precision": precision,
        "train_images": len(train),
        "val_images": len(val),
        "val_split": val_name,
        "classes": list(packed.classes),
        "lost": lost.facts,
        "size": config.size,
        "batch": config.batch,
        "steps": steps,
        "images": steps * config.batch,
        "parameters": count_parameters(learner),
        "bytes": {**sizes, "total": sum(sizes.values()), "available": available},
        "images_per_s": _speed(start, device) if can_be_timed else None,
    }


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


@dataclass(frozen=True)
class _Start:
    """All that a learner is built of."""

    fuser: type[FusionGenerator]
    options: BaseModel
    config: FuserTraining
    packed: Data
    images: ImageSplit
    steps: int

    def __call__(self, device: torch.device | str) -> FuserLearner:
        return build_learner(
            self.fuser, self.options, self.config, self.packed, self.images, self.steps, device
        )

    def without_memory(self) -> FuserLearner | None:
        """Build the networks without memory for their weights; None where the fuser must look at values."""
        try:
            with torch.device("meta"), warnings.catch_warnings():
                # Weights that are loaded into a network without memory go nowhere, and torch says so.
                warnings.simplefilter("ignore")
                return self("meta")
        except ChimeraError:
            raise
        except Exception:  # plugin border: what looks at values raises many kinds
            return None


def _bytes(learner: FuserLearner) -> dict[str, int]:
    state = [t for module in learner.modules.values() for t in module.state_dict().values()]
    groups = [group for optimizer in learner.optimizers.values() for group in optimizer.param_groups]
    learned = sum(p.numel() for p in {id(p): p for g in groups for p in g["params"]}.values())
    has_moments = any("betas" in group for group in groups)
    return {
        "weights": sum(t.numel() * t.element_size() for t in state),
        "gradients": 4 * learned,
        "optimizer": (8 if has_moments else 4) * learned,
    }


def _speed(start: _Start, device: torch.device) -> float:
    """Train a few steps on grey images, on the device and in the precision of the training, and time them."""
    some = spread_subset(start.images, max(_IMAGES, start.config.batch))
    try:  # what looks at all images before it learns shall look at few
        learner = replace(start, images=_Grey(some, start.config.size))(device)
    except ConfigError:  # these may be fewer than it needs
        learner = start(device)
    config, images = start.config, start.images
    mixed = config.precision == "bf16"
    for module in learner.modules.values() if mixed else ():
        module.to(memory_format=torch.channels_last)
    share = config.batch // config.devices
    rows = torch.arange(share)
    pixels = images.take(rows).to(device).contiguous(memory_format=torch.channels_last)
    batch = Batch(pixels, images.labels[rows].to(device), images.domains[rows].to(device), rows.to(device))
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=mixed)
    times = []
    # From step 1: what a fuser does at every 16th step only would count too much.
    for step in range(1, _STEPS + 1):
        seed_step(config.seed, step)
        begin = time.perf_counter()
        parts = learner.step(
            batch,
            draw=Draw(config.seed, 0, batch.indices, step=step),
            engine=Engine(device, images=step * config.batch, autocast=autocast),
        )
        for value in parts.values():
            value.item()  # waits for the device
        times.append(time.perf_counter() - begin)
    return round(config.batch / statistics.median(times), 1)
