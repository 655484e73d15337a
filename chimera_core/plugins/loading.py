"""Loads one plugin. Whatever it does wrong becomes a record with cause and mend; nothing is raised.

Import -> API version -> hooks -> specs. Each plugin has a pluggy manager of its own, so none can get into
another's way, and what it prints meanwhile goes to stderr: stdout belongs to the command.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import re
import shlex
import sys
import time
import traceback
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint
from typing import Any

import pluggy

from chimera_core import __version__
from chimera_core.errors import ChimeraError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.images.decoding import PICTURE_SUFFIXES
from chimera_core.options.flags import check_flags
from chimera_core.plugins import hookspecs
from chimera_core.records import ComponentSpec, Preset

HEAVY = ("torch", "torchvision", "timm", "lightning_fabric", "tensorflow", "jax")
"""What no plugin's module may import: a command that lists plugins would wait seconds for it."""

_NO_PICTURES = frozenset({".csv", ".json", ".safetensors", ".toml"})  # files of ours that lie among pictures
_UPDATE_US = "update chimera-toolkit with pip install -U chimera-toolkit"


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
            raise PluginError(
                f"{who} cannot be loaded from {self.spec.target} ({_describe(error)}): {_mend(self.distribution)}"
            ) from error
        module_name, _, class_name = hookspecs.KINDS[self.kind].interface.partition(":")
        return target, getattr(importlib.import_module(module_name), class_name)

    def _wrong_target(self, wanted: type) -> PluginError:
        who = f"{self.kind} {self.spec.name} of plugin {self.plugin}"
        return PluginError(
            f"{who}: {self.spec.target} is not a {wanted.__name__}: {_mend(self.distribution)}"
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
    trace: str = ""
    load_s: float = 0.0
    components: tuple[Component, ...] = ()
    heavy: tuple[str, ...] = ()
    """Of ``HEAVY``, what its import brought in that was not there before."""


def load_plugin(entry_point: EntryPoint) -> PluginRecord:
    """Import a plugin and ask what it offers: a record, ``ok`` or ``broken``."""
    start = time.perf_counter()
    distribution, _ = distribution_of(entry_point)
    error, trace = "", ""
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
        error = _describe(raised, with_type=not isinstance(raised, PluginError))
        error += _line_of(raised, entry_point)
        if not error.endswith(_UPDATE_US):
            error += f": {_mend_of(raised, entry_point)}"
        trace = "".join(traceback.format_exception(raised))
    return record_of(
        entry_point,
        "broken" if error else "ok",
        error=error,
        trace=trace,
        heavy=tuple(name for name in HEAVY if name in sys.modules and name not in before),
        components=components,
        load_s=time.perf_counter() - start,
    )


def mend_of(record: PluginRecord) -> str:
    """Return what to do about a plugin that is broken."""
    return _mend(record.distribution)


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
        raise PluginError(f"its CHIMERA_API is the text '{ours}', not a number: write CHIMERA_API = {ours}")
    if version is None:
        raise PluginError(f"it does not say for which plugin API it is written with CHIMERA_API = {ours}")
    if version != ours:
        is_newer = isinstance(version, int) and version > ours
        reason = f"it is written for plugin API {one_line(version, limit=20)}, this is {ours}"
        raise PluginError(f"{reason}: {_UPDATE_US}" if is_newer else reason)


def _ask(module: Any, plugin: str, distribution: str) -> tuple[Component, ...]:
    """Call every hook of a plugin and check what it returns."""
    manager = pluggy.PluginManager("chimera")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name=plugin)
    except pluggy.PluginValidationError as error:
        raise PluginError(f"one of its hooks takes other arguments than ours ({_describe(error)})") from None
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = str(error).partition(" in plugin ")[0]  # the rest is the module's path
        raise NewerToolkit(
            f"it implements a hook that this version of the toolkit does not know: {unknown}"
        ) from None
    found: dict[tuple[str, str], Component] = {}
    for kind, hook_name in ((name, kind.hook) for name, kind in hookspecs.KINDS.items()):
        # Called one by one, not through pluggy, which would drop a forgotten ``return`` without a word.
        for implementation in getattr(manager.hook, hook_name).get_hookimpls():
            specs = implementation.function()
            if not isinstance(specs, (list, tuple)) or not all(isinstance(s, ComponentSpec) for s in specs):
                raise PluginError(
                    f"{hook_name} must return a list of ComponentSpec, but it returned {one_line(repr(specs), limit=80)}"
                )
            for spec in specs:
                _check_spec(spec, kind)
                if (kind, spec.name) in found:
                    raise PluginError(f"it offers two of kind {kind} named '{spec.name}'")
                for other in found.values():
                    if shared := sorted(set(spec.suffixes) & set(other.spec.suffixes)):
                        raise PluginError(f"it offers two image readers for {shared[0]}")
                found[kind, spec.name] = Component(kind, plugin, spec, distribution)
    return tuple(found.values())


