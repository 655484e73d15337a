"""Groups of commands: their list in help is cut at no column, and may be in sections."""

from __future__ import annotations

import click


class Group(click.Group):
    """A group whose help gives the first sentence of every command whole."""

    def section_of(self, name: str) -> str:
        """Name the section in which help lists a command."""
        return "Commands"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, in their sections."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.setdefault(self.section_of(name), []).append(
                    (name, command.get_short_help_str(limit=1000))
                )
        for section, commands in rows.items():
            with formatter.section(section):
                formatter.write_dl(commands)
