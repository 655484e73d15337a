"""The laws of a plugin as a package: what can be told without running its components.

``PackagingLaws`` are torch-free and quick: CHIMERA_PLUGINS_STRICT tries them at every start. ``InstalledLaws`` also import
what the plugin points at, for ``chimera plugins check``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from chimera_core.errors import ChimeraError, RunError
from chimera_core.files.atomic import one_line
from chimera_core.laws import NotTriedError, law
from chimera_core.options.layers import Layer, check_layer
from chimera_core.options.training import EncoderTraining, FuserTraining, TrainingOptions
from chimera_core.plugins import hookspecs
from chimera_core.plugins.load_errors import TargetError
from chimera_core.plugins.loading import HEAVY, Component, PluginRecord
from chimera_core.processes import python_command

PAGE = "reference/laws.md#of-a-plugin"
TOOLKIT = "chimera-toolkit"
_IMPORT_S = 120.0
_KEYWORDS: Mapping[str, Mapping[str, Any]] = {
    "fusion-generator": {"device": "cpu"},
    "attack": {"eps": 0.1, "norm": "linf"},
    "run-logger": {"folder": None},
    "outline-finder": {"device": "cpu"},
}
_TRAININGS: Mapping[str, tuple[type[TrainingOptions], str]] = {
    "fusion-generator": (FuserTraining, "fuser training"),
    "feature-encoder": (EncoderTraining, "encoder training"),
    "robustness-trainer": (EncoderTraining, "encoder training"),
}


class PackagingLaws:
    """What is asked of a plugin before anything of it is used.

    Args:
        record: what became of it when it was loaded.
    """

    def __init__(self, record: PluginRecord) -> None:
        self._record = record

    @law(PAGE)
    def loads(self) -> str | None:
        """Its module is imported, says ``CHIMERA_API``, and its hooks give specs that can be listed."""
        record = self._record
        return None if record.status == "ok" else f"{record.for_author or record.error}."

    @law(PAGE)
    def hooks_are_marked(self) -> str | None:
        """Every function of its module that is called chimera_... is marked ``@hookimpl``: others are never called."""
        module = self._module()
        for name, value in vars(module).items():
            if name.startswith("chimera_") and inspect.isfunction(value):
                is_own = value.__module__ == module.__name__
                if is_own and not hasattr(value, "chimera_impl"):
                    return f"{name}, line {value.__code__.co_firstlineno}, without @hookimpl."
        return None

    @law(PAGE, after=("hooks_are_marked",))
    def offers_components(self) -> str | None:
        """Its hooks offer one component or more."""
        hooks = ", ".join(kind.hook for kind in hookspecs.KINDS.values())
        return None if self._record.components else f"none, by any of {hooks}."

    @law(PAGE)
    def torch_free(self) -> str | None:
        """Its module imports nothing heavy: every command would wait for it."""
        heavy = self._record.heavy
        return f"{', '.join(heavy)}." if heavy else None

    @law(PAGE)
    def defaults_fit(self) -> str | None:
        """Every default of an option is one that the option allows."""
        for component in self._components():
            model = component.spec.config
            defaults = {
                name: _written(field.default)
                for name, field in model.model_fields.items()
                if field.default is not PydanticUndefined
            }
            # One by one, since a model's own rules may tie options that have no default to others.
            for name, value in defaults.items():
                if fault := _fault(component, Layer("its default", {name: value})):
                    return f"{fault}."
        return None

    @law(PAGE)
    def options_have_help(self) -> str | None:
        """Every option says what it does."""
        for component in self._components():
            for name, field in component.spec.config.model_fields.items():
                if not field.description:
                    return f"option {name} of {component.spec.name} without help."
        return None

    @law(PAGE)
    def presets_fit(self) -> str | None:
        """Every preset has options that the component has, with values that they allow."""
        for component in self._components():
            for preset in component.spec.presets:
                if fault := _fault(component, Layer(f"preset {preset.name}", preset.options)):
                    return f"{fault}."
        return None

    @law(PAGE)
    def trainings_of_presets_fit(self) -> str | None:
        """Options of the training stand in presets of what is trained or trains, and are some that it has."""
        for component in self._components():
            for preset in component.spec.presets:
                if not preset.training:
                    continue
                where = f"preset {preset.name} of {component.spec.name}"
                if component.kind not in _TRAININGS:
                    return f"{where} has options of a training, and nothing trains {component.kind}s."
                model, training = _TRAININGS[component.kind]
                try:
                    check_layer(model, Layer(where, preset.training), where=training)
                except ChimeraError as error:
                    return f"{error}."
        return None

    @law(PAGE)
    def extras_exist(self) -> str | None:
        """An extra that a component names is one of its distribution's."""
        named = [c for c in self._components() if c.spec.extra]
        if not named:
            raise NotTriedError("it names no extra")
        offered = {_normal(e) for e in self._metadata().get_all("Provides-Extra") or ()}
        for component in named:
            if _normal(component.spec.extra) not in offered:
                known = ", ".join(sorted(offered)) or "none"
                return (
                    f"extra {component.spec.extra!r} of {component.spec.name}; the distribution has {known}."
                )
        return None

    def _components(self) -> tuple[Component, ...]:
        return self._record.components

    def _module(self) -> Any:
        return importlib.import_module(self._record.module.partition(":")[0])

    def _metadata(self) -> Any:
        if not self._record.distribution:
            raise NotTriedError("it belongs to no distribution")
        return importlib.metadata.metadata(self._record.distribution)


