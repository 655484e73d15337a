"""A packed cache, read: squares of one size in memory-mapped shards, with labels, domains, origins and names.

A folder ``SOURCE-64px-KEY`` holds ``index.json`` and per split ``SPLIT-00000.npy`` ... (uint8, N x S x S x 3),
``SPLIT-labels.npy``, ``-domains.npy``, ``-origins.npy`` (int64) and ``-files.json``. ``chimera_core.data.packing``
writes it. The layout is plain ``.npy``, so anything that reads numpy reads it.

What was tried instead is in docs/explanation/data.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from chimera_core.errors import DataError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.own_folders import inside
from chimera_core.files.text import LARGE_BYTES, read_json_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1
"""Raised when a cache of the old form can no longer be read."""
INDEX = "index.json"
_MEND = "run `chimera source prepare` again"
_LARGEST_SIDE = 1 << 16
_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("source", "content"), str),
    **dict.fromkeys(("packing", "splits", "duplicates"), dict),
    **dict.fromkeys(("classes", "domains"), list),
    "size": int,
}
_SPLIT_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("shards", "unreadable"), list),
    **dict.fromkeys(("stamps", "content"), str),
}


class PackedSplit:
    """One split: ``take`` gives images by index; ``labels`` and ``domains`` are int64 (n,)."""

    def __init__(self, folder: Path, name: str, entry: Mapping[str, Any], *, size: int) -> None:
        self.name = name
        self.size = size
        self._folder = folder
        self._shards = [
            map_array(folder, shard["file"], (shard["images"], size, size, 3)) for shard in entry["shards"]
        ]
        self._starts = np.cumsum([0, *(len(shard) for shard in self._shards)])
        self.unreadable: tuple[str, ...] = tuple(entry["unreadable"])
        self.labels = _read_column(folder, f"{name}-labels.npy", len(self))
        self.domains = _read_column(folder, f"{name}-domains.npy", len(self))
        self.origins = _read_column(folder, f"{name}-origins.npy", len(self))

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""
        return len(self) * self.size * self.size * 3

    @cached_property
    def names(self) -> Sequence[str]:
        """File of every image, or its index in the source where it has none of its own."""
        path = inside(self._folder, f"{self.name}-files.json")
        try:
            names = read_json_table(path, most_bytes=LARGE_BYTES, mend=_MEND).get("names")
        except OSError as error:
            raise _damaged(path, type(error).__name__) from None
        if not isinstance(names, list) or len(names) != len(self):
            raise _damaged(path, f"it does not name {len(self):,} images")
        return names

    def take(self, indices: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Copy images out of the cache.

        Args:
            indices: int64 (N,), on the CPU.
            out: uint8 (N, S, S, 3) to write into, e.g. pinned memory.
        Returns:
            uint8 (N, 3, S, S) in channels-last order, which convolutions like best.
        """
        wanted = indices.numpy()
        if out is None:
            out = torch.empty(len(wanted), self.size, self.size, 3, dtype=torch.uint8)
        pixels = out.numpy()
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        for shard in np.unique(shards):
            rows = np.nonzero(shards == shard)[0]
            pixels[rows] = self._shards[shard][wanted[rows] - self._starts[shard]]
        return out.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class PackedSource:
    """A packed source: what it holds, and its splits."""

    folder: Path
    index: Mapping[str, Any]
    splits: Mapping[str, PackedSplit]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(self.index["classes"])

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains."""
        return tuple(self.index["domains"])

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return int(self.index["size"])

    @property
    def content(self) -> str:
        """Hash of the files' contents and of all that decides how they are packed."""
        return str(self.index["content"])

    @property
    def data(self) -> str:
        """Hash of what the data are, wherever they lie; empty for a cache of an older version that cannot be written."""
        parts = {name: entry.get("data", "") for name, entry in self.index["splits"].items()}
        return join_data(self.classes, self.domains, parts) if all(parts.values()) else ""

    def split(self, name: str) -> PackedSplit:
        """Look a split up.

        Raises:
            DataError: naming the splits there are.
        """
        if name not in self.splits:
            raise DataError(
                f"{self.index['source']} has no split {quote(name)} (it has: {', '.join(self.splits)})"
            )
        return self.splits[name]


