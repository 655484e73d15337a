"""The animals in training images: masks, found once and kept beside the packed images.

A folder ``SOURCE-64px-KEY-animals`` lies beside the packed cache ``SOURCE-64px-KEY`` and holds, for blocks of its images,
``SPLIT-00000.npy`` (uint8, rows x S x S x 1) and ``SPLIT-00000.json``, which is written last and says of each row that
has been looked at how much of it is animal, and whether it makes a background. So what was found before an interruption stays, and a training on more of the images looks at the new ones
only. Its sibling ``-animals-painted`` has three more channels: the image with its animal painted out.

An animal is looked for in the photograph as its source gives it, not in the small square that was made of it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.data.batches import ImageSplit
from chimera_core.data.blocks import Fit, square, write_array
from chimera_core.data.packed import PackedSource, PackedSplit, map_array
from chimera_core.data.subsets import JoinedSplit, SubsetSplit
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import write_text_atomic
from chimera_core.files.locks import hold
from chimera_core.files.own_folders import make_folder, remove_tree
from chimera_core.files.text import read_json_table
from chimera_core.interfaces.components import DatasetSource, FeatureEncoder, Split, no_progress, own_mask
from chimera_core.subjects.finder import load_outline_encoder
from chimera_core.subjects.outline import Outline, find_outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]

_log = logging.getLogger(__name__)

LEAST_SIDE = 32
"""Sides of images in pixels under which an outline is too coarse to cut along."""

# Raised when other masks are found than before.
_FORM = 1
_PER_BLOCK = 64
# The authors take a detection from this confidence on.
_LEAST_CONFIDENCE = 0.5
# An animal under this share of the square was cut away with the edges; a hole over that one is all invention.
_LEAST_AREA, _MOST_AREA = 0.002, 0.25


class Animals:
    """Masks of the animals in a training's images.

    Args:
        blocks: arrays uint8 (rows, S, S, 1 or 4): mask, and the image with its animal painted out.
        places: int64 (n, 2): block and row of every image; -1 where none was looked for.
        is_found: bool (n,), which images have an animal.
        is_ground: bool (n,), which images are backgrounds once their animal is painted out.
        is_painted: whether there are painted images.
    """

    def __init__(
        self,
        blocks: Sequence[UInt8],
        places: Tensor,
        is_found: Tensor,
        is_ground: Tensor,
        *,
        is_painted: bool,
    ) -> None:
        self._blocks, self._places = blocks, places
        self.is_found, self.is_ground, self.is_painted = is_found, is_ground, is_painted

    def masks(self, indices: Tensor) -> Tensor:
        """Copy masks out: int64 (N,) -> uint8 (N, 1, S, S); indices of images with an animal."""
        return self._take(indices)[:, :1]

    def grounds(self, indices: Tensor) -> Tensor:
        """Copy images out whose animals were painted out: int64 (N,) -> uint8 (N, 3, S, S)."""
        return self._take(indices)[:, 1:]

    def _take(self, indices: Tensor) -> Tensor:
        taken = np.stack([self._blocks[block][row] for block, row in self._places[indices].tolist()])
        return torch.from_numpy(taken).permute(0, 3, 1, 2)


def find_animals(
    train: ImageSplit,
    source: DatasetSource,
    packed: PackedSource,
    wanted: Tensor,
    *,
    painted: bool,
    device: torch.device,
    progress: Callable[[float, float], None] = no_progress,
) -> Animals:
    """Give the masks of a training's animals, from their source where it knows them, else found.

    Args:
        train: the images that are learned from, out of ``packed``.
        source: of the packed images.
        packed: they.
        wanted: bool (n,), in which of the training's images there may be an animal.
        painted: paint the animals out, too.
        device: where they are looked for.
        progress: called with (done, total) in images.
    Raises:
        ConfigError: if the photographs are too small.
        DataError, RunError: if a photograph cannot be read any more, or the disk refuses.
    """
    splits, which, rows = _packed_rows(train)
    folder = packed.folder.with_name(f"{packed.folder.name}-animals{'-painted' if painted else ''}")
    kept: dict[tuple[int, int], _Block] = {}
    places = torch.full((len(train), 2), -1)
    for number, split in enumerate(splits):
        own = (which == number) & wanted
        for first in sorted({*(rows[own] // _PER_BLOCK * _PER_BLOCK).tolist()}):
            inside = own & (rows >= first) & (rows < first + _PER_BLOCK)
            places[inside] = torch.stack([torch.full_like(rows[inside], len(kept)), rows[inside] - first], 1)
            last = min(first + _PER_BLOCK, len(split))
            kept[number, first] = _Block(folder, split, first, last, (rows[inside] - first).tolist(), painted)
    make_folder(folder.parent)
    lock = folder.with_name(f".{folder.name}.lock")
    with hold(lock, what=f"cache {folder.name}", work="filled", wait=True, on_wait=_log.warning):
        _open_folder(folder, {"form": _FORM, "content": packed.content})
        left = [block for block in kept.values() if block.missing]
        total, done = sum(len(block.missing) for block in left), 0
        look = _Finder(source, packed.index["packing"]["fit"], device)
        for block in left:
            for _ in block.fill(look):
                done += 1
                progress(done, total)
    blocks = list(kept.values())
    seen = [block.seen for block in blocks]
    facts = [(0.0, False) if block < 0 else seen[block][row] for block, row in places.tolist()]
    return Animals(
        [block.array for block in blocks],
        places,
        torch.tensor([area >= _LEAST_AREA for area, _ in facts]),
        torch.tensor([is_ground for _, is_ground in facts]),
        is_painted=painted,
    )


@dataclass
class _Block:
    """Some images of a packed split, and what is kept of them."""

    folder: Path
    split: PackedSplit
    first: int
    last: int
    wanted: Sequence[int]
    painted: bool

    @property
    def missing(self) -> list[int]:
        """Rows that are wanted and were not looked at."""
        return sorted({*self.wanted} - self.seen.keys())

    @property
    def array(self) -> UInt8:
        """What is kept: uint8 (rows, S, S, 1 or 4)."""
        size = self.split.size
        return map_array(
            self.folder, self._file("npy"), (self.last - self.first, size, size, 4 if self.painted else 1)
        )

    def fill(self, look: _Finder) -> Iterator[None]:
        """Look at the missing rows; yields after each."""
        seen, missing, size = self.seen, self.missing, self.split.size
        channels = 4 if self.painted else 1
        array: UInt8 = np.zeros((self.last - self.first, size, size, channels), dtype=np.uint8)
        if seen:  # by a training on other images
            array[:] = self.array
        for row in missing:
            mask = look(self.split, self.first + row)
            array[row, ..., 0] = mask
            area, is_ground = float(mask.mean()) / 255, False
            if self.painted:
                pixels = self.split.take(torch.tensor([self.first + row]))[0].permute(1, 2, 0).numpy()
                array[row, ..., 1:] = paint_out(pixels, mask)
                # One animal was painted out; of a herd there are more.
                is_ground = _LEAST_AREA <= area <= _MOST_AREA and look.is_empty(array[row, ..., 1:])
            seen[row] = (round(area, 6), is_ground)
            yield
        write_array(self.folder / self._file("npy"), array)
        write_text_atomic(self.folder / self._file("json"), json.dumps({"rows": sorted(seen.items())}))

    @property
    def seen(self) -> dict[int, tuple[float, bool]]:
        """Of rows that were looked at, the share that is animal, and whether the rest makes a background.

        There are none where what is kept of them is damaged.
        """
        with suppress(DataError, OSError, ValueError, TypeError, KeyError):
            record = read_json_table(self.folder / self._file("json"))
            self.array  # noqa: B018
            return {int(row): (float(area), bool(is_ground)) for row, (area, is_ground) in record["rows"]}
        return {}

    def _file(self, suffix: str) -> str:
        return f"{self.split.name}-{self.first // _PER_BLOCK:05d}.{suffix}"


class _Finder:
    """Gives the mask of a packed image: uint8 (S, S)."""

    def __init__(self, source: DatasetSource, fit: Fit, device: torch.device) -> None:
        self._source, self._fit, self._device = source, fit, device
        self._splits: dict[str, Split] = {}
        self._encoder: FeatureEncoder | None = None

    def __call__(self, packed: PackedSplit, row: int) -> UInt8:
        split = self._splits.setdefault(packed.name, self._source.open(packed.name))
        origin = int(packed.origins[row])
        image = split[origin].image
        if min(image.shape[-2:]) < LEAST_SIDE:
            height, width = image.shape[-2:]
            raise ConfigError(
                f"copy-paste cuts animals out, but a picture of {self._source.info.name} is {width} x {height} pixels, "
                f"too small to see an outline: it takes {LEAST_SIDE}, so choose another augmentation"
            )
        mask = own_mask(split, origin)
        mask = self._look(image) if mask is None else _like(mask, image)
        return _square_mask(mask, packed.size, self._fit)

    def is_empty(self, pixels: UInt8) -> bool:
        """Say whether no animal is seen in an image, uint8 (S, S, 3)."""
        return self._outline(torch.from_numpy(pixels).permute(2, 0, 1)).confidence < _LEAST_CONFIDENCE

    def _outline(self, image: Tensor) -> Outline:
        if self._encoder is None:
            self._encoder = load_outline_encoder(self._device)
        return find_outline(self._encoder, image.to(self._device).float() / 255, quality="fast")

    def _look(self, image: Tensor) -> Tensor:
        found = self._outline(image)
        if found.confidence < _LEAST_CONFIDENCE:
            return torch.zeros_like(image[:1])
        # What is half an animal's is cut in a narrow band: a wide one would carry a halo of the old background along.
        return ((2.5 * (found.mask - 0.5) + 0.5).clamp(0, 1) * 255).round().byte().cpu()


def paint_out(pixels: UInt8, mask: UInt8) -> UInt8:
    """Paint an animal out of its picture from what surrounds it.

    Args:
        pixels: uint8 (S, S, 3).
        mask: uint8 (S, S).
    Returns:
        uint8 (S, S, 3).
    Source: Telea 2004, doi:10.1080/10867651.2004.10487596, as OpenCV has it.
    """
    side = max(3, len(mask) // 16) | 1  # its rim and the edge of its shadow go along
    hole = cv2.dilate(
        (mask > 16).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    )
    return cv2.inpaint(np.ascontiguousarray(pixels), hole, side / 2, cv2.INPAINT_TELEA).astype(np.uint8)


def _square_mask(mask: Tensor, size: int, fit: Fit) -> UInt8:
    """Scale a mask, uint8 (1, H, W), to uint8 (S, S) as its image was."""
    if fit == "pad":  # around the picture is no animal, whatever touches the edge
        height, width = mask.shape[-2:]
        across, down = max(0, height - width), max(0, width - height)
        mask = F.pad(mask, (across // 2, across - across // 2, down // 2, down - down // 2))
        fit = "stretch"
    squared: UInt8 = square(mask.expand(3, -1, -1).contiguous(), size, fit)[..., 0]
    return squared


def _like(mask: Tensor, image: Tensor) -> Tensor:
    """Bring a source's mask to the size of its image."""
    if mask.shape[-2:] == image.shape[-2:]:
        return mask
    scaled = F.interpolate(mask[None].float(), image.shape[-2:], mode="bilinear", antialias=True)[0]
    return scaled.round().clamp(0, 255).byte()


