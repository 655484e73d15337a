"""The broad set of animals that creatures are compared with, as each judge sees it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
        n: images of it.
        lacks: why there is no ``leakage`` (then there are no ``views`` and no ``empty``), and why there are no ``distances``
            (no ``plain``).
    """

    views: Tensor | None
    plain: Tensor | None
    empty: Tensor | None
    scale: RealismScale
    coats: CoatScale | None = None
    more: Callable[[], Tensor] | None = None
    n: int = 0
    lacks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unseen:
    """A judge has seen no reference; ``reason`` stands where its figures would."""

    reason: str


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
        key = None if cache is None else cache / self._key(judge)
        empty = scrambled(self.some(_EMPTY), seed=self.seed)
        plain = self._features("plain", judge.features, self._batches, key)
        varieties = (varied(b.float() / 255, seed=self.seed + k) for k, b in enumerate(self._batches))
        views = self._features("views", judge.features, varieties, key)
        empty_views = self._features(
            "empty-views", judge.features, [varied(empty, seed=self.seed)], key, n=len(empty)
        )
        scale, coats = self.scales(judge, key=key)
        more = None
        if len(self._given) > MOST_IMAGES:
            path = None if key is None else Path(f"{key}-{min(len(self._given), MOST_FOR_DISTANCES)}.npy")
            more = functools.cache(functools.partial(self._more, judge, path))
        return SeenReference(views, plain, empty_views, scale, coats, more, len(self))

    def scales(self, judge: Judge, *, key: Path | None = None) -> tuple[RealismScale, CoatScale | None]:
        """Fit the scales of realism and of coats; there is none of coats for a judge without levels.

        Args:
            key: how the files begin in which features lie for the next time; None keeps none.
        """
        noise = torch.rand(
            (min(_EMPTY, len(self._known)), *self.images.shape[1:]),
            generator=torch.Generator().manual_seed(self.seed),
        )
        textures = self._features("textures", judge.textures, self._batches, key)
        noise_textures = self._features("noise-textures", judge.textures, [noise], key, n=len(noise))
        coats = None
        if judge.coat_sizes:
            coats = CoatScale.fit(self._features("coats", judge.coats, self._batches, key))
        return RealismScale.fit(textures[self._known], textures[self._held_out], noise_textures), coats

    @property
    def _batches(self) -> list[Tensor]:
        return [self.images[rows] for rows in index_batches(len(self), _BATCH)]

    def _features(
        self,
        name: str,
        look: Callable[[Tensor], Tensor],
        pictures: Iterable[Tensor],
        key: Path | None,
        *,
        n: int | None = None,
    ) -> Tensor:
        """Look at all pictures, or open what was seen of them before; ``n`` rows, as many as images when None."""
        if key is None:
            return torch.cat([look(batch) for batch in pictures])
        return _kept(Path(f"{key}-{name}.npy"), look, pictures, n=len(self) if n is None else n)

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
