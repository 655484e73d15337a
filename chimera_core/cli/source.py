"""``chimera source``: what data there is, a look at it, and packing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._progress import progress
from chimera_core.cli.parsing.command import ComponentCommand, Selector, component_values
from chimera_core.cli.parsing.groups import Group
from chimera_core.errors import DataError, RunError
from chimera_core.files.atomic import one_line, refuse_inputs

if TYPE_CHECKING:
    from chimera_core.data.blocks import Fit
    from chimera_core.interfaces.components import DatasetSource, Split

PREVIEW_TILE = 112
_SELECTOR = Selector("source", "dataset-source", "")


@click.group(cls=Group)
def source() -> None:
    """List data sets and look into them."""


@source.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def list_sources(ctx: click.Context, as_json: bool) -> None:
    """List the data sets, their licences, and whether they can be opened."""
    from chimera_core.data.preparing import state_of

    host = plugin_host(ctx)
    rows = []
    for component in host.components("dataset-source"):
        spec, (state, mend) = component.spec, state_of(host, component)
        rows.append(
            {
                "name": spec.name,
                "plugin": component.plugin,
                "summary": spec.summary,
                "licence": spec.licence or "of the images",
                "home_page": spec.home_page,
                "state": state,
                "mend": mend,
            }
        )
    if as_json:
        print_json(rows)
        return
    columns = ("name", "state", "licence", "summary")
    print_table(columns, [[row[column] for column in columns] for row in rows])
    for row in rows:
        if row["mend"]:
            click.echo(one_line(f"{row['name']}: {row['mend']}"))


@source.command(cls=ComponentCommand, selectors=[_SELECTOR])
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def info(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show classes, domains, splits and what cannot be read.

    NAME is a data set of `chimera source list`; give it first, then its options.
    """
    from chimera_core.data.checking import checked_info

    found = checked_info(_open(ctx, name))
    if as_json:
        print_json(
            {
                "name": found.name,
                "classes": list(found.classes),
                "domains": list(found.domains),
                "splits": dict(found.splits),
                "licence": found.licence,
                "home_page": found.home_page,
                "unreadable": list(found.unreadable),
            }
        )
        return
    for note in found.notes:
        click.echo(one_line(note))
    click.echo(one_line("splits: " + ", ".join(f"{split} {count}" for split, count in found.splits.items())))
    click.echo(one_line(f"classes ({len(found.classes)}): " + ", ".join(found.classes)))
    if found.domains:
        click.echo(one_line(f"domains ({len(found.domains)}): " + ", ".join(found.domains)))
    click.echo(one_line(f"licence: {found.licence}"))
    if found.unreadable:
        click.echo(f"{len(found.unreadable)} files cannot be read and are left out:")
        for line in found.unreadable:
            click.echo(f"  {one_line(line)}")


_size = click.option(
    "--size", type=int, default=64, show_default=True, help="Side of the packed squares in pixels."
)
_fit = click.option(
    "--fit",
    type=click.Choice(["crop", "stretch", "pad"]),
    default="crop",
    show_default=True,
    help="How an image becomes a square: its middle, all of it squeezed, or all of it with filled edges.",
)


@source.command(cls=ComponentCommand, selectors=[_SELECTOR])
@click.argument("name")
@_size
@_fit
@click.option(
    "--workers", type=click.IntRange(0, 256), help="Processes that decode.  [default: one per core]"
)
@click.option(
    "--max-gb",
    type=click.FloatRange(0, min_open=True),
    default=16.0,
    show_default=True,
    help="Refuse to write more.",
)
@click.option("--download", is_flag=True, help="Get the data first, where their host allows it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def prepare(
    ctx: click.Context,
    name: str,
    size: int,
    fit: Fit,
    workers: int | None,
    max_gb: float,
    download: bool,
    as_json: bool,
) -> None:
    """Decode a data set once into a packed cache, so that no training waits for it.

    NAME is a data set of `chimera source list`; give it first, then its options. If interrupted, it continues where it
    was; done, it costs nothing.
    """
    from chimera_core.cli._packing import print_packed
    from chimera_core.data import preparing

    request = preparing.plan_packing(
        plugin_host(ctx), name, component_values(ctx, "source"), size=size, fit=fit
    )
    if download:
        with progress(f"downloading {name}") as report:
            request.component.load_class().download(request.config, progress=report)  # type: ignore[attr-defined]
    with progress(f"packing {name}") as report:
        packed = preparing.prepare(request, workers=workers, max_gb=max_gb, progress=report)
    print_packed(packed, as_json=as_json)


