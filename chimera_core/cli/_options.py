"""Commands whose options depend on the components that they name.

The arguments are looked through once for the names (``--fuser X``, ``--encoder Y``, ``source info NAME``);
then the components' options become real click options, typed and documented, before click parses the line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.errors import ConfigError
from chimera_core.options import ComponentRef, Flag, flags_of, merge
from chimera_core.use import config_of, layered_options


@dataclass(frozen=True)
class Selector:
    """How a command line names one component.

    ``flag`` is ``--fuser`` or, for the first argument, an empty string. The component's options appear with
    ``prefix``; ``preset_flag`` names the option that picks its preset, where the command has one.
    """

    key: str
    kind: str
    flag: str
    default: str | None = None
    prefix: str = ""
    preset_flag: str = ""


class ComponentCommand(click.Command):
    """A click command with the options of the components that its selectors name."""

    def __init__(self, *args: Any, selectors: Sequence[Selector] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.selectors = selectors

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["chimera.values"] = {selector.key: {} for selector in self.selectors}
        ctx.meta["chimera.sections"] = [
            section for s in self.selectors if (section := _section(self, ctx, s, args)) is not None
        ]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        dynamic = [p for _, options in ctx.meta.get("chimera.sections", []) for p in options]
        return [*params[:-1], *dynamic, params[-1]] if dynamic else params

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        dynamic = {id(p) for _, options in ctx.meta.get("chimera.sections", []) for p in options}
        own = [p for p in self.get_params(ctx) if id(p) not in dynamic]
        _write_section(ctx, formatter, "Options", own)
        for title, options in ctx.meta.get("chimera.sections", []):
            _write_section(ctx, formatter, title, options)


def component_values(ctx: click.Context, key: str) -> dict[str, Any]:
    """Give the options that the user set for the component of one selector, nested as its config wants them."""
    values: dict[str, Any] = ctx.meta["chimera.values"][key]
    return values


def parse_weights(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Turn ``.5,.5`` into numbers."""
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise ConfigError(f"weights '{value}' are no numbers: write them as .7,.3") from None


def _section(
    command: click.Command, ctx: click.Context, selector: Selector, args: Sequence[str]
) -> tuple[str, list[click.Option]] | None:
    name = _first_argument(command, ctx, args) if not selector.flag else _given(args, selector.flag)
    name = name or selector.default
    if name is None:
        return None
    host = plugin_host(ctx)
    component = host.find(selector.kind, name)
    preset = _given(args, selector.preset_flag) if selector.preset_flag else None
    below = layered_options(component, host, preset)
    merged: Mapping[str, Any] = below
    flags: list[Flag] = []
    for _ in range(4):  # a named component may name another: look again until nothing new appears
        found = flags_of(
            component.spec.config, values=merged, config_of=config_of(host), prefix=selector.prefix
        )
        if [f.name for f in found] == [f.name for f in flags]:
            break
        flags = found
        merged = merge(below, _named_by(args, flags))
    options = [_click_option(flag, selector) for flag in flags]
    where = f" ({selector.flag})" if selector.flag else ""
    return f"Options of {component.spec.name}{where}", options


def _click_option(flag: Flag, selector: Selector) -> click.Option:
    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is None or value == ():
            return
        layer: dict[str, Any] = ctx.meta["chimera.values"][selector.key]
        for part in flag.path[:-1]:
            if not isinstance(layer.get(part), dict):
                layer[part] = {"name": layer[part]} if isinstance(layer.get(part), str) else {}
            layer = layer[part]
        value = list(value) if flag.multiple else value
        if isinstance(layer.get(flag.path[-1]), dict):
            layer[flag.path[-1]]["name"] = value
        else:
            layer[flag.path[-1]] = value

    note = _shown(flag.value)
    declaration = f"{flag.name}/--no-{flag.name[2:]}" if flag.type is bool else flag.name
    return click.Option(
        [declaration, "option_" + "__".join((selector.key, *flag.path))],
        type=None if flag.type is bool else _click_type(flag),
        default=None,
        multiple=flag.multiple,
        expose_value=False,
        callback=keep,
        help=flag.help + (f"  [{note}]" if note else ""),
    )


def _click_type(flag: Flag) -> click.ParamType[Any]:
    if flag.choices is not None:
        return click.Choice(flag.choices)
    if flag.type is int:
        return click.IntRange(
            _as_int(flag.minimum),
            _as_int(flag.maximum),
            min_open=flag.open_minimum,
            max_open=flag.open_maximum,
        )
    if flag.type is float:
        return click.FloatRange(
            flag.minimum, flag.maximum, min_open=flag.open_minimum, max_open=flag.open_maximum
        )
    return click.STRING


def _as_int(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _shown(value: Any) -> str:
    """Say which value is in force, as help shows it."""
    from pydantic_core import PydanticUndefined

    if value is PydanticUndefined:
        return "required"
    if value is None or value in ((), {}, ""):
        return ""
    if isinstance(value, ComponentRef):
        value = value.name
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        value = ", ".join(str(v) for v in value)
    return f"default: {value}"


def _given(args: Sequence[str], flag: str) -> str | None:
    """Find the last value given for a flag, as ``--flag value`` or ``--flag=value``."""
    value = None
    for index, arg in enumerate(args):
        if arg == "--":
            break
        if arg == flag and index + 1 < len(args):
            value = args[index + 1]
        elif arg.startswith(flag + "="):
            value = arg.partition("=")[2]
    return value


def _named_by(args: Sequence[str], flags: Sequence[Flag]) -> dict[str, Any]:
    """Collect which components the line names through reference flags such as ``--encoder``."""
    values: dict[str, Any] = {}
    references = {f.path[:-2] for f in flags if len(f.path) > 2}
    for flag in flags:
        if flag.path in references and (name := _given(args, flag.name)) is not None:
            layer = values
            for part in flag.path[:-1]:
                layer = layer.setdefault(part, {})
            layer[flag.path[-1]] = {"name": name}
    return values


def _first_argument(command: click.Command, ctx: click.Context, args: Sequence[str]) -> str | None:
    """Find the first word that is no option and no option's value."""
    takes_value = {
        name
        for p in command.params
        if isinstance(p, click.Option) and not p.is_flag
        for name in (*p.opts, *p.secondary_opts)
    }
    skip = False
    for arg in args:
        if skip:
            skip = False
        elif arg in takes_value:
            skip = True
        elif not arg.startswith("-"):
            return arg
        # The options of the component are not known yet: put the name first.
    return None


def _write_section(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, params: Sequence[click.Parameter]
) -> None:
    options = [p for p in params if isinstance(p, click.Option)]
    records = [record for p in options if (record := p.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
