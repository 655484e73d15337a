"""Folders of images whose names are matched loosely, and the split that they make."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from chimera_core.api import DataError, Example, pictures_below, read_picture

DEEPEST = 4


def plain(name: str) -> str:
    """Reduce a folder's name to what counts: ``Flickr_Dog (1)`` and ``flickr-dog`` are both ``flickrdog``."""
    return re.sub(r"[^a-z]", "", name.lower())


def images_below(root: Path) -> list[Path]:
    """List the images up to ``DEEPEST`` folders down, sorted; hidden files, and folders of the system, are left out.

    Raises:
        DataError: if a folder cannot be read.
    """
    return [root.joinpath(*parts) for parts in pictures_below(root, deepest=DEEPEST).files]


@dataclass(frozen=True)
class ImageFiles:
    """A split of image files in their own sizes; images are decoded when they are asked for."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        """Decode one image: uint8 RGB (3, H, W)."""
        rgb = read_picture(self.paths[index]).rgb
        return Example(torch.from_numpy(rgb.copy()).permute(2, 0, 1), self.labels[index])


def refuse_split(name: str, split: str) -> DataError:
    """Make the error for a split that a collection without splits does not have."""
    return DataError(f"{name} has no split '{split}' (it has: all)")
