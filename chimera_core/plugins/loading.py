"""Loads one plugin. Whatever it does wrong becomes a record with cause and mend; nothing is raised.

Import -> API version -> hooks -> specs. Each plugin has a pluggy manager of its own, so none can get into
another's way, and what it prints meanwhile goes to stderr: stdout belongs to the command.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import shlex
import sys
import time
import traceback
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint
from typing import Any

import pluggy

from chimera_core.errors import ChimeraError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.options.config import suggest
from chimera_core.plugins import hookspecs
from chimera_core.plugins.load_errors import (
    UPDATE_US,
    NewerToolkit,
    SpecError,
    TargetError,
    change_of,
    describe,
    line_of,
    mend_by_pip,
    user_mend,
)
from chimera_core.plugins.spec_checks import check_spec
from chimera_core.records import ComponentSpec

HEAVY = ("torch", "torchvision", "timm", "lightning_fabric", "tensorflow", "jax")
"""What no plugin's module may import: a command that lists plugins would wait seconds for it."""


@dataclass(frozen=True)
class Component:
    """One named thing that an installed plugin offers."""

    kind: str
    plugin: str
    spec: ComponentSpec
    distribution: str = ""

    @property
    def full_name(self) -> str:
        """``PLUGIN:NAME``, which no other component of its kind has."""
        return f"{self.plugin}:{self.spec.name}"

    @property
    def extra_needed(self) -> str:
        """The command that installs what the component still needs; empty when nothing is missing."""
        if all(_is_findable(name) for name in self.spec.requires):
            return ""
        extra = f"[{self.spec.extra}]" if self.spec.extra else ""
        return f"pip install {shlex.quote(self.distribution + extra)}"

    def load_class(self) -> type:
        """Import the component's class.

        Raises:
            PluginError: if it needs an extra, cannot be imported or is no class of its kind.
        """
        target, wanted = self._load()
        if not (isinstance(target, type) and issubclass(target, wanted)):
            raise self._wrong_target(wanted)
        return target

    def load_target(self) -> Any:
        """Import the component's class, or the command itself; for what it raises see ``load_class``."""
        if self.kind != "command":
            return self.load_class()
        target, wanted = self._load()
        if not isinstance(target, wanted):
            raise self._wrong_target(wanted)
        return target

    def _load(self) -> tuple[Any, type]:
        """Import the target, and the class that it must be one of."""
        who = f"{self.kind} {self.spec.name} of plugin {self.plugin}"
        if self.extra_needed:
            raise PluginError(f"{who} needs more than is installed: {self.extra_needed}")
        module_name, _, class_name = self.spec.target.partition(":")
        try:
            with contextlib.redirect_stdout(sys.stderr):
                target = getattr(importlib.import_module(module_name), class_name)
        except (ChimeraError, KeyboardInterrupt):
            raise
        except BaseException as error:  # plugin border: whatever its import raises is its own fault
            raise TargetError(
                f"{who} cannot be loaded from {self.spec.target} ({describe(error)})",
                change=change_of(error, module_name, otherwise="name a class that is there as its target"),
                mend=mend_by_pip(self.distribution),
            ) from error
        module_name, _, class_name = hookspecs.KINDS[self.kind].interface.partition(":")
        return target, getattr(importlib.import_module(module_name), class_name)

    def _wrong_target(self, wanted: type) -> PluginError:
        who = f"{self.kind} {self.spec.name} of plugin {self.plugin}"
        return TargetError(
            f"{who}: {self.spec.target} is not a {wanted.__name__}",
            change=f"make it one, {wanted.__name__} of chimera_core.api"
            if self.kind != "command"
            else "make it one of click",
            mend=mend_by_pip(self.distribution),
        )


@dataclass(frozen=True)
class PluginRecord:
    """What became of one plugin: status is ok, disabled, broken or not-installed."""

    name: str
    distribution: str
    version: str
    status: str
    module: str = ""
    error: str = ""
    """Cause, and what its user does about it."""
    for_author: str = ""
    """Cause, and what its author changes."""
    trace: str = ""
    load_s: float = 0.0
    components: tuple[Component, ...] = ()
    heavy: tuple[str, ...] = ()
    """Of ``HEAVY``, what its import brought in that was not there before."""


