"""Targeted augmentation: animals of one camera's pictures on the backgrounds of others.

A classifier that saw its animals in front of a few cameras knows the cameras. Copy-paste takes that away, and keeps what
of a background says something about the animal: only backgrounds of cameras that have seen its class are taken.

Source: Gao et al. 2023, arXiv:2302.11861, section 4 ("Copy-Paste, same Y"), and the authors' code: an animal stays where
it stands, in its size; images of the empty class stay as they are; mirroring comes afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.data.packed import PackedSource
from chimera_core.errors import ConfigError, ShapeError
from chimera_core.interfaces.components import no_progress
from chimera_core.options.training import EncoderTraining
from chimera_core.randomness import Draw
from chimera_core.training.augmentation.animals import Animals, find_animals
from chimera_core.training.augmentation.masks import LEAST_SIDE
from chimera_core.training.augmentation.presets import random_flip
from chimera_core.training.data import TrainingData

SHARE = 0.57
"""Of the images that are pasted: what the authors' search ended with."""

EMPTY = ("empty", "blank", "background")
"""What data sets call the class of pictures without an animal."""


def check_copy_paste(config: EncoderTraining) -> None:
    """Check what the options alone tell.

    Raises:
        ConfigError: if the images are too small.
    """
    if config.size < LEAST_SIDE:
        raise ConfigError(
            f"copy-paste cuts animals out, and images of {config.size} pixels are too small for an outline: "
            f"take --size {LEAST_SIDE} or more, or choose another augmentation"
        )


def plan_copy_paste(
    data: TrainingData,
    config: EncoderTraining,
    device: torch.device,
    *,
    progress: Callable[[float, float], None] = no_progress,
) -> CopyPaste:
    """Find the animals of a training's images and the backgrounds that they may be pasted on.

    Backgrounds are the pictures of the empty class; where a source has none, all others with their animals painted out.

    Args:
        data: packed.
        config: of the training.
        device: where animals are looked for.
        progress: called with (done, total) in images.
    Raises:
        ConfigError: if there are no animals or no backgrounds, with the reason.
    """
    train, packed = data.train, data.images
    assert isinstance(packed, PackedSource) and data.source is not None, "a dry run pastes nothing"
    empty = [label for label, name in enumerate(packed.classes) if name.casefold() in EMPTY]
    is_empty = torch.isin(train.labels, torch.tensor(empty, dtype=torch.int64))
    painted = not bool(is_empty.any())
    animals = find_animals(
        train, data.source, packed, ~is_empty, painted=painted, device=device, progress=progress
    )
    found = int(animals.is_found.sum())
    if not found:
        raise ConfigError(
            f"copy-paste cuts animals out, but none was found in the {len(train):,} images of source "
            f"{config.source.name}: choose another augmentation"
        )
    pool = (animals.is_ground if painted else is_empty).nonzero()[:, 0]
    if not len(pool):
        raise ConfigError(
            f"copy-paste needs backgrounds, but source {config.source.name} has no class of empty pictures "
            f"({', '.join(EMPTY)}), and its animals fill their pictures: choose another augmentation"
        )
    facts = {
        "images": int((~is_empty).sum()),
        "animals": found,
        "backgrounds": len(pool),
        "painted": painted,
    }
    return CopyPaste(train, animals, Backgrounds(train.labels, train.domains, pool), facts=facts)