def join_data(classes: Sequence[str], domains: Sequence[str], splits: Mapping[str, str]) -> str:
    """Hash what data are from the names of their classes and domains, and the hash of each split."""
    whole = json.dumps([list(classes), list(domains), dict(splits)], sort_keys=True)
    return hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()


def open_packed(folder: Path) -> PackedSource:
    """Open a cache folder.

    Raises:
        DataError: if it is missing, of another version, or damaged; each with the mend.
    """
    index = read_index(folder)
    splits = {
        name: PackedSplit(folder, name, entry, size=index["size"]) for name, entry in index["splits"].items()
    }
    return PackedSource(folder, index, splits)


def read_index(folder: Path) -> dict[str, Any]:
    """Read what a cache folder says about itself; raises as ``open_packed``."""
    try:
        index = read_json_table(inside(folder, INDEX), most_bytes=LARGE_BYTES, mend=_MEND)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"there is no packed cache {quote(folder)}: make it with `chimera source prepare`"
        ) from None
    if (form := index.get("format")) != FORMAT:
        raise DataError(
            f"the packed cache {quote(folder)} is of version {one_line(form, limit=40)}, this is version {FORMAT}: "
            "remove it and run `chimera source prepare` again"
        )
    if fault := _fault_of(index):
        raise _damaged(folder / INDEX, fault)
    return index


def _fault_of(index: Mapping[str, Any]) -> str:
    """Return what of an index cannot be; empty if it is sound."""
    for where, table, types in [
        ("", index, _TYPES),
        *((f"splits.{name}.", split, _SPLIT_TYPES) for name, split in _tables(index.get("splits"))),
    ]:
        for key, type_ in types.items():
            if not isinstance(table, dict) or not isinstance(table.get(key), type_):
                return one_line(f"{where}{key} is missing, or no {type_.__name__}", limit=100)
    if not 0 < index["size"] <= _LARGEST_SIDE:
        return f"size {one_line(index['size'], limit=20)}"
    for name, split in _tables(index["splits"]):
        for shard in split["shards"]:
            match shard:
                case {"file": str(), "images": int(count), "sha256": str()} if 0 <= count < 1 << 40:
                    continue
            return one_line(f"splits.{name}.shards: {shard!r}", limit=100)
    groups = (
        index["classes"],
        index["domains"],
        *(split["unreadable"] for split in index["splits"].values()),
    )
    return "" if all(isinstance(text, str) for of in groups for text in of) else "a name is not text"


def _tables(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def damage_of(packed: PackedSource) -> Iterator[str]:
    """Read every shard and say which are not what was written; nothing is said of a sound cache."""
    for entry in packed.index["splits"].values():
        written = {shard["file"]: shard["sha256"] for shard in entry["shards"]} | entry.get("columns", {})
        for name, checksum in written.items():
            path = inside(packed.folder, name)
            try:
                with open(path, "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                yield f"{quote(path)} cannot be read ({error.strerror})"
                continue
            if found != checksum:
                yield f"{quote(path)} is not what was written"


def map_array(folder: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map uint8 pixels of a cache into memory.

    Raises:
        DataError: if the file is missing, damaged, or holds something else.
    """
    path = _regular(folder, name)
    try:
        mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _damaged(path, type(error).__name__) from None
    if mapped.shape != shape or mapped.dtype != np.uint8:
        raise _damaged(path, f"{mapped.dtype} {mapped.shape}")
    return mapped


def _read_column(folder: Path, name: str, count: int) -> Tensor:
    try:
        # Mapped first: memory for what a header claims is had only if the file is as long.
        column = np.load(_regular(folder, name), mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _damaged(folder / name, type(error).__name__) from None
    if column.shape != (count,) or column.dtype != np.int64:
        raise _damaged(folder / name, f"{column.dtype} {column.shape}")
    return torch.from_numpy(np.array(column))


def _regular(folder: Path, name: str) -> Path:
    """Name an array of a cache; a pipe in its place would wait for its writer."""
    path = inside(folder, name)
    if path.exists() and not path.is_file():
        raise _damaged(path, "it is a folder, pipe or device")
    return path


def _damaged(path: Path, how: str) -> DataError:
    return DataError(f"{quote(path)} is damaged ({how}): {_MEND}")
