"""What plugins may add beside the four interfaces: attacks, augmentations, metrics of creatures, loggers of
runs, readers of image files. Torch-free to import, because an image file may be looked at before torch is needed.

As everywhere, the constructor takes the component's config as its only positional argument, and randomness enters only
through a ``Draw``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from chimera_core.randomness import Draw


class AdversarialAttack(ABC):
    """Moves images against an encoder, within a ball: ``chimera encoder evaluate --attack NAME``.

    Args:
        config: the attack's options.
        eps: radius, on the [0, 1] pixel scale.
        norm: ``linf`` or ``l2``.
    """

    norms: ClassVar[frozenset[str]] = frozenset({"linf", "l2"})
    """Norms that it knows; the host refuses others."""

    def __init__(self, config: Any, *, eps: float, norm: str) -> None:
        self.config, self.eps, self.norm = config, eps, norm

    @abstractmethod
    def __call__(self, encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack a batch.

        Args:
            encoder: gives logits (N, K); in evaluation mode, and its weights need no gradient.
            x: images that it classifies correctly, float32 (N, 3, H, W) in [0, 1].
            y: their classes, int64 (N,).
            draw: random numbers of these images, which depend on seed and image, not on the batch.
        Returns:
            Images of the same shape in [0, 1], at most ``eps`` away from ``x``, without gradient.
        """


class BatchAugmentation(ABC):
    """Varies images while an encoder learns: ``chimera encoder train --augment NAME``.

    Args:
        config: the augmentation's options.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Vary a batch.

        Args:
            x: images, float32 (N, 3, H, W) in [0, 1], on the device of the training.
            draw: random numbers of these images: what they become does not depend on the batch, nor on processes.
        Returns:
            New images of that shape and range.
        """


class CreatureMetric(ABC):
    """A figure of single creatures: ``chimera score --metric NAME``, ``metrics = ["NAME"]`` of an experiment.

    Args:
        config: the metric's options.
    """

    better: ClassVar[Literal["higher", "lower", ""]] = ""
    """Which way is better; empty: neither."""
    meaning: ClassVar[str] = ""
    """What it measures, its range and source, in a sentence or two: the legend of reports."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def measure(self, images: Tensor, parents: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Measure every creature by itself: the same figures whatever its company.

        Args:
            images: n creatures of the same parents, float32 (n, 3, S, S) in [0, 1], on the CPU.
            parents: of each the one photograph or the real images of its class, float32 (m, 3, S', S') in [0, 1].
            weights: that were asked for, (n, P), rows that sum to 1.
        Returns:
            float (n,); NaN where it cannot be given.
        """


class OutlineFinder(ABC):
    """Finds the animal of a photograph: ``--outline NAME`` of every fuser that looks for one.

    Args:
        config: the finder's options.
        device: where it works.
    """

    def __init__(self, config: Any, *, device: torch.device) -> None:
        self.config, self.device = config, device

    @abstractmethod
    def find(self, image: Tensor) -> tuple[Tensor, float]:
        """Find the animal, the foremost of several.

        Args:
            image: float32 (3, H, W) in [0, 1], on the device.
        Returns:
            The mask, float (1, H, W) in [0, 1], all zeros where no animal is seen; and how sure it is, in [0, 1].
        """


class ImageReader(ABC):
    """Reads image files of a format that Chimera does not know, wherever pictures are read; ``suffixes`` of its spec says which.

    One object reads all files of a process, also from several threads: it keeps nothing from one file to the next.
    Whatever it raises becomes one line that names the file and the plugin.

    Args:
        config: the reader's options.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def size(self, path: Path) -> tuple[int, int]:
        """Read the size from the header, and decode nothing: the host refuses what is too large before ``read``.

        Args:
            path: a file that is there, and not empty.
        Returns:
            Width and height in pixels, as ``read`` will give them.
        """

    @abstractmethod
    def read(self, path: Path) -> NDArray[np.uint8]:
        """Decode the picture as it should be seen: upright, in sRGB; profiles and orientation are the reader's work.

        Args:
            path: a file whose ``size`` is within the limits.
        Returns:
            uint8 (H, W, 3), or (H, W, 4) with opacity (255 is opaque), which is not multiplied into the colours.
        """


class RunLogger(ABC):
    """Where a training logs beside its own files: ``--log NAME``.

    Args:
        config: the logger's options.
        folder: of the run; it is there.
    Raises:
        ConfigError: if it cannot log, say because nobody is logged in.
    """

    def __init__(self, config: Any, *, folder: Path) -> None:
        self.config, self.folder = config, folder

    @abstractmethod
    def log(self, images: int, values: Mapping[str, float]) -> None:
        """Log numbers.

        Args:
            images: that were learned from so far; after a resume it goes on where the last checkpoint was.
            values: by name.
        """

    def close(self) -> None:
        """End: the training is done, or was interrupted."""
        return None
