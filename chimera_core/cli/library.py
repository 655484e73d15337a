"""``chimera library``: pictures of animals by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._pictures import fetch_pictures
from chimera_core.cli.parsing.groups import Group
from chimera_core.errors import ConfigError
from chimera_core.library.fetching import DEFAULT_COUNT
from chimera_core.library.folder import Library
from chimera_core.library.lookup import Names, unknown_name
from chimera_core.library.records import PictureRecord

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")


@click.group(cls=Group)
def library() -> None:
    """Keep pictures of animals by name, for `chimera fuse cat eagle`."""


@library.command("list")
@_json
@click.pass_context
def list_names(ctx: click.Context, as_json: bool) -> None:
    """List the names that have pictures: in your library, and in collections on this machine."""
    host = plugin_host(ctx)
    rows = [
        {"name": name, "collection": place.key, "pictures": len(files)} for place, name, files in Names(host)
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']:<30} {row['pictures']:>4}  {row['collection']}")
    root = host.settings.path("library")
    click.echo(f"{len(rows)} names; your library is {root}", err=True)


@library.command()
@click.argument("name")
@_json
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show the pictures that `chimera fuse` chooses from for NAME, with their terms."""
    names = Names(plugin_host(ctx))
    match = names.match(name)
    if match is None:
        raise unknown_name(name, names)
    rows: list[dict[str, Any]] = []
    for found, files in match.pictures.items():
        for file in files:
            try:
                record = match.place.record(file)
            except ConfigError as error:
                click.echo(f"its terms are not known: {error}", err=True)
                record = PictureRecord()
            rows.append(
                {
                    "name": found,
                    "file": str(file),
                    "collection": match.place.key,
                    "licence": record.licence,
                    "attribution": record.attribution,
                    "source": record.source,
                    "original": record.original,
                    "added": record.added,
                }
            )
    if as_json:
        print_json(rows)
        return
    columns = ("name", "collection", "file", "licence", "attribution", "source")
    print_table(columns, [[Path(row[c]).name if c == "file" else row[c] for c in columns] for row in rows])


@library.command()
@click.argument("name")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--licence", default="", help="The terms they come under, e.g. CC-BY-4.0.")
@click.option("--attribution", default="", help="Whom to name.")
@click.option("--from", "source", default="", help="Address of the page they are from.")
@click.pass_context
def add(
    ctx: click.Context, name: str, files: Sequence[str], licence: str, attribution: str, source: str
) -> None:
    """Copy pictures into your library, as NAME."""
    own = _library(ctx)
    record = PictureRecord(licence=licence, attribution=attribution, source=source)
    for file in files:
        click.echo(str(own.add(name, file, record)))


@library.command()
@click.argument("name")
@click.argument("file", required=False)
@click.pass_context
def remove(ctx: click.Context, name: str, file: str | None) -> None:
    """Remove the pictures of NAME from your library, or only FILE of them."""
    for picture in _library(ctx).remove(name, file):
        click.echo(f"removed {picture}")


@library.command()
@click.argument("name")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 200),
    default=DEFAULT_COUNT,
    show_default=True,
    help="How many pictures.",
)
@click.pass_context
def fetch(ctx: click.Context, name: str, count: int) -> None:
    """Fetch free pictures of NAME from iNaturalist into your library, with their licences."""
    for picture in fetch_pictures(name, plugin_host(ctx), count=count):
        click.echo(str(picture))


def _library(ctx: click.Context) -> Library:
    return Library(plugin_host(ctx).settings.path("library"))
