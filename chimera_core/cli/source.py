"""``chimera source``: what data there is, and a look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._options import ComponentCommand, Selector, component_values
from chimera_core.cli._output import print_json, print_table

if TYPE_CHECKING:
    from chimera_core.interfaces import DatasetSource

PREVIEW_TILE = 112
_SELECTOR = Selector("source", "dataset-source", "")


@click.group()
def source() -> None:
    """List data sets and look into them."""


@source.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def list_sources(ctx: click.Context, as_json: bool) -> None:
    """List the data sets that can be opened."""
    found = plugin_host(ctx).components("dataset-source")
    if as_json:
        print_json([{"name": c.spec.name, "plugin": c.plugin, "summary": c.spec.summary} for c in found])
    else:
        print_table(("name", "plugin", "summary"), [(c.spec.name, c.plugin, c.spec.summary) for c in found])


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
        click.echo(note)
    click.echo("splits: " + ", ".join(f"{split} {count}" for split, count in found.splits.items()))
    click.echo(f"classes ({len(found.classes)}): " + ", ".join(found.classes))
    if found.domains:
        click.echo(f"domains ({len(found.domains)}): " + ", ".join(found.domains))
    click.echo(f"licence: {found.licence}")
    if found.unreadable:
        click.echo(f"{len(found.unreadable)} files cannot be read and are left out:")
        for line in found.unreadable:
            click.echo(f"  {line}")


@source.command(cls=ComponentCommand, selectors=[_SELECTOR])
@click.argument("name")
@click.option("--split", help="Which split.  [default: the first]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Which images.")
@click.option("-o", "--output", default="preview.png", show_default=True, help="The picture to write.")
@click.pass_context
def preview(ctx: click.Context, name: str, split: str | None, seed: int, output: str) -> None:
    """Draw a 5 x 5 grid of images with their classes.

    NAME is a data set of `chimera source list`; give it first, then its options.
    """
    from chimera_core.images import check_output

    path: Path = check_output(output, (".png",))
    _draw_preview(_open(ctx, name), split, seed, path)
    click.echo(str(path))


def _open(ctx: click.Context, name: str) -> DatasetSource:
    from chimera_core.use import open_source

    return open_source(name, **component_values(ctx, "source"))


def _draw_preview(opened: DatasetSource, split: str | None, seed: int, path: Path) -> None:
    """Draw 25 images, shared out among the classes as evenly as they allow."""
    import torch

    from chimera_core.contact_sheet import grid
    from chimera_core.images import write_png
    from chimera_core.pixels import from_uint8, resize_shorter, to_uint8

    found = opened.info
    images = opened.open(split or next(iter(found.splits)))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator).tolist()
    taken: dict[int, int] = {}
    rank = {}
    for index in order:  # the k-th image of its class ranks k: every class shows before any shows twice
        label = images.labels[index]
        rank[index] = taken[label] = taken.get(label, 0) + 1
    chosen = sorted(order, key=lambda index: rank[index])[:25]
    chosen.sort(key=lambda index: images.labels[index])
    tiles: list[Any] = []
    captions = []
    for index in chosen:
        example = images[index]
        tiles.append(
            to_uint8(_square(resize_shorter(from_uint8(example.image.permute(1, 2, 0)), PREVIEW_TILE)))
        )
        domain = f" · {found.domains[example.domain]}" if found.domains else ""
        captions.append(found.classes[example.label] + domain)
    rows = [tiles[k : k + 5] for k in range(0, len(tiles), 5)]
    write_png(path, grid(rows, captions=[captions[k : k + 5] for k in range(0, len(captions), 5)]))


def _square(image: Any) -> Any:
    """Cut the middle square out of (3, H, W)."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[:, top : top + side, left : left + side]
