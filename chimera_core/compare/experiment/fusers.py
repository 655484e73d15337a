"""The fusers and judges of an experiment, looked up: controls added, every name and option checked. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chimera_core.compare.experiment.file import ExperimentFile, Variant, nested, variants_of
from chimera_core.compare.experiment.trainings import Names, with_names
from chimera_core.components.choice import check_options
from chimera_core.components.trained import find_trained
from chimera_core.errors import ChimeraError, ConfigError, PluginError
from chimera_core.models.encoders import resolve_encoder
from chimera_core.models.fusers import FuserChoice, TrainedFuser, find_trained_fuser, resolve_fuser
from chimera_core.options.config import suggest
from chimera_core.options.layers import Layer
from chimera_core.plugins.discovery import Component, PluginHost
from chimera_core.scoring.judge.names import judge_network, judge_of, networks_of

CONTROLS = ("copy", "pixel-average", "collage", "cut-and-blend")
_KIND = "fusion-generator"


@dataclass(frozen=True)
class FuserEntry:
    """One fuser of a comparison, as ``chimera fuse`` would name it, with every option.

    ``options`` are what the file says, on top of preset and registry; ``choice`` has those in force. ``identity`` are
    plain values that decide what it makes. ``table`` is that of the file; None for a control that was added.
    """

    id: str
    fuser: str
    size: int
    choice: FuserChoice = field(repr=False)
    identity: Mapping[str, Any] = field(repr=False)
    is_control: bool = False
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    wants: str = "auto"
    table: str | None = None
    axes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trained(self) -> TrainedFuser | None:
        """What it learned, if it did."""
        return self.choice.trained


def find_entries(
    file: ExperimentFile,
    host: PluginHost,
    *,
    names: Names | None = None,
    runs: Mapping[str, str] | None = None,
) -> list[FuserEntry]:
    """Look up every fuser of the file, and the controls that it leaves out.

    Args:
        names: what stands for the experiment's own encoders.
        runs: of fusers that the experiment trained, by the fuser's id.
    Raises:
        ConfigError, DataError, PluginError: for the first mistake, with file, line and key.
    """
    entries = [_entry(file, host, variant, names or {}, runs or {}) for variant in variants_of(file)]
    named = {entry.choice.component.spec.name for entry in entries}
    for name in CONTROLS:
        if name not in named:
            taken = any(entry.id == name for entry in entries)
            entries.append(_control(host, name, name if not taken else f"{name} (control)", file.top.size))
    return entries


def _entry(
    file: ExperimentFile, host: PluginHost, variant: Variant, names: Names, runs: Mapping[str, str]
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
        raise file.error(error, *place, "fuser") from None
    if trained is not None:
        if variant.train is not None and variant.id not in runs:
            raise file.error(f"{trained} is trained already: name a component to train", *place, "train")
        if preset is not None:
            raise file.error(
                f"{trained} has the options that it was trained with: leave it out", *place, "preset"
            )
        component = trained.component
        options = with_names(component.spec.config, own, names)
        try:
            choice = trained.with_options(host, options)
        except ChimeraError as error:
            raise file.error(error, *_nearest(variant, place)) from None
    else:
        try:
            component = host.find(_KIND, fuser)
        except PluginError as error:  # an experiment may name more than components
            message = str(error).replace(f"no {_KIND} is", "no run, model or fuser is")
            raise file.error(message, *place, "fuser") from None
        options = with_names(component.spec.config, own, names)
        choice = _choice(file, host, component, variant, options, names)
    return FuserEntry(
        id=variant.id,
        fuser=fuser,
        size=table.size or file.top.size,
        choice=choice,
        identity=choice.identity(),
        is_control=component.spec.is_control,
        preset=preset,
        options=options,
        wants=table.parents,
        table=variant.name,
        axes=variant.axes,
    )


def _choice(
    file: ExperimentFile,
    host: PluginHost,
    component: Component,
    variant: Variant,
    options: Mapping[str, Any],
    names: Names,
) -> FuserChoice:
    place = ("fusers", variant.name)
    spec = component.spec
    preset = variant.table.preset
    if preset is not None and preset not in (known := [p.name for p in spec.presets]):
        hint = suggest(preset, known) if known else " (it has none)"
        raise file.error(f"{spec.name} has no preset '{preset}'{hint}", *place, "preset")
    layer = file.layer(*place, "options")
    check_options(component, host, replace(layer, values=with_names(spec.config, layer.values, names)))
    for axis, value in variant.axes.items():
        if not axis.startswith("train."):
            axis_place = file.toml.place((*place, "axes", axis))
            values = with_names(spec.config, nested(axis, value), names)
            check_options(component, host, Layer(axis_place, values))
    try:
        return resolve_fuser(host, component.full_name, options, preset=preset)
    except (ConfigError, PluginError) as error:
        raise file.error(error, *_nearest(variant, place)) from None


def _nearest(variant: Variant, place: tuple[str, ...]) -> tuple[str, ...]:
    return (*place, "options") if variant.table.options else place


def _control(host: PluginHost, name: str, entry_id: str, size: int) -> FuserEntry:
    choice = resolve_fuser(host, f"controls:{name}")
    return FuserEntry(entry_id, choice.name, size, choice, choice.identity(), is_control=True)


def ids_twice(entries: list[FuserEntry]) -> Iterator[str]:
    """List the names that two fusers share."""
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            yield entry.id
        seen.add(entry.id)


def judge_identities(file: ExperimentFile, host: PluginHost) -> dict[str, dict[str, Any]]:
    """Look up the judges, by the keys ``judge`` and ``judge2``.

    Raises:
        ConfigError, PluginError: if one is unknown, or its options are wrong.
    """
    found = {}
    for key, table in file.judges.items():
        try:
            judge = judge_of(host, table.encoder, table.options)
        except ChimeraError as error:
            raise file.error(error, key, "encoder") from None
        if not find_trained(host, "feature-encoder", judge.component):
            check_options(host.find("feature-encoder", judge.component), host, file.layer(key, "options"))
        try:
            found[key] = resolve_encoder(host, judge.component, judge.options).identity()
        except ChimeraError as error:
            raise file.error(error, key) from None
    if len({judge_network(host, table.encoder, table.options) for table in file.judges.values()}) < len(
        found
    ):
        raise file.error("it is the first judge again: name an encoder of another architecture", "judge2")
    return found


def check_judges(file: ExperimentFile, host: PluginHost, entries: list[FuserEntry]) -> None:
    """Refuse a judge in whose features a fuser works: it would judge itself.

    Raises:
        ConfigError: naming both.
    """
    networks = {key: judge_network(host, table.encoder, table.options) for key, table in file.judges.items()}
    for entry in entries:
        own = networks_of(entry.choice)
        for key, network in networks.items():
            if network in own:
                raise file.error(
                    f"{file.judges[key].encoder} is the encoder of fuser {entry.id}, which would judge itself: "
                    "name another judge",
                    key,
                )
