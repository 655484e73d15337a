"""What a plugin's own package adds to the registry: ``registry.toml`` beside its modules, with assets, models, defaults.

It adds and replaces nothing: its names are its own, its models are of its own components, and how far it is trusted is
not for it to say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.toml import TomlFile, read_toml
from chimera_core.options.config import suggest
from chimera_core.plugins.loading import PluginRecord
from chimera_core.plugins.registry import Registry, check_registry

FILE = "registry.toml"
_SECTIONS = ("assets", "models", "plugins")
_COMPONENTS = {"fuser": "fusion-generator", "encoder": "feature-encoder"}


@dataclass(frozen=True)
class Carried:
    """A checked file and its entries. Of its models the components have the plugin's name before theirs."""

    file: TomlFile
    entries: Registry


def read_carried(path: Path, record: PluginRecord, shipped: Registry, earlier: Sequence[Carried]) -> Carried:
    """Read what the package of a loaded plugin adds to a registry.

    Args:
        path: of the file, see ``carried_file``.
        record: of the plugin.
        shipped: what comes along.
        earlier: what the packages before it carry.
    Raises:
        ConfigError: naming file, line and key.
    """
    file = read_toml(path, what="registry")
    _check_sections(file, record)
    lower = [(shipped, shipped.place), *((each.entries, _placer(each.file)) for each in earlier)]
    for section in ("assets", "models"):
        for name in _entries(file, section):
            for below, place in lower:
                if name in getattr(below, section):
                    raise _wrong(file, f"the name is taken ({place(section, name)})", section, name)
    table = {**file.table, "models": {n: _of_plugin(file, record, n) for n in _entries(file, "models")}}
    file = TomlFile(file.path, file.what, table, file.text)
    assets = {k: v for below, _ in lower for k, v in below.assets.items()}
    return Carried(file, check_registry(file, assets))


def carried_file(record: PluginRecord) -> Path | None:
    """Find the registry in the package of a plugin that was loaded; None: it carries none, or is one module."""
    package = sys.modules.get(record.module.partition(":")[0].partition(".")[0])
    for folder in getattr(package, "__path__", ()):
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    return None


def _placer(file: TomlFile) -> Callable[..., str]:
    return lambda *keys: file.place(keys)


def _check_sections(file: TomlFile, record: PluginRecord) -> None:
    """Let a package speak of its own plugin only, and only of what its components begin with."""
    for section in file.table:
        if section not in _SECTIONS:
            known = suggest(section, _SECTIONS)
            raise _wrong(
                file, f"a package adds {', '.join(_SECTIONS[:-1])} and defaults only{known}", section
            )
    for name, entry in _entries(file, "plugins").items():
        if name != record.name:
            raise _wrong(file, f"a package speaks of its own plugin only, {record.name}", "plugins", name)
        for key in entry if isinstance(entry, Mapping) else ():
            if key != "options":
                raise _wrong(
                    file, "a package says only with which options its components begin", "plugins", name, key
                )
    own = [component.spec.name for component in record.components]
    for name in _entries(file, "plugins", record.name, "options"):
        if name not in own:
            keys = ("plugins", record.name, "options", name)
            raise _wrong(file, f"plugin {record.name} offers no such component{suggest(name, own)}", *keys)


def _of_plugin(file: TomlFile, record: PluginRecord, name: str) -> Any:
    """Give a model's entry with the full name of its component, which must be the plugin's own."""
    entry = file.table["models"][name]
    for key, kind in _COMPONENTS.items():
        named = entry.get(key) if isinstance(entry, Mapping) else None
        if not isinstance(named, str):
            continue
        own = {c.spec.name: c.full_name for c in record.components if c.kind == kind}
        full = own.get(named, named)
        if full not in own.values():
            raise _wrong(file, f"plugin {record.name} offers no {kind} {quote(named)}", "models", name, key)
        entry = {**entry, key: full}
    return entry


def _entries(file: TomlFile, *keys: str) -> Mapping[str, Any]:
    found: Any = file.table
    for key in keys:
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _wrong(file: TomlFile, message: str, *keys: str) -> ConfigError:
    return ConfigError(one_line(f"{file.place(keys)}: {'.'.join(keys)}: {message}", limit=800))