def load_plugin(entry_point: EntryPoint) -> PluginRecord:
    """Import a plugin and ask what it offers: a record, ``ok`` or ``broken``."""
    start = time.perf_counter()
    distribution, _ = distribution_of(entry_point)
    error, for_author, trace = "", "", ""
    components: tuple[Component, ...] = ()
    before = set(HEAVY) & sys.modules.keys()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            module = entry_point.load()
            _check_version(module)
            components = _ask(module, entry_point.name, distribution)
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # plugin border: record, and go on with the next one
        error = describe(raised, with_type=not isinstance(raised, PluginError))
        error += line_of(raised, entry_point.module)
        for_author = f"{error}: {change_of(raised, entry_point.module)}"
        if not error.endswith(UPDATE_US):
            error += f": {user_mend(raised, entry_point.dist)}"
        trace = "".join(traceback.format_exception(raised))
    return record_of(
        entry_point,
        "broken" if error else "ok",
        error=error,
        for_author=for_author,
        trace=trace,
        heavy=tuple(name for name in HEAVY if name in sys.modules and name not in before),
        components=components,
        load_s=time.perf_counter() - start,
    )


def mend_of(record: PluginRecord) -> str:
    """Return what to do about a plugin that is broken."""
    return mend_by_pip(record.distribution)


def distribution_of(entry_point: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution that an entry point comes from; empty where there is none."""
    return _name_and_version(entry_point.dist) if entry_point.dist else ("", "")


@functools.cache  # a distribution parses its METADATA, README and all, each time it is asked
def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    return distribution.name, distribution.version


def record_of(entry_point: EntryPoint, status: str, **rest: Any) -> PluginRecord:
    """Make a plugin's record; it takes who it is from its distribution."""
    distribution, version = distribution_of(entry_point)
    return PluginRecord(
        name=entry_point.name,
        distribution=distribution,
        version=version,
        status=status,
        module=entry_point.value,
        **rest,
    )


def _check_version(module: Any) -> None:
    version = getattr(module, "CHIMERA_API", None)
    ours = hookspecs.API_VERSION
    if isinstance(version, str) and version.strip() == str(ours):
        raise SpecError(
            f"its CHIMERA_API is the text '{ours}', not a number: write CHIMERA_API = {ours}",
            change="drop the quotes",
        )
    if version is None:
        raise SpecError(
            f"it does not say for which plugin API it is written with CHIMERA_API = {ours}",
            change="add that line",
        )
    if version != ours:
        is_newer = isinstance(version, int) and version > ours
        reason = f"it is written for plugin API {one_line(version, limit=20)}, this is {ours}"
        raise SpecError(
            f"{reason}: {UPDATE_US}" if is_newer else reason,
            change=f"or write it for this one, with CHIMERA_API = {ours}"
            if is_newer
            else f"write CHIMERA_API = {ours}",
        )


def _ask(module: Any, plugin: str, distribution: str) -> tuple[Component, ...]:
    """Call every hook of a plugin and check what it returns."""
    manager = pluggy.PluginManager("chimera")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name=plugin)
    except pluggy.PluginValidationError as error:
        raise SpecError(
            f"one of its hooks takes other arguments than ours ({describe(error)})",
            change="write it without arguments",
        ) from None
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = str(error).partition(" in plugin ")[0]  # the rest is the module's path
        hooks = [kind.hook for kind in hookspecs.KINDS.values()]
        near = suggest(unknown.rpartition(" ")[2].strip("'"), hooks)
        raise NewerToolkit(
            f"it implements a hook that this version of the toolkit does not know: {unknown}{near}",
            change="name it as one of the page of hooks does",
        ) from None
    found: dict[tuple[str, str], Component] = {}
    for kind, hook_name in ((name, kind.hook) for name, kind in hookspecs.KINDS.items()):
        # Called one by one, not through pluggy, which would drop a forgotten ``return`` without a word.
        for implementation in getattr(manager.hook, hook_name).get_hookimpls():
            specs = implementation.function()
            if not isinstance(specs, (list, tuple)) or not all(isinstance(s, ComponentSpec) for s in specs):
                raise SpecError(
                    f"{hook_name} must return a list of ComponentSpec, but it returned {one_line(repr(specs), limit=80)}",
                    change="return [ComponentSpec(...)]",
                )
            for spec in specs:
                check_spec(spec, kind)
                if (kind, spec.name) in found:
                    raise SpecError(
                        f"it offers two of kind {kind} named '{spec.name}'", change="give one another name"
                    )
                for other in found.values():
                    if shared := sorted(set(spec.suffixes) & set(other.spec.suffixes)):
                        raise SpecError(
                            f"it offers two image readers for {shared[0]}", change="give it to one of them"
                        )
                found[kind, spec.name] = Component(kind, plugin, spec, distribution)
    return tuple(found.values())


def _is_findable(name: str) -> bool:
    """Return whether a package is there. Only its top level is looked for: a look below it would import it."""
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except ValueError:  # something put it into sys.modules by hand, so it is there
        return True
