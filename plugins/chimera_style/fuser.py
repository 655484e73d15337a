"""``style-transfer``: the layout of the first photograph with the coat of the others."""

from __future__ import annotations

import math
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
    load_encoder,
    or_whole,
    resize_shorter,
)
from chimera_style.config import StyleConfig, parse_box
from chimera_style.synthesis import Drawing, draw


class StyleTransfer(FusionGenerator):
    """Put the skin of the other parents on the first one; what surrounds it stays.

    The first parent's weight w_0 says how much of it shows; the others share the coat by their weights. w_0 = 1
    gives the first parent's very pixels. Seeds differ in the start's noise and the part of the coat used.

    Source: Gatys et al. 2016 (CVPR); the masks answer the second report's lesson that the style should be
    "just the skin".
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True

    config: StyleConfig

    def __init__(self, config: StyleConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        self.encoder = load_encoder(config.encoder.name, device=self.device, **config.encoder.options)
        self.encoder.requires_grad_(False)
        _check_levels(self.encoder, config)
        self.last_loss = math.nan
        """Loss of the last creature at equal weights; it compares within one encoder and set of options."""
        self._subjects: dict[Parent, Subject] = {}
        self._finder = SubjectFinder(
            config.subject,
            device=self.device,
            encoder=self.encoder,
            made_from=config.encoder,
            outline=config.outline,
        )
        self._drawings: dict[tuple[object, ...], Drawing] = {}

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed; see ``FusionGenerator.fuse``.

        Raises:
            ConfigError: if more crops than coats were given.
        """
        crops = self.config.style_crop
        if len(crops) > len(parents) - 1:
            raise ConfigError(
                f"{len(crops)} style crops were given for {len(parents) - 1} coats: give one per coat"
            )
        subjects = [self._subject(parent, self._crop_of(k)) for k, parent in enumerate(parents)]
        made = []
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
        layout, *coats = subjects
        result = resize_shorter(layout.image, size)
        strength = 1 - weights[0]
        if strength <= 0:
            return result
        window = Window.around(layout.mask, (result.shape[-2], result.shape[-1]))
        shares = tuple(round(weight / strength, 9) for weight in weights[1:])
        key = (*map(id, subjects), shares, seed, size)
        if key not in self._drawings:
            # The last one only: a sweep uses it again, and a drawing is some megabytes.
            self._drawings = {
                key: draw(
                    self.encoder,
                    layout,
                    coats,
                    shares,
                    seed=seed,
                    window=window,
                    config=self.config,
                    progress=report,
                )
            }
        self.last_loss = self._drawings[key].loss
        drawn = self._drawings[key].at(strength)
        return window.paste(drawn, layout.mask, result)

    def _crop_of(self, index: int) -> str | None:
        crops = self.config.style_crop
        return crops[index - 1] if 0 < index <= len(crops) else None

    def _subject(self, parent: Parent, crop: str | None) -> Subject:
        """Find a parent's animal once; sweeps and seeds use it again."""
        if parent not in self._subjects:
            image, mask = self._finder.find(parent)
            if crop is not None:
                left, top, right, bottom = parse_box(crop)
                height, width = image.shape[-2:]
                rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
                columns = slice(int(left * width), max(int(left * width) + 1, round(right * width)))
                image, mask = image[:, rows, columns], mask[:, rows, columns]
            self._subjects[parent] = Subject(image, or_whole(mask))
        return self._subjects[parent]


def _check_levels(encoder: FeatureEncoder, config: StyleConfig) -> None:
    known = len(encoder.levels)
    for level in (*config.style_levels, config.content_level):
        if level >= known:
            raise ConfigError(
                f"the encoder has levels 0 to {known - 1}, but style-transfer was told {level}: "
                "set --style-levels and --content-level"
            )
