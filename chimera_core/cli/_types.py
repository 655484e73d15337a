"""Types of options beyond click's: fractions, durations, weights."""

from __future__ import annotations

from typing import Any

import click

from chimera_core.components.options import read_duration, read_fraction


class FractionType(click.ParamType[float]):
    """A number, which may be written as ``8/255``."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return click.FLOAT.convert(read_fraction(value), param, ctx)


class FractionRange(click.FloatRange):
    """A number within bounds, which may be written as ``8/255``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(read_fraction(value), param, ctx)


class DurationType(click.ParamType[float]):
    """Seconds, which may be written as ``90s``, ``10m`` or ``2h``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(read_duration(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}.", param, ctx)


class WeightsType(click.ParamType[tuple[float, ...]]):
    """Numbers, as ``.5,.5`` or ``50%,50%`` on the line and as a list in a file."""

    name = "weights"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        try:
            parts = value.split(",") if isinstance(value, str) else value
            if isinstance(value, str) and "%" in value:
                if not all(part.strip().endswith("%") for part in parts):
                    self.fail(f"{value!r}: write % behind each of the weights, or behind none.", param, ctx)
                parts = [part.strip().removesuffix("%") for part in parts]
            return tuple(float(read_fraction(part)) for part in parts)
        except (TypeError, ValueError):
            self.fail(f"{value!r} are no numbers: write them as .7,.3.", param, ctx)


FRACTION, DURATION, WEIGHTS = FractionType(), DurationType(), WeightsType()
