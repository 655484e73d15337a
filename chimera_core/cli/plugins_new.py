"""``chimera plugins new``: write the package of a new plugin."""

from __future__ import annotations

from pathlib import Path

import click

from chimera_core.cli._host import plugin_host
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.plugins import licences
from chimera_core.plugins.discovery import PluginHost
from chimera_core.plugins.new_package import EXAMPLES, check_name, package_files, write_package


@click.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(EXAMPLES)), required=True, help="What it offers.")
@click.option(
    "--licence",
    type=click.Choice(licences.NAMES),
    default="none",
    show_default=True,
    help="What others may do with it; none keeps all rights.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where to write it.  [default: ./chimera-NAME]"
)
@click.pass_context
def new(ctx: click.Context, name: str, kind: str, licence: str, folder: Path | None) -> None:
    """Write the package of a new plugin. NAME is what users will type, such as my-fuser.

    It is a small component that works, with tests of all that Chimera promises, a README and a workflow for GitHub
    Actions: install it, and change it into yours. Nothing is overwritten.
    """
    words = check_name(name)
    _refuse_taken(words.kebab, plugin_host(ctx))
    files = package_files(words, kind=kind, licence=licence)
    folder = folder or Path(words.distribution)
    write_package(folder, files)
    click.echo(
        one_line(f"wrote {folder}: {len(files)} files; {EXAMPLES[kind]} is the example that it was made from")
    )
    click.echo(one_line(f"  cd {folder}"))
    click.echo("  pip install -e '.[test]'")
    click.echo("  pytest")
    click.echo(f"  chimera plugins check {words.kebab} --deep")
    if licence == "none":
        click.echo("It has no licence: give it one before you publish it, such as --licence MIT.")


def _refuse_taken(name: str, host: PluginHost) -> None:
    """Refuse a name that users would have to write with its plugin before it."""
    owners = {c.spec.name: c.plugin for c in host.components()} | {r.name: r.name for r in host.records}
    if name in owners:
        raise ConfigError(
            f"'{name}' is a name that plugin {owners[name]} has: choose another one, or users must write plugin:name"
        )
