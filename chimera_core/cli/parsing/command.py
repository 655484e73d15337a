"""Commands whose options depend on the components that they name.

The arguments are looked through once for the names (``--fuser X``, ``--encoder Y``, ``source info NAME``) and for
``--config FILE.toml``, which says the same in TOML; then the components' options become real click options, typed
and documented, before click parses the line. Order: default < registry < preset < file < flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli.parsing.config_file import (
    ConfigCommand,
    check_name,
    component_in_file,
    given,
    read_config,
    value_in_file,
)
from chimera_core.cli.parsing.options import FlagOption
from chimera_core.components.choice import check_options, look_up_options, option_layers
from chimera_core.components.trained import find_trained
from chimera_core.downloads.hub_files import local_hub_file
from chimera_core.errors import ChimeraError, ConfigError, PluginError
from chimera_core.options.flags import Flag, flags_of
from chimera_core.options.layers import Layer, merge
from chimera_core.plugins.discovery import Component, PluginHost
from chimera_core.plugins.entries import HUB

if TYPE_CHECKING:
    from chimera_core.models.fusers import TrainedFuser

# So many owners of an option are named; the others are counted.
_NAMED = 3


@dataclass(frozen=True)
class Selector:
    """How a command line names one component.

    ``flag`` is ``--fuser`` or, for the first argument, an empty string. The component's options appear with
    ``prefix``; ``preset_flag`` names the option that picks its preset, where the command has one; ``preset`` is the
    one that the default component has without it. ``may_be_trained``: the name may be a trained fuser's, whose
    component's options appear, with the values that it was trained with.
    """

    key: str
    kind: str
    flag: str
    default: str | None = None
    prefix: str = ""
    preset_flag: str = ""
    preset: str | None = None
    may_be_trained: bool = False


class ComponentCommand(ConfigCommand):
    """A click command with the options of the components that its selectors name."""

    def __init__(self, *args: Any, selectors: Sequence[Selector] = (), **kwargs: Any) -> None:
        super().__init__(*args, components=[s.key for s in selectors], **kwargs)
        self.selectors = selectors

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the components and the file first, then parse."""
        read_config(self, ctx, args)
        ctx.meta["chimera.values"] = {selector.key: {} for selector in self.selectors}
        ctx.meta["chimera.sections"] = [
            section for s in self.selectors if (section := _section(self, ctx, s, args)) is not None
        ]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _name_owners(ctx, self.selectors, error) from None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Put the components' options before ``--help``."""
        params = super().get_params(ctx)
        dynamic = [p for _, options in ctx.meta.get("chimera.sections", []) for p in options]
        return [*params[:-1], *dynamic, params[-1]] if dynamic else params

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Give each component's options a section of their own."""
        dynamic = {id(p) for _, options in ctx.meta.get("chimera.sections", []) for p in options}
        own = [p for p in self.get_params(ctx) if id(p) not in dynamic]
        _write_section(ctx, formatter, "Options", own)
        for title, options in ctx.meta.get("chimera.sections", []):
            _write_section(ctx, formatter, title, options)


def component_values(ctx: click.Context, key: str) -> dict[str, Any]:
    """Give the options that file and flags set for the component of one selector, nested as its config wants them."""
    values: dict[str, Any] = ctx.meta["chimera.values"][key]
    return merge(ctx.meta.get("chimera.file-values", {}).get(key, {}), values)


def _section(
    command: click.Command, ctx: click.Context, selector: Selector, args: Sequence[str]
) -> tuple[str, list[click.Option]] | None:
    file_layer = component_in_file(ctx, selector.key)
    name = first_argument(command, ctx, args) if not selector.flag else given(args, selector.flag)
    host = plugin_host(ctx)
    if name is None and file_layer is not None and "name" in file_layer.values:
        name = file_layer.values["name"]
        if _find_trained(host, selector, name) is None:
            check_name(host, selector.kind, file_layer)
    name = name or selector.default
    if name is None or (name.startswith(HUB) and not _is_for_use(ctx, name, args)):
        return None
    if found := _find_trained(host, selector, name):
        if file_layer is not None and file_layer.values.get("name", name) == name:
            ctx.meta.setdefault("chimera.file-values", {})[selector.key] = file_layer.inside("options").values
        below = [Layer(str(found), found.header.options)]
        try:
            flags = _flags(command, ctx, selector, found.component, below, args)
        except PluginError:
            found.with_options(host)  # says it well if what is missing is an encoder that it was trained with
            raise
        return f"Options of {found}", [
            FlagOption(flag=flag, keep=_keep_under(selector.key)) for flag in flags
        ]
    component = host.find(selector.kind, name)
    # Naming another component on the line leaves what the file says of its own to that one.
    is_of_file = (
        file_layer is not None
        and host.find(selector.kind, file_layer.values.get("name") or name) == component
    )
    preset = given(args, selector.preset_flag) or value_in_file(ctx, selector.preset_flag)
    if preset is None and file_layer is not None and is_of_file and file_layer.values.get("preset"):
        preset = str(file_layer.values["preset"])
        _use_preset(command, ctx, selector, preset, place=file_layer.place(("preset",)))
    if preset is None and selector.preset and selector.default:
        preset = selector.preset if host.find(selector.kind, selector.default) == component else None
    below = option_layers(component, host, preset)
    if file_layer is not None and is_of_file:
        written = file_layer.inside("options")
        check_options(component, host, written)
        ctx.meta.setdefault("chimera.file-values", {})[selector.key] = written.values
        below.append(written)
    flags = _flags(command, ctx, selector, component, below, args)
    if not selector.flag and not selector.prefix:
        # Plain is right where the command is about this component; who writes --source.root as elsewhere is understood.
        start = f"--{selector.key}."
        flags += [
            replace(f, name=start + f.name[2:], hidden=True) for f in flags if not f.name.startswith(start)
        ]
    options: list[click.Option] = [FlagOption(flag=flag, keep=_keep_under(selector.key)) for flag in flags]
    where = f" ({selector.flag})" if selector.flag else ""
    return f"Options of {component.spec.name}{where}", options


