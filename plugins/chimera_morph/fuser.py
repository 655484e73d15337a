"""``feature-morph``: the first photograph's animal, moved toward the others in an encoder's features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from chimera_core.api import (
    ConfigError,
    FeatureEncoder,
    FusionGenerator,
    Parent,
    Subject,
    SubjectFinder,
    Window,
    choose_precision,
    drawing_on,
    folded,
    load_encoder,
    or_whole,
    resize_shorter,
)
from chimera_morph.config import MorphConfig
from chimera_morph.morphing import Morph, morph, resize_change


class FeatureMorph(FusionGenerator):
    """Move the first animal's pixels until an encoder sees the others in it; what surrounds it stays.

    The first parent's weight w_0 says how little it changes; the others share the target by their weights. w_0 = 1
    gives the first parent's very pixels. Seeds differ in the views that the encoder is shown.
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True
    keeps_outline = True

    config: MorphConfig

    def __init__(self, config: MorphConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        encoder = load_encoder(config.encoder.name, device=self.device, **config.encoder.options)
        self.encoder: FeatureEncoder = encoder.requires_grad_(False).to(memory_format=torch.channels_last)
        # On a CPU bf16 does not pay for layers of so few channels (measured with AVX-512: docs/results/speed.md), and is emulated
        # where oneDNN lacks it. AMX has not been measured by us.
        wanted = "fp32" if config.precision == "auto" and self.device.type == "cpu" else config.precision
        self.bf16 = choose_precision(wanted, self.device) == "bf16"
        _check_levels(self.encoder, config)
        self._finder = SubjectFinder(
            config.subject,
            device=self.device,
            encoder=self.encoder,
            made_from=config.encoder,
            outline=config.outline,
        )
        with drawing_on(self.device):
            self._eyes = folded(self.encoder, (*config.texture_levels, len(self.encoder.levels) - 1))
        self._morphs: dict[tuple[object, ...], Morph] = {}

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed; see ``FusionGenerator.fuse``."""
        made = []
        with drawing_on(self.device):
            subjects = [self._finder.find(parent) for parent in parents]
            for k, seed in enumerate(seeds):

                def report(share: float, k: int = k) -> None:
                    self.progress((k + share) / len(seeds), 1.0)

                made.append(self._creature(subjects, weights, seed=seed, size=size, report=report))
        return torch.stack(made)

    def _creature(
        self,
        subjects: Sequence[Subject],
        weights: Sequence[float],
        *,
        seed: int,
        size: int,
        report: Callable[[float], None],
    ) -> Tensor:
        first, *others = (Subject(s.image, or_whole(s.mask)) for s in subjects)
        result = resize_shorter(first.image, size)
        strength = 1 - weights[0]
        if strength <= 0:
            return result
        window = Window.around(first.mask, (result.shape[-2], result.shape[-1]), margin=0.2)
        shares = tuple(round(weight / strength, 9) for weight in weights[1:])
        key = (*map(id, subjects), shares, seed, size)
        if key not in self._morphs:
            # The last one only: a sweep uses it again, and a morph is some megabytes.
            self._morphs = {
                key: morph(
                    self._eyes,
                    first,
                    others,
                    shares,
                    seed=seed,
                    window=window,
                    config=self.config,
                    bf16=self.bf16,
                    progress=report,
                )
            }
        return _laid(self._morphs[key].at(strength), window, result)


def _laid(change: Tensor, window: Window, onto: Tensor) -> Tensor:
    """Add a change of the window's pixels to the result, which keeps its own detail."""
    result = onto.clone()
    region = (slice(None), *window.place)
    shape = (result[region].shape[-2], result[region].shape[-1])
    result[region] += resize_change(change, shape)
    return result.clamp(0, 1)


def _check_levels(encoder: FeatureEncoder, config: MorphConfig) -> None:
    known = len(encoder.levels)
    for level in config.texture_levels:
        if level >= known:
            raise ConfigError(
                f"the encoder has levels 0 to {known - 1}, but feature-morph was told {level}: "
                "set --texture-levels"
            )
