"""The ``persondog`` source: the second report's mixture of faces of persons and dogs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from chimera_core.api import (
    DataError,
    DatasetSource,
    MissingDataError,
    SourceInfo,
    Split,
    default_data_root,
    describe_folder,
    open_source,
)
from chimera_persondog.config import PersonDogConfig
from chimera_persondog.folders import plain

LAYOUT = "celeba, and flickr-dog or lhi-animal-faces"


class PersonDogSource(DatasetSource):
    """CelebA as ``person``; Flickr-Dog and the dogs of LHI-Animal-Faces as ``dog``.

    Persons and at least one of the two collections of dogs must be there. The dogs have no official splits, so the
    mixture has ``train`` alone: all dogs, and CelebA's training split.
    """

    def __init__(self, config: PersonDogConfig) -> None:
        root = Path(os.path.expanduser(config.root)) if config.root else _default_root()
        persons = config.celeba_root or _find(root, ("celeba",))
        flickr = config.flickr_dog_root or _find(root, ("flickrdog",))
        lhi = config.lhi_root or _find(root, ("lhi", "animalface"))
        lacking = [
            *([] if persons else ["no CelebA (--celeba-root)"]),
            *(
                []
                if flickr or lhi
                else ["neither Flickr-Dog (--flickr-dog-root) nor LHI-Animal-Faces (--lhi-root)"]
            ),
        ]
        if lacking:
            raise MissingDataError(
                f"persondog finds {' and '.join(lacking)} in '{root}' ({describe_folder(root)}): expected folders "
                f"{LAYOUT}"
            )
        members = [
            _member("person", "celeba", persons, config.celeba_crop, "", eyes_option=config.celeba_eyes)
        ]
        if flickr:
            members.append(
                _member("dog", "flickr-dog", flickr, config.flickr_dog_crop or None, config.flickr_dog_eyes)
            )
        if lhi:
            members.append(
                _member("dog", "lhi-animal-faces", lhi, config.lhi_crop or None, config.lhi_eyes, only="dog")
            )
        balance = config.balance
        if balance not in ("natural", "equal"):
            balance = f"person={1 - float(balance)},dog={balance}"
        self._mixture = open_source("mixture:mixture", members=members, frame=config.frame, balance=balance)

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the mixture and each of its members."""
        return dataclasses.replace(self._mixture.info, name="persondog")

    def open(self, split: str) -> Split:
        """Open a split of all collections that have one; see ``DatasetSource``."""
        try:
            return self._mixture.open(split)
        except DataError as error:
            raise DataError(str(error).replace("mixture has", "persondog has", 1)) from None

    def files(self, split: str) -> Sequence[Path]:
        """Name the files of every collection's split."""
        self.open(split)
        return self._mixture.files(split)

    def made_of(self) -> Any:
        """Say what the collections are; see ``DatasetSource``."""
        return self._mixture.made_of()


def _member(
    class_name: str,
    source: str,
    root: str,
    crop: str | None,
    eyes: str,
    *,
    only: str = "",
    eyes_option: str = "",
) -> dict[str, Any]:
    """Describe a member; ``eyes_option`` goes to a source that knows words for eyes, ``eyes`` are numbers."""
    options: dict[str, Any] = {"root": root} | ({"eyes": eyes_option} if eyes_option else {})
    return {
        "class_name": class_name,
        "source": {"name": source, "options": options},
        "crop": crop,
        "only": only,
        "eyes": eyes or None,
    }


def _default_root() -> Path:
    own = default_data_root("persondog")
    return own if os.path.isdir(own) else own.parent  # beside it lie the data of the sources themselves


def _find(root: Path, beginnings: tuple[str, ...]) -> str:
    """Find a data set's folder in ``root`` by how its name begins, whatever its case and hyphens; empty if none."""
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return ""
    if "celeba" in beginnings and "img_align_celeba" in names:
        return str(root)
    return next(
        (str(root / n) for n in names if plain(n).startswith(beginnings) and os.path.isdir(root / n)), ""
    )
