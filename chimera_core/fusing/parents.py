"""The parents of a chimera: photographs read, classes named, images drawn from a source."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from chimera_core.data.split_names import learning_split
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import quote
from chimera_core.files.names import spelled_in
from chimera_core.fusing.request import FusionRequest
from chimera_core.options.config import suggest
from chimera_core.records import Parent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from chimera_core.interfaces.components import DatasetSource, Split

# Photographs are handed to fusers no larger than this (shorter side), or than the result if that is larger:
# enough for a small animal's coat, and a 50-megapixel photograph stays affordable.
PARENT_SIZE = 1024

PhotographKey = tuple[object, ...]
"""What decides which pixels and which mask a photograph is read as."""

_log = logging.getLogger(__name__)


class ParentReader:
    """Reads a request's parents, once each.

    Args:
        accepts: what its fuser takes, ``"photo"`` or ``"class"`` or both.
        kept: photographs that were read before, which requests share: fusers keep what they found in a parent. New ones
            are put into it. None: each is read.
    """

    def __init__(
        self,
        request: FusionRequest,
        *,
        accepts: frozenset[str],
        kept: MutableMapping[PhotographKey, Parent] | None = None,
    ) -> None:
        self.request = request
        self._accepts = accepts
        self._kept = {} if kept is None else kept
        self._source: DatasetSource | None = None
        self._sampled: dict[tuple[int, int], Parent] = {}
        self._known = [self._read(k) for k in range(len(request.parents))]

    @property
    def depend_on_seed(self) -> bool:
        """Whether each seed draws its own images of a class."""
        return any(parent is None for parent in self._known)

    def of(self, seed: int) -> list[Parent]:
        """Give the parents; where the fuser wants images, a class name becomes one of that class, drawn by ``seed``."""
        return [parent or self._draw(k, seed) for k, parent in enumerate(self._known)]

    def _read(self, index: int) -> Parent | None:
        name = self.request.parents[index]
        trained = self.request.fuser.trained
        if trained is not None and trained.knows(name, self.request.source):
            return Parent(name, class_name=name)
        if not Path(name).is_file():
            return None if "photo" in self._accepts else Parent(name, class_name=name)
        key = self._key(index)
        if key not in self._kept:
            self._kept[key] = self._read_photograph(index)
        return self._kept[key]

    def _key(self, index: int) -> PhotographKey:
        """Give all that decides what is read; a name alone may stand for other pixels tomorrow."""
        request = self.request
        mask = request.masks[index] if index < len(request.masks) else "auto"
        found = request.pictures[index] if request.pictures else None
        limit = max(PARENT_SIZE, request.size)
        files = tuple(
            (name, Path(name).stat().st_mtime_ns)
            for name in (request.parents[index], mask)
            if Path(name).is_file()
        )
        return (files, mask, limit, request.square, found.name if found else "")

    def _read_photograph(self, index: int) -> Parent:
        name = self.request.parents[index]
        from chimera_core.images import read_picture
        from chimera_core.images.pixels import from_uint8, middle_square

        picture = read_picture(name)
        image, alpha = from_uint8(picture.rgb), None
        if picture.alpha is not None:
            alpha = from_uint8(picture.alpha)
            # What lies under full transparency is whatever the drawing program left there.
            image = alpha * image + (1 - alpha)
            alpha = _at_most(alpha, self.request.size, of=self.request.originals.get(name, name))
        image = _at_most(image, self.request.size, of=self.request.originals.get(name, name))
        if self.request.square:
            image, alpha = middle_square(image), None if alpha is None else middle_square(alpha)
        mask = self._mask(index, image, alpha)
        # Only a picture that shows its own transparency is a cut-out; a mask from elsewhere leaves the ground.
        is_cutout = alpha is not None and mask is alpha and bool((alpha < 0.5).any())
        found = self.request.pictures[index] if self.request.pictures else None
        return Parent(found.name if found else picture.name, image, mask, is_cutout=is_cutout)

    def _mask(self, index: int, image: Tensor, alpha: Tensor | None) -> Tensor | None:
        import torch

        choice = self.request.masks[index] if index < len(self.request.masks) else "auto"
        if choice == "auto":
            return alpha
        if choice == "none":
            return torch.ones_like(image[:1])
        from torch.nn import functional as F

        from chimera_core.images import read_mask
        from chimera_core.images.pixels import from_uint8, middle_square

        mask = from_uint8(read_mask(choice))
        if self.request.square:
            mask = middle_square(mask)
        (height, width), (h, w) = image.shape[-2:], mask.shape[-2:]
        if abs(h * width - w * height) > 0.02 * h * width:
            raise DataError(
                f"mask {choice} is {w} x {h} but its parent is {width} x {height}: give them one aspect ratio"
            )
        return F.interpolate(mask[None], (height, width), mode="bilinear", antialias=True)[0].clamp(0, 1)

    def _draw(self, index: int, seed: int) -> Parent:
        from chimera_core.images.pixels import from_uint8, middle_square

        if (index, seed) in self._sampled:
            return self._sampled[index, seed]
        request = self.request
        assert request.source is not None
        if self._source is None:
            self._source = request.source.load()
        info = self._source.info
        name = spelled_in(info.classes, request.parents[index])
        if name is None:
            name = request.parents[index]
            raise ConfigError(
                f"there is no file {quote(name)}, and source {request.source.label} has no class of that name"
                + suggest(name, info.classes)
            )
        split = self._source.open(learning_split(info.splits))
        wanted = info.classes.index(name)
        members = [i for i, label in enumerate(split.labels) if label == wanted]
        if not members:
            raise DataError(
                f"source {request.source.label} has no image of class '{name}' in its first split"
            )
        import torch

        generator = torch.Generator().manual_seed(seed * 1009 + index)
        image = from_uint8(_readable(split, members, generator, of=name).permute(1, 2, 0))
        image = _at_most(image, request.size, of=name)
        if request.square:
            image = middle_square(image)
        # To a trained fuser a class is what it learned itself; this is a photograph.
        class_name = name if request.fuser.trained is None else None
        parent = Parent(name, image, self._mask(index, image, None), class_name=class_name)
        self._sampled[index, seed] = parent
        return parent


def _readable(split: Split, members: list[int], generator: torch.Generator, *, of: str) -> Tensor:
    """Draw an image of a class, passing over files that cannot be read."""
    import torch

    for k in torch.randperm(len(members), generator=generator).tolist():
        try:
            return split[members[k]].image
        except DataError as error:
            _log.warning("%s is passed over", error)
    raise DataError(f"none of the {len(members)} images of class {quote(of)} can be read")


def _at_most(image: Tensor, size: int, *, of: str) -> Tensor:
    from chimera_core.images.pixels import MAX_ASPECT, resize_shorter

    height, width = image.shape[-2:]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise DataError(
            f"{quote(of)} is {width} x {height}, too elongated: crop it to at most {MAX_ASPECT}:1"
        )
    limit = max(PARENT_SIZE, size)
    return resize_shorter(image, limit) if min(height, width) > limit else image
