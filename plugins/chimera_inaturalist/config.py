"""Options of the ``inaturalist`` source. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from chimera_core.api import Config, is_device, nfc, option

API = "https://api.inaturalist.org/v1"
LICENCES = ("cc0", "cc-by", "cc-by-nc", "cc-by-sa", "cc-by-nd", "cc-by-nc-sa", "cc-by-nc-nd")
"""Codes of the licences that photographs may have, as the service spells them. Most have CC BY-NC."""
LONGEST_NAME = 60


class InaturalistConfig(Config):
    """Which animals, how many photographs of each, under which licences, and where they lie."""

    NOT_PACKED: ClassVar[frozenset[str]] = frozenset({"per_class", "photo_size", "api", "interval_s"})
    """Options of the download, which change nothing of what is here."""

    root: str = option("", help="the folder of the photographs; empty: inaturalist among the assets")
    taxa: str = option(
        "",
        help="animals with commas between, as lion,tiger; lion=Panthera leo says better which one is meant; "
        "empty: all that are in the folder",
    )
    per_class: int = option(200, ge=1, le=10_000, help="how many photographs of each to download")
    licences: str = option(
        "cc0,cc-by", help=f"which licences will do, with commas between: {', '.join(LICENCES)}"
    )
    photo_size: Literal["small", "medium", "large", "original"] = option(
        "medium", help="of what is downloaded: longer side of at most 240, 500, 1024 or 2048 pixels"
    )
    api: str = option(API, help="address of the service", hidden=True)
    interval_s: float = option(
        1.0, ge=0, le=60, help="seconds between requests; they ask for 1 or more", hidden=True
    )

    @field_validator("taxa")
    @classmethod
    def _taxa_are_names(cls, value: str) -> str:
        read_taxa(value)
        return value

    @field_validator("licences")
    @classmethod
    def _licences_are_known(cls, value: str) -> str:
        codes = read_licences(value)
        if not codes or not set(codes) <= set(LICENCES):
            raise ValueError(f"name some of {', '.join(LICENCES)}, with commas between")
        return ",".join(codes)

    @model_validator(mode="after")
    def _service_is_spared(self) -> InaturalistConfig:
        address = urlsplit(self.api)
        if address.scheme not in ("http", "https") or not address.netloc:
            raise ValueError(f"write api as an address such as {API}")
        if (address.hostname or "").endswith("inaturalist.org") and self.interval_s < 1:
            raise ValueError("iNaturalist asks for one request a second at most: let interval_s be 1 or more")
        return self


def read_taxa(text: str) -> Mapping[str, str]:
    """Read the option ``taxa``: the class's name, which is also its folder's, and what to look for.

    Returns:
        ``{"lion": "Panthera leo"}`` for ``lion=Panthera leo``; ``{"golden-eagle": "golden eagle"}`` for a bare name.
    Raises:
        ValueError: if a name is empty, has no letter or digit, is too long, or comes twice.
    """
    found: dict[str, str] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, query = (part.strip() for part in entry.partition("="))
        folder = class_name(name)
        query = " ".join((query or name).replace("_", " ").split())
        if not folder or not query or len(folder) > LONGEST_NAME or len(query) > LONGEST_NAME:
            raise ValueError(
                "write names of animals, with commas between, as lion,tiger or lion=Panthera leo"
            )
        if folder in found:
            raise ValueError(f"'{folder}' comes twice")
        found[folder] = query
    return found


def read_licences(text: str) -> tuple[str, ...]:
    """Read the option ``licences``: ``CC BY`` and ``cc-by`` are the same."""
    entries = (entry.strip().lower().replace(" ", "-").replace("_", "-") for entry in text.split(","))
    return tuple(dict.fromkeys(filter(None, entries)))


def class_name(name: str) -> str:
    """Spell a name as a folder's that is safe everywhere: letters and digits in lower case, ``-`` for all else."""
    spelled = "".join(c if c.isalnum() else " " for c in nfc(name.casefold()))
    folder = "-".join(spelled.split())
    return f"{folder}-1" if is_device(folder) else folder
