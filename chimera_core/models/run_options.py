"""The options and record of a run, by its kind. Torch-free, so that a mistake about a run costs no second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from chimera_core.components.choice import find_made_by, with_plugins
from chimera_core.components.trained import find_trained
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import quote
from chimera_core.files.own_folders import inside
from chimera_core.options.config import Config
from chimera_core.options.layers import build_config, references_in
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import config as config_file
from chimera_core.runs.record import read_run_record

ENCODER, STUDY, FUSER = "encoder", "encoder-study", "fuser"
"""What ``run.json`` says of a run of this kind."""
_NAMES = {ENCODER: "training of an encoder", STUDY: "study of encoders", FUSER: "training of a fuser"}

OptionsT = TypeVar("OptionsT", bound=Config)


def read_options(
    run: Path, model: type[OptionsT], kind: str, host: PluginHost
) -> tuple[OptionsT, dict[str, Any]]:
    """Read the options of a run of some kind, and its record.

    Components are named with their plugins, as new runs write them; those of older ones have the names alone.

    Raises:
        ConfigError: if the run is of another kind, or a file of it is damaged.
        PluginError: if a component of it is not installed, with what to install.
    """
    record = read_run_record(run)
    if record.get("kind") != kind:
        raise ConfigError(f"{quote(run)} is not a {_NAMES[kind]}: name another run")
    values = with_plugins(host, model, config_file.read_config(inside(run, config_file.FILE)))
    options = build_config(model, values, where=f"run {run.name}")
    for _, reference in references_in(model, dict(options)):
        if not find_trained(host, reference.kind, reference.name):
            came_with = _distribution_of(reference.name.partition(":")[0], record)
            find_made_by(host, reference.kind, reference.name, came_with, where=f"run {quote(run.name)}")
    return options, record


def _distribution_of(plugin: str, record: Mapping[str, Any]) -> str:
    """Give the distribution that a plugin came from when a record was written; empty if it does not say."""
    plugins = record.get("plugins")
    for entry in plugins if isinstance(plugins, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == plugin:
            return str(entry.get("distribution", ""))
    return ""
