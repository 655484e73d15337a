"""The broad set of animals that creatures are compared with, as each judge sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.data.subsets import spread_subset
from chimera_core.errors import DataError
from chimera_core.scoring.features import at_size, index_batches
from chimera_core.scoring.judge import Judge
from chimera_core.scoring.realism import LEAST_IMAGES, RealismScale
from chimera_core.scoring.views import scrambled, varied

MOST_IMAGES = 1500
_HELD_OUT = 0.2
_EMPTY = 96
_BATCH = 256


@dataclass(frozen=True, eq=False)
class SeenReference:
    """The reference in one judge's eyes.

    Args:
        views: features of one varied view of each image, float32 (n, D): what is not a parent.
        plain: features of the images themselves, (n, D).
        empty: features of pictures with animals' spectra and no animal, (e, D).
        scale: of realism.
    """

    views: Tensor
    plain: Tensor
    empty: Tensor
    scale: RealismScale


class Reference:
    """Real animals of many kinds, at the size that is scored.

    Args:
        images: uint8 or float (n, 3, S, S), or a split; at most ``MOST_IMAGES`` are taken, evenly.
        size: that is scored.
        seed: of views, and of the fifth that is held out to scale realism.
    Raises:
        DataError: if there are fewer than ``LEAST_IMAGES``.
    """

    def __init__(self, images: Tensor | ImageSplit, *, size: int, seed: int) -> None:
        if len(images) < LEAST_IMAGES:
            raise DataError(
                f"a reference of {len(images)} images is too small: give {LEAST_IMAGES} animals or more, of many kinds"
            )
        self.seed = seed
        self.images = _taken(images, size)
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        held = round(_HELD_OUT * len(self))
        self._held_out, self._known = order[:held], order[held:]

    def __len__(self) -> int:
        return len(self.images)

    def some(self, count: int) -> Tensor:
        """Give so many of its images, the same every time: float32 (count, 3, S, S) in [0, 1]."""
        return self.images[self._known[:count]].float() / 255

    def seen_by(self, judge: Judge) -> SeenReference:
        """Show it to a judge."""
        batches = [self.images[rows] for rows in index_batches(len(self), _BATCH)]
        views = (varied(batch.float() / 255, seed=self.seed + k) for k, batch in enumerate(batches))
        plain = judge.features(iter(batches))
        empty = scrambled(self.some(_EMPTY), seed=self.seed)
        return SeenReference(
            judge.features(views),
            plain,
            judge.features(varied(empty, seed=self.seed)),
            RealismScale.fit(plain[self._known], plain[self._held_out], judge.features(empty)),
        )


def _taken(images: Tensor | ImageSplit, size: int) -> Tensor:
    if isinstance(images, Tensor):
        chosen = torch.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).round().long()
        batches = [images[chosen[rows]] for rows in index_batches(len(chosen), _BATCH)]
    else:
        part = spread_subset(images, MOST_IMAGES)
        batches = [part.take(rows) for rows in index_batches(len(part), _BATCH)]
    return torch.cat([(at_size(batch, size) * 255).round().byte() for batch in batches])
