"""The catalogue: ``registry.toml`` files, the user's laid over the shipped one -> what is known about plugins and assets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationError, field_validator

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.shipped import shipped_path
from chimera_core.files.toml import TomlFile, read_toml
from chimera_core.options.config import Config, option, suggest
from chimera_core.options.layers import Layer, merge
from chimera_core.plugins.entries import (
    KEBAB,
    AssetEntry,
    CollectionEntry,
    ModelEntry,
    PairedEntry,
    PluginEntry,
)

_log = logging.getLogger(__name__)

_ENTRIES: dict[str, type[Config]] = {
    "assets": AssetEntry,
    "collections": CollectionEntry,
    "models": ModelEntry,
    "plugins": PluginEntry,
}
_PAIRS = {section: entry.PAIRS for section, entry in _ENTRIES.items() if issubclass(entry, PairedEntry)}


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
            if not KEBAB.fullmatch(name):
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
        return self if len(self._files) < 2 else _laid(self._files[:1])

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


def check_registry(file: TomlFile, assets: Mapping[str, AssetEntry]) -> Registry:
    """Check the tables of a file that is to be laid over others, without laying it.

    Args:
        file: that was read.
        assets: of those below.
    Raises:
        ConfigError: naming file, line and key.
    """
    own = _check(file.table, file, below=assets)
    taken = {asset.filename.casefold() for asset in assets.values()}
    for name, asset in own.assets.items():
        if asset.filename.casefold() in taken:
            place = file.place(("assets", name, "filename"))
            raise ConfigError(
                f"{place}: assets.{one_line(name, limit=60)}.filename: another asset has the filename "
                f"{quote(asset.filename)}: choose another"
            )
    return own


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
    """Find the catalogue that comes with the toolkit."""
    return shipped_path("registry.toml")


def _leaves(entry: Config) -> Iterator[tuple[tuple[str, ...], Any]]:
    for field in type(entry).model_fields:
        value = getattr(entry, field)
        if not isinstance(value, dict):
            yield (field,), value
            continue
        for component, options in value.items():
            yield from (((field, component, name), v) for name, v in options.items())


def _check(tables: Mapping[str, Any], file: TomlFile, *, below: Mapping[str, AssetEntry] = {}) -> Registry:
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
    assets = {*registry.assets, *below}
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
    entry = _ENTRIES[str(location[0])] if len(location) > 1 else Registry
    return list(entry.model_fields)


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the user's tables, not checked yet, over the shipped ones."""
    laid = dict(below)
    for section, entries in above.items():
        lower, pairs = laid.get(section, {}), _PAIRS.get(section, ())
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
