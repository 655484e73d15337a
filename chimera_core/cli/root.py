"""The root command: lazy subcommands, and errors as one line."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from chimera_core import __version__
from chimera_core.cli.parsing.groups import Group
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.atomic import disk_trouble, one_line, quote
from chimera_core.options.config import suggest

# By the section of help. Each is the attribute of its own name in the module of its name.
_COMMANDS = {
    "demo": "Make",
    "fuse": "Make",
    "studio": "Make",
    "score": "Measure",
    "compare": "Measure",
    "report": "Measure",
    "encoder": "Train",
    "fuser": "Train",
    "source": "Look",
    "library": "Look",
    "plugins": "Look",
    "runs": "Look",
    "doctor": "Look",
    "x": "Look",
}


class _Root(Group):
    def section_of(self, name: str) -> str:
        return _COMMANDS[name]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"chimera_core.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            raise ConfigError(f"there is no command '{args[0]}'" + suggest(args[0], _COMMANDS))
        return super().resolve_command(ctx, args)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="chimera")
@click.option(
    "--registry",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Your registry.toml, which adds to the shipped one and overrides it; of several, each overrides those before.",
)
@click.pass_context
def root(ctx: click.Context, registry: tuple[Path, ...]) -> None:
    """Fuse animals in images, without diffusion models.

    Start with `chimera demo`, then `chimera fuse lion.jpg zebra.jpg -o out.png`.
    """
    from chimera_core.plugins.discovery import registry_files

    token = registry_files.set(registry)
    ctx.call_on_close(lambda: registry_files.reset(token))


def run(args: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code; expected errors become one line on stderr."""
    try:
        # standalone_mode=False returns the code of ctx.exit (--help, --version) instead of raising SystemExit.
        result = root.main(
            list(args) if args is not None else None, prog_name="chimera", standalone_mode=False
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except ChimeraError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            return 2
        return _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except BrokenPipeError:  # `chimera ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # Most places only ask whether a path is there, and the system refuses even the question. A name of such a
        # length is a mistake of whoever typed it, wherever it is met.
        if error.errno != errno.ENAMETOOLONG:
            raise
        return _fail(f"{quote(one_line(error.filename, limit=60))}: {disk_trouble(error)}", 2)


def _fail(message: str, code: int) -> int:
    print("chimera: " + " ".join(message.split()), file=sys.stderr)
    return code
