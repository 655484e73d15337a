"""Finds plugins and what they offer; ``chimera_core.plugins.loading`` loads each, so that one failing leaves the rest.

A plugin may be switched off, and then it is not imported. Of two with one name neither is, unless the registry
says whose the name is.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path

from chimera_core.errors import ConfigError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.options.config import suggest
from chimera_core.plugins import hookspecs
from chimera_core.plugins.carried import Carried, carried_file, read_carried
from chimera_core.plugins.entries import PluginEntry
from chimera_core.plugins.loading import (
    Component,
    PluginRecord,
    distribution_of,
    load_plugin,
    mend_of,
    record_of,
)
from chimera_core.plugins.registry import Registry, read_registry, shipped_registry
from chimera_core.plugins.settings import Settings, read_settings

_log = logging.getLogger(__name__)

__all__ = ["Component", "PluginHost", "PluginRecord", "default_host", "discover", "registry_files"]


@dataclass(frozen=True)
class PluginHost:
    """All plugins and what the registry says about them."""

    records: tuple[PluginRecord, ...]
    registry: Registry
    settings: Settings
    _components: dict[tuple[str, str], list[Component]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for record in self.records:
            for component in record.components:
                self._components.setdefault((component.kind, component.spec.name), []).append(component)

    @property
    def broken(self) -> list[PluginRecord]:
        """Plugins that failed."""
        return [record for record in self.records if record.status == "broken"]

    def components(self, kind: str | None = None) -> list[Component]:
        """List components, of one kind or all, by plugin."""
        return [c for r in self.records for c in r.components if kind in (None, c.kind)]

    def entry(self, record: PluginRecord) -> PluginEntry | None:
        """Look up what the registry says about a plugin; a stranger that took its name gets none of it."""
        entry = self.registry.plugins.get(record.name)
        if entry and entry.distribution and _normal(entry.distribution) != _normal(record.distribution):
            return None
        return entry

    def namesakes(self, component: Component) -> list[Component]:
        """List the components of its kind and name, itself among them: with two, neither goes by the name alone."""
        return self._components[component.kind, component.spec.name]

    def find(self, kind: str, name: str) -> Component:
        """Look a component up by ``name`` or ``plugin:name``.

        Raises:
            PluginError: unknown (with the nearest name), or offered by two plugins (neither wins).
        """
        plugin, _, short = name.rpartition(":")
        found = [c for c in self._components.get((kind, short), []) if plugin in ("", c.plugin)]
        if len(found) == 1:
            return found[0]
        if found:
            picks = " or ".join(f"'{c.plugin}:{short}'" for c in found)
            raise PluginError(f"{len(found)} plugins offer a {kind} named '{short}': write {picks}")
        of_plugin = [record for record in self.records if record.name == (plugin or name)]
        if of_plugin and all(record.status != "ok" for record in of_plugin):
            first = of_plugin[0]
            raise PluginError(
                f"no {kind} is named '{name}', and plugin {first.name} is {first.status}: {first.error}"
            )
        known = [n for k, n in self._components if k == kind]
        known += [n for n, model in self.registry.models.items() if model.kind == kind]
        raise PluginError(f"no {kind} is named '{name}'" + suggest(name, known))

    def find_stored(self, kind: str, name: str) -> Component:
        """Look up a component that a file names: of several with one name, the one that comes along with the toolkit.

        Older files name components without their plugins; that a stranger's has the name, too, came later.

        Raises:
            PluginError: as ``find``.
        """
        offers = self._components.get((kind, name), [])
        ours = [c for c in offers if (e := self.registry.plugins.get(c.plugin)) and e.trust == "first-party"]
        return ours[0] if len(offers) > 1 and len(ours) == 1 else self.find(kind, name)

    def has(self, kind: str, name: str, *, stored: bool = False) -> bool:
        """Return whether a component can be found; ``stored``: as ``find_stored`` does."""
        try:
            self.find_stored(kind, name) if stored else self.find(kind, name)
        except PluginError:
            return False
        return True


def discover(
    settings: Settings,
    registry: Registry,
    entry_points: Iterable[EntryPoint] | None = None,
) -> PluginHost:
    """Load every plugin that is installed and not switched off.

    Args:
        settings: switches.
        registry: ``enabled = false`` there switches a plugin off too.
        entry_points: what to load; the installed ones of the group when None.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP)
    # The distribution counts: entry points of two distributions may be equal without it.
    points = {(e.name, distribution_of(e)[0], e.value): e for e in entry_points}
    records = []
    for key in sorted(points):
        point = points[key]
        entry = registry.plugins.get(point.name)
        rivals = [other for other in points.values() if other.name == point.name]
        if point.name in settings.disabled_plugins:
            origin = settings.by_name["plugins_disable"].origin
            records.append(record_of(point, "disabled", error=f"switched off by {origin}"))
        elif entry is not None and not entry.enabled:
            records.append(
                record_of(point, "disabled", error="switched off by enabled = false in the registry")
            )
        elif trouble := _trouble_of_rivals(point, rivals, entry):
            records.append(record_of(point, "broken", error=trouble))
        else:
            records.append(load_plugin(point))
    records, registry = _with_carried(records, registry)
    installed = {record.name for record in records}
    for name, known in registry.plugins.items():
        if name not in installed:
            mend = (
                f"pip install {shlex.quote(known.distribution)}"
                if known.distribution
                else "see its home page"
            )
            records.append(PluginRecord(name, known.distribution, "", "not-installed", error=mend))
    host = PluginHost(tuple(records), registry, settings)
    _check_presets_of_registry(host)
    return host


