"""Options of ``persondog``, ``flickr-dog`` and ``lhi-animal-faces``. Torch-free."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import field_validator

from chimera_core.api import Config, option


class FlickrDogConfig(Config):
    """Where the dogs lie, and what they are called."""

    root: str = option("", help="the folder of the dogs' folders; empty: flickr-dog among the assets")
    label: Literal["dog", "breed", "name"] = option(
        "dog", help="classes: one for all, pug and husky, or every single dog"
    )


class LhiConfig(Config):
    """Where the animals lie."""

    root: str = option(
        "", help="the folder of folders like DogHead; empty: lhi-animal-faces among the assets"
    )


class PersonDogConfig(Config):
    """Where the three collections lie, what is cut out of them, and in which shares they are drawn."""

    NOT_PACKED: ClassVar[frozenset[str]] = frozenset({"balance"})
    """Options that change no image: the packed cache leaves them out of its key."""

    root: str = option(
        "",
        help="one folder that holds celeba, flickr-dog and lhi-animal-faces, or some of them; empty: the assets",
    )
    celeba_root: str = option("", help="where CelebA lies, instead of in root")
    flickr_dog_root: str = option("", help="where Flickr-Dog lies, instead of in root")
    lhi_root: str = option("", help="where LHI-Animal-Faces lies, instead of in root")
    balance: str = option(
        "natural", help="shares in training: natural (as the files are), equal, or the dogs' share, as 0.3"
    )
    frame: Literal["none", "eyes"] = option(
        "none",
        help="eyes: cut every image so that all eyes lie in one place; the dogs' eyes must then be given",
    )
    celeba_crop: str | None = option(
        None,
        help="crop of the persons: a side in pixels or left,top,right,bottom; not given: 108, as in CelebA",
    )
    celeba_eyes: str = option("auto", help="where the persons' eyes are: left x,left y,right x,right y")
    flickr_dog_crop: str = option("", help="crop of Flickr-Dog's images; empty: the whole image")
    flickr_dog_eyes: str = option("", help="where the eyes are in Flickr-Dog's images")
    lhi_crop: str = option("", help="crop of LHI-Animal-Faces' images; empty: the whole image")
    lhi_eyes: str = option("", help="where the eyes are in LHI-Animal-Faces' images")

    @field_validator("balance")
    @classmethod
    def _balance_is_a_share(cls, value: str) -> str:
        if value in ("natural", "equal"):
            return value
        try:
            if 0 <= float(value) <= 1:
                return value
        except ValueError:
            pass
        raise ValueError("write natural, equal, or the dogs' share from 0 to 1")

    @field_validator("flickr_dog_eyes", "lhi_eyes")
    @classmethod
    def _eyes_are_two_points(cls, value: str) -> str:
        try:
            numbers = [float(number) for number in value.split(",")] if value else [0, 0, 1, 0]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or numbers[0] >= numbers[2]:
            raise ValueError("write left x,left y,right x,right y in pixels")
        return value
