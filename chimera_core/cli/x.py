"""``chimera x``: the commands of plugins."""

from __future__ import annotations

from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.errors import ConfigError
from chimera_core.options.config import suggest

_KIND = "command"


class _Commands(click.Group):
    """Finds commands among the components of plugins; one is imported when it is called or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        host = plugin_host(ctx, report_broken=False)
        found = host.components(_KIND)
        return sorted(c.spec.name if len(host.namesakes(c)) == 1 else c.full_name for c in found)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        host = plugin_host(ctx, report_broken=False)
        if not host.has(_KIND, cmd_name) and ":" not in cmd_name:
            names = self.list_commands(ctx)
            hint = suggest(cmd_name, names) or ": no plugin that is installed brings one"
            raise ConfigError(f"there is no command 'x {cmd_name}'{hint}")
        command: click.Command = host.find(_KIND, cmd_name).load_target()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        host = plugin_host(ctx, report_broken=False)
        rows = [(name, host.find(_KIND, name).spec.summary) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows or [("(none)", "no plugin that is installed brings a command")])


@click.group(cls=_Commands)
def x(**_: Any) -> None:
    """Run a command that a plugin brings."""
