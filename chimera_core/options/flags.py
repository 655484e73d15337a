"""A config model -> command-line flags: what each is called, takes, does, and which value is in force from where."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.options.config import (
    ComponentRef,
    Shape,
    flag_name,
    is_hidden,
    read_count,
    read_duration,
    reads_words,
    shape_of,
)
from chimera_core.options.layers import Layer, read_reference

_WORD_TYPES = (str, int, float, PurePath, Enum)  # bool is an int
_DEEPEST = 8

LookUp = Callable[[str, str], tuple[type[BaseModel], Sequence[Layer]]]
"""(kind, name) -> that component's options, and the layers below what others say about it."""


@dataclass(frozen=True)
class Flag:
    """One option as the command line shows it.

    ``path`` leads to its value in the merged options; ``value`` is the one in force when the flag is not given, and
    ``origin`` where that comes from; ``choices`` and bounds are None where there are none. ``form`` is ``plain``,
    ``duration``, ``count``, ``reference`` (it names a component) or ``table`` (a word that stands for a table).
    """

    path: tuple[str, ...]
    name: str
    type: type
    help: str
    value: Any = None
    origin: str = "default"
    multiple: bool = False
    form: Literal["plain", "duration", "count", "reference", "table"] = "plain"
    choices: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False
    hidden: bool = False


def flags_of(
    config: type[BaseModel],
    *,
    look_up: LookUp,
    layers: Sequence[Layer] = (),
    prefix: str = "",
    path: tuple[str, ...] = (),
) -> list[Flag]:
    """List the flags of a component and, dotted, those of nested options and of the components that it names.

    Args:
        config: the component's options.
        look_up: finds the components that it names.
        layers: values so far, lowest first; they decide what is in force and which component a reference names.
        prefix: put before each flag's name, with its dot.
        path: where this component's values lie in the whole.
    """
    flags: list[Flag] = []
    for name, field in config.model_fields.items():
        shape = shape_of(field)
        dotted = f"{prefix}{flag_name(name, field)}."
        if shape.is_a(ComponentRef) and not shape.multiple:
            reference, origin, inner = _follow(shape.inner, name, field.default, layers)
            flags.append(_flag(name, field, shape, reference, origin, prefix=prefix, path=path))
            if reference is not None:
                named, below = look_up(reference.kind, reference.name)
                where = (*path, name, "options")
                flags += flags_of(named, look_up=look_up, layers=[*below, *inner], prefix=dotted, path=where)
        elif shape.is_a(BaseModel) and not shape.multiple:
            inner = [layer.inside(name) for layer in layers]
            if isinstance(field.default, BaseModel):
                inner.insert(0, Layer("default", dict(field.default)))
            flags += flags_of(shape.inner, look_up=look_up, layers=inner, prefix=dotted, path=(*path, name))
        elif not shape.is_a(BaseModel) or reads_words(shape.inner):
            setting = next((layer for layer in reversed(layers) if name in layer.values), None)
            value = field.default if setting is None else setting.values[name]
            origin = "default" if setting is None else setting.place((name,))
            flags.append(_flag(name, field, shape, value, origin, prefix=prefix, path=path))
    return flags


def check_flags(config: Any, *, inside: tuple[type, ...] = ()) -> None:
    """Refuse options that neither a flag nor a table can show.

    Raises:
        ConfigError: if it is no pydantic model, or a field's type cannot be read from a word or a table.
    """
    if not (isinstance(config, type) and issubclass(config, BaseModel)):
        raise ConfigError(f"{one_line(repr(config), limit=80)} is not a pydantic model")
    if config in inside or len(inside) > _DEEPEST:
        raise ConfigError(f"{config.__name__} holds itself: options nest {_DEEPEST} deep at most")
    for name, field in config.model_fields.items():
        shape = shape_of(field)
        if shape.is_a(BaseModel):
            if not shape.is_a(ComponentRef):
                check_flags(shape.inner, inside=(*inside, config))
        elif not any(map(shape.is_a, _WORD_TYPES)) and typing.get_origin(shape.inner) is not Literal:
            raise ConfigError(
                f"option '{name}' is of type {one_line(getattr(shape.inner, '__name__', shape.inner), limit=80)}; "
                "a flag shows str, int, float, bool, Path, Enum, Literal, Duration, another Config, EncoderRef and "
                "tuples of these"
            )


def _follow(
    kind: type[ComponentRef], name: str, default: Any, layers: Sequence[Layer]
) -> tuple[ComponentRef | None, str, list[Layer]]:
    """Find which component a field names, where that was said, and the layers of options meant for it."""
    reference = default if isinstance(default, ComponentRef) else None
    origin = "default"
    inner = [Layer("default", reference.options)] if reference and reference.options else []
    for layer in layers:
        given = layer.values.get(name)
        if not isinstance(given, (str, Mapping, ComponentRef)):
            continue
        named = given if isinstance(given, str) else dict(given).get("name")
        if named is not None and (reference is None or named != reference.name):
            inner = []  # options of another component are not meant for this one
            reference = read_reference(kind, {"name": named}, None)
        if named is not None:
            origin = layer.place((name,))
        if isinstance(given, ComponentRef):
            layer = Layer(layer.origin, {name: dict(given)}, layer.line_of)
        inner.append(layer.inside(name, "options"))
    return reference, origin, inner


def _flag(
    name: str, field: FieldInfo, shape: Shape, value: Any, origin: str, *, prefix: str, path: tuple[str, ...]
) -> Flag:
    inner, choices = shape.inner, None
    if typing.get_origin(inner) is Literal:
        members = typing.get_args(inner)
        choices = tuple(str(choice) for choice in members)
        # "3" is none of Literal[1, 2, 3]: click's choice is a word, so the callback turns it back into a number.
        inner = int if all(type(m) is int for m in members) else str
    elif shape.is_a(Enum):
        choices = tuple(str(member.value) for member in inner)
    readers = {getattr(rule, "func", None) for rule in (*shape.rules, *field.metadata)}
    form: Any = "duration" if read_duration in readers else "count" if read_count in readers else "plain"
    if shape.is_a(BaseModel):
        form = "table" if shape.multiple else "reference"
    return Flag(
        path=(*path, name),
        name=f"--{prefix}{flag_name(name, field)}",
        type=inner if inner in (bool, int, float) else str,
        help=field.description or "",
        value=value,
        origin=origin,
        multiple=shape.multiple,
        form=form,
        choices=choices,
        hidden=is_hidden(field),
        **_bounds(field),
    )


def _bounds(field: FieldInfo) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for rule in field.metadata:
        for attribute, target, is_open in (
            ("ge", "minimum", False),
            ("gt", "minimum", True),
            ("le", "maximum", False),
            ("lt", "maximum", True),
        ):
            bound = getattr(rule, attribute, None)
            if bound is not None:
                bounds[target] = bound
                bounds[f"open_{target}"] = is_open
    return bounds