def _with_carried(records: Sequence[PluginRecord], registry: Registry) -> tuple[list[PluginRecord], Registry]:
    """Lay what packages of plugins carry into the registry; a plugin that carries something wrong is broken."""
    judged: list[PluginRecord] = []
    found: list[Carried] = []
    shipped = None
    for record in records:
        path = carried_file(record) if record.status == "ok" else None
        if path is not None:
            shipped = shipped or registry.without_users()
            try:
                found.append(read_carried(path, record, shipped, found))
            except ConfigError as error:
                record = replace(
                    record,
                    status="broken",
                    components=(),
                    error=f"{error}: {mend_of(record)}",
                    for_author=f"{error}: mend that file of its package",
                )
        judged.append(record)
    if found:
        registry = registry.with_carried([each.file for each in found])
    return judged, registry


registry_files: ContextVar[tuple[Path, ...]] = ContextVar("registry_files", default=())
"""The registries that ``--registry`` names, the lowest first; they go before CHIMERA_REGISTRY and ./registry.toml."""


def default_host() -> PluginHost:
    """Discover the installed plugins, once in a process for one registry."""
    return _discover_once(registry_files.get())


@functools.cache
def _discover_once(named: tuple[Path, ...]) -> PluginHost:
    settings = read_settings()
    if not named and settings.by_name["registry"].value:
        named = (settings.path("registry"),)
    here = Path("registry.toml")
    if not named and here.is_file() and not here.samefile(shipped_registry()):
        named = (here,)
        _log.warning("registry.toml in this folder changes the registry: name it with --registry to agree")
    host = discover(settings, read_registry(*named))
    if settings.strict_plugins:
        _be_strict(host)
    return host


def _be_strict(host: PluginHost) -> None:
    """Refuse plugins that are broken, or break a law of packages.

    Raises:
        PluginError: with exit code 1.
    """
    # Here alone, because every command would wait for them.
    from chimera_core.laws import laws_of
    from chimera_core.plugins.packaging import PackagingLaws

    fault = ""
    if host.broken:
        first = host.broken[0]
        more = f" (and {len(host.broken) - 1} more)" if len(host.broken) > 1 else ""
        fault = f"plugin {first.name} is broken{more}, and CHIMERA_PLUGINS_STRICT is set: {first.error}"
    for record in host.records if not fault else ():
        if record.status == "ok":
            outcomes = (each.outcome() for each in laws_of(PackagingLaws(record)))
            if broken := next((o for o in outcomes if o.verdict == "broken"), None):
                fault = f"plugin {record.name}: {broken}; CHIMERA_PLUGINS_STRICT is set"
                break
    if fault:
        error = PluginError(fault)
        error.exit_code = 1
        raise error


def _check_presets_of_registry(host: PluginHost) -> None:
    """Refuse options for a component that its plugin does not offer: they would be ignored without a word."""
    for record in host.records:
        entry = host.entry(record)
        known = [c.spec.name for c in record.components]
        for name in entry.options if entry and record.status == "ok" else ():
            if name not in known:
                place = host.registry.place("plugins", record.name, "options", name)
                raise ConfigError(
                    f"{place}: plugin {record.name} offers no '{one_line(name)}'" + suggest(name, known)
                )


def _trouble_of_rivals(point: EntryPoint, rivals: Collection[EntryPoint], entry: PluginEntry | None) -> str:
    """Return what keeps a plugin from its name; empty when it has it, alone or because the registry says so."""
    owner = _normal(entry.distribution) if entry else ""
    distributions = sorted({distribution_of(rival)[0] for rival in rivals})
    if len(rivals) == 1 or (owner and _normal(distribution_of(point)[0]) == owner):
        return ""
    if owner in map(_normal, distributions):
        return (
            f"the registry gives its name to {entry.distribution if entry else owner}: "
            f"remove it with pip uninstall {shlex.quote(distribution_of(point)[0])}"
        )
    return (
        f"{' and '.join(distributions)} both name a plugin '{point.name}': remove one with pip uninstall, "
        f"or say whose it is with distribution = ... under [plugins.{point.name}] in a registry.toml"
    )


def _normal(distribution: str) -> str:
    """Spell a distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
