"""What a training is given: a plan that has been checked, and the learner that the loop drives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from chimera_core.components.choice import Choice
from chimera_core.data.batches import Batch
from chimera_core.interfaces.learner import Engine
from chimera_core.options.training import EncoderTraining, FuserTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw
from chimera_core.training.data import TrainingData

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class TrainingPlan(ABC):
    """A training that has been checked: every value is resolved, the data are packed, the networks are built."""

    config: EncoderTraining | FuserTraining
    data: TrainingData
    device: torch.device
    total_steps: int
    is_timed: bool = False
    """Whether ``max_minutes`` are the length; then ``total_steps`` are a guess that only cadences are reckoned from."""
    logger: Choice | None = None
    """Of a plugin, where the training logs beside its own files."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels and logits."""
        return self.data.images.classes

    @property
    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks that a checkpoint must fit, by name."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Give what ``run.json`` keeps of this kind of training."""

    @abstractmethod
    def learner(self, fabric: Fabric, folder: Path) -> Learner:
        """Build what the loop drives; ``folder`` is the run's."""

    def begin(self, host: PluginHost) -> None:  # noqa: B027
        """Put into the networks what a new training begins with, instead of first weights. The default is nothing."""


class Learner(ABC):
    """What the loop drives: one step, what is measured of it, and which weights are the best.

    The loop owns order, schedule, divergence, checkpoints and metrics. As with ``FuserLearner``, a step is a function of
    the state and of its arguments.
    """

    metric: ClassVar[str]
    """The key of ``metrics.jsonl`` that every measurement has."""
    panels: ClassVar[Sequence[Sequence[str]]]
    """Keys that share a panel of ``progress.png``."""
    watched: ClassVar[Sequence[str] | None] = None
    """Scalars of a step that must be finite, or the training has diverged; None: all."""

    modules: Mapping[str, nn.Module]
    """By name: all whose state a checkpoint keeps."""
    optimizers: Mapping[str, Optimizer]
    """By name, another than any of ``modules``."""
    measure_images: int
    """Measure each so many images."""
    sample_images: int = 0
    """Draw pictures each so many images; 0: never."""
    patience: int | None = None
    """End after so many measurements in a row without better ones; None: never."""
    is_measured: bool = True
    """Whether measurements tell the best weights; otherwise the newest are kept as ``best.safetensors``."""

    def start(self) -> None:  # noqa: B027
        """Compile and wrap what learns; called once, when its state has been restored."""

    @abstractmethod
    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> Mapping[str, Tensor]:
        """Update the networks once; give the scalars to log, detached, with the same names in every process."""

    @abstractmethod
    def rates(self, engine: Engine) -> dict[str, float]:
        """Give the learning rates of a step, to log."""

    @abstractmethod
    def measure(self, engine: Engine) -> dict[str, Any]:
        """Measure what has been learned; called in every process, and what the first one finds counts."""

    @abstractmethod
    def better(self, found: Mapping[str, Any], best: Mapping[str, Any] | None, images: int) -> dict[str, Any]:
        """Give the better of a measurement and the best before it; ``images`` in it says after how many it was met."""

    @abstractmethod
    def weights(self, noted: Mapping[str, Any]) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """Give what ``best.safetensors`` holds: tensors, and plain values.

        Args:
            noted: ``images``, and of a measurement what ``better`` gave.
        """

    def draw_pictures(self, images: int) -> None:  # noqa: B027
        """Draw what has been learned; called in the first process."""

    def title(self, run: str) -> str:
        """Give the title of ``progress.png``; ``run`` is the run's name."""
        return run
