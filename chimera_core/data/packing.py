"""Make a packed cache: decode a source once, in parallel, and survive whatever interrupts it.

A split is cut into blocks of examples whose size depends on the split alone. A process decodes one block, writes it as
one shard and notes beside it what it saw; both appear whole or not at all. So after a kill the blocks that are there
count, the rest is done again, and the result is the same to the byte. The folder gets its name last: under that name
lies a whole cache or none. Who prepares holds a lock, which the system drops when a process dies.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from chimera_core.components.image_readers import reading_of
from chimera_core.data.blocks import blocks_of, square, write_array, write_blocks
from chimera_core.data.duplicates import find_duplicates
from chimera_core.data.fingerprint import folder_name, real_path, stamp_files
from chimera_core.data.packed import INDEX, PackedSource, PackedSplit, join_data, open_packed, read_index
from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.files.atomic import quote, without_places, write_text_atomic
from chimera_core.files.hashing import digest_of, hash_file
from chimera_core.files.locks import hold
from chimera_core.files.own_folders import (
    check_file_parts,
    make_folder,
    move,
    remove_file,
    remove_half_written,
    remove_tree,
)
from chimera_core.files.text import read_json_table
from chimera_core.interfaces.components import DatasetSource, Split, no_progress
from chimera_core.interfaces.guards import check_info, check_split

_log = logging.getLogger(__name__)

# Of images that were left out: enough to notice that something was mended, few enough to cost nothing.
_TRIED_AGAIN = 20


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
        DataError: if the source holds nothing that can be read, contradicts itself, or has splits whose names can be no
            parts of files'.
        RunError: if the disk refuses.
    """
    info = source.info
    check_info(info, packing["source"])
    target = cache / folder_name(packing)
    splits = {name: source.open(name) for name in check_file_parts(info.splits, what="split")}
    for name, split in splits.items():
        check_split(split, name, packing["source"])
    stamps = {name: _stamps_of(source, name, split) for name, split in splits.items()}
    if found := _sound(target, packing, source, stamps, splits):
        return found
    _check_size(sum(map(len, splits.values())), packing, cache, max_gb)
    with _alone(target):
        if found := _sound(target, packing, source, stamps, splits):  # another process made it meanwhile
            return found
        partial = _partial_folder(target, digest_of([packing, stamps]))
        if not (partial / INDEX).exists():
            write_blocks(splits, info, partial, packing, workers, progress)
            _finish(source, splits, partial, packing, stamps)
        for record in partial.glob("*.json"):
            if record.name != INDEX and not record.name.endswith("-files.json"):
                remove_file(record, within=cache)
        _put_in_place(partial, target)
    return open_packed(target)


def data_of(source: DatasetSource) -> str:
    """Hash what a source is wherever it lies, as ``PackedSource.data`` does, by reading its files and decoding none."""
    info = source.info
    parts = {name: _data_of(source, name, source.open(name)) for name in info.splits}
    return join_data(info.classes, info.domains, parts)


def staleness(
    folder: Path,
    packing: Mapping[str, Any],
    source: DatasetSource,
    stamps: Mapping[str, str] | None = None,
) -> str | None:
    """Return why a cache cannot be used for a source; None if it can.

    Sizes and times of the files are compared first. Where these differ, the contents decide: a copied or touched
    data set is not decoded again.
    """
    try:
        index = read_index(folder)
    except DataError as error:
        return str(error)
    if index["packing"] != dict(packing):
        if index["packing"].get("reading") != packing.get("reading"):
            return "it was made when image files were read in another way"
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
    target: Path,
    packing: Mapping[str, Any],
    source: DatasetSource,
    stamps: Mapping[str, str],
    splits: Mapping[str, Split],
) -> PackedSource | None:
    """Open the cache if it is there, whole and not stale; what is damaged is made again."""
    if staleness(target, packing, source, stamps) is not None:
        return None
    try:
        packed = open_packed(target)
    except DataError:
        return None
    if any(_reads_now(splits[name], split, packing) for name, split in packed.splits.items()):
        return None
    entries = packed.index["splits"]
    if any(entries[name]["stamps"] != stamp or "data" not in entries[name] for name, stamp in stamps.items()):
        _note(target, packed.index, source, stamps, splits)
        packed = open_packed(target)
    return packed


def _reads_now(split: Split, packed: PackedSplit, packing: Mapping[str, Any]) -> bool:
    """Return whether an image that was left out can be packed by now: its rights or a missing decoder may be mended."""
    left_out = sorted(set(range(len(split))) - set(packed.origins.tolist()))
    for index in left_out[:_TRIED_AGAIN]:
        with suppress(Exception):  # plugin border: it is still unreadable, for whatever reason
            square(split[index].image, packing["size"], packing["fit"])
            return True
    return False