def _check_spec(spec: ComponentSpec, kind: str) -> None:
    """Refuse a spec that listing, help or use would stumble over."""
    if not (isinstance(spec.name, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", spec.name)):
        raise PluginError(f"it names a {kind} {one_line(repr(spec.name), limit=80)}, which is not kebab-case")
    what = f"{kind} {spec.name}"
    if not isinstance(spec.summary, str):
        raise PluginError(f"the summary of {what} is not text")
    if not (isinstance(spec.target, str) and re.fullmatch(r"[\w.]+:\w+", spec.target)):
        raise PluginError(
            f"the target of {what} is {one_line(repr(spec.target), limit=80)}, not 'package.module:Class'"
        )
    if not all(isinstance(preset, Preset) for preset in spec.presets):
        raise PluginError(f"a preset of {what} is not a Preset")
    if isinstance(spec.requires, str) or not all(isinstance(name, str) for name in spec.requires):
        raise PluginError(f"what {what} requires is not a tuple of import names")
    _check_suffixes(spec, kind)
    try:
        check_flags(spec.config)
    except ChimeraError as error:
        raise PluginError(f"the config of {what} cannot become options: {error}") from None


def _check_suffixes(spec: ComponentSpec, kind: str) -> None:
    """Refuse endings that are none, or that are read here: a plugin replaces nothing of ours."""
    what = f"{kind} {spec.name}"
    if kind != "image-reader":
        if spec.suffixes:
            raise PluginError(f"{what} names suffixes, which only an image-reader has")
        return
    if isinstance(spec.suffixes, str) or not spec.suffixes:
        raise PluginError(f"{what} does not say which files it reads with suffixes=('.ending',)")
    for suffix in spec.suffixes:
        if not (isinstance(suffix, str) and re.fullmatch(r"\.[a-z0-9_-]{1,16}", suffix)):
            raise PluginError(
                f"{what} has the suffix {one_line(repr(suffix), limit=40)}: write it in small letters with its dot, '.qoi'"
            )
        if suffix in PICTURE_SUFFIXES or suffix in _NO_PICTURES:
            raise PluginError(f"{what} takes {suffix}, which the toolkit reads itself")


def _is_findable(name: str) -> bool:
    """Return whether a package is there. Only its top level is looked for: a look below it would import it."""
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except ValueError:  # something put it into sys.modules by hand, so it is there
        return True


class NewerToolkit(PluginError):
    """A plugin uses what this version of the toolkit does not have."""


def _mend_of(error: BaseException, entry_point: EntryPoint) -> str:
    """Return what to do about a plugin that failed: which side is old, as far as that can be told."""
    mend = _mend(distribution_of(entry_point)[0])
    if wanted := _toolkit_wanted(entry_point):
        return f"it needs chimera-toolkit {wanted}, and this is {__version__}: {_UPDATE_US}"
    is_ours = isinstance(error, ImportError) and str(error.name or "").partition(".")[0] == "chimera_core"
    is_field = isinstance(error, TypeError) and "unexpected keyword argument" in str(error)
    if isinstance(error, NewerToolkit) or is_ours or is_field:
        return f"if it was written for a newer toolkit, {_UPDATE_US}; else {mend}"
    return mend


def _toolkit_wanted(entry_point: EntryPoint) -> str:
    """Give the versions of this toolkit that a plugin's distribution asks for, if this one is none of them."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in (entry_point.dist.requires if entry_point.dist else None) or ():
        try:
            needed = Requirement(text)
        except InvalidRequirement:
            continue
        is_ours = re.sub(r"[-_.]+", "-", needed.name).lower() == "chimera-toolkit"
        if is_ours and not needed.marker and not needed.specifier.contains(__version__, prereleases=True):
            return str(needed.specifier)
    return ""


def _line_of(error: BaseException, entry_point: EntryPoint) -> str:
    """Name the last line of the plugin's own package that an error passed; nothing where it passed none."""
    package = entry_point.module.partition(".")[0]
    frames = [
        (frame.f_globals.get("__name__", ""), os.path.basename(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [(file, line) for name, file, line in frames if str(name).partition(".")[0] == package]
    return f" ({own[-1][0]}, line {own[-1][1]})" if own and not isinstance(error, PluginError) else ""


def _mend(distribution: str) -> str:
    if not distribution:
        return "update the plugin or remove it"
    name = shlex.quote(distribution)
    return f"update the plugin with pip install -U {name}, or remove it with pip uninstall {name}"


def _describe(error: BaseException, *, with_type: bool = True) -> str:
    """Put an error on one line. A stranger's may fail even at that."""
    try:
        text = one_line(" ".join(str(error).split()), limit=400)
    except Exception:  # plugin border
        text = ""
    name = type(error).__name__
    return (f"{name}: {text}" if with_type else text) if text else name
