"""Options in layers, the later one wins: default < registry < preset < file < flag.

What is wrong in a layer is said with its place there; what is wrong in the sum, as one line about the option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.files.toml import Keys
from chimera_core.options.config import ComponentRef, flag_name, shape_of, suggest

ConfigT = TypeVar("ConfigT", bound=BaseModel)


@dataclass(frozen=True)
class Layer:
    """Options from one place: ``origin`` names it, ``line_of`` finds a value's line where it is a file."""

    origin: str
    values: Mapping[str, Any]
    line_of: Callable[[Keys], int | None] | None = None

    def place(self, path: Keys = ()) -> str:
        """Return where a value was set: ``registry mine.toml line 3``."""
        line = self.line_of(path) if self.line_of else None
        return self.origin if line is None else f"{self.origin} line {line}"

    def has(self, path: Keys) -> bool:
        """Return whether there is a value at ``path``."""
        values: Any = self.values
        for key in path:
            if isinstance(key, int):
                is_there = isinstance(values, (list, tuple)) and key < len(values)
            else:
                is_there = isinstance(values, Mapping) and key in values
            if not is_there:
                return False
            values = values[key]
        return True

    def inside(self, *keys: str | int) -> Layer:
        """Give the table or list at ``keys`` as a layer of its own; an empty one where there is none."""
        values: Any = self.values if self.has(keys) else {}
        for key in keys if self.has(keys) else ():
            values = values[key]
        line_of = self.line_of
        return Layer(
            self.origin,
            values if isinstance(values, Mapping) else {},
            None if line_of is None else lambda path: line_of((*keys, *path)),
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
            if _is_reference(below) and isinstance(value, str):
                value = {"name": value}
            if isinstance(below, Mapping) and isinstance(value, Mapping):
                if _is_reference(below) and value.get("name", below["name"]) != below["name"]:
                    below = {}
                value = merge(below, value)
            merged[key] = value
    return merged


def build_config(config: type[ConfigT], values: Mapping[str, Any], *, where: str) -> ConfigT:
    """Check values against a component's options.

    Args:
        values: merged values; strings from a command line are converted.
        where: what the message names, e.g. ``"fuser style-transfer"``.
    Raises:
        ConfigError: for the first wrong value or unknown key, with the nearest known one.
    """
    try:
        return config.model_validate(fill_tables(config, values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(_explain(config, first, where)) from None


def check_layer(config: type[BaseModel], layer: Layer, *, where: str) -> None:
    """Refuse a wrong value or unknown key of one layer; what it does not say, another layer may.

    Raises:
        ConfigError: naming the layer's file, line and key.
    """
    try:
        config.model_validate(fill_tables(config, layer.values))
    except ValidationError as error:
        for found in error.errors(include_url=False):
            if found["type"] != "missing" and found["loc"]:
                place = layer.place(tuple(found["loc"]))
                raise ConfigError(f"{place}: {_explain(config, found, where)}") from None


def references_in(config: type[BaseModel], values: Mapping[str, Any]) -> Iterator[tuple[Keys, ComponentRef]]:
    """Find the components that options name, in nested tables too, each with the path to its table."""
    for name, field in config.model_fields.items():
        shape = shape_of(field)
        given = values.get(name, field.default)
        if not shape.is_a(BaseModel) or given is None:
            continue
        for index, value in enumerate(given if isinstance(given, (list, tuple)) else (given,)):
            path: Keys = (name, index) if shape.multiple else (name,)
            if shape.is_a(ComponentRef) and isinstance(value, (str, Mapping, ComponentRef)):
                yield path, read_reference(shape.inner, value, field.default)
            elif isinstance(value, (Mapping, BaseModel)):
                table = value if isinstance(value, Mapping) else dict(value)
                yield from (((*path, *p), ref) for p, ref in references_in(shape.inner, table))


def put_at(values: Any, path: Keys, value: Any) -> Any:
    """Give nested values with another one at a path; the tables and lists on the way are copied."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(values, (list, tuple)):
        return [put_at(v, rest, value) if index == key else v for index, v in enumerate(values)]
    return {**values, key: put_at(values.get(key), rest, value)}


def named_defaults(config: type[BaseModel]) -> dict[str, Any]:
    """Give the names of the components that options name by default.

    Laid under all layers, they keep options that are meant for the default from going to another component.
    """
    defaults = {name: field.default for name, field in config.model_fields.items()}
    return {name: {"name": d.name} for name, d in defaults.items() if isinstance(d, ComponentRef)}


def read_reference(kind: type[ComponentRef], value: Any, default: Any) -> ComponentRef:
    """Read a reference from a name, a table or a ``ComponentRef``; a table without a name keeps the default's."""
    if isinstance(value, ComponentRef):
        return value
    table = {"name": value} if isinstance(value, str) else value
    if isinstance(default, ComponentRef):
        table = merge(default.model_dump(), table)
    return kind.model_validate(table)


def fill_tables(config: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Lay tables for nested options over their defaults, so that one may say only what it changes."""
    filled = dict(values)
    for name, field in config.model_fields.items():
        shape, value = shape_of(field), filled.get(name)
        if shape.multiple or not shape.is_a(BaseModel):
            continue
        if shape.is_a(ComponentRef) and isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping):
            if isinstance(field.default, BaseModel):
                value = merge(field.default.model_dump(), value)
            filled[name] = value if shape.is_a(ComponentRef) else fill_tables(shape.inner, value)
    return filled


def _is_reference(value: Any) -> bool:
    """Return whether a table names a component; a nested table of options may have a ``name`` too, among others."""
    return isinstance(value, Mapping) and "name" in value and value.keys() <= {"name", "options"}


def _explain(config: type[BaseModel], error: Any, where: str) -> str:
    flag, owner = _spelled(config, error["loc"])
    if error["type"] == "extra_forbidden":
        parent, _, last = flag.rpartition(".")
        known = suggest(last, (flag_name(n, f) for n, f in owner.model_fields.items()))
        return one_line(
            f"{where} has no option '{one_line(flag, limit=100)}'"
            + (known if not parent else known.replace("'", f"'{parent}.", 1))
        )
    if error["type"] == "missing":
        return one_line(f"{where} needs the option '{flag}': give --{flag}")
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    met = one_line(repr(error["input"]), limit=100)
    return one_line(f"option '{flag}' of {where}: {message}, but it is {met}")


def _spelled(config: type[BaseModel], location: Sequence[str | int]) -> tuple[str, type[BaseModel]]:
    """Spell an error's location as a flag, ``members[1].source``, and give the model that its last key belongs to."""
    names: list[str] = []
    model = config
    for depth, key in enumerate(location):
        if isinstance(key, int):
            if names and depth + 1 < len(location):  # which item of a plain list is wrong shows in its value
                names[-1] += f"[{key}]"
            continue
        field = model.model_fields.get(key)
        names.append(flag_name(key, field) if field else key.replace("_", "-"))
        if field is not None and depth + 1 < len(location) and shape_of(field).is_a(BaseModel):
            model = shape_of(field).inner
    return ".".join(names) or "options", model
