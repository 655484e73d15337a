"""Finds plugins, one at a time, so that one failing leaves the rest.

Each entry point goes its own way: switched off? -> load -> API version -> register -> unknown hooks -> call.
A failure becomes a ``PluginRecord`` with its cause; nothing else is touched. pluggy alone would let one
raising hook abort the call for all, so every plugin is called by itself.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import time
import traceback
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from chimera_core import hookspecs
from chimera_core.errors import ChimeraError, PluginError
from chimera_core.options import suggest
from chimera_core.records import ComponentSpec
from chimera_core.registry import Registry, read_registry
from chimera_core.settings import Settings, read_settings


@dataclass(frozen=True)
class Component:
    """One named thing that an installed plugin offers."""

    kind: str
    plugin: str
    spec: ComponentSpec

    def load_class(self) -> type:
        """Import the component's class.

        Raises:
            PluginError: if it cannot be imported or is no class of its kind.
        """
        module_name, _, class_name = self.spec.target.partition(":")
        try:
            target = getattr(importlib.import_module(module_name), class_name)
        except ChimeraError:
            raise
        except Exception as error:  # plugin border: whatever its import raises is its own fault
            raise PluginError(
                f"{self.kind} {self.spec.name} of plugin {self.plugin} cannot be loaded from {self.spec.target} "
                f"({_one_line(error)}): mend or remove the plugin"
            ) from error
        interfaces = importlib.import_module("chimera_core.interfaces")
        wanted = getattr(interfaces, _CLASS_OF_KIND[self.kind])
        if not (isinstance(target, type) and issubclass(target, wanted)):
            raise PluginError(f"{self.spec.target} is no {wanted.__name__}: mend plugin {self.plugin}")
        return target


_CLASS_OF_KIND = {
    "dataset-source": "DatasetSource",
    "feature-encoder": "FeatureEncoder",
    "robustness-trainer": "RobustnessTrainer",
    "fusion-generator": "FusionGenerator",
}


@dataclass(frozen=True)
class PluginRecord:
    """What became of one plugin: status is ok, disabled, broken or not-installed."""

    name: str
    distribution: str
    version: str
    status: str
    module: str = ""
    error: str = ""
    trace: str = ""
    load_s: float = 0.0
    components: tuple[Component, ...] = ()


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
            raise PluginError(f"{len(found)} plugins offer a {kind} named '{short}': say {picks}")
        known = [n for k, n in self._components if k == kind]
        raise PluginError(f"no {kind} is named '{name}'" + suggest(name, known))

    def has(self, kind: str, name: str) -> bool:
        """Say whether a component can be found."""
        try:
            self.find(kind, name)
        except PluginError:
            return False
        return True


def discover(
    settings: Settings,
    registry: Registry,
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> PluginHost:
    """Load every plugin that is installed and not switched off.

    Args:
        settings: switches.
        registry: ``enabled = false`` there switches a plugin off too.
        entry_points: what to load; the installed ones of the group when None.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP)
    manager = pluggy.PluginManager("chimera")
    manager.add_hookspecs(hookspecs)
    records = []
    for entry_point in sorted(set(entry_points), key=lambda e: (e.name, e.value)):
        entry = registry.plugins.get(entry_point.name)
        if entry_point.name in settings.disabled_plugins:
            records.append(
                _record(entry_point, "disabled", error=f"switched off by {_switch_origin(settings)}")
            )
        elif entry is not None and not entry.enabled:
            records.append(
                _record(entry_point, "disabled", error="switched off by enabled = false in the registry")
            )
        else:
            records.append(_load(manager, entry_point))
    installed = {record.name for record in records}
    for name, known in registry.plugins.items():
        if name not in installed:
            mend = f"pip install {known.distribution}" if known.distribution else "see its home page"
            records.append(PluginRecord(name, known.distribution, "", "not-installed", error=mend))
    return PluginHost(tuple(records), registry, settings)


registry_file: ContextVar[Path | None] = ContextVar("registry_file", default=None)
"""The registry that ``--registry`` names; it goes before CHIMERA_REGISTRY and ./registry.toml."""


def default_host() -> PluginHost:
    """Discover the installed plugins, once in a process for one registry."""
    return _discover_once(registry_file.get())


@functools.cache
def _discover_once(named: Path | None) -> PluginHost:
    settings = read_settings()
    if named is None and settings.by_name["registry"].value:
        named = settings.path("registry")
    if named is None and Path("registry.toml").is_file():
        named = Path("registry.toml")
    host = discover(settings, read_registry(named))
    if settings.strict_plugins and host.broken:
        first = host.broken[0]
        error = PluginError(
            f"plugin {first.name} is broken ({first.error}) and CHIMERA_PLUGINS_STRICT is set"
        )
        error.exit_code = 1
        raise error
    return host


def _load(manager: pluggy.PluginManager, entry_point: importlib.metadata.EntryPoint) -> PluginRecord:
    start = time.perf_counter()
    module: Any = None
    try:
        module = entry_point.load()
        version = getattr(module, "CHIMERA_API", None)
        if version != hookspecs.API_VERSION:
            raise PluginError(
                f"it is written for plugin API {version}, this is {hookspecs.API_VERSION}: "
                + (
                    "update the plugin"
                    if version is None or version < hookspecs.API_VERSION
                    else "update chimera-toolkit"
                )
            )
        manager.register(module, name=f"{entry_point.name}={entry_point.value}")
        try:
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"it implements a hook that does not exist ({_one_line(error)})") from None
        components = _ask(manager, module, entry_point.name)
    except (Exception, SystemExit) as error:  # plugin border: record, and go on with the next one
        if module is not None and manager.is_registered(module):
            manager.unregister(module)
        return _record(
            entry_point,
            "broken",
            error=str(error) if isinstance(error, PluginError) else _one_line(error),
            trace="".join(traceback.format_exception(error)),
            load_s=time.perf_counter() - start,
        )
    return _record(entry_point, "ok", components=components, load_s=time.perf_counter() - start)


def _ask(manager: pluggy.PluginManager, module: Any, plugin: str) -> tuple[Component, ...]:
    """Call every hook of one plugin and check what it returns."""
    components = []
    others = [other for other in manager.get_plugins() if other is not module]
    for kind, hook_name in hookspecs.HOOK_OF_KIND.items():
        answers: Sequence[Any] = manager.subset_hook_caller(hook_name, remove_plugins=others)()
        for specs in answers:
            if not isinstance(specs, (list, tuple)) or not all(isinstance(s, ComponentSpec) for s in specs):
                raise PluginError(
                    f"{hook_name} must return a list of ComponentSpec, but it returned {specs!r:.80}"
                )
            components += [Component(kind, plugin, spec) for spec in specs]
    return tuple(components)


def _record(entry_point: importlib.metadata.EntryPoint, status: str, **rest: Any) -> PluginRecord:
    distribution = entry_point.dist
    return PluginRecord(
        name=entry_point.name,
        distribution=distribution.name if distribution else "",
        version=distribution.version if distribution else "",
        status=status,
        module=entry_point.value,
        **rest,
    )


def _switch_origin(settings: Settings) -> str:
    return settings.by_name["plugins_disable"].origin


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
