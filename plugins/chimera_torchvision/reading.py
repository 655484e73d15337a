"""What an opened data set of torchvision knows without decoding an image: files, labels, names of classes, masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chimera_core.api import ConfigError, DataError

_LABELS = ("targets", "_labels", "labels", "y")
_PAIRS = ("_samples", "samples", "imgs", "_flat_character_images", "index")
_FILES = ("_image_files", "_images", "images", "data")
_NAMES = ("classes", "categories", "_characters")


@dataclass(frozen=True)
class Facts:
    """Of N images, before any is decoded.

    ``values`` are N labels as torchvision gives them, None for an image without one. ``names`` are the classes' names by
    label, None where the data set has none. ``files`` are N paths, none where the images are not files of their own.
    ``is_target``: ``dataset[i][1]`` is the value.
    """

    values: tuple[int | None, ...]
    names: tuple[str, ...] | None
    files: tuple[str, ...]
    is_target: bool = True


def look_into(dataset: Any, target: str) -> Facts:
    """Collect what a data set knows.

    Args:
        dataset: opened.
        target: what is the class, where there are several things; empty: the data set's own choice.
    Raises:
        ConfigError: if it has no such target.
        DataError: if its images have no class.
    """
    files = _files_of(dataset)
    if hasattr(dataset, "attr_names"):
        return _attribute(dataset, target, files)
    if hasattr(dataset, "categories_map"):
        return _rank(dataset, target or "full", files)
    if target == "binary-category" and hasattr(dataset, "_bin_labels"):
        return Facts(tuple(dataset._bin_labels), tuple(dataset.bin_classes), files)
    if target not in ("", "category"):
        raise ConfigError(f"{_title(dataset)} has no target '{target}' that is a class: leave --target out")
    return Facts(_labels_of(dataset, bool(files)), _names_of(dataset), files)


def unite(facts: dict[str, Facts]) -> tuple[tuple[str, ...], dict[str, dict[int, int]]]:
    """Number the classes of all splits: by name, since a split may lack some, or name others by the same numbers.

    Returns:
        The names, and for every split the number of each of torchvision's labels.
    """
    named = {
        split: f.names or tuple(map(str, range(1 + max((v for v in f.values if v is not None), default=-1))))
        for split, f in facts.items()
    }
    # Numbers that nobody names and that begin elsewhere than at 0, such as CLEVR's counts of things.
    used = {split: {v for v in f.values if v is not None} for split, f in facts.items()}
    if all(f.names is None for f in facts.values()) and min(set().union(*used.values())) > 0:
        values = sorted(set().union(*used.values()))
        return tuple(map(str, values)), {split: {v: values.index(v) for v in used[split]} for split in facts}
    classes = list(dict.fromkeys(name for names in named.values() for name in names))
    number = {name: k for k, name in enumerate(classes)}
    return tuple(classes), {s: {v: number[named[s][v]] for v in used[s]} for s in facts}


def trimap_of(dataset: Any, row: int) -> str:
    """Give the file of an image's trimap (1 animal, 2 ground, 3 between), empty where a data set has none."""
    found = getattr(dataset, "_segs", None)
    return str(found[row]) if found else ""


def side_files(dataset: Any) -> tuple[Path, ...]:
    """List the files of a data set that are not images of their own: lists of labels, or arrays with all images."""
    base = getattr(dataset, "_base_folder", None) or getattr(dataset, "raw_folder", None)
    root = getattr(dataset, "root", None)
    if base is None and root is not None:
        base = os.path.join(root, getattr(dataset, "base_folder", ""))
    if base is None or not os.path.isdir(base):
        return ()
    found: list[Path] = []
    for folder in (Path(base), *sorted(p for p in Path(base).iterdir() if p.is_dir())):
        entries = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() not in _PICTURES)
        found += entries[:_MOST_SIDE_FILES]
    return tuple(found)


def _labels_of(dataset: Any, has_files: bool) -> tuple[int | None, ...]:
    count = len(dataset)
    for name in _LABELS:
        values = getattr(dataset, name, None)
        if values is not None and len(values) == count and (read := _whole(values)) is not None:
            return read
    for name in _PAIRS:
        pairs = getattr(dataset, name, None)
        if isinstance(pairs, (list, tuple)) and len(pairs) == count and count and _is_pair(pairs[0]):
            read = _whole([pair[1] for pair in pairs])
            if read is not None:
                return read
    if not has_files:  # drawn or held in memory: asking each costs no decoding
        read = _whole([dataset[row][1] for row in range(count)])
        if read is not None:
            return read
    raise DataError(f"{_title(dataset)} has no class for each image: it is made for another task")


