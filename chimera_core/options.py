"""Options of components: one pydantic model <-> command-line flags <-> TOML tables.

A component's options are a frozen ``Config`` whose fields are made with ``option``. A field of type
``EncoderRef`` names another component; its options then appear dotted (``--encoder.model``). Values come in
layers, the later one wins: default < registry < preset < file < flag.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, ClassVar, Literal, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from chimera_core.errors import ConfigError
from chimera_core.files import one_line

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class Config(BaseModel):
    """Base of every component's options: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def option(
    default: Any,
    *,
    help: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declare one field of a ``Config``: its default, what it does, and its bounds.

    Pass ``...`` as the default of an option that must be given.
    """
    return Field(default, description=help, ge=ge, gt=gt, le=le, lt=lt)


class ComponentRef(Config):
    """A component chosen by name inside another one's options, with options of its own."""

    kind: ClassVar[str] = ""
    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class EncoderRef(ComponentRef):
    """A feature encoder chosen by name."""

    kind: ClassVar[str] = "feature-encoder"


class SourceRef(ComponentRef):
    """A dataset source chosen by name."""

    kind: ClassVar[str] = "dataset-source"


_WORD_TYPES = (str, int, float, PurePath, Enum, ComponentRef)  # bool is an int


@dataclass(frozen=True)
class Flag:
    """One option as the command line shows it.

    ``path`` leads to its value in the merged options; ``value`` is the one in force when the flag is not given;
    ``choices`` and bounds are None where there are none.
    """

    path: tuple[str, ...]
    name: str
    type: type
    help: str
    value: Any = None
    multiple: bool = False
    choices: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False


def flags_of(
    config: type[BaseModel],
    *,
    values: Mapping[str, Any],
    config_of: Callable[[str, str], type[BaseModel]],
    prefix: str = "",
    path: tuple[str, ...] = (),
) -> list[Flag]:
    """List the flags of a component and, dotted, those of the components that it names.

    Args:
        config: the component's options.
        values: merged values so far; they decide which component a reference names.
        config_of: (kind, name) -> that component's options.
        prefix: put before each flag's name, with its dot.
        path: where this component's values lie in the whole.
    """
    flags: list[Flag] = []
    for name, field in config.model_fields.items():
        reference = _reference_type(field)
        value = values.get(name, field.default)
        if reference is not None:
            value = _read_reference(reference, value, field.default)
        flag = _flag_of(name, field, value=value, prefix=prefix, path=path)
        flags.append(flag)
        if isinstance(value, ComponentRef):
            flags += flags_of(
                config_of(value.kind, value.name),
                values=value.options,
                config_of=config_of,
                prefix=f"{flag.name[2:]}.",
                path=(*path, name, "options"),
            )
    return flags


def check_flags(config: Any) -> None:
    """Refuse options that no flag can show.

    Raises:
        ConfigError: if it is no pydantic model, or a field's type cannot be read from a word.
    """
    if not (isinstance(config, type) and issubclass(config, BaseModel)):
        raise ConfigError(f"{one_line(repr(config), limit=80)} is no pydantic model")
    for name, field in config.model_fields.items():
        annotation, _ = _plain_type(field.annotation)
        plain = isinstance(annotation, type) and issubclass(annotation, _WORD_TYPES)
        if not plain and typing.get_origin(annotation) is not Literal:
            raise ConfigError(
                f"option '{name}' is of type {one_line(getattr(annotation, '__name__', annotation), limit=80)}; "
                "a flag shows str, int, float, bool, Path, Enum, Literal, EncoderRef and tuples of these"
            )


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay options over each other; a later layer wins, key by key.

    Naming another component in a later layer drops the options that were meant for the earlier one.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(below, str) and isinstance(value, Mapping) and "options" in value:
                below = {"name": below}
            if isinstance(below, Mapping) and isinstance(value, str) and "name" in below:
                value = {"name": value}
            if isinstance(below, Mapping) and isinstance(value, Mapping):
                if "name" in below and value.get("name", below["name"]) != below["name"]:
                    below = {}
                value = merge(below, value)
            merged[key] = value
    return merged


def build_config(config: type[ConfigT], values: Mapping[str, Any], *, where: str) -> ConfigT:
    """Check values against a component's options.

    Args:
        config: the options' model.
        values: merged values; strings from a command line are converted.
        where: what the message names, e.g. ``"fuser style-transfer"``.
    Raises:
        ConfigError: for the first wrong value or unknown key, with the nearest known one.
    """
    try:
        return config.model_validate(_fill_references(config, values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(_explain(config, first, where)) from None


def suggest(name: str, known: Iterable[str]) -> str:
    """Say what was probably meant: `` (did you mean 'x'?)``, or the known names when nothing is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f" (did you mean '{near[0]}'?)"
    return f" (known: {', '.join(known)})" if known else ""


def _read_reference(kind: type[ComponentRef], value: Any, default: Any) -> ComponentRef:
    """Read a reference from a name, a table or a ``ComponentRef``; a table without a name keeps the default's."""
    if isinstance(value, ComponentRef):
        return value
    table = {"name": value} if isinstance(value, str) else value
    if isinstance(default, ComponentRef):
        table = merge(default.model_dump(), table)
    return kind.model_validate(table)


def _flag_of(name: str, field: FieldInfo, *, value: Any, prefix: str, path: tuple[str, ...]) -> Flag:
    annotation, multiple = _plain_type(field.annotation)
    choices: tuple[str, ...] | None = None
    if typing.get_origin(annotation) is Literal:
        choices = tuple(str(choice) for choice in typing.get_args(annotation))
        annotation = str
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
    plain = annotation if annotation in (bool, int, float) else str
    return Flag(
        path=(*path, name),
        name=f"--{prefix}{name.replace('_', '-')}",
        type=plain,
        help=field.description or "",
        value=value,
        multiple=multiple,
        choices=choices,
        **bounds,
    )


def _plain_type(annotation: Any) -> tuple[Any, bool]:
    """Take off Optional, Annotated and tuple/list: (inner type, whether it may be given several times)."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _plain_type(typing.get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _plain_type(inner[0]) if len(inner) == 1 else (str, False)
    if origin in (tuple, list, Sequence):
        return _plain_type(typing.get_args(annotation)[0])[0], True
    return annotation, False


def _reference_type(field: FieldInfo) -> type[ComponentRef] | None:
    annotation, _ = _plain_type(field.annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, ComponentRef) else None


def _fill_references(config: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn names and tables into references."""
    filled = dict(values)
    for name, field in config.model_fields.items():
        reference = _reference_type(field)
        if reference is not None and isinstance(filled.get(name), (str, Mapping)):
            filled[name] = _read_reference(reference, filled[name], field.default)
    return filled


def _explain(config: type[BaseModel], error: Any, where: str) -> str:
    location = ".".join(str(part) for part in error["loc"] if not isinstance(part, int)) or "options"
    flag = location.replace("_", "-")
    if error["type"] == "extra_forbidden":
        return f"{where} has no option '{flag}'" + suggest(
            flag, (n.replace("_", "-") for n in config.model_fields)
        )
    if error["type"] == "missing":
        return f"{where} needs the option '{flag}': give --{flag}"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"option '{flag}' of {where}: {message}, but it is {error['input']!r}"
