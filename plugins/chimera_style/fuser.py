"""``style-transfer``: the layout of the first photograph with the coat of the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

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
    drawing_on,
    folded,
    load_encoder,
    or_whole,
    parse_share_box,
    resize_shorter,
)
from chimera_style.config import StyleConfig
from chimera_style.drawing import Drawing
from chimera_style.dressing import draw_by_patches
from chimera_style.heads import body_of, head_share, heads_only, kept
from chimera_style.pelt import Pelt
from chimera_style.synthesis import draw

# Auto copies patches where the layout's head is no larger share of its animal than this, and of each coat's animal at
# least so much is body, and its outline is at least so sure.
_MOST_HEAD, _LEAST_BODY, _LEAST_CONFIDENCE = 0.3, 0.45, 0.75


class StyleTransfer(FusionGenerator):
    """Put the coat of the other parents on the first one; what surrounds it stays.

    The first parent's weight w_0 says how much of it shows; the others share the coat by their weights. w_0 = 1
    gives the first parent's very pixels. Seeds differ in the start's noise and the part of the coat used.

    Source: by patches see `patching`; by Gram matrices Gatys et al. 2016 (CVPR). The masks answer the second report's
    lesson that the style should be "just the skin".
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True
    keeps_outline = True

    config: StyleConfig

    def __init__(self, config: StyleConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        encoder = load_encoder(config.encoder.name, device=self.device, **config.encoder.options)
        self.encoder: FeatureEncoder = encoder.requires_grad_(False).to(memory_format=torch.channels_last)
        _check_levels(self.encoder, config)
        self.last_loss = math.nan
        """Gram loss of the last creature at equal weights; it compares within one encoder and set of options."""
        self.last_coat: Literal["patches", "gram"] | None = None
        """How the last creature's coat was made."""
        self._seen: dict[tuple[Parent, str | None], _Seen] = {}
        self._finder = SubjectFinder(
            config.subject,
            device=self.device,
            encoder=self.encoder,
            made_from=config.encoder,
            outline=config.outline,
        )
        with drawing_on(self.device):
            levels = (*config.style_levels, config.content_level)
            self._eyes = folded(self.encoder, levels, logits=False)
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
        made = []
        with drawing_on(self.device):
            seen = [self._look(parent, self._crop_of(k)) for k, parent in enumerate(parents)]
            for k, seed in enumerate(seeds):

                def report(share: float, k: int = k) -> None:
                    self.progress((k + share) / len(seeds), 1.0)

                made.append(self._creature(seen, weights, seed=seed, size=size, report=report))
        return torch.stack(made)

    def _creature(
        self,
        seen: Sequence[_Seen],
        weights: Sequence[float],
        *,
        seed: int,
        size: int,
        report: Callable[[float], None],
    ) -> Tensor:
        layout = seen[0].subject
        result = resize_shorter(layout.image, size)
        strength = 1 - weights[0]
        if strength <= 0:
            return result
        window = Window.around(layout.mask, (result.shape[-2], result.shape[-1]))
        shares = tuple(round(weight / strength, 9) for weight in weights[1:])
        key = (*map(id, seen), shares, seed, size)
        if key not in self._drawings:
            # The last one only: a sweep uses it again, and a drawing is some megabytes.
            self._drawings = {key: self._draw(seen, shares, seed=seed, window=window, progress=report)}
        self.last_loss = self._drawings[key].loss
        drawn = self._drawings[key].at(strength)
        return window.paste(drawn, layout.mask, result)

    def _draw(
        self,
        seen: Sequence[_Seen],
        shares: Sequence[float],
        *,
        seed: int,
        window: Window,
        progress: Callable[[float], None],
    ) -> Drawing:
        layout, *coats = seen
        keep = torch.zeros_like(layout.head)
        if self.config.head == "keep":
            keep = kept(layout.head, layout.subject.mask)
        pelts = [coat.pelt for coat in coats]
        self.last_coat = self._way(layout, coats, shares)
        if self.last_coat == "patches":
            return draw_by_patches(
                layout.subject,
                keep,
                pelts,
                shares,
                seed=seed,
                window=window,
                config=self.config,
                progress=progress,
            )
        return draw(
            self._eyes,
            layout.subject,
            keep,
            [Subject(coat.subject.image, coat.worn) for coat in coats],
            shares,
            seed=seed,
            window=window,
            config=self.config,
            progress=progress,
        )

    def _way(
        self, layout: _Seen, coats: Sequence[_Seen], shares: Sequence[float]
    ) -> Literal["patches", "gram"]:
        """Choose how coats are made: see ``StyleConfig.coat``."""
        if self.config.coat != "auto":
            return self.config.coat
        if not self._has_default_encoder():
            return "gram"  # who names an encoder wants to see what its features do
        if head_share(layout.head, layout.subject.mask) > _MOST_HEAD:
            return "gram"  # patches laid over a face hide it, and beside a kept one little is left for them
        worn = [coat for coat, share in zip(coats, shares, strict=True) if share > 0]
        return "patches" if all(coat.is_worth_copying for coat in worn) else "gram"

    def _has_default_encoder(self) -> bool:
        """Tell by the options in force: a run's file spells out those that nobody changed."""
        config: Any = getattr(self.encoder, "config", None)
        if self.config.encoder.name != StyleConfig().encoder.name or config is None:
            return False
        return bool(config == type(config)())

    def _crop_of(self, index: int) -> str | None:
        crops = self.config.style_crop
        return crops[index - 1] if 0 < index <= len(crops) else None

    def _look(self, parent: Parent, crop: str | None) -> _Seen:
        """Find a parent's animal and its head once; sweeps and seeds use them again."""
        if (parent, crop) not in self._seen:
            image, mask = self._finder.find(parent)
            head = self._head_of(parent)
            if crop is not None:
                left, top, right, bottom = parse_share_box(crop)
                height, width = image.shape[-2:]
                rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
                columns = slice(int(left * width), max(int(left * width) + 1, round(right * width)))
                image, mask, head = (part[:, rows, columns] for part in (image, mask, head))
            confidence = self._finder.confidence(parent)
            self._seen[parent, crop] = _Seen(Subject(image, or_whole(mask)), head, confidence)
        return self._seen[parent, crop]

    def _head_of(self, parent: Parent) -> Tensor:
        """Score every pixel for being head: float (1, H, W) in [0, 1]."""
        return heads_only(self._finder.head(parent), self._finder.find(parent).mask)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A parent: its picture, its animal, and how much each pixel is head, float (1, H, W) in [0, 1]."""

    subject: Subject
    head: Tensor
    confidence: float | None
    """Of the outline; None where the parent brought it."""

    @property
    def is_worth_copying(self) -> bool:
        """Whether its body is in sight and its outline sure: patches show what else lies in it."""
        sure = self.confidence is None or self.confidence >= _LEAST_CONFIDENCE
        return sure and self.shows_body and self.pelt.suffices

    @property
    def shows_body(self) -> bool:
        """Whether there is more to it than a head."""
        return bool(self.body.sum() >= _LEAST_BODY * self.subject.mask.sum())

    @property
    def worn(self) -> Tensor:
        """What statistics are taken of: its body, or all of it where little else than a head is in sight."""
        return self.body if self.shows_body else self.subject.mask

    @cached_property
    def body(self) -> Tensor:
        """What surely is the animal's body: float (1, H, W) of 0 and 1."""
        return body_of(self.subject.mask, self.head)

    @cached_property
    def pelt(self) -> Pelt:
        """What it gives to be copied."""
        return Pelt.taken_from(self.subject, self.body)


def _check_levels(encoder: FeatureEncoder, config: StyleConfig) -> None:
    known = len(encoder.levels)
    for level in (*config.style_levels, config.content_level):
        if level >= known:
            raise ConfigError(
                f"the encoder has levels 0 to {known - 1}, but style-transfer was told {level}: "
                "set --style-levels and --content-level"
            )
