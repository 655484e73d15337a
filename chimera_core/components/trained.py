"""Trained things that go by a name: runs, exported files and the models of the registry. Torch-free."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from chimera_core.downloads.assets import find_asset
from chimera_core.downloads.hub_files import hub_file, pin
from chimera_core.errors import ConfigError, DataError, PluginError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.own_folders import relative_name
from chimera_core.options.layers import references_in
from chimera_core.plugins.discovery import PluginHost
from chimera_core.plugins.entries import HUB, ModelEntry
from chimera_core.runs.record import find_run

FOLDER = "models"
"""Where a plugin's package carries the files of its models."""
SUFFIX = ".safetensors"
_TRAINED = ("feature-encoder", "fusion-generator")
# ``PLUGIN:NAME``: a folder of that name is never meant.
_NAMES_A_COMPONENT = re.compile(r"[a-z0-9-]+:[a-z0-9-]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What stands for a component that was trained; it goes before a component of the same name.

    ``path`` is a run's folder or an exported file; a model of the registry, and a file of the hub, has none before it is
    asked for.
    """

    name: str
    form: Literal["run", "file", "model", "hub"]
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.form} {one_line(self.name, limit=100)}"


def find_trained(host: PluginHost, kind: str, name: str) -> Trained | None:
    """Look a name up as an address of the hub, a run, an exported file, a model of the registry, in this order.

    Args:
        host: its settings say where runs lie, its registry knows the models.
        kind: of the component that it stands for; encoders and fusers are trained.
    Returns:
        None if the name means none of them, so that it can only be a component's.
    """
    if kind not in _TRAINED or _NAMES_A_COMPONENT.fullmatch(name):
        return None
    if name.startswith(HUB):
        return Trained(pin(name, host.settings.path("assets")), "hub")
    if run := find_run(name, host.settings.path("runs")):
        if host.has(kind, name):
            _warn_shadowed(name, run)
        return Trained(name, "run", run)
    if name.endswith(SUFFIX):
        return Trained(name, "file", Path(os.path.expanduser(name)))
    entry = host.registry.models.get(name)
    return Trained(name, "model") if entry is not None and entry.kind == kind else None


@functools.cache
def _warn_shadowed(name: str, run: Path) -> None:
    """Say once that a run goes before what else has its name."""
    _log.warning(
        "%s is the run %s here, not the component of that name: write PLUGIN:%s for that",
        name,
        quote(run),
        name,
    )


def check_references(host: PluginHost, config: BaseModel, *, where: str) -> None:
    """Check that everything trained that options name is still there.

    Args:
        where: what the message names.
    Raises:
        ConfigError: naming the run, model or component that is gone.
    """
    for path, reference in references_in(type(config), dict(config)):
        trained = find_trained(host, reference.kind, reference.name)
        gone = (
            trained is not None
            and trained.form == "file"
            and trained.path is not None
            and not trained.path.is_file()
        )
        if gone or (trained is None and not host.has(reference.kind, reference.name)):
            what = reference.kind.rpartition("-")[2]
            option = ".".join(map(str, path))
            raise ConfigError(
                f"{where} needs the {what} {quote(reference.name)} (its option {option}), which is not a run, model or "
                f"component here: bring it back, or name another with --{option.replace('_', '-')}"
            )


def model_file(host: PluginHost, name: str) -> Path:
    """Find the file of a model: in the package of its component's plugin, an asset, or of the hub; downloaded if need be.

    Raises:
        PluginError: if the model's component does not exist.
        DataError: if the package does not carry the file.
        RunError: if the asset could not be downloaded.
    """
    if name.startswith(HUB):
        return hub_file(name, host.settings.path("assets"))
    entry = host.registry.models[name]
    if entry.asset:
        return find_asset(host.registry, host.settings, entry.asset)
    path = _carried(host, entry)
    if not path.is_file():
        raise DataError(f"model '{name}' should lie in {quote(path)}, but does not: install its plugin anew")
    return path


def _carried(host: PluginHost, entry: ModelEntry) -> Path:
    component = host.find(entry.kind, entry.component)
    package = component.spec.target.partition(":")[0].partition(".")[0]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise PluginError(f"the package of plugin {component.plugin} is not there: install it anew")
    return Path(found.submodule_search_locations[0]) / FOLDER / relative_name(entry.file)
