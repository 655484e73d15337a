"""The four interfaces that plugins implement.

Conventions at every border: images are float32 RGB (N, C=3, H, W) in [0, 1]; sources yield uint8 RGB
(3, H, W); encoders normalise inside ``forward``; randomness enters only through an explicit seed or
``torch.Generator``. The constructor of every component takes its config model as the only positional
argument; a fuser also takes the keyword ``device``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from chimera_core.errors import ConfigError, PluginError
from chimera_core.interfaces.learner import FuserData, FuserLearner, TrainedFacts
from chimera_core.randomness import Draw
from chimera_core.records import Example, Level, Parent, SourceInfo


class Split(Protocol):
    """A sized, indexable, picklable view of one split; ``labels`` holds every label without decoding an image.

    It lists what is there; only decoding tells whether a file can be read. So indexing may raise ``DataError``,
    and whoever draws images leaves that one out and says so (``chimera source prepare`` lists them all).
    Three attributes are optional: ``paths``, the file of every example, by which the packed cache names images and
    notices changes; ``domains``, the domain index of every example; ``mask(index)``, for a source that knows where
    the animal of an example is (``own_mask``).
    """

    @property
    def labels(self) -> Sequence[int]:
        """Class index of every example."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example:
        """Decode one example.

        Raises:
            DataError: if its file cannot be read.
        """


def own_mask(split: Split, index: int) -> Tensor | None:
    """Ask a split for the mask of an example: uint8 (1, H, W), 255 where the animal is.

    It has the example's aspect ratio. None: the split does not know, and the animal has to be found.
    """
    give: Callable[[int], Tensor | None] | None = getattr(split, "mask", None)
    return None if give is None else give(index)


class DatasetSource(ABC):
    """Opens a data set: splits, classes, domains (camera, art form).

    The constructor raises ``MissingDataError`` where the data are not on this disk, and decodes no image.
    """

    @property
    @abstractmethod
    def info(self) -> SourceInfo:
        """Describe the data; may look at the disk, never at the network, and decodes no image."""

    @abstractmethod
    def open(self, split: str) -> Split:
        """Open one split.

        Raises:
            DataError: if the split is unknown or its files are missing.
        """

    def files(self, split: str) -> Sequence[Path]:
        """List the files that a split is read from, so that the packed cache notices when one changes.

        The default is what the split's ``paths`` says; a source that keeps many images in one file names it here.
        """
        return getattr(self.open(split), "paths", ())

    def made_of(self) -> Any:
        """Say, in plain values, what else decides its images beside its own options: sources inside it, say.

        The packed cache is made again when this changes. The default is nothing.
        """
        return None

    @classmethod
    def download(cls, config: Any, *, progress: Callable[[float, float], None]) -> None:
        """Bring the data where ``config`` looks for them, for sources whose host allows it.

        Args:
            config: the source's options.
            progress: called with (done, total), in bytes or images.
        Raises:
            ConfigError: if the data cannot be had by a program; it names the places that hold them.
            RunError: if the download failed, with all that is needed to do it by hand.
        """
        raise ConfigError(
            "these data cannot be downloaded by a program: get them by hand and name their folder"
        )

    def evaluate(self, split: str, predictions: Sequence[int]) -> Mapping[str, float]:
        """Score predictions with the data set's official metric, for sources that have one.

        Args:
            split: name of a split.
            predictions: one class index per example, in the order of ``open(split)``.
        Raises:
            ConfigError: if the data set has no official metric.
        """
        raise ConfigError(f"source {self.info.name} has no official metric: use `chimera encoder evaluate`")


