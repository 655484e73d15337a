"""What one entry of a registry may say: of a plugin, an asset, a model, a collection of pictures.

Each is a stranger's text until it is checked: whatever it says about files and addresses is refused here, before
anything touches the disk or the network.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, StrictBool, StrictInt, ValidationInfo, field_validator, model_validator

from chimera_core.files.atomic import one_line, quote
from chimera_core.files.names import name_trouble
from chimera_core.options.config import Config, option

LARGEST_ASSET_BYTES = 2**40
HUB = "hf://"
"""How an address of a file of the Hugging Face hub begins: ``hf://owner/name/file@revision``."""
KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
# No folder, no hidden file, no option's dash in front and no final dot.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?")


def _check_url(url: str) -> str:
    """Refuse what is no plain address of a file; names and passwords too, because addresses get printed."""
    wrong = f"{quote(one_line(url, limit=100))} is not an address of a file"
    if len(url) > 2000 or not re.fullmatch(r"[!-\[\]-~]+", url) or "%00" in url:
        raise ValueError(f"{wrong}: write it in plain ASCII, with %20 for a space")
    try:
        parts = urlsplit(url)
        port_is_one = parts.port != 0
    except ValueError as error:
        raise ValueError(f"{wrong}: {one_line(error)}") from None
    if parts.scheme == "hf":
        fits = bool(re.fullmatch(r"hf://\w[\w.-]*/\w[\w.-]*(/[\w+-][\w.+-]*)+(@[\w./-]+)?", url))
    elif parts.scheme in ("http", "https"):
        fits = bool(parts.hostname) and "@" not in parts.netloc and port_is_one
    else:
        fits = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/")
    if not fits:
        raise ValueError(
            f"{wrong}: write https://HOST/PATH, http://HOST/PATH, file:///PATH or hf://OWNER/NAME/FILE@REVISION"
        )
    return url


Address = Annotated[str, AfterValidator(lambda url: _check_url(url) if url else url)]
"""Type of an address that may be left out."""


KindName = Literal[
    "dataset-source",
    "feature-encoder",
    "robustness-trainer",
    "fusion-generator",
    "attack",
    "augmentation",
    "metric",
    "run-logger",
    "outline-finder",
    "image-reader",
    "command",
]
"""The keys of ``hookspecs.KINDS``."""


class PluginEntry(Config):
    """What the registry says about one plugin."""

    kinds: tuple[KindName, ...] = option((), help="kinds of components that it offers")
    distribution: str = option("", help="what to install to get it")
    home_page: str = option("", help="where to read about it")
    summary: str = option("", help="one line")
    trust: Literal["first-party", "reviewed", "listed"] = option("listed", help="how well we know it")
    enabled: StrictBool = option(True, help="false: never import it")
    options: dict[str, dict[str, Any]] = option({}, help="default options by component name")

    @field_validator("distribution")
    @classmethod
    def _distribution_is_a_name(cls, value: str) -> str:
        # It goes into a command line that users copy.
        if value and not is_distribution(value):
            raise ValueError(
                f"{quote(one_line(value, limit=100))} is not a name of a distribution: use letters, digits and . _ -"
            )
        return value


class PairedEntry(Config):
    """An entry that has one key of each of some pairs."""

    PAIRS: ClassVar[tuple[tuple[str, str], ...]] = ()

    @model_validator(mode="after")
    def _one_of_each_pair(self) -> Self:
        for pair in self.PAIRS:
            if sum(bool(getattr(self, name)) for name in pair) != 1:
                raise ValueError(f"give either {pair[0]} or {pair[1]}")
        return self


