"""The fusers of an experiment: axes multiplied out, controls added, every name and option checked. Torch-free."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from chimera_core.compare.experiment.file import FuserTable, Said
from chimera_core.compare.making.identity import component_identity, file_hash
from chimera_core.compare.making.trainings import Names, with_names
from chimera_core.components.choice import check_options, choose
from chimera_core.components.layers import Layer, merge, references_in
from chimera_core.components.options import suggest
from chimera_core.errors import ChimeraError, ConfigError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.models.fusers import TrainedFuser, find_trained_fuser
from chimera_core.plugins.discovery import Component, PluginHost

CONTROLS = ("copy", "pixel-average", "collage", "cut-and-blend")
_KIND = "fusion-generator"


@dataclass(frozen=True)
class FuserEntry:
    """One fuser of a comparison, as ``chimera fuse`` would name it, with every option.

    ``options`` are what the file says, on top of preset and registry. ``identity`` are plain values that decide what
    it makes.
    """

    id: str
    fuser: str
    preset: str | None
    options: Mapping[str, Any]
    size: int
    wants: str
    is_control: bool
    component: Component = field(repr=False)
    config: BaseModel = field(repr=False)
    trained: TrainedFuser | None
    identity: Mapping[str, Any] = field(repr=False)
    table: str | None
    """The table of the file that it comes from; None for a control that was added."""
    axes: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] | None = None
    """How it is to be trained, if it is and was not yet."""

    @property
    def name(self) -> str:
        """The fuser as people name it, without folders, which are private."""
        return self.trained.name if self.trained else self.component.spec.name

    @property
    def names_encoders(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Name the encoders in its options, each with its options."""
        return [
            (ref.name, ref.options)
            for _, ref in references_in(type(self.config), dict(self.config))
            if ref.kind == "feature-encoder"
        ]


@dataclass(frozen=True)
class Variant:
    """One combination of a table's axes, not looked up yet."""

    id: str
    name: str
    table: FuserTable
    options: Mapping[str, Any]
    train: Mapping[str, Any] | None
    axes: Mapping[str, Any]


def variants_of(said: Said) -> list[Variant]:
    """Multiply out the axes of every table.

    Raises:
        ConfigError: if two come out alike, or an axis of ``train`` has no such table.
    """
    found: list[Variant] = []
    for name, table in said.fusers.items():
        for axis in table.axes:
            if axis.startswith("train.") and table.train is None:
                raise said.error(f"there is no [fusers.{name}.train] to vary", "fusers", name, "axes", axis)
        for values in itertools.product(*table.axes.values()):
            axes = dict(zip(table.axes, values, strict=True))
            options: dict[str, Any] = dict(table.options)
            train: dict[str, Any] | None = None if table.train is None else dict(table.train)
            for axis, value in axes.items():
                if axis.startswith("train.") and train is not None:
                    train = merge(train, _nested(axis.removeprefix("train."), value))
                else:
                    options = merge(options, _nested(axis, value))
            label = "".join(f"/{axis}={short_value(value)}" for axis, value in axes.items())
            found.append(Variant(name + label, name, table, options, train, axes))
    return found


def find_entries(
    said: Said, host: PluginHost, *, names: Names | None = None, runs: Mapping[str, str] | None = None
) -> list[FuserEntry]:
    """Look up every fuser of the file, and the controls that it leaves out.

    Args:
        said: the file.
        host: plugins.
        names: what stands for the experiment's own encoders.
        runs: of fusers that the experiment trained, by the fuser's id.
    Raises:
        ConfigError, DataError, PluginError: for the first mistake, with file, line and key.
    """
    entries = [_entry(said, host, variant, names or {}, runs or {}) for variant in variants_of(said)]
    named = {entry.component.spec.name for entry in entries}
    for name in CONTROLS:
        if name not in named:
            taken = any(entry.id == name for entry in entries)
            entries.append(_control(host, name, name if not taken else f"{name} (control)", said.top.size))
    return entries


