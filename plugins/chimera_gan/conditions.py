"""The condition of a generator: none, a class, or the features of an image. Fusing mixes conditions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import Batch, ConfigError, Draw, FeatureEncoder, FuserData, check_state, load_encoder
from chimera_gan.config import GanConfig
from chimera_gan.interpolation import Principal, linear_mix, spherical_mix

_TOGETHER = 64
_ALL, _COMPONENTS = (
    1,
    2,
)  # what is known of the images' features in a checkpoint: everything, or another training's components; nothing is 0


class Condition(nn.Module, ABC):
    """The condition that a generator is trained under. ``size`` is C, its length; 0: no condition."""

    size: int = 0

    def prepare(self, data: FuserData) -> None:
        """Compute what all images decide, once; a checkpoint brings it along afterwards."""

    @abstractmethod
    def of_images(self, batch: Batch) -> Tensor | None:
        """Give the condition (N, C) of images that are learned from."""

    @abstractmethod
    def drawn(self, seeds: Iterable[int]) -> Tensor | None:
        """Draw conditions (N, C) as the data have them; the k-th depends on the k-th seed alone."""

    def of_unknown(self, batch: Batch) -> Tensor | None:
        """Give the condition of images that are not learned from."""
        return self.of_images(batch)

    def mixed_with_another(self, own: Tensor, batch: Batch, draw: Draw) -> Tensor:
        """Mix conditions (N, C) with those of others, of another class where there is one, by random weights.

        Raises:
            ConfigError: where there is nothing to mix.
        """
        raise ConfigError("without a condition there is nothing to mix: leave out --mixed")

    def begin(self, state: Mapping[str, Tensor], classes: Sequence[str]) -> None:
        """Take over the meaning of conditions from another training; nothing to do by default.

        Args:
            state: what the other's ``kept`` gave.
            classes: that the other learned.
        Raises:
            ConfigError, DataError: if that cannot be.
        """

    def kept(self) -> dict[str, Tensor]:
        """Give the tensors that the fuser needs."""
        return {}


class NoCondition(Condition):
    """The generator has its noise alone."""

    def of_images(self, batch: Batch) -> None:
        """Nothing."""

    def drawn(self, seeds: Iterable[int]) -> None:
        """Nothing."""


class ClassCondition(Condition):
    """The class (``one_hot``); a chimera of classes has a share of each.

    Args:
        shares: of the classes in the data, (K,).
    """

    def __init__(self, shares: Tensor, classes: Sequence[str]) -> None:
        super().__init__()
        self.size, self.classes = len(shares), tuple(classes)
        self.shares: Tensor
        self.register_buffer("shares", shares.float())

    def begin(self, state: Mapping[str, Tensor], classes: Sequence[str]) -> None:
        """Refuse other classes: the k-th number means the k-th of them."""
        if self.classes != tuple(classes):
            raise ConfigError(
                f"it learned the classes {_names(classes)}, and the data have {_names(self.classes)}: take such data"
            )

    def of_images(self, batch: Batch) -> Tensor:
        """One-hot labels."""
        return one_hot(batch.labels, self.size)

    def drawn(self, seeds: Iterable[int]) -> Tensor:
        """Classes in the shares of the data."""
        labels = [int(torch.multinomial(self.shares.cpu(), 1, generator=seeded(s))) for s in seeds]
        return one_hot(torch.tensor(labels, device=self.shares.device), self.size)

    def mixed_with_another(self, own: Tensor, batch: Batch, draw: Draw) -> Tensor:
        """Mix with another class, all alike."""
        step = 1 + draw.integers(max(1, self.size - 1), purpose="other class").view(-1)
        other = one_hot((batch.labels + step) % self.size, self.size)
        weight = draw.uniform(purpose="weight").view(-1)
        return linear_mix(torch.stack([own, other]), torch.stack([1 - weight, weight]))


class InstanceCondition(Condition):
    """The principal components of an encoder's features of a real image (Casanova et al. 2021, arXiv:2109.05070).

    Args:
        config: the fuser's options.
        data: what is learned from.
    """

    def __init__(self, config: GanConfig, data: FuserData) -> None:
        super().__init__()
        self.encoder_name, self.encoder_options = config.encoder.name, config.encoder.options
        self.encoder_size = config.encoder_size
        # A dry run builds without memory; the encoder itself is needed, and is small.
        with torch.device("cpu"):
            features = look(self._encoder("cpu"), torch.zeros(1, 3, 8, 8), size=self.encoder_size).shape[1]
        # What grows has its components from elsewhere.
        if config.components > (features if config.grown else min(features, len(data.images) - 1)):
            raise ConfigError(
                f"{config.components} components are more than encoder {self.encoder_name} has features ({features}) "
                f"or there are images ({len(data.images)}): lower --components"
            )
        self.size, self.classes = config.components, len(data.classes)
        self.bank_size = config.bank
        self.principal = Principal(features, config.components)
        self.table: Tensor
        self.labels: Tensor
        self.is_known: Tensor
        self.register_buffer("table", torch.zeros(len(data.images), config.components))
        self.register_buffer("labels", data.images.labels.clone())
        self.register_buffer("is_known", torch.zeros((), dtype=torch.int64))
        self._others = _Others(data.images.labels)

    def begin(self, state: Mapping[str, Tensor], classes: Sequence[str]) -> None:
        """Take the other's principal components; classes may be others."""
        wanted = {f"principal.{k}": (tuple(v.shape), v.dtype) for k, v in self.principal.state_dict().items()}
        own = {k: v for k, v in state.items() if k.startswith("principal.")}
        check_state(own, wanted, where="its condition")
        self.principal.load_state_dict({k.removeprefix("principal."): v for k, v in own.items()})
        self.is_known.fill_(_COMPONENTS)

    @torch.no_grad()
    def prepare(self, data: FuserData) -> None:
        """Look at all images by the encoder, unless a checkpoint brought what it saw."""
        if int(self.is_known) == _ALL:
            return
        device = self.table.device
        encoder = self._encoder(device)
        rows = torch.split(torch.arange(len(data.images)), _TOGETHER)
        seen = torch.cat(
            [self._look(encoder, data.images.take(r).to(device).float() / 255).cpu() for r in rows]
        )
        if int(self.is_known) != _COMPONENTS:
            self.principal.load_state_dict(Principal.fit(seen, self.size).state_dict())
        self.table.copy_(self.principal(seen.to(device)))
        self.is_known.fill_(_ALL)

    def of_images(self, batch: Batch) -> Tensor:
        """Look it up."""
        return self.table[batch.indices]

    def of_unknown(self, batch: Batch) -> Tensor:
        """Look at the images."""
        return self.of_pixels(batch.pixels())

    @torch.no_grad()
    def of_pixels(self, x: Tensor) -> Tensor:
        """Give the condition (N, C) of images (N, 3, S, S) in [0, 1]."""
        found: Tensor = self.principal(self._look(self._encoder(self.table.device), x))
        return found

    def drawn(self, seeds: Iterable[int]) -> Tensor:
        """Give those of random images."""
        rows = [int(torch.randint(len(self.table), (1,), generator=seeded(s))) for s in seeds]
        return self.table[torch.tensor(rows, device=self.table.device)]

    def mixed_with_another(self, own: Tensor, batch: Batch, draw: Draw) -> Tensor:
        """Mix spherically with that of an image of another class."""
        other = self.table[self._others.draw(batch.labels, draw)]
        weight = draw.uniform(purpose="weight").view(-1)
        return spherical_mix(torch.stack([own, other]), torch.stack([1 - weight, weight]))

    def kept(self) -> dict[str, Tensor]:
        """Give what looks at a photograph, and the conditions (K, B, C) of B images of each class."""
        rows = [torch.nonzero(self.labels == k)[:, 0] for k in range(self.classes)]
        spread = [r[torch.linspace(0, len(r) - 1, self.bank_size).round().long().to(r.device)] for r in rows]
        bank = torch.stack([self.table[r] for r in spread])
        return {"bank": bank} | {f"principal.{k}": v for k, v in self.principal.state_dict().items()}

    def _encoder(self, device: torch.device | str) -> FeatureEncoder:
        if not hasattr(self, "_loaded"):
            # No module of this one: its weights are not ours to keep in a checkpoint.
            encoder = load_encoder(self.encoder_name, device=device, **self.encoder_options)
            object.__setattr__(self, "_loaded", encoder.requires_grad_(False))
        found: FeatureEncoder = self._loaded.to(device)  # type: ignore[assignment]
        return found

    def _look(self, encoder: FeatureEncoder, x: Tensor) -> Tensor:
        return look(encoder, x, size=self.encoder_size)


