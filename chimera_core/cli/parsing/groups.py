"""Groups of commands: their list in help is cut at no column, and may be in sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click


class Group(click.Group):
    """A group whose help gives the first sentence of every command whole.

    ``sections`` are titles with the names of the commands below each; without, there is one list.
    """

    sections: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, in their sections."""
        for title, names in (self.sections or {"Commands": tuple(self.list_commands(ctx))}).items():
            commands = {name: self.get_command(ctx, name) for name in names}
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(limit=1000))
                        for name, command in commands.items()
                        if command is not None and not command.hidden
                    ]
                )
