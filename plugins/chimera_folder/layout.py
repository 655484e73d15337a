"""Recognise how a folder of images is sorted, without opening any of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chimera_core.api import (
    DataError,
    MissingDataError,
    is_split_name,
    is_train_name,
    nfc,
    pictures_below,
)

Parts = tuple[str, ...]
"""Of a file, the parts of its path below the root."""

ELSEWHERE = "at another depth"
NO_SPLIT = "in folders that are not splits"


@dataclass(frozen=True)
class Entry:
    """One image file: where it lies and what its folders say of it."""

    path: Path
    split: str
    class_name: str
    domain: str


@dataclass(frozen=True)
class Sorted:
    """A folder's images, and how they are sorted.

    Args:
        layout: flat, class, split-class, domain-class or cyclegan.
        entries: the images, sorted.
        left_out: images that no entry describes, by why.
        notes: what a user may want to know, as sentences.
    """

    layout: str
    entries: tuple[Entry, ...]
    left_out: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def scan(root: Path, layout: str) -> Sorted:
    """List the images below ``root``.

    Args:
        root: the folder.
        layout: ``auto`` or one of flat, class, split-class, domain-class, cyclegan.
    Raises:
        DataError: no such folder, no images, none where the layout says, or a folder that cannot be read.
    """
    if not root.is_dir():
        met = "is a file" if root.is_file() else "is a broken link" if root.is_symlink() else "does not exist"
        raise MissingDataError(f"the folder '{root}' {met}: name a folder of images with --root")
    found = pictures_below(root)
    if not found.files:
        raise MissingDataError(
            f"'{root}' holds no images: expected files like .jpg or .png in it or in its folders"
        )
    name = _recognise(found.files) if layout == "auto" else layout
    chosen, left_out = _choose(found.files, name)
    if not chosen:
        raise DataError(f"'{root}' holds no images in layout '{name}': try --layout auto")
    notes = _notes_on(chosen, name) if layout == "auto" else []
    if found.passed_over:
        notes.append(
            f"folders of the system, and links that lead back, passed over: {len(found.passed_over)}, "
            f"such as '{found.passed_over[0]}'"
        )
    return Sorted(
        name,
        tuple(_entry(root, parts, name) for parts in chosen),
        {why: tuple(root.joinpath(*parts) for parts in files) for why, files in left_out.items() if files},
        tuple(notes),
    )


def _recognise(files: Iterable[Parts]) -> str:
    depths = Counter(map(len, files))
    if depths.most_common(1)[0][0] == 1:
        return "flat"
    inner = [parts for parts in files if len(parts) > 1]
    tops = {parts[0] for parts in inner}
    sides = [_side_of(top) for top in tops]
    if len({side[1] for side in sides if side}) > 1 and None not in sides:
        return "cyclegan"
    # A class may be called train; beside another split it is none.
    if all(map(is_split_name, tops)) or (any(map(is_train_name, tops)) and sum(map(is_split_name, tops)) > 1):
        return "split-class"
    return "class" if Counter(map(len, inner)).most_common(1)[0][0] == 2 else "domain-class"


def _choose(files: Iterable[Parts], layout: str) -> tuple[list[Parts], dict[str, list[Parts]]]:
    """Part files into those that the layout describes, and others by why they are left out.

    Images count at any depth below their class's folder.
    """
    chosen, elsewhere, outside = [], [], []
    # Splits may hold images directly (train/x.jpg): then there is one class, named like the folder.
    least = {"flat": 1, "class": 2, "split-class": 3, "domain-class": 3, "cyclegan": 2}[layout]
    if layout == "split-class":
        inside = Counter(min(len(parts), 3) for parts in files if is_split_name(parts[0]) and len(parts) > 1)
        has_splits = bool(inside)
        if inside[2] > inside[3] or (not has_splits and not any(len(parts) > 2 for parts in files)):
            least = 2
    for parts in files:
        if len(parts) < least or (layout == "flat" and len(parts) > 1):
            elsewhere.append(parts)
        elif (layout == "split-class" and has_splits and not is_split_name(parts[0])) or (
            layout == "cyclegan" and not _side_of(parts[0])
        ):
            outside.append(parts)
        else:
            chosen.append(parts)
    return chosen, {ELSEWHERE: elsewhere, NO_SPLIT: outside}


def _entry(root: Path, parts: Parts, layout: str) -> Entry:
    path = root.joinpath(*parts)
    # A copy from a Mac's disk spells train/é otherwise than val/é: names are composed, files keep their own.
    parts = tuple(map(nfc, parts))
    if layout == "flat":
        return Entry(path, "all", nfc(root.resolve().name), "")
    if layout == "class":
        return Entry(path, "all", parts[0], "")
    if layout == "cyclegan":
        split, side = _side_of(parts[0]) or ("", "")
        return Entry(path, split, side, "")
    if layout == "split-class":
        return Entry(path, parts[0], parts[1] if len(parts) > 2 else nfc(root.resolve().name), "")
    return Entry(path, "all", parts[1], parts[0])


def _side_of(name: str) -> tuple[str, str] | None:
    """Part ``trainA`` into the split and the side; None for a name that is none of these."""
    match = re.fullmatch(r"(.+?)[_-]?([A-Z])", name)
    return (match[1], match[2]) if match and is_split_name(match[1]) else None


def _notes_on(chosen: Iterable[Parts], layout: str) -> list[str]:
    """Return what else the folders could mean."""
    tops = sorted({parts[0] for parts in chosen if len(parts) > 1})
    if layout == "domain-class":
        return [
            f"{_some(tops)} {'are' if len(tops) > 1 else 'is'} taken for domains, the folders in them for classes; "
            "--layout class takes them for classes, with all that lies below"
        ]
    if layout == "class" and (splits := [top for top in tops if is_split_name(top)]):
        return [
            f"{_some(splits)} {'are' if len(splits) > 1 else 'is'} taken for a class beside others; "
            "--layout split-class takes it for a split"
        ]
    return []


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
