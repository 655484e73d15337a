"""The catalogue: ``registry.toml`` files -> what is known about plugins and assets, and presets for options.

A registry is a stranger's text until it is checked: whatever an entry says about files and addresses is refused
here, before anything touches the disk or the network.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, StrictInt, ValidationError, ValidationInfo, field_validator, model_validator

from chimera_core.errors import ConfigError
from chimera_core.files import one_line, quote
from chimera_core.options import Config, merge, option, suggest

LARGEST_ASSET_BYTES = 2**40


class PluginEntry(Config):
    """What the registry says about one plugin."""

    kinds: tuple[
        Literal["dataset-source", "feature-encoder", "robustness-trainer", "fusion-generator"], ...
    ] = option((), help="kinds of components that it offers")
    distribution: str = option("", help="what to install to get it")
    home_page: str = option("", help="where to read about it")
    summary: str = option("", help="one line")
    trust: Literal["first-party", "reviewed", "listed"] = option("listed", help="how well we know it")
    enabled: bool = option(True, help="false: never import it")
    options: dict[str, dict[str, Any]] = option({}, help="default options by component name")


class AssetEntry(Config):
    """A file of weights or data that is downloaded once: where it lies, and how to know it is the right one.

    A prefix of 8 digits tells a damaged file from a whole one. It does not stop a forger, who tries 2**32 files:
    there the encryption of https does, and that weights are read without running what is in them.
    """

    url: str = option("", help="where to get it: http, https or file")
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

    @field_validator("url")
    @classmethod
    def _url_is_safe(cls, value: str) -> str:
        return _check_url(value) if value else value

    @field_validator("urls")
    @classmethod
    def _urls_are_safe(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_url(url) for url in value)

    @field_validator("filename")
    @classmethod
    def _filename_is_plain(cls, value: str) -> str:
        if not _PLAIN_NAME.fullmatch(value) or value.lower().endswith(".part"):
            raise ValueError(
                f"{quote(value)} is no plain file name: use letters, digits and . _ + - without a folder"
            )
        return value

    @field_validator("sha256", "sha256_prefix")
    @classmethod
    def _checksum_is_hex(cls, value: str, info: ValidationInfo) -> str:
        fewest, most = (64, 64) if info.field_name == "sha256" else (8, 63)
        value = value.lower()
        if value and not (fewest <= len(value) <= most and set(value) <= set("0123456789abcdef")):
            digits = "64" if fewest == most else f"{fewest} to {most}"
            raise ValueError(f"{quote(value)} is no checksum: write {digits} hex digits")
        return value

    @model_validator(mode="after")
    def _one_of_each_pair(self) -> AssetEntry:
        for pair in _EITHER_OR:
            if sum(bool(getattr(self, name)) for name in pair) != 1:
                raise ValueError(f"give either {pair[0]} or {pair[1]}")
        return self


class Registry(Config):
    """All entries, the user's laid over the shipped ones."""

    plugins: dict[str, PluginEntry] = option({}, help="by plugin name")
    assets: dict[str, AssetEntry] = option({}, help="by the name of the asset")

    @field_validator("assets")
    @classmethod
    def _no_two_share_a_file(cls, value: dict[str, AssetEntry]) -> dict[str, AssetEntry]:
        owners: dict[str, str] = {}
        for name, entry in value.items():
            other = owners.setdefault(entry.filename.casefold(), name)
            if other != name:
                raise ValueError(
                    f"{quote(other)} and {quote(name)} have the same filename {quote(entry.filename)}"
                )
        return value

    def default_options(self, plugin: str, component: str) -> Mapping[str, Any]:
        """Look up the options that the registry presets for one component."""
        entry = self.plugins.get(plugin)
        return entry.options.get(component, {}) if entry else {}


def read_registry(user_file: Path | None = None) -> Registry:
    """Read the shipped registry and lay the user's over it.

    Args:
        user_file: None or a file that must exist. It may say only what it changes about a shipped entry.
    Raises:
        ConfigError: naming file and key, with the nearest known key.
    """
    shipped = shipped_registry()
    tables = _read_table(shipped)
    registry = _check(tables, shipped)
    if user_file is None:
        return registry
    # The shipped tables are right by themselves, so whatever is wrong in the sum is the user's.
    return _check(_lay_over(tables, _read_table(user_file)), user_file)


def shipped_registry() -> Path:
    """Find the catalogue: in the wheel beside this module, in a checkout at the root."""
    here = Path(__file__).resolve().parent
    packaged = here / "registry.toml"
    return packaged if packaged.exists() else here.parent / "registry.toml"


_EITHER_OR = (("url", "urls"), ("sha256", "sha256_prefix"))
# No folder, no hidden file, no option's dash in front, no final dot and none of the devices of Windows.
_PLAIN_NAME = re.compile(
    r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?"
)


def _check_url(url: str) -> str:
    """Refuse what is no plain address of a file; names and passwords too, because addresses get printed."""
    wrong = f"{quote(one_line(url, limit=100))} is no address of a file"
    if len(url) > 2000 or not re.fullmatch(r"[!-\[\]-~]+", url) or "%00" in url:
        raise ValueError(f"{wrong}: write it in plain ASCII, with %20 for a space")
    try:
        parts = urlsplit(url)
        port_is_one = parts.port != 0
    except ValueError as error:
        raise ValueError(f"{wrong}: {one_line(error)}") from None
    if parts.scheme in ("http", "https"):
        fits = bool(parts.hostname) and "@" not in parts.netloc and port_is_one
    else:
        fits = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/")
    if not fits:
        raise ValueError(f"{wrong}: write https://HOST/PATH, http://HOST/PATH or file:///PATH")
    return url


def _read_table(path: Path) -> dict[str, Any]:
    shown = one_line(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"registry {shown} does not exist: name a TOML file") from None
    # tomllib lets through the ValueError of an integer of 5000 digits and the RecursionError of "[[[[...".
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"registry {shown} cannot be read ({one_line(error)}): mend the file") from None


def _check(tables: Mapping[str, Any], path: Path) -> Registry:
    try:
        return Registry.model_validate(tables)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = first["loc"]
        hint = suggest(str(location[-1]), _siblings(location)) if first["type"] == "extra_forbidden" else ""
        message = str(first["msg"]).removeprefix("Value error, ")
        key = ".".join(str(part) for part in location)
        text = f"registry {path}: {key}: {message[:1].lower()}{message[1:]}{hint}"
        raise ConfigError(one_line(text)) from None


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Registry
    if len(location) > 1:
        model = AssetEntry if location[0] == "assets" else PluginEntry
    return list(model.model_fields)


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the user's tables, not checked yet, over the shipped ones."""
    laid = dict(below)
    for section, entries in above.items():
        lower = laid.get(section, {})
        if isinstance(entries, Mapping):
            laid[section] = {**lower, **{n: _lay_entry(lower.get(n), e) for n, e in entries.items()}}
        else:
            laid[section] = entries
    return laid


def _lay_entry(below: Mapping[str, Any] | None, above: Any) -> Any:
    if below is None or not isinstance(above, Mapping):
        return above
    # A mirror list replaces the one address, and a full checksum the published digits.
    replaced = {name for pair in _EITHER_OR if above.keys() & set(pair) for name in pair}
    return merge({key: value for key, value in below.items() if key not in replaced}, above)
