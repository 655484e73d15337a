"""The catalogue: ``registry.toml`` files -> what is known about plugins and assets, and presets for options.

A registry is a stranger's text until it is checked: whatever an entry says about files and addresses is refused
here, before anything touches the disk or the network.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    PrivateAttr,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.names import name_trouble
from chimera_core.files.toml import TomlFile, read_toml
from chimera_core.options.config import Config, option, suggest
from chimera_core.options.layers import Layer, merge

LARGEST_ASSET_BYTES = 2**40

_log = logging.getLogger(__name__)


class PluginEntry(Config):
    """What the registry says about one plugin."""

    kinds: tuple[
        Literal["dataset-source", "feature-encoder", "robustness-trainer", "fusion-generator"], ...
    ] = option((), help="kinds of components that it offers")
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


class AssetEntry(Config):
    """A file of weights or data that is downloaded once: where it lies, and how to know it is the right one.

    A prefix of 8 digits tells a damaged file from a whole one. It does not stop a forger, who tries 2**32 files:
    there the encryption of https does, which is asked for then, and that weights are read without running what is in
    them.
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
    def _one_of_each_pair(self) -> AssetEntry:
        for pair in _EITHER_OR["assets"]:
            if sum(bool(getattr(self, name)) for name in pair) != 1:
                raise ValueError(f"give either {pair[0]} or {pair[1]}")
        if self.sha256_prefix and any(_is_overheard(url) for url in self.places):
            raise ValueError(
                "over http anyone on the way can send another file with such a prefix: write https, or the whole sha256"
            )
        return self


class ModelEntry(Config):
    """What the registry says about a model: a trained run that users name like a component (``person-cat``)."""

    fuser: str = option("", help="the fuser that it belongs to, NAME or PLUGIN:NAME")
    encoder: str = option("", help="instead of fuser: the encoder that it belongs to")
    classes: tuple[str, ...] = option((), help="what it knows, in the order of its outputs")
    accepts: tuple[Literal["photo", "class"], ...] = option(
        ("class",), help="of a fuser: what its parents may be"
    )
    file: str = option("", help="its file among the models that the plugin's package carries")
    asset: str = option("", help="instead of file: its name under [assets]")
    licence: str = option(..., help="the terms it comes under")
    card: str = option("", help="address of its model card: data, training, limits")
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
        if value and not all(_KEBAB.fullmatch(part) for part in value.split(":", 1)):
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

    @field_validator("card")
    @classmethod
    def _card_is_an_address(cls, value: str) -> str:
        return _check_url(value) if value else value

    @model_validator(mode="after")
    def _one_of_each_pair(self) -> ModelEntry:
        for pair in _EITHER_OR["models"]:
            if sum(bool(getattr(self, name)) for name in pair) != 1:
                raise ValueError(f"give either {pair[0]} or {pair[1]}")
        return self


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


class Registry(Config):
    """All entries, the user's laid over the shipped ones."""

    plugins: dict[str, PluginEntry] = option({}, help="by plugin name")
    assets: dict[str, AssetEntry] = option({}, help="by the name of the asset")
    models: dict[str, ModelEntry] = option({}, help="by the name that users type")
    collections: dict[str, CollectionEntry] = option({}, help="pictures by name that lie on the machine")
    # What was read, the lowest first. Private: it says where values come from, not what they are.
    _files: tuple[TomlFile, ...] = PrivateAttr(())

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

    @field_validator("models")
    @classmethod
    def _models_have_names(cls, value: dict[str, ModelEntry]) -> dict[str, ModelEntry]:
        for name in value:
            if not _KEBAB.fullmatch(name):
                raise ValueError(
                    f"{quote(one_line(name, limit=100))} is not a name: use small letters, digits and -"
                )
        return value

    def option_layers(self, plugin: str, component: str) -> list[Layer]:
        """Give the options that the registry presets for one component: the shipped, and over them the user's."""
        keys = ("plugins", plugin, "options", component)
        if not self._files:  # made by hand
            entry = self.plugins.get(plugin)
            return [Layer("registry", dict(entry.options.get(component, {})))] if entry else []
        layers = (Layer(file.name, file.table, file.line_of).inside(*keys) for file in self._files)
        return [layer for layer in layers if layer.values]

    def with_carried(self, files: Sequence[TomlFile]) -> Registry:
        """Lay what packages of plugins carry over what comes along, and under what the user says.

        Args:
            files: checked one by one, see ``carried.read_carried``.
        Raises:
            ConfigError: if two of them, or one and a user's, cannot be laid over each other.
        """
        return _laid((*self._files[:1], *files, *self._files[1:]), carried=files)

    def without_users(self) -> Registry:
        """Give what comes along, without the user's files."""
        return _laid(self._files[:1])

    def place(self, *keys: str) -> str:
        """Name the file and line that a value comes from; ``default`` where no file says it."""
        for file in reversed(self._files):
            if Layer(file.name, file.table).has(keys):
                return file.place(keys)
        return "default"

    def values(self) -> Iterator[tuple[tuple[str, ...], Any, str]]:
        """Go through all that is said: (keys, value, file and line); preset options one by one."""
        for section in type(self).model_fields:
            for name, entry in getattr(self, section).items():
                for keys, value in _leaves(entry):
                    place = self.place(section, name, *keys)
                    if place != "default":
                        yield (section, name, *keys), value, place