class Backgrounds:
    """The pictures that an animal may be pasted on: those from domains in which its class was seen.

    Args:
        labels: classes of the training images, int64 (n,).
        domains: their domains, int64 (n,).
        pool: int64 (M,), which of these images are backgrounds.
    """

    def __init__(self, labels: Tensor, domains: Tensor, pool: Tensor) -> None:
        self._pool = pool[domains[pool].argsort(stable=True)]
        count = int(domains.max()) + 1
        per_domain = torch.bincount(domains[pool], minlength=count)
        self._starts = per_domain.cumsum(0) - per_domain
        seen = torch.zeros(int(labels.max()) + 1, count, dtype=torch.int64)
        seen[labels, domains] = 1
        self._allowed = seen * per_domain
        self._ends = self._allowed.cumsum(1)

    def __len__(self) -> int:
        return len(self._pool)

    def choose(self, labels: Tensor, lot: Tensor) -> Tensor:
        """Choose a background for each image.

        Args:
            labels: classes of the images, int64 (N,).
            lot: float (N,) in [0, 1), uniform; each background that is allowed is as likely as another.
        Returns:
            int64 (N,): indices of training images; -1 where no background is allowed.
        """
        ends = self._ends[labels]
        total = ends[:, -1]
        place = (lot.double() * total).long().clamp(max=(total - 1).clamp_min(0))
        domain = torch.searchsorted(ends, place[:, None], right=True)[:, 0].clamp_max(ends.shape[1] - 1)
        rows = torch.arange(len(labels))
        within = place - (ends - self._allowed[labels])[rows, domain]
        chosen = self._pool[(self._starts[domain] + within).clamp(0, max(0, len(self._pool) - 1))]
        return torch.where(total > 0, chosen, -1)


class CopyPaste:
    """Pastes animals of a training's images on its backgrounds; then half of the images are mirrored.

    What an image becomes is a function of its draw alone, whatever batch or process it comes in.

    Args:
        train: the images that are learned from; a draw's indices are theirs.
        animals: masks of their animals; where there are no empty pictures, also what lies behind these.
        backgrounds: of these images.
        share: of the images with an animal that are pasted, in [0, 1].
        facts: what ``run.json`` keeps of it.
    """

    def __init__(
        self,
        train: ImageSplit,
        animals: Animals,
        backgrounds: Backgrounds,
        *,
        share: float = SHARE,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self._train, self._animals, self._backgrounds, self._share = train, animals, backgrounds, share
        self.facts = {} if facts is None else facts

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Vary a batch: float (N, 3, H, W) in [0, 1]; the draw's indices say which images of the training these are."""
        indices = draw.indices.cpu()
        on_cpu = Draw(draw.seed, draw.epoch, indices)
        lot, chance = (on_cpu.uniform(purpose=f"copy-paste/{what}").view(-1) for what in ("which", "whether"))
        chosen = self._backgrounds.choose(self._train.labels[indices], lot)
        pasted = (chosen >= 0) & (chance < self._share) & self._animals.is_found[indices]
        rows = pasted.nonzero()[:, 0]
        if len(rows):
            masks = self._animals.masks(indices[rows]).to(x.device).float() / 255
            behind = self._behind(chosen[rows]).to(x.device).float() / 255
            x = x.clone()
            there = rows.to(x.device)
            x[there] = paste(x[there], masks, behind)
        return random_flip(x, draw)

    def _behind(self, chosen: Tensor) -> Tensor:
        return self._animals.grounds(chosen) if self._animals.is_painted else self._train.take(chosen)


def paste(images: Tensor, masks: Tensor, backgrounds: Tensor) -> Tensor:
    """Paste each animal, where it stands, on another picture.

    Args:
        images: float (N, 3, H, W) in [0, 1].
        masks: float (N, 1, H, W) in [0, 1], 1 where the animal is (a filled box will do).
        backgrounds: float (N, 3, H, W) in [0, 1], pictures without animals.
    Returns:
        float (N, 3, H, W) in [0, 1].
    Raises:
        ShapeError: if shapes do not fit.
    """
    n, _, height, width = images.shape
    if masks.shape != (n, 1, height, width) or backgrounds.shape != images.shape:
        raise ShapeError(
            f"images are {tuple(images.shape)}, masks {tuple(masks.shape)} and backgrounds {tuple(backgrounds.shape)}: "
            "pass (N, 3, H, W), (N, 1, H, W) and (N, 3, H, W)"
        )
    return masks * images + (1 - masks) * backgrounds
