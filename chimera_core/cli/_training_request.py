"""From a command line to the options of a training, whichever command it is: new, or resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._training import COMPONENTS, asked_options, read_options_file
from chimera_core.cli._training_run import find_folder
from chimera_core.cli.parsing.command import Selector
from chimera_core.cli.parsing.options import origins_in_force
from chimera_core.components.choice import layered_options, option_layers, owners_of_preset
from chimera_core.errors import ConfigError
from chimera_core.options.layers import Layer, build_config, check_layer, merge
from chimera_core.options.training import TrainingOptions, lay
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import config as config_file

# With its plugin, so that a stranger who offers the same name cannot get into the way of the default.
_DEFAULTS = {"trainer": "robust:standard"}
_PARAMETERS = {"encoder": "encoder_name", "fuser": "name"}
_SOURCE_DECIDES = ("classes", "size")
"""Options of encoders that the source decides, whatever a preset says."""

OptionsT = TypeVar("OptionsT", bound=TrainingOptions)


@dataclass(frozen=True)
class TrainingKind(Generic[OptionsT]):
    """What tells one command that trains from another.

    Args:
        kind: of its runs, as ``run.json`` says it.
        where: what messages name.
        stem: of the names of new runs.
    """

    kind: str
    model: type[OptionsT]
    where: str
    stem: str
    selectors: Sequence[Selector]


@dataclass(frozen=True)
class TrainingRequest(Generic[OptionsT]):
    """What a command line asks for.

    Args:
        may_fill: options of the encoder that are taken from the source.
        origins: who says what, of the training's own options that are not left at their defaults.
    """

    config: OptionsT
    folder: Path
    is_named: bool
    resume: bool
    dry_run: bool
    as_json: bool
    may_fill: tuple[str, ...] = field(default=())
    origins: Mapping[str, str] = field(default_factory=dict)


def read_request(
    ctx: click.Context,
    kind: TrainingKind[OptionsT],
    given: dict[str, Any],
    *,
    below: Mapping[str, Any] | None = None,
) -> TrainingRequest[OptionsT]:
    """Merge all that a command line says, and look up the folder of the run.

    Args:
        given: click's parameters: those of ``run_options``, of the components, and the model's.
        below: what a preset of the command itself says.
    Raises:
        ConfigError: for what is wrong, or if the run is there already, or not there to resume.
    """
    host = plugin_host(ctx)
    names = {s.key: given.pop(_PARAMETERS.get(s.key, s.key)) for s in kind.selectors}
    presets = {s.key: given.pop(_parameter(s.preset_flag)) for s in kind.selectors if s.preset_flag}
    file, run_name = given.pop("config_path"), given.pop("run_name")
    resume, dry_run, as_json = (given.pop(name) for name in ("resume", "dry_run", "as_json"))
    asked = asked_options(ctx, given, names)
    folder = find_folder(run_name, host, resume=resume, dry_run=dry_run, stem=kind.stem)
    may_fill: tuple[str, ...] = ()
    if resume:
        from chimera_core.training.resumed_options import resumed_config

        in_file = read_options_file(file) if file is not None else {}
        repeated = lay(lay(below or {}, in_file), asked)
        repeated = _with_presets(repeated, folder, host, presets, kind.selectors)
        config = resumed_config(folder, repeated, host, model=kind.model, kind=kind.kind, where=kind.where)
    else:
        config, may_fill = _merged(lay(ctx.meta["chimera.below"], asked), host, presets, kind)
    named = run_name is not None
    origins = _origins(ctx, config, asked)
    return TrainingRequest(config, folder, named, resume, dry_run, as_json, may_fill, origins)


def _parameter(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _origins(ctx: click.Context, config: TrainingOptions, asked: Mapping[str, Any]) -> dict[str, str]:
    said = {**origins_in_force(ctx), **dict.fromkeys(asked, "the command line")}
    return {name: said[name] for name in type(config).model_fields if name in said and name not in COMPONENTS}


def _merged(
    given: Mapping[str, Any],
    host: PluginHost,
    presets: Mapping[str, str | None],
    kind: TrainingKind[OptionsT],
) -> tuple[OptionsT, tuple[str, ...]]:
    """Merge default < registry < preset < file < flag; tell which of the encoder's options the source may fill in."""
    merged = dict(given)
    from_presets: dict[str, Any] = {}
    may_fill: tuple[str, ...] = ()
    for selector in kind.selectors:
        table = _named_table(merged.get(selector.key), selector, host, presets.get(selector.key))
        name, own = table["name"], table.get("options", {})
        component = host.find(selector.kind, name)
        preset = presets.get(selector.key) or table.get("preset")
        options = layered_options(component, host, preset, own)  # refuses an unknown preset
        for known in component.spec.presets:
            if known.name == preset:
                check_layer(kind.model, Layer(f"preset {preset}", known.training), where=kind.where)
                from_presets = lay(from_presets, known.training)
        merged[selector.key] = {"name": name, "options": options}
        if selector.key == "encoder":
            may_fill = tuple(option for option in _SOURCE_DECIDES if option not in own)
    return build_config(kind.model, lay(from_presets, merged), where=kind.where), may_fill


def _named_table(given: Any, selector: Selector, host: PluginHost, preset: str | None) -> dict[str, Any]:
    """Give the table of a component, which has a name, or that of the only one with its preset, and no unknown key."""
    key = selector.key
    table: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    owners = owners_of_preset(host, selector.kind, preset) if preset and selector.flag else []
    if "name" not in table and key not in _DEFAULTS and len(owners) == 1:
        table["name"] = owners[0].full_name
    if "name" not in table:
        if key not in _DEFAULTS:
            mend = f"{selector.flag} NAME" if selector.flag else "chimera fuser train NAME"
            raise ConfigError(f"say which {key}: {mend} (see `chimera plugins list`)")
        table["name"] = _DEFAULTS[key]
    known = ("name", "preset", "options") if selector.preset_flag else ("name", "options")
    if unknown := table.keys() - set(known):
        raise ConfigError(
            f"[{key}] has the key '{min(unknown)}': it takes {', '.join(known[:-1])} and {known[-1]}"
        )
    return table


def _with_presets(
    given: Mapping[str, Any],
    folder: Path,
    host: PluginHost,
    presets: Mapping[str, str | None],
    selectors: Sequence[Selector],
) -> dict[str, Any]:
    """Lay what a resumed run is given again over its presets; what it leaves open is the run's.

    The very line that began a run must resume it. Defaults and the registry do not count here: the run has values of
    its own, whatever these have become.
    """
    repeated = dict(given)
    from_presets: dict[str, Any] = {}
    before = config_file.read_config(folder / config_file.FILE)
    for selector in (s for s in selectors if s.preset_flag):
        key = selector.key
        table = dict(repeated.get(key, {}))
        in_table = table.pop("preset", None)
        if table:
            repeated[key] = table
        if (preset := presets.get(key) or in_table) is None:
            continue
        component = host.find_stored(selector.kind, table.get("name") or before[key]["name"])
        layer = option_layers(component, host, preset)[-1]
        own = {k: v for k, v in layer.values.items() if key != "encoder" or k not in _SOURCE_DECIDES}
        known = next((p for p in component.spec.presets if p.name == preset), None)
        if known is not None:
            from_presets = lay(from_presets, known.training)
        repeated[key] = {**table, "options": merge(own, table.get("options", {}))}
    return lay(from_presets, repeated)
