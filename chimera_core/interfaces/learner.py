"""What a fuser that learns offers to the core's loop: its networks, one step, its state, samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from chimera_core.errors import ConfigError
from chimera_core.randomness import Draw

if TYPE_CHECKING:
    from chimera_core.data.batches import Batch, ImageSplit


@dataclass(frozen=True)
class FuserData:
    """What a fuser learns from, and how long.

    Args:
        images: of training; ``take`` copies them out as uint8 (N, 3, S, S), ``labels`` and ``domains`` are int64 (n,).
        classes: their names, by label.
        domains: their names.
        size: S, the side in pixels.
        batch: images per step, over all processes.
        seed: of the run.
        total_images: length of the training.
    """

    images: ImageSplit
    classes: tuple[str, ...]
    size: int
    batch: int
    seed: int
    total_images: int
    domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainedFacts:
    """What a trained fuser knows beside its tensors: plain values, which may come from a stranger's file.

    Args:
        classes: that it learned, by label.
        size: side in pixels of what it makes.
        extra: what its learner added (``FuserLearner.facts``).
    """

    classes: tuple[str, ...]
    size: int
    extra: Mapping[str, Any] = field(default_factory=dict)


def _leave(parameters: Iterable[nn.Parameter]) -> None:
    """Average nothing: there is one process."""


@dataclass(frozen=True)
class Engine:
    """What the loop lends to a step.

    Args:
        device: where batches lie.
        images: seen before this step, over all processes.
        rate: factor of every learning rate: of the schedule, and of the guard after a divergence.
        rank: number of this process.
        world_size: number of processes; each gets its share of every batch.
        autocast: opens mixed precision, or nothing in fp32.
        average_gradients: averages ``.grad`` of parameters over the processes; call it after every ``backward``,
            before the optimizer's step. DDP carries no gradients of gradients, so this is done by hand.
    """

    device: torch.device
    images: int = 0
    rate: float = 1.0
    rank: int = 0
    world_size: int = 1
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    average_gradients: Callable[[Iterable[nn.Parameter]], None] = _leave


class FuserLearner(ABC):
    """A fuser while it learns. The core runs the loop: order, checkpoints, resuming, pictures, quality.

    Laws: a step is a function of the state and of its arguments; random numbers come from ``draw`` (those of an
    example) or torch's own generator, which the loop seeds for every step (dropout). So a run may be interrupted, or
    shared among processes. The constructor seeds what it draws from ``FuserData.seed``: all processes begin alike.
    """

    modules: dict[str, nn.Module]
    """By name: all whose state a checkpoint keeps, averages and fixed tables (as buffers) too."""
    optimizers: dict[str, Optimizer]
    """By name, another than any of ``modules``; of ``chimera_core.api.build_optimizer``, whose groups hold ``base_lr``."""
    shows_sweeps: bool = True
    """Whether the loop may draw sweeps between classes now and then: no, where ``fuse`` takes long to begin."""
    starts_from_another: bool = False
    """Whether it cannot learn without ``begin_from``."""

    @abstractmethod
    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        """Update the networks once.

        Args:
            batch: this process's share; ``pixels()`` is float32 (N, 3, S, S) in [0, 1], ``labels`` int64 (N,).
            draw: random numbers of its examples; ``draw.step`` counts steps.
            engine: of this step. Set the learning rates by ``set_rate(optimizer, engine.rate)``.
        Returns:
            Scalars to log, each detached. The same names in every process; one may be missing at some steps. All are
            watched: one that is not finite sends the training back to its last good checkpoint.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Give the tensors that ``FusionGenerator.load`` needs: averaged networks, tables; fp32."""

    def begin_from(self, state: Mapping[str, Tensor], options: Any, facts: TrainedFacts) -> None:
        """Begin with what another of this component has learned, instead of new networks.

        Args:
            state: what the other's ``state`` gave; fp32, on the CPU. It may come from a stranger's file.
            options: the other's, of the same model as this one's.
            facts: what the other knows.
        Raises:
            ConfigError: if the other's options do not fit, or this fuser cannot begin so; this is the default.
            DataError: if its tensors do not fit.
        """
        raise ConfigError("this fuser begins with a run of its own size alone, not with a model or a file")

    def compile(self) -> None:  # noqa: B027
        """Compile what is run often; ``torch.compile`` has no gradients of gradients. The default is nothing."""

    def facts(self) -> dict[str, Any]:
        """Give plain values that ``FusionGenerator.load`` needs beside them."""
        return {}

    @abstractmethod
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        """Draw images from what has been learned, as the data are drawn: no mixtures.

        Args:
            count: how many.
            seed: image k depends on ``seed + k`` alone.
            averaged: by the average of the generator's weights, if there is one, or by the raw ones.
        Returns:
            float32 (count, 3, S, S) in [0, 1], on the CPU.
        """

    def critic_estimate(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, float]:
        """Return what the critic finds on held-out images, as a sign of quality; nothing for fusers without one."""
        return {}
