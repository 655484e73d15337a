"""From a source's name and options to its packed cache: what ``chimera source prepare`` and every training do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chimera_core.components.choice import choose
from chimera_core.data.blocks import Fit
from chimera_core.data.fingerprint import folder_name, packing_of
from chimera_core.data.packed import INDEX, PackedSource, damage_of, open_packed
from chimera_core.data.packing import pack, staleness
from chimera_core.errors import ChimeraError, ConfigError, DataError, MissingDataError, RunError
from chimera_core.files.own_folders import remove_file
from chimera_core.interfaces.components import DatasetSource, no_progress
from chimera_core.plugins.discovery import Component, PluginHost

MIN_SIZE, MAX_SIZE = 8, 1024


@dataclass(frozen=True)
class Request:
    """A source with checked options, and how its images are to be packed."""

    component: Component
    config: BaseModel
    packing: Mapping[str, Any]
    cache: Path

    @property
    def folder(self) -> Path:
        """Where the packed cache lies, or will."""
        return self.cache / folder_name(self.packing)

    def open(self) -> DatasetSource:
        """Open the source; raises ``MissingDataError`` where its data are not here."""
        source: DatasetSource = self.component.load_class()(self.config)
        return source


def plan_packing(
    host: PluginHost, name: str, options: Mapping[str, Any], *, size: int, fit: Fit = "crop"
) -> Request:
    """Check a source's name, its options and the size.

    Raises:
        ConfigError, PluginError: naming what is wrong and the mend.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ConfigError(f"size must lie between {MIN_SIZE} and {MAX_SIZE} pixels, but it is {size}")
    source = choose(host, "dataset-source", name, options)
    packing = packing_of(source.component, source.config, size=size, fit=fit)
    return Request(source.component, source.config, packing, host.settings.path("cache"))


def prepare(
    request: Request,
    *,
    workers: int | None = None,
    max_gb: float = 16.0,
    progress: Callable[[float, float], None] = no_progress,
) -> PackedSource:
    """Give the packed cache, made if need be; see ``packing.pack`` for what it raises."""
    return pack(
        request.open(), request.packing, request.cache, workers=workers, max_gb=max_gb, progress=progress
    )


def verify(request: Request) -> tuple[PackedSource | None, list[str]]:
    """Open a packed cache and read it through: the cache, if it can be opened, and what is wrong with it, a line each.

    A damaged cache loses its index, so that preparing makes it again.

    Raises:
        DataError: if there is none.
    """
    if not request.folder.exists():
        open_packed(request.folder)
    stale = staleness(request.folder, request.packing, request.open())
    packed, damage = None, []
    try:
        packed = open_packed(request.folder)
        damage = list(damage_of(packed))
    except DataError as error:
        damage = [str(error)]
    if damage:
        with suppress(RunError):  # of somebody else's cache the damage can only be told
            remove_file(request.folder / INDEX, within=request.cache)
    return packed, [*damage, *([stale] if stale and stale not in damage else [])]


def state_of(host: PluginHost, component: Component) -> tuple[str, str]:
    """Return whether a source can be opened with its default options.

    Returns:
        ``ready``, ``needs data``, ``needs download``, ``needs extra`` or ``broken``; and the mend.
    """
    if component.extra_needed:
        return "needs extra", component.extra_needed
    name = component.spec.name
    try:
        choose(host, component.kind, component).load()
    except MissingDataError as error:
        if error.downloadable:
            return "needs download", f"chimera source prepare {name} --download"
        return "needs data", str(error)
    except (
        ConfigError,
        DataError,
    ) as error:  # an option without a default: what to open is for the user to say
        return "needs data", str(error)
    except ChimeraError as error:
        return "broken", str(error)
    return "ready", ""
