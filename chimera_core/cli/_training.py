"""The options of every command that trains, as click takes them, and the files of options below them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli.parsing.command import ComponentCommand, Selector, component_values, first_argument
from chimera_core.cli.parsing.config_file import check_command, given, read_option_file, use_file
from chimera_core.cli.parsing.options import FlagOption, put_in_force
from chimera_core.components.choice import owners_of_preset
from chimera_core.errors import ConfigError
from chimera_core.options.flags import flags_of
from chimera_core.options.layers import Layer
from chimera_core.options.training import TrainingOptions, lay
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import config as config_file
from chimera_core.runs.record import find_run

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

COMPONENTS = ("source", "encoder", "trainer", "fuser")
"""Tables of components in a file of options."""


class TrainingCommand(ComponentCommand):
    """Takes the components that a file of options or a run to resume names, where the line names none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        host = plugin_host(ctx)
        layers = self.layers_below(args, host)
        for layer in layers:
            check_command(layer, ctx)
        # A run that goes on has its options checked against all that is given again, not by parts.
        use_file(ctx, layers[-1] if layers and "--resume" not in args and given(args, "--config") else None)
        below = ctx.meta["chimera.below"] = _laid(layers)
        command = copy.copy(self)
        command.selectors = [self.aim(_by_preset(s, args, host), args, below, host) for s in self.selectors]
        layers = [
            *(layer for s in command.selectors for layer in self._preset_of(s, ctx, args, below, host)),
            *layers,
        ]
        put_in_force(ctx, _laid(layers), layers)
        return ComponentCommand.parse_args(command, ctx, args)

    def layers_below(self, args: Sequence[str], host: PluginHost) -> list[Layer]:
        """Give the options below the flags, lowest first: those of the file, or of the run to resume."""
        return read_file(args, host)

    def _preset_of(
        self,
        selector: Selector,
        ctx: click.Context,
        args: Sequence[str],
        below: Mapping[str, Any],
        host: PluginHost,
    ) -> list[Layer]:
        """Give what the preset of a component says of its training."""
        named = given(args, selector.flag) if selector.flag else first_argument(self, ctx, args)
        preset = given(args, selector.preset_flag) or below.get(selector.key, {}).get("preset")
        name = named or selector.default
        if preset is None or name is None or not host.has(selector.kind, name):
            return []  # what is wrong is refused where the options are merged
        presets = host.find(selector.kind, name).spec.presets
        return [Layer(f"preset {preset}", p.training) for p in presets if p.name == preset]

    def aim(
        self, selector: Selector, args: Sequence[str], below: Mapping[str, Any], host: PluginHost
    ) -> Selector:
        """Let a selector take the component that the options below the flags name, if they do."""
        named = below.get(selector.key, {}).get("name")
        if named is not None and host.has(selector.kind, named, stored=True):
            named = host.find_stored(selector.kind, named).full_name
        return selector if named is None else replace(selector, default=named)


def _by_preset(selector: Selector, args: Sequence[str], host: PluginHost) -> Selector:
    """Let a selector without a default take the one component that has the preset which a line names."""
    preset = given(args, selector.preset_flag)
    if preset is None or selector.default is not None or not selector.flag:
        return selector
    owners = owners_of_preset(host, selector.kind, preset)
    return replace(selector, default=owners[0].full_name) if len(owners) == 1 else selector


def training_options(model: type[TrainingOptions], *, leave_out: Collection[str] = ()) -> Decorator:
    """Give a command the options of a model; the model is the only place that describes them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for flag in reversed(flags_of(model, look_up=_no_options)):
            name = flag.path[0]
            if len(flag.path) > 1 or name in COMPONENTS or name in leave_out:
                continue
            command = click.option(cls=FlagOption, flag=flag, name=name)(command)
        return command

    return decorate


def run_options(*, own: Sequence[Decorator]) -> Decorator:
    """Give a command the options of file and run, below those of its components: ``own``, with their presets."""
    options: list[Decorator] = [
        *own,
        click.option(
            "--config",
            "config_path",
            type=click.Path(path_type=Path),
            help="Read options from a TOML file, such as a run's config.toml; flags override it.",
        ),
        click.option(
            "--run",
            "run_name",
            help="Folder of the run, or its name in ./chimera-runs.  [default: a new name]",
        ),
        click.option("--resume", is_flag=True, help="Resume the run from its last checkpoint."),
        click.option("--dry-run", is_flag=True, help="Show what the training will cost, and stop."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead."),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def encoder_selectors(*, encoder_preset: str) -> list[Selector]:
    """Name the components of an encoder's training; ``encoder_preset`` is the flag of the encoder's preset."""
    return [
        Selector("source", "dataset-source", "--source", prefix="source."),
        Selector("encoder", "feature-encoder", "--encoder", prefix="encoder.", preset_flag=encoder_preset),
        Selector(
            "trainer",
            "robustness-trainer",
            "--trainer",
            prefix="trainer.",
            preset_flag="--trainer-preset",
        ),
    ]


def encoder_options(*, presets: Sequence[Decorator]) -> list[Decorator]:
    """Give the options that name these; ``presets`` are options of its own."""
    return [
        click.option("--source", help="Data set: see `chimera source list`; its options are --source.*."),
        click.option("--encoder", "encoder_name", help="Network; its options are --encoder.*."),
        click.option("--trainer", help="Training method, e.g. standard or pgd.  [default: robust:standard]"),
        *presets,
        click.option("--trainer-preset", help="A preset of the trainer."),
    ]


def asked_options(
    ctx: click.Context, options: Mapping[str, Any], names: Mapping[str, str | None]
) -> dict[str, Any]:
    """Give what the command line says: its own options, and the components by their ``names``."""
    asked: dict[str, Any] = {k: v for k, v in options.items() if v is not None and v != ()}
    for key in names:
        values = component_values(ctx, key)
        if names[key] is not None or values:
            asked[key] = {**({"name": names[key]} if names[key] else {}), "options": values}
    return asked


def read_file(args: Sequence[str], host: PluginHost) -> list[Layer]:
    """Read the components of the file of options, or of the run to resume, that a line names."""
    path = given(args, "--config")
    if "--resume" in args and (run := given(args, "--run")):
        found = find_run(run, host.settings.path("runs"))
        path = str(found / config_file.FILE) if found else path
    return [] if path is None else [read_options_layer(Path(path))]


def read_options_file(path: Path) -> dict[str, Any]:
    """Read a file of options as plain values; see ``read_options_layer``."""
    return _laid([read_options_layer(path)])


def read_options_layer(path: Path) -> Layer:
    """Read a file of options, each component as a table with a name.

    Raises:
        ConfigError: if it is missing or no TOML, or names no component where one belongs.
    """
    file = read_option_file(path, components=COMPONENTS)
    for key in file.values.keys() & set(COMPONENTS):
        if "name" not in file.values[key]:
            raise ConfigError(f'{path}: [{key}] needs a name, e.g. name = "cnn"')
    return file


def _laid(layers: Sequence[Layer]) -> dict[str, Any]:
    laid: dict[str, Any] = {}
    for layer in layers:
        laid = lay(laid, {key: value for key, value in layer.values.items() if key != "command"})
    return laid


def _no_options(kind: str, name: str) -> Any:
    from chimera_core.options.config import Config

    return Config, []