def read_registry(*user_files: Path) -> Registry:
    """Read the shipped registry and lay the user's over it, each over those before.

    Args:
        user_files: must exist. Each may say only what it changes about an entry below.
    Raises:
        ConfigError: naming file and key, with the nearest known key.
    """
    shipped = read_toml(shipped_registry(), what="registry")
    registry = _check(shipped.table, shipped)
    registry._files = (shipped,)
    files = [read_toml(file, what="registry") for file in user_files]
    for file in files:
        _refuse_trust(file, registry)
    _tell_replaced(files)
    return _laid((shipped, *files)) if files else registry


def _laid(files: Sequence[TomlFile], *, carried: Sequence[TomlFile] = ()) -> Registry:
    """Lay files over each other. Those below are right by themselves, so what is wrong in a sum is the upper one's."""
    registry = Registry()
    tables: dict[str, Any] = {}
    for file in files:
        own = {k: v for k, v in file.table.items() if k != "plugins"} if file in carried else file.table
        tables = _lay_over(tables, own)
        # The first ones are checked already, each by itself.
        if file is files[-1] or file not in (files[0], *carried):
            registry = _check(tables, file)
    registry._files = tuple(files)
    return registry


def check_registry(file: TomlFile, registry: Registry) -> None:
    """Check the tables of a file that is to be laid over a registry, without laying it.

    Raises:
        ConfigError: naming file, line and key.
    """
    own = _check(file.table, file, below=registry)
    taken = {asset.filename.casefold() for asset in registry.assets.values()}
    for name, asset in own.assets.items():
        if asset.filename.casefold() in taken:
            place = file.place(("assets", name, "filename"))
            raise ConfigError(
                f"{place}: assets.{one_line(name, limit=60)}.filename: another asset has the filename "
                f"{quote(asset.filename)}: choose another"
            )


def _tell_replaced(files: Sequence[TomlFile]) -> None:
    """Return what one registry of the user's takes back of another one's."""
    for number, file in enumerate(files):
        for keys in _keys_of(file.table):
            for other in files[:number]:
                if Layer(other.name, other.table).has(keys):
                    _log.warning(
                        "%s: %s replaces what %s says", file.place(keys), ".".join(keys), other.place(keys)
                    )