def _whole(values: Any) -> tuple[int | None, ...] | None:
    """Read labels: whole numbers or None, one for each image; None for what is something else."""
    if isinstance(values, torch.Tensor) or hasattr(values, "tolist"):
        values = values.tolist()
    read = [v.item() if hasattr(v, "item") else v for v in values]
    if all(v is None or (isinstance(v, int) and not isinstance(v, bool)) for v in read):
        return tuple(None if v is None or v < 0 else v for v in read)
    return None


def _is_pair(thing: Any) -> bool:
    return isinstance(thing, tuple) and len(thing) == 2


def _names_of(dataset: Any) -> tuple[str, ...] | None:
    for name in _NAMES:
        names = getattr(dataset, name, None)
        if isinstance(names, (list, tuple)) and names:
            # ImageNet gives every class all its names.
            return _told_apart([n[0] if isinstance(n, (list, tuple)) else str(n) for n in names])
    numbers = getattr(dataset, "class_to_idx", None)
    if isinstance(numbers, dict) and numbers:
        return _told_apart([str(n) for n, _ in sorted(numbers.items(), key=lambda item: item[1])])
    count = getattr(dataset, "num_classes", None)
    return tuple(map(str, range(count))) if isinstance(count, int) else None


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Number classes of one name: ImageNet has two cranes."""
    return tuple(f"{n} {k}" if names.count(n) > 1 else n for k, n in enumerate(names))


def _files_of(dataset: Any) -> tuple[str, ...]:
    count = len(dataset)
    root = str(getattr(dataset, "root", ""))
    kind = type(dataset).__name__
    if kind == "CelebA":
        folder = os.path.join(root, dataset.base_folder, "img_align_celeba")
        return tuple(os.path.join(folder, name) for name in dataset.filename)
    if hasattr(dataset, "categories_map"):
        return tuple(os.path.join(root, dataset.all_categories[c], name) for c, name in dataset.index)
    if hasattr(dataset, "_flat_character_images"):
        folders = [os.path.join(dataset.target_folder, c) for c in dataset._characters]
        return tuple(os.path.join(folders[c], name) for name, c in dataset._flat_character_images)
    if kind in _CALTECH:
        folder, pattern = _CALTECH[kind]
        rows = zip(dataset.y, dataset.index, strict=True)
        return tuple(
            os.path.join(root, folder, dataset.categories[y], pattern.format(y=y + 1, k=k)) for y, k in rows
        )
    for name in (*_FILES, *_PAIRS):
        found = getattr(dataset, name, None)
        if not isinstance(found, (list, tuple)) or len(found) != count or not count:
            continue
        first = [each[0] if _is_pair(each) else each for each in found]
        if all(isinstance(each, (str, Path)) for each in first):
            return tuple(map(str, first))
    return ()


def _attribute(dataset: Any, target: str, files: tuple[str, ...]) -> Facts:
    """CelebA: one of 40 attributes, or who it is."""
    if target == "identity":
        return Facts(_whole(dataset.identity[:, 0]) or (), None, files)
    names = [name for name in dataset.attr_names if name]
    plain = [name.lower().replace("_", "-") for name in names]
    asked = target.lower().replace("_", "-")
    if asked not in plain:
        which = f"no attribute '{target}'" if target else "40 attributes and no class"
        raise ConfigError(
            f"CelebA has {which}: name one with --target, or identity (it has: {', '.join(names)})"
        )
    column = plain.index(asked)
    values = _whole(dataset.attr[:, column]) or ()
    return Facts(values, (f"not-{asked}", asked), files, is_target=False)


def _rank(dataset: Any, target: str, files: tuple[str, ...]) -> Facts:
    """INaturalist: the species, or a rank above it."""
    if target == "full":
        return Facts(tuple(c for c, _ in dataset.index), tuple(dataset.all_categories), files)
    if target not in dataset.categories_index:
        known = ", ".join(("full", *dataset.categories_index))
        raise ConfigError(f"INaturalist has no rank '{target}': --target is one of {known}")
    numbers = dataset.categories_index[target]
    names = _told_apart([n for n, _ in sorted(numbers.items(), key=lambda item: item[1])])
    return Facts(tuple(dataset.categories_map[c][target] for c, _ in dataset.index), names, files)


def _title(dataset: Any) -> str:
    return f"torchvision's {type(dataset).__name__}"


_CALTECH = {
    "Caltech101": ("101_ObjectCategories", "image_{k:04d}.jpg"),
    "Caltech256": ("256_ObjectCategories", "{y:03d}_{k:04d}.jpg"),
}
_PICTURES = frozenset((".jpg", ".jpeg", ".png", ".ppm", ".tif", ".webp"))
_MOST_SIDE_FILES = 500
