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
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.data.blocks import write_array
from chimera_core.data.packed import PackedSource, PackedSplit, map_array
from chimera_core.data.subsets import JoinedSplit, SubsetSplit
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import write_text_atomic
from chimera_core.files.locks import hold
from chimera_core.files.own_folders import make_folder, remove_tree
from chimera_core.files.text import read_json_table
from chimera_core.interfaces.components import DatasetSource, no_progress
from chimera_core.training.augmentation.masks import MaskFinder, paint_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]

_log = logging.getLogger(__name__)

# Raised when other masks are found than before.
_FORM = 1
# An interruption costs one block; each is a file that stays open, of which a process may have a thousand.
_LEAST_PER_BLOCK, _MOST_BLOCKS = 64, 256
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
    folder = packed.folder.with_name(f"{packed.folder.name}-animals{'-painted' if painted else ''}")
    kept, places = _lay_out(train, wanted, folder, painted)
    make_folder(folder.parent)
    lock = folder.with_name(f".{folder.name}.lock")
    with hold(lock, what=f"cache {folder.name}", work="filled", wait=True, on_wait=_log.warning):
        _open_folder(folder, {"form": _FORM, "content": packed.content})
        left = [block for block in kept if block.missing]
        total, done = sum(len(block.missing) for block in left), 0
        look = MaskFinder(source, packed.index["packing"]["fit"], device)
        for missing in left:
            for _ in missing.fill(look):
                done += 1
                progress(done, total)
    seen = [block.seen for block in kept]
    facts = [(0.0, False) if block < 0 else seen[block][row] for block, row in places.tolist()]
    return Animals(
        [block.array for block in kept],
        places,
        torch.tensor([area >= _LEAST_AREA for area, _ in facts]),
        torch.tensor([is_ground for _, is_ground in facts]),
        is_painted=painted,
    )


def _lay_out(train: ImageSplit, wanted: Tensor, folder: Path, painted: bool) -> tuple[list[_Block], Tensor]:
    """Give the blocks of the images in which animals are wanted, and int64 (n, 2): block and row of every image."""
    splits, which, rows = _packed_rows(train)
    kept: list[_Block] = []
    places = torch.full((len(train), 2), -1)
    for number, split in enumerate(splits):
        own = (which == number) & wanted
        per_block = max(_LEAST_PER_BLOCK, math.ceil(len(split) / _MOST_BLOCKS))
        blocks = rows // per_block
        for block in sorted({*blocks[own].tolist()}):
            inside = own & (blocks == block)
            first = block * per_block
            within = rows[inside] - first
            places[inside] = torch.stack([torch.full_like(within, len(kept)), within], 1)
            last = min(first + per_block, len(split))
            name = f"{split.name}-{block:05d}"
            kept.append(_Block(folder, name, split, first, last, within.tolist(), painted))
    return kept, places


@dataclass
class _Block:
    """Some images of a packed split, and what is kept of them."""

    folder: Path
    name: str
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

    def fill(self, look: MaskFinder) -> Iterator[None]:
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
        return f"{self.name}.{suffix}"


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
