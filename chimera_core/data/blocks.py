"""Decode a split block by block, in parallel; each block is written whole or not at all.

The processes are those of torch's ``DataLoader``: it starts them, watches them, and they end when their parent does.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import multiprocessing
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from chimera_core.data.framing import cut, parse_box
from chimera_core.errors import ChimeraError, DataError, RunError
from chimera_core.files.atomic import atomic_path, one_line, quote, write_text_atomic
from chimera_core.files.hashing import hash_file
from chimera_core.interfaces.components import Split
from chimera_core.plugins.discovery import registry_files
from chimera_core.records import SourceInfo

Fit = Literal["crop", "stretch", "pad"]
BLOCK_BYTES = 32 << 20
_LEAST_PER_BLOCK = 64
_BLOCKS_OF_SMALL = 16  # a small split still keeps every core busy to the end


@dataclass(frozen=True)
class Block:
    """Examples ``first`` ... ``last - 1`` of a split, and the shard that they become."""

    split: str
    number: int
    first: int
    last: int

    @property
    def shard(self) -> str:
        """File of its images."""
        return f"{self.split}-{self.number:05d}.npy"

    @property
    def record(self) -> str:
        """File of what was seen while decoding them; it is written last, so it says that the block is done."""
        return f"{self.split}-{self.number:05d}.json"


def blocks_of(name: str, count: int, size: int) -> list[Block]:
    """Cut a split of ``count`` examples into blocks; the same ones whoever asks, on any machine."""
    per_block = max(_LEAST_PER_BLOCK, math.ceil(count / _BLOCKS_OF_SMALL))
    per_block = max(1, min(per_block, BLOCK_BYTES // (3 * size * size)))
    return [
        Block(name, number, first, min(first + per_block, count))
        for number, first in enumerate(range(0, count, per_block))
    ]


class _Blocks(Dataset[Any]):
    """Decodes and writes block k when asked for item k; gives back its number of examples, or what went wrong."""

    def __init__(
        self,
        blocks: Sequence[Block],
        splits: Mapping[str, Split],
        partial: Path,
        size: int,
        fit: Fit,
        classes: int,
    ) -> None:
        self.blocks = blocks
        self.splits = splits
        self.partial = partial
        self.size = size
        self.fit = fit
        self.classes = classes

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> int | ChimeraError:
        block = self.blocks[index]
        try:
            _write_block(self.splits[block.split], block, self.partial, self.size, self.fit, self.classes)
        except ChimeraError as error:  # given back, because the loader would wrap it in a traceback
            return error
        return block.last - block.first


def write_blocks(
    splits: Mapping[str, Split],
    info: SourceInfo,
    partial: Path,
    packing: Mapping[str, Any],
    workers: int | None,
    progress: Callable[[float, float], None],
) -> None:
    """Decode and write all blocks of all splits that are not there yet.

    Args:
        splits: by name.
        info: of the source.
        partial: the folder to write into.
        packing: size and fit.
        workers: processes; None: one per core; 0: this one.
        progress: called with (done, total) in images.
    Raises:
        DataError: if a label is none of the classes.
        RunError: if the disk refuses.
    """
    size = packing["size"]
    blocks = [b for name, split in splits.items() for b in blocks_of(name, len(split), size)]
    left = [b for b in blocks if not ((partial / b.record).exists() and (partial / b.shard).exists())]
    total = sum(b.last - b.first for b in blocks)
    done = total - sum(b.last - b.first for b in left)
    _check_space(left, size, partial)
    workers = min(os.cpu_count() or 1 if workers is None else workers, len(left))
    work = _Blocks(left, splits, partial, size, packing["fit"], len(info.classes))
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "This DataLoader will create"
        )  # more processes than cores: the user's choice
        loader = DataLoader(
            work,
            batch_size=None,
            num_workers=workers,
            in_order=False,
            prefetch_factor=1 if workers else None,
            worker_init_fn=functools.partial(_begin, os.getpid(), registry_files.get()),
        )
        try:
            for outcome in loader:
                if isinstance(outcome, ChimeraError):
                    raise outcome
                done += outcome
                progress(done, total)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RunError(
                "a process that decodes was killed, probably because memory ran out: take fewer --workers; what is "
                "done stays"
            ) from error


def _begin(parent: int, registries: tuple[Path, ...], worker: int) -> None:
    """Begin to work in a process of its own, which may be spawned and know nothing of the command's --registry.

    Readers of images that plugins add are found there as here: by the first file that needs one.
    """
    registry_files.set(registries)
    _end_without(parent)


def _end_without(parent: int) -> None:
    """End a process whose parent was killed before torch began to watch for that: it would wait for ever."""
    manager = multiprocessing.parent_process()
    if multiprocessing.get_start_method() == "forkserver":  # there the system calls the server the parent
        orphan = manager is None or not manager.is_alive()
    else:
        orphan = os.getppid() != parent
    if orphan:
        os._exit(1)


def _check_space(blocks: Sequence[Block], size: int, partial: Path) -> None:
    need = sum(b.last - b.first for b in blocks) * 3 * size * size
    free = shutil.disk_usage(partial).free
    if need > free:
        raise RunError(
            f"the packed images take {need / 1e9:.2f} GB, but the disk of {quote(partial.parent)} has only "
            f"{free / 1e9:.2f} GB free: free some space, take a smaller --size, or set CHIMERA_CACHE"
        )


def _write_block(split: Split, block: Block, partial: Path, size: int, fit: Fit, classes: int) -> None:
    pixels = np.empty((block.last - block.first, size, size, 3), dtype=np.uint8)
    paths: Sequence[Path] = getattr(split, "paths", ())
    seen: dict[str, list[Any]] = {
        key: [] for key in ("labels", "domains", "origins", "names", "hashes", "unreadable", "contents")
    }
    rows = 0
    for index in range(block.first, block.last):
        name = str(paths[index]) if paths else f"{block.split}[{index}]"
        if paths:
            seen["contents"].append(hash_file(paths[index]))
        try:
            example = split[index]
            pixels[rows] = square(example.image, size, fit)
        except MemoryError as error:
            raise RunError(f"memory ran out at {quote(name)}: take fewer --workers") from error
        except ChimeraError as error:
            seen["unreadable"].append(str(error))
            continue
        except Exception as error:  # plugin border: a stranger's source may raise anything
            seen["unreadable"].append(one_line(f"{name}: {type(error).__name__}: {error}", limit=400))
            continue
        if not 0 <= example.label < classes:
            raise DataError(
                f"{quote(name)} has label {example.label}, but there are {classes} classes: the labels disagree "
                "with the images"
            )
        seen["labels"].append(int(example.label))
        seen["domains"].append(int(example.domain))
        seen["origins"].append(index)
        seen["names"].append(name)
        seen["hashes"].append(hashlib.blake2b(pixels[rows].tobytes(), digest_size=16).hexdigest())
        rows += 1
    write_array(partial / block.shard, pixels[:rows])
    record = {**seen, "images": rows, "sha256": hash_file(partial / block.shard)}
    write_text_atomic(partial / block.record, json.dumps(record))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file whole or not at all."""
    buffer = io.BytesIO()  # numpy writes into a file by a way of its own, which hides that the disk is full
    np.save(buffer, array, allow_pickle=False)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def square(image: torch.Tensor, size: int, fit: Fit) -> Any:
    """Scale uint8 (3, H, W) to uint8 (S, S, 3): its middle, all of it squeezed, or all of it with filled edges.

    Raises:
        ShapeError: if the image is no uint8 (3, H, W).
    """
    height, width = image.shape[-2:]
    side = max(height, width)
    box = {
        "crop": parse_box("", height, width),
        "stretch": (0.0, 0.0, float(width), float(height)),
        "pad": parse_box(str(side), height, width),
    }[fit]
    return cut(image, box, size=size).permute(1, 2, 0).numpy()