def _keys_of(table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from ((key, *rest) for rest in _keys_of(value))
        else:
            yield (key,)


def _refuse_trust(mine: TomlFile, shipped: Registry) -> None:
    """Let nobody but the shipped registry say what is ours; what its user has reviewed, a registry may say."""
    plugins = mine.table.get("plugins")
    for name, entry in plugins.items() if isinstance(plugins, Mapping) else ():
        if not isinstance(entry, Mapping) or entry.get("trust") != "first-party":
            continue
        ours = shipped.plugins.get(name)
        is_ours = ours and ours.distribution == entry.get("distribution", ours.distribution)
        if not (ours and is_ours and ours.trust == "first-party"):
            place = mine.place(("plugins", name, "trust"))
            raise ConfigError(
                f"{place}: plugins.{one_line(name, limit=60)}.trust: only the registry that comes along says what is "
                "first-party: write reviewed or listed, or leave it out"
            )


def shipped_registry() -> Path:
    """Find the catalogue: in the wheel beside this module, in a checkout at the root."""
    here = Path(__file__).resolve().parents[1]
    packaged = here / "registry.toml"
    return packaged if packaged.exists() else here.parent / "registry.toml"


_EITHER_OR = {
    "assets": (("url", "urls"), ("sha256", "sha256_prefix")),
    "models": (("fuser", "encoder"), ("file", "asset")),
}
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
# No folder, no hidden file, no option's dash in front and no final dot.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?")


def is_distribution(name: str) -> bool:
    """Return whether a text is the name of a distribution, fit for a command line that users copy."""
    return bool(_DISTRIBUTION.fullmatch(name))


def _is_plain(name: str) -> bool:
    return bool(_PLAIN_NAME.fullmatch(name)) and not name_trouble(name)


def _leaves(entry: Config) -> Iterator[tuple[tuple[str, ...], Any]]:
    for field in type(entry).model_fields:
        value = getattr(entry, field)
        if not isinstance(value, dict):
            yield (field,), value
            continue
        for component, options in value.items():
            yield from (((field, component, name), v) for name, v in options.items())


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
    if parts.scheme in ("http", "https"):
        fits = bool(parts.hostname) and "@" not in parts.netloc and port_is_one
    else:
        fits = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/")
    if not fits:
        raise ValueError(f"{wrong}: write https://HOST/PATH, http://HOST/PATH or file:///PATH")
    return url


def _is_overheard(url: str) -> bool:
    """Whether others lie on the way to an address, and nothing hides from them what is sent."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost")


def _check(tables: Mapping[str, Any], file: TomlFile, *, below: Registry | None = None) -> Registry:
    try:
        registry = Registry.model_validate(tables)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = tuple(first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "unknown key"
        key = ".".join(str(part) for part in location)
        text = f"{file.place(location)}: {key}: {message[:1].lower()}{message[1:]}{_hint(first)}"
        raise ConfigError(one_line(text, limit=800)) from None
    assets = {*registry.assets, *(below.assets if below else ())}
    for name, model in registry.models.items():
        if model.asset and model.asset not in assets:
            place = file.place(("models", name, "asset"))
            known = suggest(model.asset, assets)
            raise ConfigError(
                one_line(
                    f"{place}: models.{name}.asset: there is no asset {quote(model.asset)}{known}", limit=800
                )
            )
    return registry


def _hint(error: Any) -> str:
    """Return what to write instead of an unknown key, an unknown word or a value of another type."""
    location, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        return suggest(str(location[-1]), _siblings(location))
    if kind == "literal_error" and isinstance(error["input"], str):
        return suggest(error["input"], re.findall("'([^']+)'", error["ctx"]["expected"]))
    met = one_line(repr(error["input"]), limit=60)
    hint = _HINT_OF_TYPE.get(kind)
    return f", but it is {met}: {hint.format(key=location[-1])}" if hint and location else ""


_HINT_OF_TYPE = {
    "bool_type": "write true or false, without quotes",
    "string_type": 'write it in quotes, {key} = "..."',
    "int_type": "write a whole number, without quotes",
    "tuple_type": 'write a list, {key} = ["..."]',
    "dict_type": "write a table, [... .{key}]",
    "model_type": "write a table, [... .{key}]",
}


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    entries: dict[str, type[BaseModel]] = {
        "assets": AssetEntry,
        "collections": CollectionEntry,
        "models": ModelEntry,
        "plugins": PluginEntry,
    }
    model = entries[str(location[0])] if len(location) > 1 else Registry
    return list(model.model_fields)


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the user's tables, not checked yet, over the shipped ones."""
    laid = dict(below)
    for section, entries in above.items():
        lower, pairs = laid.get(section, {}), _EITHER_OR.get(section, ())
        if isinstance(entries, Mapping):
            entries = {n: _lay_entry(lower.get(n), e, pairs) for n, e in entries.items()}
            laid[section] = {**lower, **entries}
        else:
            laid[section] = entries
    return laid


def _lay_entry(below: Mapping[str, Any] | None, above: Any, pairs: tuple[tuple[str, str], ...]) -> Any:
    if below is None or not isinstance(above, Mapping):
        return above
    # A mirror list replaces the one address, and a full checksum the published digits.
    replaced = {name for pair in pairs if above.keys() & set(pair) for name in pair}
    if above.get("distribution", below.get("distribution")) != below.get("distribution"):
        replaced.add("trust")  # we know the plugin, not another one under its name
    return merge({key: value for key, value in below.items() if key not in replaced}, above)