class FeatureEncoder(nn.Module, ABC):
    """A network with logits, an embedding and feature maps; it owns its normalisation."""

    levels: tuple[Level, ...]
    resizes: ClassVar[bool] = False
    """Whether it brings images to its own size in its own way, as a metric's definition asks: judges then leave them."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Classify images (N, 3, H, W) in [0, 1]: logits (N, K)."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Embed images (N, 3, H, W) in [0, 1]: features (N, D) before the classifier."""

    @abstractmethod
    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        """Read feature maps.

        Args:
            x: images, float (N, 3, H, W) in [0, 1].
            levels: indices into ``self.levels``, in any order. Work stops at the deepest one.
        Returns:
            One tensor (N, C_l, H_l, W_l) per level asked for, in that order.
        Raises:
            ConfigError: if a level does not exist.
        """

    def logits_and_maps(self, x: Tensor, levels: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Classify and read feature maps in one pass, with the maps in the autograd graph of the logits.

        This is what class-activation maps need. Encoders that cannot offer it keep this default.

        Raises:
            ConfigError: if the encoder does not offer it.
        """
        raise ConfigError(
            f"encoder {type(self).__name__} cannot tie logits to feature maps: use another encoder"
        )

    def parameter_depths(self) -> Mapping[str, int]:
        """Give the depth of every parameter by its name, 0 at the pixels, for learning rates that differ by layer.

        Encoders that cannot say it keep this default: nothing.
        """
        return {}


class RobustnessTrainer(ABC):
    """Decides on which images, and with which loss, an encoder learns. The core runs the loop.

    Random numbers come from ``draw`` alone, so that a run may be interrupted, or shared among processes, without
    changing them. The mode (training or evaluation) and the gradients of the encoder are left as they were, but for
    what ``loss`` puts into the graph of its result.
    """

    replays: int = 1
    """How often an encoder learns from the same batch: ``loss`` is called so many times, with an update after each."""
    state: nn.Module | None = None
    """What it keeps from one batch to the next, as buffers: they are checkpointed."""
    keeps_state: ClassVar[bool] = False
    """Whether it has a ``state`` after ``begin``; the host then trains in one process only."""

    def begin(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """Prepare ``state`` for batches of this shape (N, 3, H, W), before the first one and before a checkpoint is loaded."""
        return None

    @abstractmethod
    def perturb(self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack images.

        Args:
            encoder: the network; the attack follows its gradients.
            x: images, float (N, 3, H, W) in [0, 1].
            y: class indices (N,), or shares of classes (N, K) of mixed images.
            draw: random numbers of these N examples.
        Returns:
            x_adv, same shape and range, without gradient.
        """

    @abstractmethod
    def loss(
        self, encoder: FeatureEncoder, x: Tensor, y: Tensor, *, draw: Draw
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the scalar training loss and scalar metrics to log; arguments as in ``perturb``.

        A metric may be there at some steps only, in every process at the same ones (``draw.step``).
        """


def no_progress(done: float, total: float) -> None:
    """Ignore progress: the default of ``FusionGenerator.progress``."""


def no_remark(line: str) -> None:
    """Ignore a remark: the default of ``FusionGenerator.remark``."""


class FusionGenerator(ABC):
    """Makes chimeras from parents.

    Laws that the host relies on: two or more parents; weights sum to 1; weight 1 on a parent gives that parent
    (a fuser of photographs: its very pixels, and an ``ordered`` one promises this for the first parent only);
    the way there is smooth; image k depends on ``seeds[k]`` alone.
    """

    accepts: frozenset[str] = frozenset({"photo"})
    """``"photo"``, ``"class"`` or both. Where that depends on the options, the constructor sets it."""
    needs_training: ClassVar[bool] = False
    """Whether it works only after ``load``; then ``learner`` makes what is loaded."""
    ordered: ClassVar[bool] = False
    """Whether the order of the parents matters."""
    keeps_outline: bool = False
    """Whether the first parent's animal stays in its place and outline: the host then gives a cut-out's alpha back."""
    max_parents: ClassVar[int | None] = None
    """None: any number."""

    progress: Callable[[float, float], None] = staticmethod(no_progress)
    """Called with (done, total) while ``fuse`` works; the host sets it."""
    remark: Callable[[str], None] = staticmethod(no_remark)
    """Called with a line for the user: what was decided for these parents, and why. The host sets it."""
    stand_in: str | None = None
    """Name of the fuser that did the work, for one that chooses among others."""

    def __init__(self, config: Any, *, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.device = torch.device(device)

    @classmethod
    def learner(cls, config: Any, data: FuserData, *, device: torch.device | str) -> FuserLearner:
        """Build the networks of a fuser that learns; `chimera fuser train` runs the loop.

        Args:
            config: the fuser's options.
            data: what it learns from. Whatever it needs to know of all images (features, means) it computes here,
                as a function of them alone.
            device: where its networks go.
        Raises:
            ConfigError: if it needs no training, or cannot learn this: a size that the network cannot make, say.
        """
        if cls.needs_training:
            raise PluginError(f"fuser {cls.__name__} needs training, but has no `learner`: mend the plugin")
        raise ConfigError(f"fuser {cls.__name__} needs no training: use it by `chimera fuse`")

    def load(self, state: Mapping[str, Tensor], facts: TrainedFacts) -> None:
        """Take up what was learned, before the first ``fuse``.

        Args:
            state: tensors as ``FuserLearner.state`` gave them, on the CPU; perhaps rounded, perhaps a stranger's.
            facts: classes, size, and what the learner added.
        Raises:
            DataError: if they were made for other options; ``check_state`` says it well.
        """
        if self.needs_training:
            raise PluginError(
                f"fuser {type(self).__name__} needs training, but has no `load`: mend the plugin"
            )
        raise ConfigError(f"fuser {type(self).__name__} needs no training: use it without a run")

    @abstractmethod
    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed.

        Args:
            parents: two or more; photographs carry ``image``, classes ``class_name``.
            weights: one per parent, none negative, sum 1.
            seeds: image k depends on ``seeds[k]`` alone.
            size: shorter side of the result in pixels.
        Returns:
            float32 (len(seeds), 3, H, W) in [0, 1]; or (len(seeds), 4, H, W), the last channel opacity, where the
            first parent is a cut-out and the creature is one, too.
        """

    def findings(self, parents: Sequence[Parent]) -> Sequence[Mapping[str, Any]]:
        """Return what was seen in each parent, in plain values, for `chimera fuse --json`. The default is nothing."""
        return ()
