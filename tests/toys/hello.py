"""A command of a plugin."""

from __future__ import annotations

import click


@click.command()
@click.argument("name")
def hello(name: str) -> None:
    """Greet somebody."""
    click.echo(f"hello {name}")
