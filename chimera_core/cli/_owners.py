"""Whose an option is that the chosen component lacks: the message then names the component to choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from chimera_core.cli._host import plugin_host
from chimera_core.components.choice import look_up_options, option_layers
from chimera_core.components.flags import flags_of
from chimera_core.errors import ChimeraError
from chimera_core.plugins.discovery import Component, PluginHost

if TYPE_CHECKING:
    from chimera_core.cli._options import Selector

# So many owners are named; the others are counted.
_NAMED = 3


def name_owners(
    ctx: click.Context, selectors: Sequence[Selector], error: click.NoSuchOption
) -> click.NoSuchOption:
    """Give the error that says which component of a selector has the unknown option; else the error itself.

    Args:
        ctx: of the command.
        selectors: the command's.
        error: as click raised it.
    """
    host = plugin_host(ctx)
    for selector in selectors:
        owners = [
            component.spec.name
            for component in (host.components(selector.kind) if selector.flag else ())
            if error.option_name in _flag_names(host, component, selector.prefix)
        ]
        if owners:
            names = list(dict.fromkeys(owners))
            told = f"No such option '{error.option_name}': it belongs to {_listed(names)}; name "
            told += f"it with {selector.flag} {names[0]}" if len(names) == 1 else f"one with {selector.flag}"
            return click.NoSuchOption(error.option_name, told, ctx=error.ctx)
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
