"""Recognise how a folder of images is sorted, without opening any of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chimera_core.api import DataError, MissingDataError

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".heic",
        ".heif",
        ".avif",
        ".ppm",
        ".pgm",
        ".jfif",
    ]
)
SPLIT_NAMES = frozenset(["train", "training", "val", "valid", "validation", "test", "testing"])


@dataclass(frozen=True)
class Entry:
    """One image file: where it lies and what its folders say of it."""

    path: Path
    split: str
    class_name: str
    domain: str


def scan(root: Path, layout: str) -> tuple[str, list[Entry], list[Path]]:
    """List the images below ``root``.

    Args:
        root: the folder.
        layout: ``auto`` or one of flat, class, split-class, domain-class.
    Returns:
        The layout that was recognised or asked for, the entries, sorted, and the images at other depths, which no
        entry describes.
    Raises:
        DataError: no such folder, no images, or images at another depth than the layout says.
    """
    if not root.is_dir():
        met = "is a file" if root.is_file() else "does not exist"
        raise MissingDataError(f"the folder '{root}' {met}: name a folder of images with --root")
    files = sorted(_images(root))
    if not files:
        raise MissingDataError(
            f"'{root}' holds no images: expected files like .jpg or .png in it or up to two folders down"
        )
    found = _recognise(files) if layout == "auto" else layout
    # Splits may hold images directly (train/x.jpg): then there is one class, named like the folder.
    depths = {"flat": (1,), "class": (2,), "split-class": (2, 3), "domain-class": (3,)}[found]
    entries = [_entry(root, parts, found) for parts in files if len(parts) in depths]
    if not entries:
        raise DataError(f"'{root}' holds no images in layout '{found}': try --layout auto")
    elsewhere = [root.joinpath(*parts) for parts in files if len(parts) not in depths]
    return found, entries, elsewhere


def _images(root: Path) -> Iterator[tuple[str, ...]]:
    """Yield the path parts of every image up to two folders down; hidden files are left out."""

    def refuse(error: OSError) -> None:
        raise DataError(
            f"'{error.filename}' cannot be read ({error.strerror}): change its permissions"
        ) from error

    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        inner = Path(folder).relative_to(root).parts
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if len(inner) < 2 else []
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield (*inner, name)


def _recognise(files: list[tuple[str, ...]]) -> str:
    depths = [len(parts) for parts in files]
    depth = max(set(depths), key=depths.count)
    if depth == 1:
        return "flat"
    tops = {parts[0].lower() for parts in files if len(parts) == depth}
    if tops <= SPLIT_NAMES:
        return "split-class"
    return "class" if depth == 2 else "domain-class"


def _entry(root: Path, parts: tuple[str, ...], layout: str) -> Entry:
    path = root.joinpath(*parts)
    if layout == "flat":
        return Entry(path, "all", root.resolve().name, "")
    if layout == "class":
        return Entry(path, "all", parts[0], "")
    if layout == "split-class":
        return Entry(path, parts[0], parts[1] if len(parts) == 3 else root.resolve().name, "")
    return Entry(path, "all", parts[1], parts[0])
