"""The ``flickr-dog`` source: faces of single dogs, pugs and huskies.

Published: 21 pugs and 21 huskies, at least five photographs each, 374 in all; faces cut out, turned until the eyes are
level, 250 x 250 (Moreira et al. 2016, arXiv:1510.02781). Every dog has a folder of its name, such as ``Bella-Kappel``;
whether these lie in folders of the breeds is not published, so both are read.
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
from chimera_persondog.config import FlickrDogConfig
from chimera_persondog.folders import ImageFiles, images_below, plain, refuse_split
from chimera_persondog.plugin import FLICKR_DOG_LICENCE, FLICKR_DOG_PAGE

LAYOUT = "folders of single dogs with images in them, such as Bandit/1.jpg or pug/Doris/1.jpg"
PUBLISHED = (42, 374)
"""Dogs and photographs."""
_BREEDS = {"pug": "pug", "pugs": "pug", "husky": "husky", "huskies": "husky", "huskie": "husky"}


class FlickrDogSource(DatasetSource):
    """Dogs in the one split ``all``; there are no official ones."""

    def __init__(self, config: FlickrDogConfig) -> None:
        self.config = config
        self.root = flickr_dog_folder(_root_of(config))
        images = images_below(self.root) if os.path.isdir(self.root) else []
        self._dogs = {path: dog for path in images if (dog := _dog_of(path, self.root)) is not None}
        if not self._dogs:
            raise MissingDataError(
                f"no Flickr-Dog in '{self.root}' ({describe_folder(self.root)}): expected {LAYOUT}; get it from "
                f"{FLICKR_DOG_PAGE}"
            )
        self._loose = len(images) - len(self._dogs)
        self._names = {path: self._class_of(*dog) for path, dog in self._dogs.items()}
        self.classes = tuple(sorted(set(self._names.values())))

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the dogs by their folders."""
        dogs, photos = len(set(self._dogs.values())), len(self._dogs)
        notes = [
            f"{photos:,} images of {dogs} dogs in '{self.root}' (published: {PUBLISHED[1]} of {PUBLISHED[0]})"
        ]
        if self._loose:
            notes.append(f"{self._loose} images lie in no dog's folder, and are left out")
        return SourceInfo(
            name="flickr-dog",
            classes=self.classes,
            splits={"all": photos},
            licence=FLICKR_DOG_LICENCE,
            home_page=FLICKR_DOG_PAGE,
            notes=tuple(notes),
            left_out={"in no dog's folder": self._loose} if self._loose else {},
        )

    def open(self, split: str) -> ImageFiles:
        """Open the split ``all``; see ``DatasetSource``."""
        if split != "all":
            raise refuse_split("flickr-dog", split)
        return ImageFiles(tuple(self._names), tuple(map(self.classes.index, self._names.values())))

    @classmethod
    def download(cls, config: FlickrDogConfig, *, progress: Callable[[float, float], None]) -> None:
        """Return where the dogs can be had.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"Flickr-Dog cannot be downloaded by a program: get it from {FLICKR_DOG_PAGE} and put it into "
            f"'{_root_of(config)}' as {LAYOUT}"
        )

    def _class_of(self, breed: str, name: str) -> str:
        if self.config.label == "breed":
            if not breed:
                raise ConfigError(
                    f"--label breed needs folders named pug and husky in '{self.root}' "
                    f"({describe_folder(self.root)}): sort the dogs into them, or choose --label dog"
                )
            return breed
        return "dog" if self.config.label == "dog" else name


def flickr_dog_folder(root: Path) -> Path:
    """Go one folder down where the dogs' folders lie in one that is named like the data set."""
    if os.path.isdir(root):
        for name in sorted(os.listdir(root)):
            if plain(name).startswith("flickrdog") and os.path.isdir(root / name):
                return root / name
    return root


def _root_of(config: FlickrDogConfig) -> Path:
    return Path(os.path.expanduser(config.root)) if config.root else default_data_root("flickr-dog")


def _dog_of(path: Path, root: Path) -> tuple[str, str] | None:
    """Tell breed (empty if no folder says so) and name of an image's dog; None outside of any dog's folder."""
    folders = path.relative_to(root).parts[:-1]
    breed = next((_BREEDS[plain(f)] for f in (*folders, root.name) if plain(f) in _BREEDS), "")
    if not folders:
        return (breed, root.name) if breed else None
    return breed, folders[-1]
