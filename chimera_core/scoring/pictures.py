"""Picture files and photographs, brought into the one square shape in which they are scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.components.resolve import load_encoder
from chimera_core.images import read_picture
from chimera_core.images.pixels import from_uint8, middle_square
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.scoring.judge.features import at_size
from chimera_core.scoring.parents import ParentImages
from chimera_core.subjects.finding import find_subject

# Views of a photograph's animal are cut out of it at this size, whatever the size that is scored.
PHOTO_SIDE = 256
# With its plugin, so that a stranger who offers a "timm" too cannot get into the way.
_FINDER = "timm:timm"


def read_squares(paths: Sequence[Path], *, size: int) -> Tensor:
    """Read picture files, the middle square of each: float32 (n, 3, size, size) in [0, 1]; clear pixels are white.

    Raises:
        DataError: for a file that is no picture.
    """
    squares = [at_size(middle_square(from_uint8(read_picture(p).on_white()))[None], size) for p in paths]
    return torch.cat(squares)


def load_finder() -> FeatureEncoder:
    """Load the encoder by which animals are found in photographs: an ImageNet classifier."""
    return load_encoder(_FINDER).requires_grad_(False)


def parent_of_photograph(
    label: str,
    image: Tensor,
    *,
    mask: Tensor | None = None,
    finder: FeatureEncoder | None = None,
    size: int = PHOTO_SIDE,
) -> ParentImages:
    """Make a parent of one photograph; where its animal is is found, unless it is told.

    Args:
        label: names it.
        image: float (3, H, W) in [0, 1].
        mask: float (1, H, W) in [0, 1], 1 where the animal is.
        finder: of ``load_finder``, for those who have many photographs.
        size: that is scored; a larger one than ``PHOTO_SIDE`` is that of the views, too.
    """
    side = max(size, PHOTO_SIDE)
    square = at_size(middle_square(image)[None], side)
    if mask is None:
        found = find_subject(finder or load_finder(), square[0])[None]
    else:
        found = F.interpolate(middle_square(mask)[None], (side, side), mode="area")
    return ParentImages(label, square, found)


def parent_of_file(
    path: Path, *, finder: FeatureEncoder | None = None, size: int = PHOTO_SIDE
) -> ParentImages:
    """Read a photograph as a parent; transparency says where its animal is.

    Args:
        path: the picture file.
        finder, size: as in ``parent_of_photograph``.
    Raises:
        DataError: if it is no picture.
    """
    picture = read_picture(path)
    mask = from_uint8(picture.alpha) if picture.alpha is not None else None
    return parent_of_photograph(
        path.stem, from_uint8(picture.on_white()), mask=mask, finder=finder, size=size
    )
