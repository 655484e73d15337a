"""``--config FILE.toml``: a command's options in a file, as a run's ``config.toml`` records them.

    command = "fuse"
    parents = ["lion.jpg", "zebra.jpg"]
    seed = 3
    [fuser]
    name = "style-transfer"
    [fuser.options]
    iterations = 100

Keys are the command's own options, with _ for -, and one table ``{name, options}`` for each component.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from chimera_core.errors import ConfigError
from chimera_core.files import one_line
from chimera_core.layers import Layer
from chimera_core.options import suggest
from chimera_core.toml_files import TomlFile, read_toml

_NOT_IN_FILES = ("config", "as_json", "help")

config_option = click.option(
    "--config",
    type=click.Path(),
    help="Take options from a TOML file, e.g. a run's config.toml; flags go before it.",
)
"""Gives a command ``--config``; its parameter of that name need not be looked at."""


def config_layer(
    command: click.Command, ctx: click.Context, path: str | None, components: Sequence[str]
) -> Layer | None:
    """Read the file that ``--config`` names, check its keys, and make its values the command's defaults.

    Args:
        command: its options are the keys of the file.
        ctx: gets the file's values as defaults.
        path: the file; None: there is none.
        components: keys of the tables ``{name, options}``.
    Returns:
        What the file says.
    Raises:
        ConfigError: naming file, line and key.
    """
    if path is None or not any(p.name == "config" for p in command.params):
        return None
    file = read_toml(Path(path), what="config file")
    written = file.table.get("command", command.name)
    if written != command.name:
        raise ConfigError(
            f"{file.place(('command',))}: it is for `chimera {one_line(written)}`: give it to that"
        )
    own = {p.name: p for p in command.params if p.name and p.name not in _NOT_IN_FILES}
    defaults = {}
    for key, value in file.table.items():
        if key in components:
            defaults |= {key: _name_of(file, key, value)} if key in own else {}
        elif key in own:
            _check_type(file, own[key], value)
            defaults[key] = value
        elif key != "command":
            known = suggest(key, {*own, *components})
            raise ConfigError(f"{file.place((key,))}: there is no option '{one_line(key)}'{known}")
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return Layer(file.name, file.table, file.line_of)


def _name_of(file: TomlFile, key: str, value: Any) -> str | None:
    """Check a component's table, or its name alone."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{file.place((key,))}: {key} must be a name or a table with name and options")
    for inner, wanted in value.items():
        if inner not in ("name", "options"):
            raise ConfigError(
                f"{file.place((key, inner))}: {key}.{one_line(inner)} is unknown"
                + suggest(inner, ("name", "options"))
            )
        if not isinstance(wanted, str if inner == "name" else Mapping):
            raise ConfigError(
                f"{file.place((key, inner))}: {key}.{inner} must be a {'word' if inner == 'name' else 'table'}"
            )
    name = value.get("name")
    return None if name is None else str(name)


def _check_type(file: TomlFile, param: click.Parameter, value: Any) -> None:
    """Refuse what click would take for something else: true for the number 1, a table for its text."""
    takes_list = (
        param.multiple or param.nargs != 1 or param.type.name == "weights"
        if isinstance(param, click.Option)
        else param.nargs != 1
    )
    is_switch = isinstance(param, click.Option) and param.is_flag
    fits = isinstance(value, list) if takes_list else isinstance(value, (str, int, float))
    if not fits or isinstance(value, bool) != is_switch:
        wanted = "a list" if takes_list else "true or false" if is_switch else "one value"
        raise ConfigError(
            f"{file.place((str(param.name),))}: {param.name} must be {wanted}, but it is {one_line(repr(value), limit=80)}"
        )
