"""``cyclegan``: the first parent, translated part of the way into the class of the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import (
    ConfigError,
    DataError,
    FuserData,
    FuserLearner,
    FusionGenerator,
    Parent,
    TrainedFacts,
    check_state,
    resize_shorter,
)
from chimera_gan.cyclegan_config import CycleGanConfig
from chimera_gan.cyclegan_learner import SIDES, CycleGanLearner
from chimera_gan.cyclegan_networks import STRIDE, Translator


class CycleGan(FusionGenerator):
    """Translate the first parent toward the second parent's class; the second one's weight says how far.

    The first parent's pose and layout stay; the second one enters **by its class only**, so another cat makes the same
    creature. One parent must be of each class. A class name says which; as first parent it stands for one of that
    class's training images, another for every seed. A photograph beside a class name is of the other class, and of
    two photographs the run decides: as learned, a translator leaves images of its own class alone, so the classes are
    dealt out such that the translators change the photographs least.

    Photographs should be framed as the images that the run learned from. The work is done at their size (64 pixels);
    what a larger photograph has beyond that fades as the weight grows. w_0 = 1 gives the first parent's very pixels.

    Source: Zhu et al. 2017, arXiv:1703.10593; the way between is ours (``translate_partly``).
    """

    accepts: frozenset[str] = frozenset({"photo", "class"})
    needs_training: ClassVar[bool] = True
    ordered: ClassVar[bool] = True
    max_parents: ClassVar[int | None] = 2

    config: CycleGanConfig

    @classmethod
    def learner(cls, config: CycleGanConfig, data: FuserData, *, device: torch.device | str) -> FuserLearner:
        """Build translators, critics and pools."""
        return CycleGanLearner(config, data, device=device)

    def load(self, state: Mapping[str, Tensor], facts: TrainedFacts) -> None:
        """Take up the averaged translators and the images of each class."""
        self.classes = _read_classes(facts.extra)
        self.native = facts.size
        with torch.device("meta"):
            translators = nn.ModuleDict(
                {f"to_{side}": Translator(self.config.width, self.config.blocks) for side in SIDES}
            )
        expected = {name: (tuple(v.shape), v.dtype) for name, v in translators.state_dict().items()}
        for side in SIDES:
            bank = state.get(f"bank.{side}")
            count = len(bank) if bank is not None and bank.ndim == 4 else 0
            expected[f"bank.{side}"] = ((max(1, count), 3, facts.size, facts.size), torch.float32)
        check_state(state, expected, where="what was learned")
        translators.to_empty(device=self.device)
        translators.load_state_dict({k: v for k, v in state.items() if not k.startswith("bank.")})
        self._translators = translators.eval().requires_grad_(False)
        self._banks = [state[f"bank.{side}"].clamp(0, 1) for side in SIDES]

    @torch.no_grad()
    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed; see ``FusionGenerator.fuse``.

        Raises:
            ConfigError: unless there are two parents, of the two classes that were learned.
        """
        if len(parents) != 2:
            raise ConfigError(f"cyclegan takes two parents, but {len(parents)} were given")
        side = self._side_of_first(parents)
        images = [self._image(parents[0], seed) for seed in seeds]
        made = []
        for image in images:
            whole = resize_shorter(image, size)
            made.append(self._creature(whole, 1 - side, float(weights[1])) if weights[1] > 0 else whole)
        return torch.stack(made)

    def _creature(self, whole: Tensor, target: int, weight: float) -> Tensor:
        """Translate a small copy of (3, H, W); what the large one has beyond it fades as the weight grows."""
        height, width = whole.shape[-2:]
        small = self._shrink(whole)
        made = translate_partly(self._translators[f"to_{SIDES[target]}"], small, weight)
        if (height, width) == small.shape[-2:]:
            return made[0].cpu()
        large, blurred = (
            F.interpolate(x, (height, width), mode="bicubic", antialias=True) for x in (made, small)
        )
        return (large[0].cpu() + (1 - weight) * (whole - blurred[0].cpu())).clamp(0, 1)

    def _shrink(self, image: Tensor) -> Tensor:
        """Bring (3, H, W) to the size that was learned: (1, 3, h, w), sides multiples of ``STRIDE``."""
        height, width = image.shape[-2:]
        scale = self.native / min(height, width)
        shape = tuple(STRIDE * max(1, round(side * scale / STRIDE)) for side in (height, width))
        if shape == (height, width):
            return image[None].to(self.device)
        return F.interpolate(image[None].to(self.device), shape, mode="bicubic", antialias=True).clamp(0, 1)

    def _image(self, parent: Parent, seed: int) -> Tensor:
        """Give the image (3, H, W) of a parent: a class's from the bank, another for every seed."""
        if parent.image is not None:
            return parent.image.cpu()
        bank = self._banks[self.classes.index(str(parent.class_name))]
        chosen = torch.randint(len(bank), (1,), generator=torch.Generator().manual_seed(seed))
        return bank[int(chosen)]

    def _side_named(self, parent: Parent) -> int | None:
        """Give the class that a parent's name says; None for a photograph of no known class."""
        if parent.class_name in self.classes:
            return self.classes.index(parent.class_name)
        if parent.image is None:
            raise ConfigError(
                f"{parent.name} is not a class that this cyclegan learned: it knows {' and '.join(self.classes)}"
            )
        return None

    def _side_of_first(self, parents: Sequence[Parent]) -> int:
        """Find the class of the first parent, 0 or 1; the second one's is the other."""
        named = [self._side_named(parent) for parent in parents]
        if named[0] is not None and named[0] == named[1]:
            raise ConfigError(
                f"both parents are of class {self.classes[named[0]]}: name one {self.classes[1 - named[0]]}"
            )
        if named[0] is not None:
            return named[0]
        if named[1] is not None:
            return 1 - named[1]
        leanings = [self._leaning(parent.image) for parent in parents if parent.image is not None]
        return 0 if leanings[0] <= leanings[1] else 1

    def _leaning(self, image: Tensor) -> float:
        """Return how much more ``to_first`` changes an image than ``to_second``: below 0, it looks like the first."""
        small = self._shrink(image)
        changes = [(self._translators[f"to_{side}"](small) - small).abs().mean().item() for side in SIDES]
        return float(changes[0] - changes[1])


def translate_partly(translator: nn.Module, x: Tensor, weight: float) -> Tensor:
    """Go part of the way: every residual block adds a share of what it would.

    With the blocks left out, the network only encodes and decodes, and has learned to give the image back (``still``).
    What it misses of that is added to its results, ever less of it; so weight 0 is the image to the bit. Without this
    correction the image had to be faded in, and was blurred on the way: largest of eight steps 0.18 to 0.20 of the
    whole, with it 0.14 (32 pixels, 2,320 images seen, 50 photographs of each class).

    Args:
        translator: (N, 3, H, W) and a strength -> same shape.
        x: float (N, 3, H, W) in [0, 1].
        weight: in [0, 1].
    Returns:
        Same shape and range; ``x`` itself for weight 0, the translation for weight 1.
    """
    if weight <= 0:
        return x
    made: Tensor = translator(x, weight)
    if weight < 1:
        made = (made + (1 - weight) * (x - translator(x, 0.0))).clamp(0, 1)
    return made


def _read_classes(extra: Mapping[str, Any]) -> tuple[str, str]:
    first, second = (extra.get(side) for side in SIDES)
    if not isinstance(first, str) or not isinstance(second, str) or first == second:
        raise DataError(
            f"what was learned names the classes {first!r} and {second!r}: it is of no cyclegan, or damaged"
        )
    return first, second
