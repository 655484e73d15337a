"""``--config FILE.toml``: a command's options in a file, as a run's ``config.toml`` records them.

    command = "fuse"
    parents = ["lion.jpg", "zebra.jpg"]
    seed = 3
    [fuser]
    name = "style-transfer"
    preset = "report-style"
    [fuser.options]
    iterations = 100

Keys are the command's own options, with _ for -, and one table ``{name, preset, options}`` for each component. Files of
trainings are of this form, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli.parsing.options import WEIGHTS
from chimera_core.errors import ConfigError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.options.config import suggest
from chimera_core.options.layers import Layer
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.config import open_config

_FILE = "chimera.config-file"
_NOT_IN_FILES = ("config", "json", "help")

config_option = click.option(
    "--config",
    type=click.Path(),
    help="Read options from a TOML file, such as a run's config.toml; command-line flags override it.",
)
"""Gives a command ``--config``; its parameter of that name need not be looked at."""


class ConfigCommand(click.Command):
    """A click command that takes ``--config``. ``components`` are the keys of tables ``{name, preset, options}``."""

    def __init__(self, *args: Any, components: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.components = components

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the file first; what click refuses of it is named with its line."""
        read_config(self, ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            param, file = error.param, ctx.meta[_FILE]
            from_file = click.core.ParameterSource.DEFAULT_MAP
            if file is None or param is None or ctx.get_parameter_source(str(param.name)) != from_file:
                raise
            raise ConfigError(
                f"{file.place((file_key(param),))}: {file_key(param)}: {error.message}"
            ) from None


@dataclass(frozen=True)
class FileComponent:
    """A component named in a file, with its options checked."""

    name: str
    options: Mapping[str, Any]
    preset: str | None = None


def file_component(ctx: click.Context, key: str, kind: str, *, default: str) -> FileComponent:
    """Give the component that the file names under ``key``, or the default one, for commands without its flags.

    Raises:
        ConfigError, PluginError: for a wrong name or option, with file and line.
    """
    from chimera_core.components.choice import check_options

    layer = component_in_file(ctx, key)
    if layer is None:
        return FileComponent(default, {})
    host, name = plugin_host(ctx), layer.values.get("name") or default
    if "name" in layer.values:
        check_name(host, kind, layer)
    check_options(host.find(kind, name), host, layer.inside("options"))
    return FileComponent(name, layer.inside("options").values, layer.values.get("preset"))


def component_in_file(ctx: click.Context, key: str) -> Layer | None:
    """Give the file's table ``{name, preset, options}`` for a component."""
    file: Layer | None = ctx.meta[_FILE]
    if file is None or key not in file.values:
        return None
    return file.inside(key)


def check_name(host: PluginHost, kind: str, layer: Layer) -> None:
    """Check that there is the component that a file names.

    Raises:
        PluginError: if not, with file and line.
    """
    try:
        host.find(kind, layer.values["name"])
    except PluginError as error:
        raise PluginError(f"{layer.place(('name',))}: {error}") from None


def value_in_file(ctx: click.Context, flag: str) -> Any:
    """Give what the file says for an option of the command; None if it says nothing."""
    file: Layer | None = ctx.meta[_FILE]
    return file.values.get(flag.strip("-").replace("-", "_")) if file is not None else None


def use_file(ctx: click.Context, file: Layer | None) -> None:
    """Let a command take components, and what it says of them, from a file that was read already."""
    ctx.meta[_FILE] = file


def check_command(file: Layer, ctx: click.Context) -> None:
    """Refuse a file that is for another command.

    Raises:
        ConfigError: naming file and line.
    """
    name = " ".join(ctx.command_path.split()[1:])
    if (written := file.values.get("command", name)) != name:
        raise ConfigError(
            f"{file.place(('command',))}: it is for `chimera {one_line(written)}`: give it to that"
        )


def given(args: Sequence[str], flag: str) -> str | None:
    """Find the last value given for a flag, as ``--flag value`` or ``--flag=value``."""
    value = None
    for index, arg in enumerate(args if flag else ()):
        if arg == "--":
            break
        if arg == flag and index + 1 < len(args):
            value = args[index + 1]
        elif arg.startswith(flag + "="):
            value = arg.partition("=")[2]
    return value


def read_option_file(path: Path, *, components: Iterable[str]) -> Layer:
    """Read a file of options; relative paths are looked for beside it, too.

    Args:
        path: of the file.
        components: keys of components. A word there is the name: it becomes a table ``{name, preset, options}``.
    Raises:
        ConfigError: if it is missing, no TOML, or a component's table holds what it does not take, with the line.
    """
    toml = open_config(path)
    file = Layer(toml.name, toml.table, toml.line_of)
    for key in file.values.keys() & set(components):
        if isinstance(toml.table[key], str):
            toml.table[key] = {"name": toml.table[key]}
        _check_component(file, key, toml.table[key])
    return file


def read_config(command: ConfigCommand, ctx: click.Context, args: Sequence[str]) -> None:
    """Read the file that ``--config`` names, once; check its keys and make its values the command's defaults.

    Raises:
        ConfigError: naming file, line and key.
    """
    if _FILE in ctx.meta:
        return
    ctx.meta[_FILE] = None
    path = given(args, "--config") if any(p.name == "config" for p in command.params) else None
    if path is None:
        return
    components = command.components
    file = ctx.meta[_FILE] = read_option_file(Path(path), components=components)
    check_command(file, ctx)
    own = {file_key(p): p for p in command.params if file_key(p) not in _NOT_IN_FILES}
    defaults: dict[str, Any] = {}
    for key, value in file.values.items():
        if key in components:
            value = value.get("name")
        elif key in own:
            _check_type(file, key, own[key], value)
        elif key != "command":
            known = suggest(key, {*own, *components})
            raise ConfigError(f"{file.place((key,))}: there is no option '{one_line(key)}'{known}")
        if key in own and value is not None:
            defaults[str(own[key].name)] = value
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def file_key(param: click.Parameter) -> str:
    """Name a parameter as files do: its long option with _ for -, or the name of an argument."""
    longest = max(param.opts, key=len) if isinstance(param, click.Option) else str(param.name)
    return longest.lstrip("-").replace("-", "_")


def _check_component(file: Layer, key: str, value: Any) -> None:
    """Check the table of a component, but for its options."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{file.place((key,))}: {key} must be a name or a table with name and options")
    for inner, wanted in value.items():
        if inner not in ("name", "preset", "options"):
            raise ConfigError(
                f"{file.place((key, inner))}: {key}.{one_line(inner)} is unknown"
                + suggest(inner, ("name", "preset", "options"))
            )
        if not isinstance(wanted, Mapping if inner == "options" else str):
            raise ConfigError(
                f"{file.place((key, inner))}: {key}.{inner} must be a {'table' if inner == 'options' else 'word'}"
            )


def _check_type(file: Layer, key: str, param: click.Parameter, value: Any) -> None:
    """Refuse what click would take for something else: true for the number 1, a table for its text."""
    is_switch = isinstance(param, click.Option) and param.is_flag
    takes_list = param.nargs != 1 or getattr(param, "multiple", False) or param.type is WEIGHTS
    fits = isinstance(value, list) if takes_list else isinstance(value, (str, int, float))
    if not fits or isinstance(value, bool) != is_switch:
        wanted = "a list" if takes_list else "true or false" if is_switch else "one value"
        met = one_line(repr(value), limit=80)
        raise ConfigError(f"{file.place((key,))}: {key} must be {wanted}, but it is {met}")
