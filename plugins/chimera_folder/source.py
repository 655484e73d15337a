"""The ``folder`` source: images on disk, sorted by folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from chimera_core.api import DataError, DatasetSource, Example, MissingDataError, SourceInfo, read_picture
from chimera_folder.config import FolderConfig
from chimera_folder.layout import scan


class FolderSource(DatasetSource):
    """Folders of images.

    Labels number the class folders in alphabetical order over all splits and domains. Layouts without splits
    have the one split ``all``.
    """

    def __init__(self, config: FolderConfig) -> None:
        self.config = config
        if "://" in config.root:
            raise MissingDataError(
                f"'{config.root}' is an address: addresses are not read, so download the images and name their folder"
            )
        self._sorted = scan(Path(os.path.expanduser(config.root)), config.layout)
        self.layout, self._entries = self._sorted.layout, self._sorted.entries
        self._classes = tuple(sorted({e.class_name for e in self._entries}))
        self._domains = tuple(sorted({e.domain for e in self._entries} - {""}))

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the folder by its names."""
        splits: dict[str, int] = {}
        for entry in self._entries:
            splits[entry.split] = splits.get(entry.split, 0) + 1
        notes = [f"layout {self.layout}: {len(self._entries)} images in {len(self._classes)} classes"]
        notes += self._sorted.notes
        for why, files in self._sorted.left_out.items():
            notes.append(f"images {why}, left out: {len(files)}, such as '{files[0]}'")
        return SourceInfo(
            name="folder",
            classes=self._classes,
            domains=self._domains,
            splits=splits,
            notes=tuple(notes),
            left_out={why: len(files) for why, files in self._sorted.left_out.items()},
        )

    def open(self, split: str) -> FolderSplit:
        """Open a split; see ``DatasetSource``."""
        entries = [e for e in self._entries if e.split == split]
        if not entries:
            known = ", ".join(sorted({e.split for e in self._entries}))
            raise DataError(f"'{self.config.root}' has no split '{split}' (it has: {known})")
        label = {name: index for index, name in enumerate(self._classes)}
        domain = {name: index for index, name in enumerate(self._domains)}
        return FolderSplit(
            paths=tuple(e.path for e in entries),
            labels=tuple(label[e.class_name] for e in entries),
            domains=tuple(domain.get(e.domain, 0) for e in entries),
        )


@dataclass(frozen=True)
class FolderSplit:
    """Files of one split; images are decoded when they are asked for."""

    paths: tuple[Path, ...]
    labels: Sequence[int]
    domains: Sequence[int]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        """Decode one image: uint8 RGB (3, H, W) in its own size, transparent parts white; label, domain."""
        rgb = read_picture(self.paths[index]).on_white()
        return Example(torch.from_numpy(rgb.copy()).permute(2, 0, 1), self.labels[index], self.domains[index])

    def mask(self, index: int) -> torch.Tensor | None:
        """Give the opacity of an image as the animal's mask, uint8 (1, H, W); None if it is opaque everywhere."""
        alpha = read_picture(self.paths[index]).alpha
        return None if alpha is None else torch.from_numpy(alpha.copy())[None]