class _Others:
    """Draws images of another class than given ones, all alike; of any where there is one class only."""

    def __init__(self, labels: Tensor) -> None:
        self.order = torch.argsort(labels, stable=True)
        counts = torch.bincount(labels)
        self.ends = counts.cumsum(0)
        self.counts = counts

    def draw(self, labels: Tensor, draw: Draw) -> Tensor:
        """Give indices (N,) of images of other classes than ``labels`` (N,)."""
        counts, ends = self.counts.to(labels.device), self.ends.to(labels.device)
        free = len(self.order) - counts[labels]
        own, skipped = ends[labels] - counts[labels], counts[labels]
        alone = free == 0
        free = torch.where(alone, skipped, free)
        place = (draw.uniform(purpose="partner").view(-1) * free).long().clamp_(max=len(self.order) - 1)
        place = place + torch.where(~alone & (place >= own), skipped, 0)
        return self.order.to(labels.device)[place]


@torch.no_grad()
def look(encoder: FeatureEncoder, x: Tensor, *, size: int) -> Tensor:
    """Give what ``see`` gives, without gradients."""
    return see(encoder, x, size=size)


def see(encoder: FeatureEncoder, x: Tensor, *, size: int) -> Tensor:
    """Give an encoder's features (N, D) of images (N, 3, S, S) in [0, 1], enlarged or shrunk to ``size``."""
    if x.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    return encoder.embed(x).float()


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Give conditions (N, K) of classes (N,): sqrt(K) at the class, so that their norm is as networks want it."""
    return F.one_hot(labels, classes).float() * math.sqrt(classes)


def seeded(seed: int) -> torch.Generator:
    """Give a generator of a seed."""
    return torch.Generator().manual_seed(seed)


def build_condition(config: GanConfig, data: FuserData) -> Condition:
    """Build what the options ask for.

    Raises:
        ConfigError: if the data have too few classes for it.
    """
    if config.condition == "none":
        return NoCondition()
    if config.condition == "instance":
        counts = torch.bincount(data.images.labels, minlength=len(data.classes)).tolist()
        if missing := [name for name, count in zip(data.classes, counts, strict=True) if not count]:
            raise ConfigError(f"there is no image to learn from of {_names(missing)}: leave that class out")
        return InstanceCondition(config, data)
    if len(data.classes) < 2:
        raise ConfigError(
            f"the data have one class only ({_names(data.classes)}): a GAN on classes needs two or more; "
            "take --condition instance, or none"
        )
    return ClassCondition(
        torch.bincount(data.images.labels, minlength=len(data.classes)).float(), data.classes
    )


def _names(classes: Sequence[str]) -> str:
    return ", ".join(classes)