def _open_folder(folder: Path, identity: dict[str, Any]) -> None:
    """Make the folder; what other images or an older form left there goes."""
    index = folder / "index.json"
    with suppress(DataError, OSError):
        if read_json_table(index) == identity:
            return
    remove_tree(folder, within=folder.parent)
    make_folder(folder, within=folder.parent)
    write_text_atomic(index, json.dumps(identity) + "\n")


def _packed_rows(split: ImageSplit) -> tuple[list[PackedSplit], Tensor, Tensor]:
    """Say where a split's images lie packed: splits, and for each image which of them, and its row there."""
    if isinstance(split, PackedSplit):
        return [split], torch.zeros(len(split), dtype=torch.int64), torch.arange(len(split))
    if isinstance(split, SubsetSplit):
        splits, which, rows = _packed_rows(split.split)
        return splits, which[split.origins], rows[split.origins]
    if isinstance(split, JoinedSplit):
        parts = [_packed_rows(part) for part in split.splits]
        starts = np.cumsum([0, *(len(splits) for splits, _, _ in parts)]).tolist()
        return (
            [one for splits, _, _ in parts for one in splits],
            torch.cat([which + start for (_, which, _), start in zip(parts, starts, strict=False)]),
            torch.cat([rows for _, _, rows in parts]),
        )
    raise ConfigError("copy-paste needs packed images: choose another augmentation")