@source.command(cls=ComponentCommand, selectors=[_SELECTOR])
@click.argument("name")
@_size
@_fit
@click.pass_context
def verify(ctx: click.Context, name: str, size: int, fit: Fit) -> None:
    """Read a packed cache through: is it what was written, and still what the data set holds?

    NAME is a data set of `chimera source list`; give it first, then its options. Exit code 1 where it is not.
    """
    from chimera_core.data import preparing

    request = preparing.plan_packing(
        plugin_host(ctx), name, component_values(ctx, "source"), size=size, fit=fit
    )
    packed, troubles = preparing.verify(request)
    for trouble in troubles:
        click.echo(trouble)
    if troubles or packed is None:
        raise RunError(
            f"{len(troubles)} faults in {request.folder}: run `chimera source prepare {name}` again"
        )
    click.echo(f"sound: {sum(map(len, packed.splits.values())):,} images in {packed.folder}")


@source.command(cls=ComponentCommand, selectors=[_SELECTOR])
@click.argument("name")
@click.option("--split", help="Split to use.  [default: the first]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Which images.")
@click.option("-o", "--output", default="preview.png", show_default=True, help="The picture to write.")
@click.pass_context
def preview(ctx: click.Context, name: str, split: str | None, seed: int, output: str) -> None:
    """Draw a 5 x 5 grid of images with their classes.

    NAME is a data set of `chimera source list`; give it first, then its options.
    """
    from chimera_core.images import check_output

    path: Path = check_output(output, (".png",))
    opened = _open(ctx, name)
    splits = opened.info.splits
    refuse_inputs([path], ((f"a picture of source {name}", f) for s in splits for f in opened.files(s)))
    _draw_preview(opened, split, seed, path)
    click.echo(str(path))


def _open(ctx: click.Context, name: str) -> DatasetSource:
    from chimera_core.components.by_name import open_source

    return open_source(name, **component_values(ctx, "source"))


def _draw_preview(opened: DatasetSource, split: str | None, seed: int, path: Path) -> None:
    """Draw 25 images, shared out among the classes as evenly as they allow."""
    import torch

    from chimera_core.images import write_png
    from chimera_core.images.pixels import from_uint8, middle_square, resize_shorter, to_uint8
    from chimera_core.images.sheet import grid

    found = opened.info
    if not found.splits:
        raise DataError(f"source {found.name} has no split with images: `chimera source info` says why")
    images = opened.open(split or next(iter(found.splits)))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator).tolist()
    taken: dict[int, int] = {}
    rank = {}
    for index in order:  # the k-th image of its class ranks k: every class shows before any shows twice
        label = images.labels[index]
        rank[index] = taken[label] = taken.get(label, 0) + 1
    tiles, captions = [], []
    for index in _readable(images, sorted(order, key=lambda index: rank[index]), 25):
        example = images[index]
        tiles.append(
            to_uint8(middle_square(resize_shorter(from_uint8(example.image.permute(1, 2, 0)), PREVIEW_TILE)))
        )
        domain = f" · {found.domains[example.domain]}" if found.domains else ""
        captions.append(found.classes[example.label] + domain)
    rows = [tiles[k : k + 5] for k in range(0, len(tiles), 5)]
    write_png(path, grid(rows, captions=[captions[k : k + 5] for k in range(0, len(captions), 5)]))


def _readable(images: Split, order: list[int], count: int) -> list[int]:
    """Take the first images of an order that can be read, sorted by class; say which cannot."""
    chosen: list[int] = []
    for index in order:
        try:
            images[index]
        except DataError as error:
            click.echo(f"left out: {one_line(error)}", err=True)
            continue
        chosen.append(index)
        if len(chosen) == count:
            break
    if not chosen:
        raise DataError("not one image can be read")
    return sorted(chosen, key=lambda index: images.labels[index])
