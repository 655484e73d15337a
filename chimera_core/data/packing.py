"""Make a packed cache: decode a source once, in parallel, and survive whatever interrupts it.

A split is cut into blocks of examples whose size depends on the split alone. A process decodes one block, writes it as
one shard and notes beside it what it saw; both appear whole or not at all. So after a kill the blocks that are there
count, the rest is done again, and the result is the same to the byte. The folder gets its name last: under that name
lies a whole cache or none. Who prepares holds a lock, which the system drops when a process dies.

The processes are those of torch's ``DataLoader``: it starts them, watches them, and they end when their parent does.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from chimera_core.data.duplicates import find_duplicates
from chimera_core.data.fingerprint import digest_of, folder_name, hash_file, stamp_files
from chimera_core.data.framing import cut, parse_box
from chimera_core.data.packed import INDEX, PackedSource, open_packed, read_index
from chimera_core.errors import ChimeraError, ConfigError, DataError, RunError
from chimera_core.files import atomic_path, disk_trouble, one_line, quote, write_text_atomic
from chimera_core.interfaces import DatasetSource, Split, no_progress
from chimera_core.records import SourceInfo

Fit = Literal["crop", "stretch", "pad"]
BLOCK_BYTES = 32 << 20
_LEAST_PER_BLOCK = 64
_BLOCKS_OF_SMALL = 16  # a small split still keeps every core busy to the end


def pack(
    source: DatasetSource,
    packing: Mapping[str, Any],
    cache: Path,
    *,
    workers: int | None = None,
    max_gb: float = 16.0,
    progress: Callable[[float, float], None] = no_progress,
) -> PackedSource:
    """Give the packed cache of a source, making it first where it is missing or no longer right.

    Args:
        source: the opened source.
        packing: what ``fingerprint.packing_of`` says; decides the folder.
        cache: folder of all caches, the setting ``cache`` (``CHIMERA_CACHE``).
        workers: processes; None: one per core.
        max_gb: refuse to write more gigabytes than this.
        progress: called with (done, total) in images.
    Raises:
        ConfigError: if it would be larger than ``max_gb``; the size that fits is named.
        DataError: if the source holds nothing that can be read, or contradicts itself.
        RunError: if the disk refuses.
    """
    info = source.info
    target = cache / folder_name(packing)
    splits = {name: source.open(name) for name in info.splits}
    stamps = {name: _stamps_of(source, name, split) for name, split in splits.items()}
    if found := _sound(target, packing, source, stamps):
        return found
    _check_size(sum(map(len, splits.values())), packing, cache, max_gb)
    with _alone(target):
        if found := _sound(target, packing, source, stamps):  # another process made it meanwhile
            return found
        partial = _partial_folder(target, digest_of([packing, stamps]))
        if not (partial / INDEX).exists():
            _write_blocks(splits, info, partial, packing, workers, progress)
            _finish(source, splits, partial, packing, stamps)
        for record in partial.glob("*.json"):
            if record.name != INDEX and not record.name.endswith("-files.json"):
                record.unlink()
        _put_in_place(partial, target)
    return open_packed(target)


def staleness(
    folder: Path,
    packing: Mapping[str, Any],
    source: DatasetSource,
    stamps: Mapping[str, str] | None = None,
) -> str | None:
    """Say why a cache cannot be used for a source; None if it can.

    Sizes and times of the files are compared first. Where these differ, the contents decide: a copied or touched
    data set is not decoded again.
    """
    try:
        index = read_index(folder)
    except DataError as error:
        return str(error)
    if index["packing"] != dict(packing):
        return f"it was made by version {index['packing'].get('version')} of {packing['plugin']}"
    if stamps is None:
        stamps = {name: _stamps_of(source, name, source.open(name)) for name in source.info.splits}
    if stamps.keys() != index["splits"].keys():
        return "the source has other splits now"
    for name, stamp in stamps.items():
        entry = index["splits"][name]
        if stamp != entry["stamps"] and _content_of(source, name, source.open(name)) != entry["content"]:
            return f"files or labels of split {quote(name)} have changed"
    return None


def _sound(
    target: Path, packing: Mapping[str, Any], source: DatasetSource, stamps: Mapping[str, str]
) -> PackedSource | None:
    """Open the cache if it is there, whole and not stale; what is damaged is made again."""
    if staleness(target, packing, source, stamps) is None:
        with suppress(DataError):
            return open_packed(target)
    return None


def _check_size(images: int, packing: Mapping[str, Any], cache: Path, max_gb: float) -> None:
    per_pixel = images * 3
    need = per_pixel * packing["size"] ** 2
    if not images:
        raise DataError(f"source {packing['source']} has no images: check its options")
    if need > max_gb * 1e9:
        fitting = int(math.sqrt(max_gb * 1e9 / per_pixel)) // 8 * 8
        mend = f"take --size {fitting}, or " if fitting >= 8 else ""
        raise ConfigError(
            f"{images:,} images of {packing['size']} px take {need / 1e9:.1f} GB, more than --max-gb {max_gb:g}: "
            f"{mend}allow more with --max-gb"
        )


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait until no other process packs into this folder."""
    import filelock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise RunError(
            f"cannot write into the cache {quote(target.parent)} ({disk_trouble(error)}), or set CHIMERA_CACHE"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _partial_folder(target: Path, identity: str) -> Path:
    """Give the unfinished folder of this very work; leftovers of other work are removed."""
    partial = target.with_name(f".{target.name}.{identity[:12]}.partial")
    for other in target.parent.glob(f".{target.name}.*.partial"):
        if other != partial:
            shutil.rmtree(other, ignore_errors=True)
    try:
        partial.mkdir(exist_ok=True)
        for leftover in partial.glob(".*.tmp"):
            leftover.unlink()
    except OSError as error:
        raise RunError(f"cannot write {quote(partial)}: {disk_trouble(error)}") from error
    return partial


@dataclass(frozen=True)
class _Block:
    """Examples ``first`` ... ``last - 1`` of a split, and the shard that they become."""

    split: str
    number: int
    first: int
    last: int

    @property
    def shard(self) -> str:
        return f"{self.split}-{self.number:05d}.npy"

    @property
    def record(self) -> str:
        return f"{self.split}-{self.number:05d}.json"


def _blocks_of(name: str, count: int, size: int) -> list[_Block]:
    per_block = max(_LEAST_PER_BLOCK, math.ceil(count / _BLOCKS_OF_SMALL))
    per_block = max(1, min(per_block, BLOCK_BYTES // (3 * size * size)))
    return [
        _Block(name, number, first, min(first + per_block, count))
        for number, first in enumerate(range(0, count, per_block))
    ]


class _Blocks(Dataset[Any]):
    """Decodes and writes block k when asked for item k; gives back its number of examples, or what went wrong."""

    def __init__(
        self,
        blocks: Sequence[_Block],
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


def _write_blocks(
    splits: Mapping[str, Split],
    info: SourceInfo,
    partial: Path,
    packing: Mapping[str, Any],
    workers: int | None,
    progress: Callable[[float, float], None],
) -> None:
    size = packing["size"]
    blocks = [b for name, split in splits.items() for b in _blocks_of(name, len(split), size)]
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
            work, batch_size=None, num_workers=workers, in_order=False, prefetch_factor=1 if workers else None
        )
        for outcome in loader:
            if isinstance(outcome, ChimeraError):
                raise outcome
            done += outcome
            progress(done, total)


def _check_space(blocks: Sequence[_Block], size: int, partial: Path) -> None:
    need = sum(b.last - b.first for b in blocks) * 3 * size * size
    free = shutil.disk_usage(partial).free
    if need > free:
        raise RunError(
            f"the packed images take {need / 1e9:.2f} GB, but the disk of {quote(partial.parent)} has only "
            f"{free / 1e9:.2f} GB free: free some space, take a smaller --size, or set CHIMERA_CACHE"
        )


def _write_block(split: Split, block: _Block, partial: Path, size: int, fit: Fit, classes: int) -> None:
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
            pixels[rows] = _square(example.image, size, fit)
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
    _write_array(partial / block.shard, pixels[:rows])
    record = {**seen, "images": rows, "sha256": hash_file(partial / block.shard)}
    write_text_atomic(partial / block.record, json.dumps(record))


def _write_array(path: Path, array: NDArray[Any]) -> None:
    buffer = io.BytesIO()  # numpy writes into a file by a way of its own, which hides that the disk is full
    np.save(buffer, array, allow_pickle=False)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _square(image: torch.Tensor, size: int, fit: Fit) -> Any:
    """Scale uint8 (3, H, W) to uint8 (S, S, 3): its middle, all of it squeezed, or all of it with filled edges."""
    height, width = image.shape[-2:]
    side = max(height, width)
    box = {
        "crop": parse_box("", height, width),
        "stretch": (0.0, 0.0, float(width), float(height)),
        "pad": parse_box(str(side), height, width),
    }[fit]
    return cut(image, box, size=size).permute(1, 2, 0).numpy()


def _finish(
    source: DatasetSource,
    splits: Mapping[str, Split],
    partial: Path,
    packing: Mapping[str, Any],
    stamps: Mapping[str, str],
) -> None:
    """Gather what the blocks noted into columns, and write the index last."""
    info = source.info
    entries: dict[str, Any] = {}
    hashes: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    for name, split in splits.items():
        blocks = _blocks_of(name, len(split), packing["size"])
        records = [json.loads((partial / block.record).read_text(encoding="utf-8")) for block in blocks]
        column = (
            {
                key: [value for record in records for value in record[key]]
                for key in records[0]
                if key not in ("images", "sha256")
            }
            if records
            else {}
        )
        for key in ("labels", "domains", "origins"):
            _write_array(partial / f"{name}-{key}.npy", np.array(column.get(key, []), dtype=np.int64))
        hashes[name], names[name] = column.get("hashes", []), column.get("names", [])
        write_text_atomic(partial / f"{name}-files.json", json.dumps({"names": names[name]}))
        entries[name] = {
            "images": sum(record["images"] for record in records),
            "shards": [
                {"file": block.shard, "images": record["images"], "sha256": record["sha256"]}
                for block, record in zip(blocks, records, strict=True)
            ],
            "unreadable": column.get("unreadable", []),
            "stamps": stamps[name],
            "content": _content_of(source, name, split, column.get("contents", [])),
        }
    if not any(entry["images"] for entry in entries.values()):
        first = next((line for entry in entries.values() for line in entry["unreadable"]), "it is empty")
        raise DataError(f"not one image of source {packing['source']} can be read; the first: {first}")
    index = {
        "format": packing["format"],
        "source": packing["source"],
        "packing": dict(packing),
        "size": packing["size"],
        "classes": list(info.classes),
        "domains": list(info.domains),
        "licence": info.licence,
        "home_page": info.home_page,
        "splits": entries,
        "duplicates": find_duplicates(hashes, names),
        "content": digest_of([dict(packing), {name: entry["content"] for name, entry in entries.items()}]),
    }
    write_text_atomic(partial / INDEX, json.dumps(index, indent=1, ensure_ascii=False) + "\n")


def _stamps_of(source: DatasetSource, name: str, split: Split) -> str:
    """Hash what can be seen of a split without reading its files: names, sizes, times, labels."""
    return digest_of([stamp_files(source.files(name)), list(map(int, split.labels))])


def _content_of(source: DatasetSource, name: str, split: Split, contents: Sequence[str] = ()) -> str:
    """Hash a split's labels and its files' names and contents; those of its examples may be known already."""
    paths: Sequence[Path] = getattr(split, "paths", ())
    known = dict(zip(map(os.fspath, paths), contents, strict=False))
    files = list(dict.fromkeys(map(os.fspath, source.files(name))))
    read = [[os.path.abspath(file), known.get(file) or hash_file(file)] for file in files]
    return digest_of([read, list(map(int, split.labels))])


def _put_in_place(partial: Path, target: Path) -> None:
    try:
        if target.exists():  # a stale one; readers that have it open keep its memory
            old = target.with_name(f".{target.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            os.replace(target, old)
            os.replace(partial, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(partial, target)
    except OSError as error:
        raise RunError(f"cannot write {quote(target)}: {disk_trouble(error)}") from error
