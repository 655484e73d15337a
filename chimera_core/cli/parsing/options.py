"""The one way from a model of options to options of a command: name, type, bounds, help and the value in force.

Below it are types beyond click's: fractions, durations, counts, weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from chimera_core.options.config import ComponentRef, read_count, read_duration, read_fraction
from chimera_core.options.flags import Flag
from chimera_core.options.layers import Layer


class FlagOption(click.Option):
    """An option of a command that a field of a model describes.

    Args:
        declarations: none, for the flag knows its own; ``click.option`` gives it first.
        name: of the command's parameter that takes the value, None where it is not given.
        keep: called with the flag and the value where that is given instead of a parameter.
    """

    def __init__(
        self,
        declarations: Sequence[str] = (),
        *,
        flag: Flag,
        name: str | None = None,
        keep: Callable[[click.Context, Flag, Any], None] | None = None,
    ) -> None:
        self.flag = flag

        def call(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
            if keep is not None and value is not None and value != ():
                keep(ctx, flag, list(value) if flag.multiple else value)
            return value

        super().__init__(
            [
                f"{flag.name}/--no-{flag.name[2:]}" if flag.type is bool else flag.name,
                name or "option_" + re.sub(r"\W", "_", flag.name),
            ],
            type=None if flag.type is bool else _type_of(flag),
            default=None,
            multiple=flag.multiple,
            expose_value=name is not None,
            callback=call,
            help=_sentence(flag),
            hidden=flag.hidden,
        )

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return which value is in force and, if it is not the default, who says so; then the bounds."""
        value, origin = self.flag.value, self.flag.origin
        if self.expose_value:
            value, origin = ctx.meta.get(_IN_FORCE, {}).get(str(self.name), (value, origin))
        extra = super().get_help_extra(ctx)
        if shown := _shown(value):
            extra["default"] = shown + ("" if origin == "default" else f", from {origin}")
        if bounds := _bounds(self.flag):
            extra["range"] = bounds
        if _is_required(value):
            extra["required"] = "required"
        return extra


_IN_FORCE = "chimera.in-force"


def put_in_force(ctx: click.Context, values: Mapping[str, Any], layers: Sequence[Layer]) -> None:
    """Let help show the values in force below a command's own options.

    Args:
        values: of file and presets, merged.
        layers: from which they come, lowest first.
    """
    origins = {name: layer.place((name,)) for layer in layers for name in layer.values}
    ctx.meta[_IN_FORCE] = {name: (value, origins[name]) for name, value in values.items()}


def origins_in_force(ctx: click.Context) -> dict[str, str]:
    """Give who says the values in force, by the names of the command's own options."""
    return {name: origin for name, (_, origin) in ctx.meta.get(_IN_FORCE, {}).items()}


def _type_of(flag: Flag) -> click.ParamType[Any]:
    if flag.choices is not None:
        return IntChoice(flag.choices) if flag.type is int else click.Choice(flag.choices)
    if flag.type not in (int, float):
        return click.STRING
    low, high = flag.minimum, flag.maximum
    bounds = {"min_open": flag.open_minimum, "max_open": flag.open_maximum}
    number: click.ParamType[Any] = click.INT if flag.type is int else click.FLOAT
    if (low, high) != (None, None):
        number = (
            click.IntRange(_as_int(low), _as_int(high), **bounds)
            if flag.type is int
            else click.FloatRange(low, high, **bounds)
        )
    if flag.form == "duration":
        return NumberType(read_duration, number, "duration")
    if flag.form == "count":
        return NumberType(read_count, number, "count")
    return number if flag.type is int else NumberType(read_fraction, number)


def _as_int(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _sentence(flag: Flag) -> str:
    """Write a field's help as commands write theirs: a capital first, which a value keeps as it is, and a full stop."""
    text = flag.help
    first = re.split(r"[ :,;]", text, maxsplit=1)[0]
    if first not in (*(flag.choices or ()), str(flag.value)) and re.fullmatch(r"[a-z][a-z'-]*", first):
        text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "?")) else text + "."


def _shown(value: Any) -> str:
    from pydantic import BaseModel

    if _is_required(value) or value is None or value in ((), {}, "", []):
        return ""
    if isinstance(value, ComponentRef):
        value = value.name
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        tables = (dict(v) if isinstance(v, BaseModel) else v for v in value)
        value = ", ".join(str(v) for v in tables)
    return str(value)


def _is_required(value: Any) -> bool:
    from pydantic_core import PydanticUndefined

    return value is PydanticUndefined


def _bounds(flag: Flag) -> str:
    low, high = flag.minimum, flag.maximum
    if flag.type is int:
        low, high = _as_int(low), _as_int(high)
    above, below = ">" if flag.open_minimum else ">=", "<" if flag.open_maximum else "<="
    if low is None:
        return "" if high is None else f"x{below}{high}"
    return f"x{above}{low}" if high is None else f"{low}{above.replace('>', '<')}x{below}{high}"


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