class AssetEntry(PairedEntry):
    """A file of weights or data that is downloaded once: where it lies, and how to know it is the right one.

    A prefix of 8 digits tells a damaged file from a whole one. It does not stop a forger, who tries 2**32 files:
    there the encryption of https does, which is asked for then, and that weights are read without running what is in
    them.
    """

    PAIRS = (("url", "urls"), ("sha256", "sha256_prefix"))

    url: Address = option("", help="where to get it: http, https, file or hf")
    urls: tuple[str, ...] = option((), help="instead of url: several places with the same file, best first")
    filename: str = option(..., help="its name in the folder of assets")
    size: StrictInt = option(..., gt=0, le=LARGEST_ASSET_BYTES, help="in bytes")
    sha256: str = option("", help="its checksum, 64 hex digits")
    sha256_prefix: str = option(
        "", help="instead of sha256: its first 8 or more hex digits, where only these are published"
    )
    licence: str = option(..., help="the terms it comes under")
    home_page: str = option("", help="where to read about it, or get it by hand")

    @property
    def places(self) -> tuple[str, ...]:
        """All addresses, best first."""
        return self.urls or (self.url,)

    @property
    def checksum(self) -> str:
        """The hex digits that the file's SHA-256 must begin with: all 64, or those that are published."""
        return self.sha256 or self.sha256_prefix

    @field_validator("urls")
    @classmethod
    def _urls_are_safe(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_url(url) for url in value)

    @field_validator("filename")
    @classmethod
    def _filename_is_plain(cls, value: str) -> str:
        if not _is_plain(value) or value.lower().endswith(".part"):
            raise ValueError(
                f"{quote(value)} is not a plain file name: use letters, digits and . _ + - without a folder"
            )
        return value

    @field_validator("sha256", "sha256_prefix")
    @classmethod
    def _checksum_is_hex(cls, value: str, info: ValidationInfo) -> str:
        fewest, most = (64, 64) if info.field_name == "sha256" else (8, 63)
        value = value.lower()
        if value and not (fewest <= len(value) <= most and set(value) <= set("0123456789abcdef")):
            digits = "64" if fewest == most else f"{fewest} to {most}"
            raise ValueError(f"{quote(value)} is not a checksum: write {digits} hex digits")
        return value

    @model_validator(mode="after")
    def _prefix_is_not_overheard(self) -> AssetEntry:
        if self.sha256_prefix and any(_is_overheard(url) for url in self.places):
            raise ValueError(
                "over http anyone on the way can send another file with such a prefix: write https, or the whole sha256"
            )
        return self


class ModelEntry(PairedEntry):
    """What the registry says about a model: a trained run that users name like a component (``person-cat``)."""

    PAIRS = (("fuser", "encoder"), ("file", "asset"))

    fuser: str = option("", help="the fuser that it belongs to, NAME or PLUGIN:NAME")
    encoder: str = option("", help="instead of fuser: the encoder that it belongs to")
    classes: tuple[str, ...] = option((), help="what it knows, in the order of its outputs")
    accepts: tuple[Literal["photo", "class"], ...] = option(
        ("class",), help="of a fuser: what its parents may be"
    )
    file: str = option("", help="its file among the models that the plugin's package carries")
    asset: str = option("", help="instead of file: its name under [assets]")
    licence: str = option(..., help="the terms it comes under")
    card: Address = option("", help="address of its model card: data, training, limits")
    summary: str = option("", help="one line")

    @property
    def kind(self) -> str:
        """The kind of the component that it belongs to."""
        return "fusion-generator" if self.fuser else "feature-encoder"

    @property
    def component(self) -> str:
        """The component that it belongs to."""
        return self.fuser or self.encoder

    @field_validator("fuser", "encoder")
    @classmethod
    def _component_is_a_name(cls, value: str) -> str:
        if value and not all(KEBAB.fullmatch(part) for part in value.split(":", 1)):
            raise ValueError(
                f"{quote(one_line(value, limit=100))} is not a name of a component: write it as gan or gan:gan"
            )
        return value

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "" in value or len(set(value)) != len(value):
            raise ValueError("every class needs a name of its own")
        return value

    @field_validator("file")
    @classmethod
    def _file_is_plain(cls, value: str) -> str:
        if value and not (_is_plain(value) and value.endswith(".safetensors")):
            raise ValueError(
                f"{quote(one_line(value, limit=100))} is not a plain file name ending in .safetensors"
            )
        return value


class CollectionEntry(Config):
    """What the registry says about pictures that other packages leave on the machine: their file names are names."""

    title: str = option("", help="as messages name it")
    folders: tuple[str, ...] = option(..., help="where it may lie, best first; ~ is the user's home")
    parts: tuple[str, ...] = option((), help="folders in these that count, best first; none: all")
    licence: str = option(..., help="the terms it comes under")
    attribution: str = option("", help="whom to name")
    home_page: str = option("", help="where to read about it")

    @field_validator("folders")
    @classmethod
    def _folders_are_full(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for folder in value:
            if not folder.startswith(("/", "~/")):
                raise ValueError(
                    f"{quote(one_line(folder, limit=100))} is not a full path: begin with / or ~/"
                )
        return value

    @field_validator("parts")
    @classmethod
    def _parts_stay_inside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            if part.startswith("/") or ".." in Path(part).parts:
                raise ValueError(
                    f"{quote(one_line(part, limit=100))} leads out of the collection: leave it out"
                )
        return value


def is_distribution(name: str) -> bool:
    """Say whether a text is the name of a distribution, fit for a command line that users copy."""
    return bool(_DISTRIBUTION.fullmatch(name))


def _is_plain(name: str) -> bool:
    return bool(_PLAIN_NAME.fullmatch(name)) and not name_trouble(name)


def _is_overheard(url: str) -> bool:
    """Whether others lie on the way to an address, and nothing hides from them what is sent."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost")
