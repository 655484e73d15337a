"""The catalogue: ``registry.toml`` files -> what is known about plugins, and presets for their options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from chimera_core.errors import ConfigError
from chimera_core.options import Config, merge, option, suggest


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


class Registry(Config):
    """All entries, the user's laid over the shipped ones."""

    plugins: dict[str, PluginEntry] = option({}, help="by plugin name")

    def default_options(self, plugin: str, component: str) -> Mapping[str, Any]:
        """Look up the options that the registry presets for one component."""
        entry = self.plugins.get(plugin)
        return entry.options.get(component, {}) if entry else {}


def read_registry(user_file: Path | None = None) -> Registry:
    """Read the shipped registry and lay the user's over it.

    Args:
        user_file: None or a file that must exist.
    Raises:
        ConfigError: naming file and key, with the nearest known key.
    """
    tables = _read_table(shipped_registry())
    if user_file is not None:
        tables = _lay_over(tables, _read_table(user_file))
    return Registry.model_validate(tables)


def shipped_registry() -> Path:
    """Find the catalogue: in the wheel beside this module, in a checkout at the root."""
    here = Path(__file__).resolve().parent
    packaged = here / "registry.toml"
    return packaged if packaged.exists() else here.parent / "registry.toml"


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"registry {path} does not exist: name a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"registry {path} cannot be read ({error}): mend the file") from None
    try:
        Registry.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        hint = (
            suggest(str(first["loc"][-1]), _siblings(first["loc"]))
            if first["type"] == "extra_forbidden"
            else ""
        )
        raise ConfigError(f"registry {path}: {key}: {str(first['msg']).lower()}{hint}") from None
    return table


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Registry if len(location) == 1 else PluginEntry
    return list(model.model_fields)


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    plugins = {**below.get("plugins", {})}
    for name, entry in above.get("plugins", {}).items():
        plugins[name] = merge(plugins.get(name, {}), entry)
    return {"plugins": plugins}
