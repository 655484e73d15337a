"""DiffAugment: the same gentle changes to what the critic sees of real and made images, differentiable.

So a critic cannot learn few images by heart, and the generator does not learn the changes themselves.
Source: Zhao et al. 2020, arXiv:2006.10738, section 4 and appendix, policy "color, translation, cutout"; written from the
paper. Legend of shapes: N images, S side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from chimera_core.api import Draw

KINDS = ("colour", "translation", "cutout")
_MOST_SHIFTED = 1 / 8  # of the side, in either direction
_CUT = 1 / 2  # of the side


@dataclass(frozen=True)
class Augmentation:
    """Random numbers for N images, each uniform in [0, 1). None: that kind is left out.

    Args:
        colour: (N, 3), for brightness, saturation and contrast.
        translation: (N, 2), for rows and columns.
        cutout: (N, 2), for the centre's row and column.
    """

    colour: Tensor | None = None
    translation: Tensor | None = None
    cutout: Tensor | None = None


def draw_augmentation(draw: Draw, purpose: str, *, kinds: tuple[str, ...] = KINDS) -> Augmentation:
    """Draw what shall happen to each image.

    Args:
        draw: of the examples.
        purpose: the same purpose gives the same changes, another gives others: ``real`` and ``fake`` may share one.
        kinds: which of ``KINDS``.
    """

    def numbers(kind: str, count: int) -> Tensor | None:
        return draw.uniform(count, purpose=f"{purpose}/{kind}") if kind in kinds else None

    return Augmentation(numbers("colour", 3), numbers("translation", 2), numbers("cutout", 2))


def augment(x: Tensor, augmentation: Augmentation) -> Tensor:
    """Change every image as was drawn for it; colour, then place, then a hole.

    Args:
        x: float (N, 3, S, S) in [-1, 1].
        augmentation: for N images.
    Returns:
        float (N, 3, S, S), of the dtype of ``x``. Colours may leave [-1, 1]: clipping would stop the gradient.
    """
    steps: tuple[tuple[Callable[[Tensor, Tensor], Tensor], Tensor | None], ...] = (
        (_recolour, augmentation.colour),
        (_translate, augmentation.translation),
        (_cut_out, augmentation.cutout),
    )
    for change, numbers in steps:
        if numbers is not None:
            x = change(x, numbers)
    return x


def _recolour(x: Tensor, numbers: Tensor) -> Tensor:
    """Add up to 0.5, scale the distance from grey by 0 to 2, and that from the image's mean by 0.5 to 1.5."""
    brightness, saturation, contrast = numbers.to(x.dtype)[:, :, None, None, None].unbind(1)
    x = x + brightness - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def _translate(x: Tensor, numbers: Tensor) -> Tensor:
    """Shift by whole pixels, up to an eighth of the side; what comes in is 0, which is grey."""
    size = x.shape[-1]
    most = round(size * _MOST_SHIFTED)
    shift = (numbers * (2 * most + 1)).floor().long() - most
    # (N, 2, S): the row, or column, that each row of the result comes from.
    origin = torch.arange(size, device=x.device) - shift[:, :, None]
    inside = (origin >= 0) & (origin < size)
    rows, columns = origin.clamp(0, size - 1).unbind(1)
    x = x.gather(2, rows[:, None, :, None].expand_as(x))
    x = x.gather(3, columns[:, None, None, :].expand_as(x))
    return x * _outer(inside)[:, None]


def _cut_out(x: Tensor, numbers: Tensor) -> Tensor:
    """Set a square of half the side to 0; its centre may lie anywhere in the image, so it may stick out."""
    size = x.shape[-1]
    side = round(size * _CUT)
    centre = (numbers * (size + 1 - side % 2)).floor().long()
    place = torch.arange(size, device=x.device) - (centre - side // 2)[:, :, None]
    hole = _outer((place >= 0) & (place < side))
    return x * ~hole[:, None]


def _outer(masks: Tensor) -> Tensor:
    """Cross masks of rows and columns, bool (N, 2, S), to (N, S, S)."""
    rows, columns = masks.unbind(1)
    return rows[:, :, None] & columns[:, None, :]
