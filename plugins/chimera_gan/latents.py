"""What parents are to a generator without condition: latents, the noise that it starts from. Fusing is mixing them.

A class is the mean latent of samples that a probe gives to it. Legend of shapes: N images, K classes, Z latent.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import ConfigError, FeatureEncoder, FuserData, Probe, fit_probe, load_encoder
from chimera_gan.conditions import look
from chimera_gan.config import GanConfig
from chimera_gan.generating import noise_of, render
from chimera_gan.interpolation import spherical_mix
from chimera_gan.networks import Generator

FEWEST = 8
"""Samples of a class below which its mean says nothing: a probe's mistakes may be as many."""
_REAL = 512  # training images of each class, at most, that the probe is fitted to
_FIRST_SEED = 2_000_003  # of the samples; those of pictures and of quality begin elsewhere
_TOGETHER = 64


@dataclass(frozen=True, eq=False)
class ClassLatents:
    """Where the classes are among the latents.

    Args:
        mean: float32 (K, Z), the mean latent of the samples of each class; zeros where there are none.
        counts: int64 (K,), how many these are.
    """

    mean: Tensor
    counts: Tensor

    @classmethod
    def of_samples(cls, z: Tensor, labels: Tensor, classes: int) -> ClassLatents:
        """Average latents (N, Z) by the classes (N,) of what they become."""
        member = F.one_hot(labels, classes).to(z.dtype)
        counts = member.sum(0)
        return cls(member.T @ z / counts.clamp_min(1)[:, None], counts.long())

    def parent(self, label: int, noise: Tensor, *, spread: float) -> Tensor:
        """Give a class's latent (N, Z) for every seed's noise (N, Z).

        A mean of latents is near 0, where the generator has met none: only its direction is kept. It is mixed, on the
        sphere of radius sqrt(Z), with the direction of the noise, so that seeds differ.

        Args:
            label: of the class.
            noise: standard normal.
            spread: share of the way from the mean to the noise.
        """
        radius = math.sqrt(noise.shape[1])
        ends = torch.stack([self.mean[label].expand_as(noise), noise])
        return spherical_mix(
            F.normalize(ends, dim=2) * radius, torch.tensor([1 - spread, spread], device=noise.device)
        )

    def check(self, label: int, classes: Sequence[str]) -> None:
        """Refuse a class of which (almost) no sample was found.

        Raises:
            ConfigError: if there are fewer than ``FEWEST``.
        """
        count = int(self.counts[label])
        if count < FEWEST:
            raise ConfigError(
                f"class {classes[label]} has no latent: the probe found {count} samples of it among "
                f"{int(self.counts.sum()):,}, and {FEWEST} are needed; train longer, or with --source.balance equal "
                "where there is such an option"
            )


class LatentSearch:
    """Finds the classes among the latents of a generator.

    Args:
        config: the fuser's options.
        data: what is learned from; the probe learns to tell its classes apart, once, as equals.
        device: of encoder and generator.
    """

    def __init__(self, config: GanConfig, data: FuserData, *, device: torch.device) -> None:
        self.config, self.data, self.device = config, data, device
        self._loaded: FeatureEncoder | None = None
        self._fitted: tuple[Probe | None, Tensor] | None = None
        self._found: tuple[str, ClassLatents] | None = None

    def find(self, generator: Generator) -> ClassLatents:
        """Give the classes' latents; the same at once, as long as the generator stays the same."""
        digest = _digest(generator)
        if self._found is None or self._found[0] != digest:
            self._found = (digest, self._search(generator))
        return self._found[1]

    def _search(self, generator: Generator) -> ClassLatents:
        if self._fitted is None:
            self._fitted = self._fit()
        probe, present = self._fitted
        classes = len(self.data.classes)
        if probe is None:
            return ClassLatents(torch.zeros(classes, self.config.noise), torch.zeros(classes).long())
        encoder = self._encoder()
        seeds = range(_FIRST_SEED, _FIRST_SEED + self.config.probe_samples)
        z, labels = noise_of(seeds, self.config.noise), []
        was_training = generator.training
        generator.eval()
        for start in range(0, len(z), _TOGETHER):
            rows = slice(start, start + _TOGETHER)
            made = render(generator, z[rows].to(self.device), None, seeds=seeds[rows])
            seen = look(encoder, made, size=self.config.probe_size).cpu()
            labels.append(present[probe.logits(seen).argmax(1)])
        generator.train(was_training)
        return ClassLatents.of_samples(z, torch.cat(labels), classes)

    def _fit(self) -> tuple[Probe | None, Tensor]:
        """Fit the probe to as many images of each class; give it with the labels (k,) of the classes that have images.

        No probe where that is one class.
        """
        own = self.data.images.labels
        present = torch.unique(own)
        rows = [_spread(torch.nonzero(own == k)[:, 0], _REAL) for k in present]
        if len(present) < 2:
            return None, present
        encoder = self._encoder()
        seen = [
            look(encoder, self.data.images.take(r).to(self.device).float() / 255, size=self.config.probe_size)
            for r in torch.split(torch.cat(rows), _TOGETHER)
        ]
        labels = torch.cat([torch.full((len(r),), k) for k, r in enumerate(rows)])
        return fit_probe(torch.cat(seen).cpu(), labels), present

    def _encoder(self) -> FeatureEncoder:
        if self._loaded is None:
            self._loaded = load_probe(self.config, self.device)
        return self._loaded


def load_probe(config: GanConfig, device: torch.device) -> FeatureEncoder:
    """Load the encoder that tells classes apart and compares photographs."""
    reference = config.probe
    return load_encoder(reference.name, device=device, **reference.options).requires_grad_(False)


def _spread(rows: Tensor, count: int) -> Tensor:
    """Take at most so many rows, evenly."""
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows))).round().long()]


def _digest(module: torch.nn.Module) -> str:
    """Return whether weights are the same as before, bit for bit."""
    found = hashlib.blake2b()
    for value in module.state_dict().values():
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
