"""Options of the ``torchvision`` source. Torch-free."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from chimera_core.api import Config, option


class TorchvisionConfig(Config):
    """Which data set, where it lies, and what of it is the class."""

    name: str = option(
        ..., help="name of a class of torchvision.datasets, e.g. OxfordIIITPet, Flowers102, FakeData"
    )
    root: str = option("", help="the folder that torchvision calls root; empty: torchvision among the assets")
    target: str = option(
        "",
        help="what is the class where a data set has several: binary-category of OxfordIIITPet, a rank of "
        "INaturalist such as family, an attribute of CelebA such as Smiling",
    )
    arguments: tuple[str, ...] = option(
        (),
        flag="argument",
        help="an argument of torchvision's class, e.g. partition=2 of DTD or version=2021_valid of INaturalist",
    )

    @field_validator("arguments", mode="before")
    @classmethod
    def _read_word(cls, value: Any) -> Any:
        # In a word of a mixture: what has no = goes on with the value before it.
        if not isinstance(value, str):
            return value
        words: list[str] = []
        for piece in filter(None, value.split(",")):
            if "=" in piece or not words:
                words.append(piece)
            else:
                words[-1] += "," + piece
        return tuple(words)
