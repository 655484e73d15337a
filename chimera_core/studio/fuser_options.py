"""Which fusers the page offers, and their options: from the plugins' own models, as the flags of ``chimera fuse``. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chimera_core.components.choice import look_up_options, option_layers
from chimera_core.errors import ChimeraError
from chimera_core.fusing.request import DEFAULT_PHOTO_FUSER
from chimera_core.models.fusers import KIND, find_trained_fuser
from chimera_core.models.run_options import FUSER
from chimera_core.options.config import ComponentRef
from chimera_core.options.flags import Flag, flags_of
from chimera_core.options.layers import Layer
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.record import RECORD, read_run_record

AUTOMATIC = ""
"""What the page calls the fuser that ``chimera fuse`` takes without ``--fuser``."""
AUTOMATIC_SUMMARY = "Looks at the photographs and takes what suits them; it says what, and why."
OWN_FLAGS = (
    "--fuser",
    "--preset",
    "--weights",
    "--n",
    "--sweep",
    "--triangle",
    "--seed",
    "--size",
    "--mask",
    "--source",
    "--fetch",
    "--background",
    "--device",
    "-o",
    "--output",
    "--format",
    "--quality",
    "--config",
    "--json",
    "--help",
)
"""Flags of ``chimera fuse`` itself; an option of a fuser that has such a name is written ``--fuser.NAME`` there."""


@dataclass(frozen=True)
class FuserFacts:
    """One fuser as the page lists it. ``most``: of parents, None for any number."""

    name: str
    label: str
    summary: str
    presets: tuple[tuple[str, str], ...] = ()
    most: int | None = None
    accepts: frozenset[str] = frozenset({"photo"})


def list_fusers(host: PluginHost, classes: Sequence[Mapping[str, Any]]) -> list[FuserFacts]:
    """List what can make creatures here: the automatic one, components, models, the user's own runs, then controls.

    Args:
        classes: what a worker says of the components (``Tasks``): a fuser that must be trained first is left out.
    """
    known = {str(facts["name"]): facts for facts in classes}
    automatic = FuserFacts(AUTOMATIC, "Automatic", AUTOMATIC_SUMMARY)
    fusers: list[FuserFacts] = []
    controls: list[FuserFacts] = []
    for component in host.components(KIND):
        facts = known.get(component.full_name)
        if facts is None or facts["needs_training"] or component.full_name == DEFAULT_PHOTO_FUSER:
            continue
        spec = component.spec
        name = spec.name if len(host.namesakes(component)) == 1 else component.full_name
        entry = FuserFacts(
            name,
            f"{name} (only to compare with)" if spec.is_control else name,
            spec.summary,
            tuple((preset.name, preset.summary) for preset in spec.presets),
            facts["most"],
            frozenset(facts["accepts"]),
        )
        (controls if spec.is_control else fusers).append(entry)
    trained = [
        FuserFacts(
            name,
            f"{name} (trained)",
            model.summary or f"knows {_listed(model.classes)}",
            accepts=frozenset(model.accepts),
        )
        for name, model in host.registry.models.items()
        if model.kind == KIND
    ]
    return [automatic, *fusers, *trained, *_own_runs(host), *controls]


def flags_for(host: PluginHost, fuser: str, preset: str = "") -> list[Flag]:
    """List a fuser's options, with bounds, help and the values in force.

    Raises:
        ChimeraError: if there is no such fuser or preset, or an option of the registry is wrong.
    """
    name = fuser or DEFAULT_PHOTO_FUSER
    if trained := find_trained_fuser(host, name):
        component, layers = trained.component, [Layer(str(trained), trained.header.options)]
    else:
        component = host.find(KIND, name)
        layers = option_layers(component, host, preset or None)
    found = flags_of(component.spec.config, look_up=look_up_options(host), layers=layers)
    return [replace(f, name=f"--fuser.{f.name[2:]}") if f.name in OWN_FLAGS else f for f in found]


def nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Give options by path as nested tables, as the fuser's model of options wants them."""
    table: dict[str, Any] = {}
    for path, value in sorted(values.items(), key=lambda item: len(item[0])):
        inner = table
        for part in path[:-1]:
            if isinstance(inner.get(part), str):  # a component that is named, and options for it
                inner[part] = {"name": inner[part]}
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    return table


def words_for(flags: Sequence[Flag], values: Mapping[tuple[str, ...], Any]) -> list[str]:
    """Write options as words of a command line."""
    words: list[str] = []
    for flag in flags:
        if flag.path not in values:
            continue
        value = values[flag.path]
        if flag.type is bool:
            words.append(flag.name if value else f"--no-{flag.name[2:]}")
        else:
            for item in value if isinstance(value, (list, tuple)) else [value]:
                words += [flag.name, f"{item:g}" if isinstance(item, float) else str(item)]
    return words


def read_value(flag: Flag, given: Any) -> Any:
    """Turn what a control holds into a value; None where it says nothing beyond the value in force."""
    if given is None or given == "":
        return None
    if flag.multiple:
        lines = [line.strip() for line in str(given).splitlines()]
        items: list[Any] = [line for line in lines if line]
        return items if items and tuple(items) != shown_items(flag) else None
    if flag.type is bool:
        return None if bool(given) == bool(flag.value) else bool(given)
    if flag.choices is not None and flag.type is int:
        given = int(given)
    elif flag.form == "plain" and flag.type is int:
        given = int(given) if float(given).is_integer() else given  # the model refuses it with its own words
    elif flag.form == "plain" and flag.type is float and not isinstance(given, str):
        given = float(given)
    return None if given == in_force(flag) else given


def in_force(flag: Flag) -> Any:
    """Give an option's value in force as a control shows it; None where it must be given."""
    from pydantic_core import PydanticUndefined

    value = flag.value
    if value is PydanticUndefined:
        return None
    if isinstance(value, ComponentRef):
        return value.name
    if isinstance(value, Mapping):  # a reference in a layer
        return value.get("name")
    return getattr(value, "value", value)  # an Enum's


def shown_items(flag: Flag) -> tuple[str, ...]:
    """Give the items in force of an option that takes several."""
    value = in_force(flag)
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()


def _own_runs(host: PluginHost) -> list[FuserFacts]:
    """List the fusers among the user's own runs, the newest first."""
    below = host.settings.path("runs")
    found = []
    for path in below.glob(f"*/{RECORD}") if below.is_dir() else ():
        try:
            record = read_run_record(path.parent)
            if record.get("kind") == FUSER:
                trained = find_trained_fuser(host, path.parent.name)
                if trained is not None:
                    found.append((str(record.get("written", "")), trained))
        except ChimeraError:  # damaged, or not trained yet
            continue
    found.sort(key=lambda item: item[0], reverse=True)
    return [
        FuserFacts(
            trained.trained.name,
            f"{trained.name} (your run)",
            f"{trained.header.fuser}, trained on {_listed(trained.header.classes)}",
            most=trained.header.max_parents,
            accepts=frozenset(trained.header.accepts),
        )
        for _, trained in found
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown or "photographs"