def _note(
    target: Path,
    index: Mapping[str, Any],
    source: DatasetSource,
    stamps: Mapping[str, str],
    splits: Mapping[str, Split],
) -> None:
    """Note the new times of files whose contents were compared and are the same, so that it is not done again.

    And what the data are wherever they lie, in a cache of an older version.
    """
    entries = {
        name: {"data": _data_of(source, name, splits[name]), **entry, "stamps": stamps[name]}
        for name, entry in index["splits"].items()
    }
    with suppress(RunError):  # a cache that cannot be written can still be read
        _write_index(target, {**index, "splits": entries})


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
            f"{mend}allow more with `chimera source prepare ... --max-gb`"
        )


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait until no other process packs into this folder."""
    make_folder(target.parent, mend="set CHIMERA_CACHE")
    lock = target.with_name(f".{target.name}.lock")
    with hold(lock, what=f"cache {target.name}", work="packed", wait=True, on_wait=_log.warning):
        yield


def _partial_folder(target: Path, identity: str) -> Path:
    """Give the unfinished folder of this very work; leftovers of other work are removed."""
    partial = target.with_name(f".{target.name}.{identity[:12]}.partial")
    for other in target.parent.glob(f".{target.name}.*.partial"):
        if other != partial:
            remove_tree(other, within=target.parent)
    make_folder(partial, within=target.parent)
    remove_half_written(partial, within=target.parent)
    remove_tree(_old(target), within=target.parent)
    return partial


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
        blocks = blocks_of(name, len(split), packing["size"])
        records = [read_json_table(partial / block.record) for block in blocks]
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
            write_array(partial / f"{name}-{key}.npy", np.array(column.get(key, []), dtype=np.int64))
        hashes[name], names[name] = column.get("hashes", []), column.get("names", [])
        write_text_atomic(partial / f"{name}-files.json", json.dumps({"names": names[name]}))
        columns = [f"{name}-{key}.npy" for key in ("labels", "domains", "origins")] + [f"{name}-files.json"]
        entries[name] = {
            "images": sum(record["images"] for record in records),
            "shards": [
                {"file": block.shard, "images": record["images"], "sha256": record["sha256"]}
                for block, record in zip(blocks, records, strict=True)
            ],
            "columns": {file: hash_file(partial / file) for file in columns},
            "unreadable": column.get("unreadable", []),
            "stamps": stamps[name],
            "content": _content_of(source, name, split, column.get("contents", [])),
            "data": _data_of(source, name, split, column.get("contents", [])),
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
    _write_index(partial, index)


def _write_index(folder: Path, index: Mapping[str, Any]) -> None:
    write_text_atomic(folder / INDEX, json.dumps(index, indent=1) + "\n")


def _stamps_of(source: DatasetSource, name: str, split: Split) -> str:
    """Hash what can be seen of a split without reading its files: names, sizes, times, labels."""
    files = source.files(name)
    return digest_of([stamp_files(files), list(map(int, split.labels)), source.made_of(), *_readers(files)])


def _content_of(source: DatasetSource, name: str, split: Split, contents: Sequence[str] = ()) -> str:
    """Hash a split's labels and its files' names and contents; those of its examples may be known already."""
    hashed = _hashed_files(source, name, split, contents)
    read = [[real_path(file), content] for file, content in hashed.items()]
    return digest_of([read, list(map(int, split.labels)), source.made_of(), *_readers(hashed)])


def _data_of(source: DatasetSource, name: str, split: Split, contents: Sequence[str] = ()) -> str:
    """Hash what a split is wherever it lies: its files' contents in their order, and what is said of each.

    Names are left out: they decide order, classes and domains, which count, and moved or linked they are others.
    """
    labels = [source.info.classes[int(label)] for label in split.labels]
    domains = list(map(int, getattr(split, "domains", None) or ()))
    known = source.info.domains
    where = [known[domain] if domain < len(known) else domain for domain in domains]
    hashed = _hashed_files(source, name, split, contents)
    known_by = [list(hashed.values()), labels, where, without_places(source.made_of())]
    return digest_of([*known_by, *_readers(hashed)])


def _readers(files: Iterable[str | Path]) -> list[dict[str, Any]]:
    """What plugins decide about the pixels of files; nothing where all are read by ourselves."""
    found = reading_of(files)
    return [found] if found else []


def _hashed_files(source: DatasetSource, name: str, split: Split, contents: Sequence[str]) -> dict[str, str]:
    paths: Sequence[Path] = getattr(split, "paths", ())
    known = dict(zip(map(os.fspath, paths), contents, strict=False))
    return {file: known.get(file) or hash_file(file) for file in map(os.fspath, source.files(name))}


def _put_in_place(partial: Path, target: Path) -> None:
    cache = target.parent
    remove_half_written(partial, within=cache)  # of a worker that outlived its killed parent
    if os.path.lexists(target):  # a stale one; readers that have it open keep its memory
        old = _old(target)
        remove_tree(old, within=cache)
        move(target, old, within=cache)
        move(partial, target, within=cache)
        remove_tree(old, within=cache)
    else:
        move(partial, target, within=cache)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