class InstalledLaws(PackagingLaws):
    """Those, and what needs other processes or torch."""

    @law(PAGE)
    def torch_free(self) -> str | None:
        """Its module imports nothing heavy: every command would wait for it."""
        # Where all of it was here before, nobody can tell who brought it.
        heavy = self._record.heavy or (heavy_imports(self._record.module) if HEAVY[0] in sys.modules else ())
        return f"{', '.join(heavy)}." if heavy else None

    @law(PAGE)
    def targets_load(self) -> str | None:
        """Every target is a class of its kind that can be imported."""
        for component in self._ready():
            try:
                component.load_target()
            except TargetError as error:
                return f"{error.for_author}."
            except ChimeraError as error:
                return f"{error}."
        return None

    @law(PAGE, after=("targets_load",))
    def targets_are_whole(self) -> str | None:
        """Every target has all methods that its kind asks for."""
        for component in self._ready():
            missing = sorted(getattr(component.load_target(), "__abstractmethods__", ()))
            if missing:
                return f"{component.spec.target} has no {', '.join(missing)}."
        return None

    @law(PAGE, after=("targets_load",))
    def constructors_take_options(self) -> str | None:
        """Every constructor takes the options, and as keywords what its kind is given: ``device`` for a fuser."""
        for component in self._ready():
            if component.kind == "command":
                continue
            keywords = _KEYWORDS.get(component.kind, {})
            try:
                inspect.signature(component.load_class()).bind(None, **keywords)
            except TypeError as error:
                return f"{component.spec.target}: {error}."
        return None

    @law(PAGE)
    def depends_on_toolkit(self) -> str | None:
        """Its distribution depends on chimera-toolkit, so that installing it is enough."""
        metadata = self._metadata()
        names = [metadata["Name"], *(metadata.get_all("Requires-Dist") or ())]
        needs = {_normal(re.split(r"[^A-Za-z0-9._-]", name)[0]) for name in names}
        return (
            None if TOOLKIT in needs else f"{self._record.distribution} depends on {len(needs) - 1} others."
        )

    def _ready(self) -> Iterator[Component]:
        """Go through the components that lack no extra."""
        yield from (c for c in self._components() if not c.extra_needed)


def heavy_imports(module: str) -> tuple[str, ...]:
    """Import a plugin's module in a process of its own, and name what heavy there is then.

    Raises:
        RunError: if it cannot be imported there.
    """
    name = module.partition(":")[0]
    code = f"import sys, {name}; print('HEAVY', *[n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run(
        python_command("-c", code),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_IMPORT_S,
        check=False,
    )
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode or not last.startswith("HEAVY"):
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise RunError(f"{name} cannot be imported in a process of its own: {one_line(said, limit=200)}")
    return tuple(last.split()[1:])


def _fault(component: Component, layer: Layer) -> str:
    try:
        check_layer(component.spec.config, layer, where=component.spec.name)
    except ChimeraError as error:
        return str(error)
    return ""


def _written(value: Any) -> Any:
    """Give a default as a table would say it, so that the rules of nested models are tried too."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, (tuple, list)):
        return [_written(item) for item in value]
    return {k: _written(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
