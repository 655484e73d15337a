"""The broad set of animals that creatures are compared with, as each judge sees it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.data.subsets import spread_subset
from chimera_core.errors import DataError
from chimera_core.files.own_folders import remove_file
from chimera_core.scoring.figures.coats import CoatScale
from chimera_core.scoring.figures.realism import LEAST_IMAGES, RealismScale
from chimera_core.scoring.judge.feature_file import open_features, write_features
from chimera_core.scoring.judge.features import at_size, index_batches
from chimera_core.scoring.judge.judge import Judge
from chimera_core.scoring.views import scrambled, varied

MOST_IMAGES = 1500
MOST_FOR_DISTANCES = 10_000
"""Images of the reference that a Fréchet distance may take, which needs twice as many as the judge has features."""
_HELD_OUT = 0.2
_EMPTY = 96
_BATCH = 256
# Of the views: features of older ones do not serve.
_VERSION = 2


@dataclass(frozen=True, eq=False)
class SeenReference:
    """The reference in one judge's eyes.

    Args:
        views: features of one varied view of each image, float32 (n, D): what is not a parent.
        plain: features of the images themselves, (n, D).
        empty: features of views of pictures with animals' spectra and no animal, (e, D).
        coats: how textures vary; None where the judge has no levels to read them from.
        more: gives features of up to ``MOST_FOR_DISTANCES`` of its images, (m, D); None where ``plain`` is all.
    """

    views: Tensor
    plain: Tensor
    empty: Tensor
    scale: RealismScale
    coats: CoatScale | None = None
    more: Callable[[], Tensor] | None = None


def check_size(images: int) -> None:
    """Refuse a reference of too few images.

    Raises:
        DataError: if there are fewer than ``LEAST_IMAGES``.
    """
    if images < LEAST_IMAGES:
        raise DataError(
            f"a reference of {images} images is too small: give {LEAST_IMAGES} animals or more, of many kinds"
        )


class Reference:
    """Real animals of many kinds, at the size that is scored.

    Args:
        images: uint8 or float (n, 3, S, S), or a split; at most ``MOST_IMAGES`` are taken, evenly.
        seed: of views, and of the fifth that is held out to scale realism.
    Raises:
        DataError: if there are fewer than ``LEAST_IMAGES``.
    """

    def __init__(self, images: Tensor | ImageSplit, *, size: int, seed: int) -> None:
        check_size(len(images))
        self.seed, self._given, self._size = seed, images, size
        self.images = _taken(images, size, MOST_IMAGES)
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        held = round(_HELD_OUT * len(self))
        self._held_out, self._known = order[:held], order[held:]

    def __len__(self) -> int:
        return len(self.images)

    def some(self, count: int) -> Tensor:
        """Give so many of its images, the same every time: float32 (count, 3, S, S) in [0, 1]."""
        return self.images[self._known[:count]].float() / 255

    def seen_by(self, judge: Judge, *, cache: Path | None = None) -> SeenReference:
        """Show it to a judge.

        Args:
            cache: folder where features lie for the next time, mapped into memory; None keeps none.
        """
        batches = [self.images[rows] for rows in index_batches(len(self), _BATCH)]
        empty = scrambled(self.some(_EMPTY), seed=self.seed)
        noise = torch.rand(empty.shape, generator=torch.Generator().manual_seed(self.seed))
        key = self._key(judge) if cache is not None else ""

        def seen(
            name: str, look: Callable[[Tensor], Tensor], pictures: Iterable[Tensor], n: int = len(self)
        ) -> Tensor:
            if cache is None:
                return torch.cat([look(batch) for batch in pictures])
            return _kept(cache / f"{key}-{name}.npy", look, pictures, n=n)

        plain, textures = seen("plain", judge.features, batches), seen("textures", judge.textures, batches)
        varieties = (varied(batch.float() / 255, seed=self.seed + k) for k, batch in enumerate(batches))
        views = seen("views", judge.features, varieties)
        noise_textures = seen("noise-textures", judge.textures, [noise], len(noise))
        empty_views = seen("empty-views", judge.features, [varied(empty, seed=self.seed)], len(empty))
        coats = CoatScale.fit(seen("coats", judge.coats, batches)) if judge.coat_sizes else None
        scale = RealismScale.fit(textures[self._known], textures[self._held_out], noise_textures)
        more = None
        if len(self._given) > MOST_IMAGES:
            path = None if cache is None else cache / f"{key}-{min(len(self._given), MOST_FOR_DISTANCES)}.npy"
            more = functools.cache(functools.partial(self._more, judge, path))
        return SeenReference(views, plain, empty_views, scale, coats, more)

    def _more(self, judge: Judge, path: Path | None) -> Tensor:
        images = _taken(self._given, self._size, MOST_FOR_DISTANCES)
        batches = [images[rows] for rows in index_batches(len(images), _BATCH)]
        if path is None:
            return judge.features(batches)
        # The name knows the images that serve everything else; these are more of the same.
        digest = hashlib.sha256(images.numpy().tobytes()).hexdigest()[:16]
        return _kept(path.with_stem(f"{path.stem}-{digest}"), judge.features, batches, n=len(images))

    def _key(self, judge: Judge) -> str:
        """Name what features depend on: the images, the views, and every weight of the judge."""
        digest = hashlib.sha256(f"{_VERSION} {self.seed} {judge.side} {tuple(self.images.shape)}".encode())
        digest.update(self.images.numpy().tobytes())
        for name, tensor in judge.encoder.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:32]


def _kept(path: Path, look: Callable[[Tensor], Tensor], pictures: Iterable[Tensor], *, n: int) -> Tensor:
    """Open features that lie there, or make them; a damaged file is made again."""
    if path.is_file():
        try:
            return open_features(path)
        except DataError:
            remove_file(path, within=path.parent)
    return write_features(path, (look(batch) for batch in pictures), n=n)


def _taken(images: Tensor | ImageSplit, size: int, most: int) -> Tensor:
    if isinstance(images, Tensor):
        chosen = torch.linspace(0, len(images) - 1, min(len(images), most)).round().long()
        batches = [images[chosen[rows]] for rows in index_batches(len(chosen), _BATCH)]
    else:
        part = spread_subset(images, most)
        batches = [part.take(rows) for rows in index_batches(len(part), _BATCH)]
    return torch.cat([(at_size(batch, size) * 255).round().byte() for batch in batches])
