"""Parents of a generator without condition, as latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from chimera_core.api import ConfigError, Parent
from chimera_gan.config import GanConfig
from chimera_gan.inversion import invert, middle_square
from chimera_gan.latents import ClassLatents, load_probe
from chimera_gan.networks import Generator


@dataclass(eq=False)
class LatentParents:
    """Gives parents their latents.

    Args:
        config: the fuser's options.
        generator: in evaluation mode.
        classes: that were learned, by label.
        latents: of the classes; None where one class only was learned.
    """

    config: GanConfig
    generator: Generator
    classes: tuple[str, ...]
    latents: ClassLatents | None
    _inverted: WeakKeyDictionary[Parent, Tensor] = field(default_factory=WeakKeyDictionary)

    def latent(self, parent: Parent, noise: Tensor, *, progress: Callable[[float, float], None]) -> Tensor:
        """Give a parent's latent (N, Z), of norm sqrt(Z), for every seed's noise (N, Z).

        A class is another latent for every seed; a photograph is one, found once. ``progress`` is called with (done,
        total) while it is looked for.

        Raises:
            ConfigError: for a class that was not learned, or of which the generator makes nothing.
        """
        if parent.image is not None:
            if parent not in self._inverted:
                self._inverted[parent] = self._invert(parent.image.to(noise.device), progress)
            return self._inverted[parent].expand_as(noise)
        if parent.class_name not in self.classes:
            raise ConfigError(
                f"{parent.name} is not a class that this GAN learned: it knows {', '.join(self.classes[:20])}"
            )
        if self.latents is None:
            raise ConfigError(
                f"this GAN learned one class only ({self.classes[0]}): classes cannot be fused by it, but photographs can"
            )
        label = self.classes.index(parent.class_name)
        self.latents.check(label, self.classes)
        return self.latents.parent(label, noise, spread=self.config.spread)

    def _invert(self, image: Tensor, progress: Callable[[float, float], None]) -> Tensor:
        return invert(
            self.generator,
            middle_square(image, self.generator.size),
            load_probe(self.config, image.device),
            encoder_size=self.config.probe_size,
            steps=self.config.inversion_steps,
            progress=progress,
        )


def latent_shapes(classes: Sequence[str], noise: int) -> Mapping[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return which tensors hold the classes' latents."""
    if len(classes) < 2:
        return {}
    return {
        "latents.mean": ((len(classes), noise), torch.float32),
        "latents.counts": ((len(classes),), torch.int64),
    }
