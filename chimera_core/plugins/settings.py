"""Where Chimera keeps things and what it loads: environment, user's config file, default, in that order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.toml import read_toml
from chimera_core.options.config import suggest

_VARIABLES = {
    "cache": "CHIMERA_CACHE",
    "assets": "CHIMERA_ASSETS",
    "library": "CHIMERA_LIBRARY",
    "runs": "CHIMERA_RUNS",
    "registry": "CHIMERA_REGISTRY",
    "plugins_disable": "CHIMERA_PLUGINS_DISABLE",
    "plugins_strict": "CHIMERA_PLUGINS_STRICT",
}


@dataclass(frozen=True)
class Setting:
    """A value in force and where it came from, both as ``chimera doctor`` prints them."""

    name: str
    variable: str
    value: str
    origin: str


@dataclass(frozen=True)
class Settings:
    """All settings in force."""

    by_name: Mapping[str, Setting]

    def path(self, name: str) -> Path:
        """Read a setting that is a folder or file."""
        return Path(os.path.expanduser(self.by_name[name].value))

    @property
    def disabled_plugins(self) -> frozenset[str]:
        """Names of plugins that are not to be imported."""
        return frozenset(filter(None, (n.strip() for n in self.by_name["plugins_disable"].value.split(","))))

    @property
    def strict_plugins(self) -> bool:
        """Whether a broken plugin stops the command."""
        return self.by_name["plugins_strict"].value.lower() in ("1", "true", "yes")


def read_settings(environ: Mapping[str, str] | None = None, config_file: Path | None = None) -> Settings:
    """Collect the settings in force.

    Args:
        environ: environment variables; ``os.environ`` when None.
        config_file: TOML file of the user; the platform's place when None. It may be missing.
    Raises:
        ConfigError: if the file is no TOML, has an unknown key, or a value that is no string, list or bool.
    """
    environ = os.environ if environ is None else environ
    config_file = user_config_file() if config_file is None else config_file
    in_file = _read_file(config_file)
    settings = {}
    for name, variable in _VARIABLES.items():
        if environ.get(variable):
            settings[name] = Setting(name, variable, environ[variable], variable)
        elif name in in_file:
            settings[name] = Setting(name, variable, in_file[name], str(config_file))
        else:
            settings[name] = Setting(name, variable, _default(name), "default")
    return Settings(settings)


def user_config_file() -> Path:
    """Name the user's config file; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("chimera", appauthor=False)) / "config.toml"


def _default(name: str) -> str:
    import platformdirs

    if name == "runs":
        return "chimera-runs"
    if name in ("cache", "assets"):
        base = Path(platformdirs.user_cache_dir("chimera", appauthor=False))
        return str(base / ("packed" if name == "cache" else "assets"))
    if name == "library":  # not among the caches, which people and systems empty
        return str(Path(platformdirs.user_data_dir("chimera", appauthor=False)) / "library")
    return ""


def _read_file(path: Path) -> dict[str, str]:
    if not os.path.exists(path):
        return {}
    file = read_toml(path, what="config file")
    values = {}
    for key, value in file.table.items():
        place = file.place((key,))
        if key not in _VARIABLES:
            raise ConfigError(f"{place}: unknown key {quote(key)}" + suggest(key, _VARIABLES))
        if isinstance(value, list):
            value = ",".join(str(item) for item in value)
        elif isinstance(value, bool):
            value = "1" if value else "0"
        elif not isinstance(value, str):
            met = one_line(repr(value), limit=80)
            raise ConfigError(f"{place}: {key} must be a string, but it is {met}: write it in quotes")
        values[key] = value
    return values
