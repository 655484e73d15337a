"""Types of options beyond click's: fractions, durations, counts, weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from chimera_core.options.config import read_fraction


class NumberType(click.ParamType[Any]):
    """A number that may be written in another way (``8/255``, ``90s``, ``200k``), then checked as another type does.

    Args:
        read: turns words into numbers, and raises ValueError saying how to write them.
        checked: the type of the number, with its bounds.
        name: as help names it; that of ``checked`` if empty.
    """

    def __init__(self, read: Callable[[Any], Any], checked: click.ParamType[Any], name: str = "") -> None:
        self.read, self.checked = read, checked
        self.name = name or checked.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the words, then check the number."""
        try:
            number = self.read(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}.", param, ctx)
        return self.checked.convert(number, param, ctx)


class IntChoice(click.Choice[str]):
    """One of a few whole numbers."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give the number."""
        return int(super().convert(value, param, ctx))


class WeightsType(click.ParamType[tuple[float, ...]]):
    """Numbers, as ``.5,.5`` or ``50%,50%`` on the line and as a list in a file."""

    name = "weights"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Give the weights as they are written: their sum is checked elsewhere."""
        try:
            parts = value.split(",") if isinstance(value, str) else value
            if isinstance(value, str) and "%" in value:
                if not all(part.strip().endswith("%") for part in parts):
                    self.fail(f"{value!r}: write % behind each of the weights, or behind none.", param, ctx)
                parts = [part.strip().removesuffix("%") for part in parts]
            return tuple(float(read_fraction(part)) for part in parts)
        except (TypeError, ValueError):
            self.fail(f"{value!r} are not numbers: write them as .7,.3.", param, ctx)


WEIGHTS = WeightsType()