def _use_preset(
    command: click.Command, ctx: click.Context, selector: Selector, preset: str, *, place: str
) -> None:
    """Take a preset from a component's table in a file for the option that picks it, if the line does not.

    Raises:
        ConfigError: if the component takes none here.
    """
    params = [p for p in command.params if selector.preset_flag and selector.preset_flag in p.opts]
    if not params:
        raise ConfigError(f"{place}: {selector.key} takes no preset here: leave it out")
    ctx.default_map = {**(ctx.default_map or {}), str(params[0].name): preset}


def _is_for_use(ctx: click.Context, address: str, args: Sequence[str]) -> bool:
    """Say whether what a file of the hub says of itself is wanted now: help alone fetches nothing."""
    if not set(args) & set(ctx.help_option_names):
        return True
    return local_hub_file(address, plugin_host(ctx).settings.path("assets")) is not None


def _find_trained(host: PluginHost, selector: Selector, name: str) -> TrainedFuser | None:
    if not selector.may_be_trained or find_trained(host, selector.kind, name) is None:
        return None
    from chimera_core.models.fusers import find_trained_fuser

    return find_trained_fuser(host, name)


def _flags(
    command: click.Command,
    ctx: click.Context,
    selector: Selector,
    component: Component,
    below: Sequence[Layer],
    args: Sequence[str],
) -> list[Flag]:
    host = plugin_host(ctx)
    taken = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    flags: list[Flag] = []
    for _ in range(4):  # a named component may name another: look again until nothing new appears
        layers = [*below, Layer("the command line", _named_by(args, flags))]
        found = flags_of(
            component.spec.config, layers=layers, look_up=look_up_options(host), prefix=selector.prefix
        )
        # The command's own --seed and --size stay its own; the component's are told apart by a prefix.
        found = [replace(f, name=f"--{selector.key}.{f.name[2:]}") if f.name in taken else f for f in found]
        if [f.name for f in found] == [f.name for f in flags]:
            return found
        flags = found
    return flags


def _keep_under(key: str) -> Callable[[click.Context, Flag, Any], None]:
    """Keep the values of a component's options nested as its config wants them."""

    def keep(ctx: click.Context, flag: Flag, value: Any) -> None:
        layer: dict[str, Any] = ctx.meta["chimera.values"][key]
        for part in flag.path[:-1]:
            if not isinstance(layer.get(part), dict):
                layer[part] = {"name": layer[part]} if isinstance(layer.get(part), str) else {}
            layer = layer[part]
        if isinstance(layer.get(flag.path[-1]), dict):
            layer[flag.path[-1]]["name"] = value
        else:
            layer[flag.path[-1]] = value

    return keep


def _named_by(args: Sequence[str], flags: Sequence[Flag]) -> dict[str, Any]:
    """Collect which components the line names through reference flags such as ``--encoder``."""
    values: dict[str, Any] = {}
    for flag in flags:
        if flag.form == "reference" and (name := given(args, flag.name)) is not None:
            layer = values
            for part in flag.path[:-1]:
                layer = layer.setdefault(part, {})
            layer[flag.path[-1]] = {"name": name}
    return values


def first_argument(command: click.Command, ctx: click.Context, args: Sequence[str]) -> str | None:
    """Find the first word that is no option and no option's value."""
    options = [p for p in command.params if isinstance(p, click.Option)]
    flags = {name for p in options if p.is_flag for name in (*p.opts, *p.secondary_opts)}
    flags.update(ctx.help_option_names)
    skip = False
    for arg in args:
        if skip:
            skip = False
        elif not arg.startswith("-"):
            return arg
        else:
            # The options of the component are not known yet: one that is unknown is taken to have a value.
            skip = arg not in flags and "=" not in arg
    return None


def _write_section(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, params: Sequence[click.Parameter]
) -> None:
    options = [p for p in params if isinstance(p, click.Option)]
    records = [record for p in options if (record := p.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def _name_owners(
    ctx: click.Context, selectors: Sequence[Selector], error: click.NoSuchOption
) -> click.NoSuchOption:
    """Give the error that says which component of a selector has the unknown option; else the error itself."""
    host = plugin_host(ctx)
    for selector in selectors:
        owners = [
            component.spec.name
            for component in (host.components(selector.kind) if selector.flag else ())
            if error.option_name in _flag_names(host, component, selector.prefix)
        ]
        if owners:
            names = list(dict.fromkeys(owners))
            message = f"No such option '{error.option_name}': it belongs to {_listed(names)}; name "
            message += (
                f"it with {selector.flag} {names[0]}" if len(names) == 1 else f"one with {selector.flag}"
            )
            return click.NoSuchOption(error.option_name, message, ctx=error.ctx)
    return error


def _flag_names(host: PluginHost, component: Component, prefix: str) -> Iterator[str]:
    try:
        flags = flags_of(
            component.spec.config,
            layers=option_layers(component, host, None),
            look_up=look_up_options(host),
            prefix=prefix,
        )
    except ChimeraError:  # names what is not there, or the registry is wrong about it: not asked for here
        return
    for flag in flags:
        yield flag.name
        if flag.type is bool:
            yield f"--no-{flag.name[2:]}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
