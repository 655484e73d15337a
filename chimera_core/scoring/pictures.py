"""What judges are shown, the same for every command: chimeras, photographs of parents, images of a class."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.data.batches import ImageSplit
from chimera_core.data.preparing import plan_packing, prepare
from chimera_core.data.split_names import learning_split
from chimera_core.data.subsets import SubsetSplit, spread_subset
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import quote
from chimera_core.files.names import match_names
from chimera_core.images import read_mask, read_picture
from chimera_core.images.pixels import from_uint8, middle_square
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.models.encoders import load_encoder
from chimera_core.options.config import suggest
from chimera_core.plugins.discovery import PluginHost
from chimera_core.scoring.judge.features import at_size
from chimera_core.scoring.parents import ParentImages
from chimera_core.subjects.outline import find_subject

CLASS_IMAGES = 300
"""Real images of a class that a judge learns it from, at most."""
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


@functools.cache
def load_finder() -> FeatureEncoder:
    """Load the encoder by which animals are found in photographs, once: an ImageNet classifier."""
    return load_encoder(_FINDER).requires_grad_(False)


def parent_of_photograph(
    label: str,
    image: Tensor,
    *,
    mask: Tensor | None = None,
    size: int = PHOTO_SIDE,
) -> ParentImages:
    """Make a parent of one photograph; its animal is found unless a mask is given.

    Args:
        image: float (3, H, W) in [0, 1].
        mask: float (1, H, W) in [0, 1], 1 where the animal is.
        size: that is scored; a larger one than ``PHOTO_SIDE`` is that of the views, too.
    """
    side = max(size, PHOTO_SIDE)
    square = at_size(middle_square(image)[None], side)
    if mask is None:
        found = find_subject(load_finder(), square[0])[None]
    else:
        found = F.interpolate(middle_square(mask)[None], (side, side), mode="area")
    return ParentImages(label, square, found)


def parent_of_file(
    path: Path, *, mask: Path | None = None, label: str | None = None, size: int = PHOTO_SIDE
) -> ParentImages:
    """Read a photograph as a parent; a mask says where its animal is, or its transparency.

    Args:
        mask: a picture of the same shape, white where the animal is.
        label: names it; the file's name without its ending when None.
        size: as in ``parent_of_photograph``.
    Raises:
        DataError: if it is no picture.
    """
    picture = read_picture(path)
    shown = picture.alpha if mask is None else read_mask(mask)
    outline = from_uint8(shown) if shown is not None else None
    name = path.stem if label is None else label
    return parent_of_photograph(name, from_uint8(picture.on_white()), mask=outline, size=size)


def parent_of_class(
    host: PluginHost,
    name: str,
    *,
    source: str,
    options: Mapping[str, Any],
    size: int,
    split: str | None = None,
    shown: Path | None = None,
) -> ParentImages:
    """Take real images of a class as a parent, ``CLASS_IMAGES`` at most, spread evenly.

    Args:
        name: of the class, which the source may spell with other capitals, spaces, - and _.
        source: where it has images.
        split: in which; None: the one to learn from.
        shown: the one image of it that every fuser was given, if there is such.
    Raises:
        ConfigError: if the source has no such class, or no image of it.
    """
    images_of, classes = packed_split(host, source, options, size=size, split=split)
    own_name = match_names([name], classes).get(name)
    if own_name is None:
        raise ConfigError(f"source {source} has no class {quote(name)}" + suggest(name, classes))
    own = (images_of.labels == classes.index(own_name)).nonzero().flatten()
    if not len(own):
        where = f"in split '{split}'" if split else "to learn from"
        raise ConfigError(f"source {source} has no image of class {quote(name)} {where}")
    part = spread_subset(SubsetSplit(images_of, own), CLASS_IMAGES)
    images = part.take(torch.arange(len(part))).float() / 255
    picture = None if shown is None else from_uint8(read_picture(shown).on_white())[None]
    return ParentImages(name, images, shown=picture)


def packed_split(
    host: PluginHost, source: str, options: Mapping[str, Any], *, size: int, split: str | None = None
) -> tuple[ImageSplit, tuple[str, ...]]:
    """Pack a source at the size that is scored.

    Args:
        size: side in pixels.
        split: its name; the one to learn from when None.
    Returns:
        The split, and the names of all classes.
    Raises:
        DataError: if there is no such split.
    """
    packed = prepare(plan_packing(host, source, options, size=size))
    name = split or learning_split(packed.splits)
    if name not in packed.splits:
        raise DataError(f"source {source} has no split '{name}' (it has: {', '.join(packed.splits)})")
    return packed.split(name), tuple(packed.classes)
