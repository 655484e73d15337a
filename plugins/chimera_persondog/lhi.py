"""The ``lhi-animal-faces`` source: faces of 19 animals and of humans.

Published: about 100 images each, of many sizes (Si and Zhu 2012, "Learning hybrid image templates", experiment 5).
Folders are named ``BearHead`` to ``WolfHead``; one more, ``Natural``, holds a few images of no animal.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from chimera_core.api import (
    ConfigError,
    DatasetSource,
    MissingDataError,
    SourceInfo,
    default_data_root,
    describe_folder,
)
from chimera_persondog.config import LhiConfig
from chimera_persondog.folders import ImageFiles, images_below, plain, refuse_split
from chimera_persondog.plugin import LHI_LICENCE, LHI_PAGE

# fmt: off
ANIMALS = (
    "bear", "cat", "chicken", "cow", "deer", "dog", "duck", "eagle", "elephant", "human",
    "lion", "monkey", "mouse", "panda", "pig", "pigeon", "rabbit", "sheep", "tiger", "wolf",
)
# fmt: on
LAYOUT = "folders like DogHead, CatHead and HumanHead with images in them"
_PLURALS = {"mice": "mouse", "wolves": "wolf", "people": "human", "person": "human", "persons": "human"}


class LhiSource(DatasetSource):
    """Animals in the one split ``all``; there are no official ones."""

    def __init__(self, config: LhiConfig) -> None:
        self.root = _root_of(config)
        images = images_below(self.root) if os.path.isdir(self.root) else []
        self._matched: dict[str, set[str]] = {}
        self._ignored: dict[str, int] = {}
        self._animals: dict[Path, str] = {}
        for path in images:
            self._take(path)
        if not self._animals:
            folders = ", ".join(self._ignored) or "none"
            raise MissingDataError(
                f"no LHI-Animal-Faces in '{self.root}' ({describe_folder(self.root)}): expected {LAYOUT}, found "
                f"folders with images: {folders[:200]}; get it from {LHI_PAGE}"
            )
        self.classes = tuple(animal for animal in ANIMALS if animal in self._matched)

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the animals by their folders."""
        animals = list(self._animals.values())
        matched = ", ".join(
            f"{' + '.join(sorted(self._matched[animal]))} as {animal} ({animals.count(animal)})"
            for animal in self.classes
        )
        notes = [f"{len(self.classes)} of {len(ANIMALS)} animals in '{self.root}': {matched}"]
        if self._ignored:
            ignored = ", ".join(f"{name} ({count})" for name, count in self._ignored.items())
            notes.append(f"folders that are none of the animals, and are left out: {ignored}")
        return SourceInfo(
            name="lhi-animal-faces",
            classes=self.classes,
            splits={"all": len(animals)},
            licence=LHI_LICENCE,
            home_page=LHI_PAGE,
            notes=tuple(notes),
        )

    def open(self, split: str) -> ImageFiles:
        """Open the split ``all``; see ``DatasetSource``."""
        if split != "all":
            raise refuse_split("lhi-animal-faces", split)
        return ImageFiles(tuple(self._animals), tuple(map(self.classes.index, self._animals.values())))

    @classmethod
    def download(cls, config: LhiConfig, *, progress: Callable[[float, float], None]) -> None:
        """Return where the animals can be had.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"LHI-Animal-Faces cannot be downloaded by a program: get it from {LHI_PAGE} and put it into "
            f"'{_root_of(config)}' as {LAYOUT}"
        )

    def _take(self, path: Path) -> None:
        """Sort an image by the nearest folder above it that is named like an animal."""
        folders = (self.root.name, *path.relative_to(self.root).parts[:-1])
        for folder in reversed(folders):
            if animal := animal_of(folder):
                self._animals[path] = animal
                self._matched.setdefault(animal, set()).add(folder)
                return
        self._ignored[folders[-1]] = self._ignored.get(folders[-1], 0) + 1


def animal_of(folder: str) -> str:
    """Match a folder's name: ``DogHead``, ``dog``, ``Dogs`` and ``dog_heads`` are all ``dog``; empty if it is none."""
    name = plain(folder)
    for ending in ("heads", "head", "faces", "face"):
        name = name.removesuffix(ending)
    name = _PLURALS.get(name, name)
    return next((candidate for candidate in (name, name.removesuffix("s")) if candidate in ANIMALS), "")


def _root_of(config: LhiConfig) -> Path:
    return Path(os.path.expanduser(config.root)) if config.root else default_data_root("lhi-animal-faces")
