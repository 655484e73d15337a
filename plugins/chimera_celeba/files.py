"""CelebA's folder and lists, as torchvision and Kaggle lay them out; no image is opened.

torchvision's own reader checks all files of 200,000 faces or reads nothing; here any part of them will do.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chimera_core.api import ConfigError, DataError, MissingDataError, default_data_root, describe_folder

SPLITS = ("train", "val", "test")
"""By the numbers of the partition file, 0 to 2."""
IMAGES = "img_align_celeba"
LAYOUT = "celeba/img_align_celeba/000001.jpg ... and celeba/list_eval_partition.txt"
BY_HAND = (
    "get img_align_celeba.zip and list_eval_partition.txt from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, the "
    "Kaggle dataset jessicali9530/celeba-dataset, or torchvision.datasets.CelebA(root, download=True)"
)
_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Layout:
    """Where things lie: the folder of the lists, and the folder of the images."""

    lists: Path
    images: Path


def root_of(root: str) -> Path:
    """Give the folder that the user named, or the one among the assets."""
    return Path(os.path.expanduser(root)) if root else default_data_root("celeba")


def find_layout(root: Path) -> Layout:
    """Find the folders, given ``celeba``, the folder above, or the folder of the images.

    Raises:
        MissingDataError: if there are none, with what was expected and found.
    """
    for lists in (root / "celeba", root, root.parent):
        images = lists / IMAGES
        if lists == root.parent and root.name != IMAGES:
            continue
        if os.path.isdir(images):
            nested = images / IMAGES  # Kaggle's archive has the folder twice
            return Layout(lists, nested if os.path.isdir(nested) else images)
    raise MissingDataError(f"no CelebA in '{root}' ({describe_folder(root)}): expected {LAYOUT}; {BY_HAND}")


def list_images(folder: Path) -> list[str]:
    """List the names of the images, sorted.

    Raises:
        MissingDataError: if there are none, or the folder cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if _is_face(name))
    except OSError as error:
        raise MissingDataError(
            f"'{folder}' cannot be read ({error.strerror}): change its permissions"
        ) from error
    if not names:
        raise MissingDataError(
            f"no images in '{folder}' ({describe_folder(folder)}): expected 000001.jpg ...; {BY_HAND}"
        )
    return names


def _is_face(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")  # a Mac leaves ._000001.jpg beside


def read_partitions(layout: Layout) -> dict[str, int]:
    """Read which split every image belongs to: 0, 1 or 2 by name.

    Raises:
        MissingDataError: if there is no such file.
        DataError: if a line is wrong, with its number.
    """
    path = _list_file(layout.lists, "list_eval_partition")
    if path is None:
        raise MissingDataError(
            f"no list_eval_partition.txt in '{layout.lists}' ({describe_folder(layout.lists)}): it says which images "
            f"are for training; {BY_HAND}"
        )
    partitions = {}
    for number, fields in _rows(path):
        if number == 1 and fields[-1] == "partition":  # the head of Kaggle's table
            continue
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise DataError(
                f"line {number} of '{path}' is not a name and 0, 1 or 2, but '{' '.join(fields)[:60]}': get the file anew"
            )
        partitions[fields[0]] = int(fields[1])
    return partitions


def read_attribute(layout: Layout, name: str) -> tuple[str, dict[str, bool]]:
    """Read one attribute of every image.

    Args:
        layout: where things lie.
        name: of the attribute; case, and - for _, do not matter.
    Returns:
        The attribute's name as the file has it, and its values by image.
    Raises:
        MissingDataError: if there is no such file.
        ConfigError: if it has no such attribute, with the nearest one.
        DataError: if a line is wrong, with its number.
    """
    path = _list_file(layout.lists, "list_attr_celeba")
    if path is None:
        raise MissingDataError(
            f"--label {name} needs list_attr_celeba.txt, which is not in '{layout.lists}' "
            f"({describe_folder(layout.lists)}): get it where CelebA comes from, or leave --label out"
        )
    rows = _rows(path)
    names: list[str] = []
    values = {}
    column = -1
    for number, fields in rows:
        if not names:
            if len(fields) > 1 or not fields[0].isdigit():  # the first line of the .txt counts the images
                names = fields[1:] if fields[0] == "image_id" else fields
                column = _find_attribute(name, names, path)
        elif len(fields) != len(names) + 1 or fields[column + 1] not in ("1", "-1", "0"):
            raise DataError(
                f"line {number} of '{path}' has {len(fields) - 1} values for {len(names)} attributes, or one that is "
                "not 1 or -1: get the file anew"
            )
        else:
            values[fields[0]] = fields[column + 1] == "1"
    if not names:
        raise DataError(f"'{path}' names no attributes: get the file anew")
    return names[column], values


def _find_attribute(name: str, names: list[str], path: Path) -> int:
    plain = [_plain(n) for n in names]
    if _plain(name) in plain:
        return plain.index(_plain(name))
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.4)
    hint = f"did you mean '{names[plain.index(near[0])]}'?" if near else f"it has: {', '.join(names)}"
    raise ConfigError(f"'{path}' has no attribute '{name}' ({hint})")


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _list_file(folder: Path, stem: str) -> Path | None:
    return next((p for p in (folder / f"{stem}.txt", folder / f"{stem}.csv") if os.path.isfile(p)), None)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of every line that is not empty; words end at white space or a comma.

    Raises:
        DataError: if the file cannot be read, or is no text.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                fields = line.replace(",", " ").split()
                if fields:
                    yield number, fields
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DataError(f"'{path}' cannot be read ({reason}): get the file anew") from error