def _entry(
    said: Said, host: PluginHost, variant: Variant, names: Names, runs: Mapping[str, str]
) -> FuserEntry:
    table, place = variant.table, ("fusers", variant.name)
    if variant.id in runs:
        # The run has its options from the training, axes and all.
        fuser, preset, own = runs[variant.id], None, {}
    else:
        fuser, preset, own = table.fuser, table.preset, dict(variant.options)
    try:
        trained = find_trained_fuser(host, fuser)
    except ChimeraError as error:
        raise said.error(error, *place, "fuser") from None
    if trained is not None:
        if variant.train is not None and variant.id not in runs:
            raise said.error(f"{trained} is trained already: name a component to train", *place, "train")
        if preset is not None:
            raise said.error(
                f"{trained} has the options that it was trained with: leave it out", *place, "preset"
            )
        component = trained.component
        options = with_names(component.spec.config, own, names)
        try:
            config = trained.options(host, dict(options))
        except ChimeraError as error:
            raise said.error(error, *_nearest(variant, place)) from None
    else:
        component = _find(said, host, fuser, *place, "fuser")
        options = with_names(component.spec.config, own, names)
        config = _config(said, host, component, variant, options, names)
    identity = component_identity(component, host, config)
    if trained is not None:
        identity = {**identity, "weights": file_hash(trained.weights)}
    return FuserEntry(
        id=variant.id,
        fuser=fuser,
        preset=preset,
        options=options,
        size=table.size or said.top.size,
        wants=table.parents,
        is_control=component.spec.name in CONTROLS and component.plugin == "controls",
        component=component,
        config=config,
        trained=trained,
        identity=identity,
        table=variant.name,
        axes=variant.axes,
        train=None if variant.train is None or trained is not None else variant.train,
    )


def _config(
    said: Said,
    host: PluginHost,
    component: Component,
    variant: Variant,
    options: Mapping[str, Any],
    names: Names,
) -> BaseModel:
    place = ("fusers", variant.name)
    spec = component.spec
    preset = variant.table.preset
    if preset is not None and preset not in (known := [p.name for p in spec.presets]):
        hint = suggest(preset, known) if known else " (it has none)"
        raise said.error(f"{spec.name} has no preset '{preset}'{hint}", *place, "preset")
    layer = said.layer(*place, "options")
    check_options(component, host, replace(layer, values=with_names(spec.config, layer.values, names)))
    for axis, value in variant.axes.items():
        if not axis.startswith("train."):
            axis_place = said.file.place((*place, "axes", axis))
            values = with_names(spec.config, _nested(axis, value), names)
            check_options(component, host, Layer(axis_place, values))
    try:
        return choose(host, _KIND, component, options, preset=preset).config
    except (ConfigError, PluginError) as error:
        raise said.error(error, *_nearest(variant, place)) from None


def _nearest(variant: Variant, place: tuple[str, ...]) -> tuple[str, ...]:
    return (*place, "options") if variant.table.options else place


def _control(host: PluginHost, name: str, entry_id: str, size: int) -> FuserEntry:
    component = host.find(_KIND, f"controls:{name}")
    config = choose(host, _KIND, component).config
    return FuserEntry(
        id=entry_id,
        fuser=f"controls:{name}",
        preset=None,
        options={},
        size=size,
        wants="auto",
        is_control=True,
        component=component,
        config=config,
        trained=None,
        identity=component_identity(component, host, config),
        table=None,
    )


def _find(said: Said, host: PluginHost, name: str, *place: str) -> Component:
    try:
        return host.find(_KIND, name)
    except PluginError as error:
        models = [n for n, m in host.registry.models.items() if m.kind == _KIND]
        known = [c.spec.name for c in host.components(_KIND)] + models
        hint = suggest(name, known)
        text = (
            f"no run, model or fuser is named '{name}'{hint}"
            if ":" not in name and not _is_broken(host, name)
            else error
        )
        raise said.error(text, *place) from None


def _is_broken(host: PluginHost, name: str) -> bool:
    return (
        any(record.name == name for record in host.records)
        or sum(c.spec.name == name for c in host.components(_KIND)) > 1
    )


def _nested(path: str, value: Any) -> dict[str, Any]:
    """Put a value at a dotted path: ``a.b`` -> {a: {b: value}}."""
    table: Any = value
    for key in reversed(path.split(".")):
        table = {key: table}
    return dict(table)


def short_value(value: Any) -> str:
    """Spell a value of an axis for a fuser's name."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return one_line(text, limit=40)


def ids_twice(entries: list[FuserEntry]) -> Iterator[str]:
    """List the names that two fusers share."""
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            yield entry.id
        seen.add(entry.id)
