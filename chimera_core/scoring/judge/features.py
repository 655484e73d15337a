"""Images -> a judge's features, and the quality of generated images by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.data.batches import ImageSplit
from chimera_core.data.subsets import spread_subset
from chimera_core.errors import DataError, ShapeError
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.interfaces.guards import check_features
from chimera_core.scoring.sets.kid import KernelDistance, kernel_distance

BATCH = 64


@torch.no_grad()
def judge_features(
    encoder: FeatureEncoder,
    images: Tensor | Iterable[Tensor],
    *,
    size: int | None,
    device: torch.device | str = "cpu",
    read: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Embed images as a judge sees them: all at one size, brought there by one filter (``formula.RESIZE``).

    The encoder works in evaluation mode, and its mode is left as it was. Nothing is random.

    Args:
        encoder: the judge; on ``device``.
        images: (n, 3, H, W), or batches of such: uint8, or float in [0, 1].
        size: side in pixels at which the judge looks; images that are not square become so. None: they stay as they are.
        read: what is read of a batch, (N, 3, size, size) -> (N, D); None embeds it.
    Returns:
        float32 (n, D), on the CPU.
    Raises:
        ShapeError: if a batch has another shape.
        DataError: if there is no image.
    """
    was_training = encoder.training
    encoder.eval()
    found: list[Tensor] = []
    try:
        for batch in _batches(images):
            pixels = at_size(batch.to(device), batch.shape[-1] if size is None else size)
            seen = (read or encoder.embed)(pixels)
            if read is None:
                check_features(seen, len(pixels), f"encoder {type(encoder).__name__}")
            found.append(seen.float().cpu())
    finally:
        encoder.train(was_training)
    if not found:
        raise DataError("there are no images to judge: give one or more")
    return torch.cat(found)


def at_size(images: Tensor, size: int) -> Tensor:
    """Bring images to a judge's size by ``formula.RESIZE``.

    Args:
        images: (N, 3, H, W), uint8, or float in [0, 1].
    Returns:
        float32 (N, 3, size, size) in [0, 1].
    Raises:
        ShapeError: for another shape.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(f"images are {tuple(images.shape)}: pass (N, 3, H, W)")
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if pixels.shape[-2:] == (size, size):
        return pixels
    return F.interpolate(pixels, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def split_batches(split: ImageSplit, *, images: int) -> Iterator[Tensor]:
    """Yield at most so many images, spread evenly over a split, as uint8 batches (N, 3, S, S)."""
    part = spread_subset(split, images)
    for rows in index_batches(len(part), BATCH):
        yield part.take(rows)


def index_batches(count: int, size: int) -> Iterator[Tensor]:
    """Yield 0 to count - 1, at most so many at a time."""
    for start in range(0, count, size):
        yield torch.arange(start, min(start + size, count))


@dataclass(frozen=True)
class QualityJudge:
    """Measures how far generated images are from real ones; the real ones are embedded once, on first use.

    Args:
        encoder: the judge, on ``device``; another network than the one that conditions the generator.
        name: of the judge, which the figures carry: KID[name].
        images: how many of them at most, spread evenly.
        size: side in pixels at which the judge looks.
        subsets: draws of the kernel distance.
        subset_size: images of each; fewer where there are not so many. If it is all of them, the draws are alike and
            ``kid_std`` is 0.
    """

    encoder: FeatureEncoder
    name: str
    real: ImageSplit
    images: int
    size: int = 128
    device: torch.device | str = "cpu"
    subsets: int = 20
    subset_size: int = 1000

    def measure(self, fake: Tensor) -> dict[str, float]:
        """Give ``kid`` and ``kid_std``, by this judge, of generated images: float (n, 3, S, S) in [0, 1].

        The smaller, the nearer; real images against others of their kind are at 0, give or take ``kid_std``.
        """
        found = self.distance(self.features(fake))
        return {"kid": found.mean, "kid_std": found.std}

    def distance(self, fake: Tensor) -> KernelDistance:
        """Compare features (n, D) of generated images with the real ones'."""
        return kernel_distance(
            fake,
            self.real_features,
            extractor=self.name,
            subsets=self.subsets,
            subset_size=min(self.subset_size, len(fake), len(self.real_features)),
        )

    def features(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """Embed images as ``judge_features`` does: float32 (n, D)."""
        return judge_features(self.encoder, images, size=self.size, device=self.device)

    @cached_property
    def real_features(self) -> Tensor:
        """Features of the real images, float32 (n, D)."""
        return self.features(split_batches(self.real, images=self.images))


def _batches(images: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
    if not isinstance(images, Tensor):
        yield from images
    elif images.ndim != 4:
        raise ShapeError(f"images are {tuple(images.shape)}: pass (N, 3, H, W)")
    else:
        yield from (images[start : start + BATCH] for start in range(0, len(images), BATCH))
