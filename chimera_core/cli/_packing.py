"""Return what a packed cache holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from chimera_core.cli._output import print_json
from chimera_core.files.atomic import one_line

if TYPE_CHECKING:
    from chimera_core.data.losses import DataLosses
    from chimera_core.data.packed import PackedSource

SHOWN = 10


def warn_of_losses(lost: DataLosses | Mapping[str, Any] | None, source: str) -> None:
    """Say in one line on stderr what data lost on their way to a training; nothing if they lost nothing.

    Args:
        lost: the counts, or these as ``run.json`` keeps them.
    """
    from chimera_core.data.losses import DataLosses

    counted = DataLosses(**lost) if isinstance(lost, Mapping) else lost
    if counted:
        lists = []
        if counted.unreadable or any(counted.left_out.values()):
            lists.append(f"`chimera source info {source} ...` lists the files")
        if counted.across_splits:
            lists.append(f"`chimera source prepare {source} ...` lists the pairs")
        click.echo(": ".join(filter(None, (f"chimera: WARNING: {counted}", ", ".join(lists)))), err=True)


def print_packed(packed: PackedSource, *, as_json: bool) -> None:
    """Print counts, unreadable files and duplicates; images on both sides of a split are a warning on stderr."""
    duplicates = packed.index["duplicates"]
    unreadable = [line for split in packed.splits.values() for line in split.unreadable]
    if as_json:
        print_json(
            {
                "source": packed.index["source"],
                "folder": str(packed.folder),
                "size": packed.size,
                "splits": {name: len(split) for name, split in packed.splits.items()},
                "unreadable": unreadable,
                "duplicates": duplicates,
                "content": packed.content,
            }
        )
    else:
        gigabytes = sum(split.nbytes for split in packed.splits.values()) / 1e9
        counts = ", ".join(f"{name} {len(split):,}" for name, split in packed.splits.items())
        click.echo(f"{counts} images of {packed.size} px ({gigabytes:.2f} GB) in {packed.folder}")
        if unreadable:
            click.echo(f"{len(unreadable)} images cannot be read and are left out:")
            for line in unreadable:
                click.echo(f"  {one_line(line)}")
        within = duplicates["pairs"] - duplicates["across"]
        if within:
            click.echo(
                f"{within} pairs of equal images within a split, such as {' = '.join(duplicates['examples'][0])}"
            )
    if duplicates["across"]:
        click.echo(
            f"chimera: WARNING: {duplicates['across']} pairs of equal images lie in two splits, so what is measured "
            "on one was learnt on the other:",
            err=True,
        )
        for pair in duplicates["across_examples"][:SHOWN]:
            click.echo(one_line(f"  {' = '.join(pair)}"), err=True)
        if duplicates["across"] > SHOWN:
            click.echo(f"  ... and {duplicates['across'] - SHOWN} more", err=True)
