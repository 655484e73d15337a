"""Options of components: frozen pydantic models, read from words or TOML tables.

A component's options are a ``Config`` whose fields are made with ``option``. A field may be another ``Config``
(its options appear dotted), a tuple of them (TOML tables, or words where the model reads one), or an
``EncoderRef``, which names another component and brings that one's options along. How values from several places
are laid over each other is in ``chimera_core.options.layers``, how options become flags in ``chimera_core.options.flags``.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.fields import FieldInfo


class Config(BaseModel):
    """Base of every component's options: frozen, and an unknown key is an error.

    A float may be written as a fraction in a string, ``"8/255"``. A ``Path`` is written in full, so that it means the
    same in any working folder.
    """

    # Built at the first use: a process uses few of them.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def from_word(cls, word: str) -> Mapping[str, Any]:
        """Read a table of these options from one word.

        A subclass overrides this where a whole table fits into a word, as ``person=celeba,root=DIR``. A tuple of
        such tables then has a flag, which may be given several times.

        Raises:
            ValueError: saying how to write it.
        """
        raise ValueError("write a table of options, not a word")

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, values: Any) -> Any:
        if isinstance(values, str):
            return cls.from_word(values)
        if not isinstance(values, Mapping):
            return values
        read = dict(values)
        for name, field in cls.model_fields.items():
            if name in read and shape_of(field).inner is float:
                read[name] = read_fraction(read[name])
        return read

    def model_dump(self, *, mode: str = "python", **how: Any) -> dict[str, Any]:
        """Give plain values; see pydantic. In mode ``json`` paths are written in full."""
        plain = super().model_dump(mode=mode, **how)
        if mode == "json":
            _write_whole_paths(self, plain)
        return plain


def _write_whole_paths(config: BaseModel, plain: dict[str, Any]) -> None:
    # No serializer of pydantic's: that makes every model of options slower to build, at every start.
    for name, shape in _shapes_with_paths(type(config)):
        value = getattr(config, name)
        values = value if shape.multiple else (value,)
        if name not in plain or not value or not isinstance(values, (tuple, list)):
            continue
        for index, inner in enumerate(values):
            if isinstance(inner, BaseModel):
                table = plain[name][index] if shape.multiple else plain[name]
                if isinstance(table, dict):
                    _write_whole_paths(inner, table)
            elif isinstance(inner, Path) and inner != Path():
                if shape.multiple:
                    plain[name][index] = _in_full(inner)
                else:
                    plain[name] = _in_full(inner)


@functools.cache
def _shapes_with_paths(config: type[BaseModel]) -> tuple[tuple[str, Shape], ...]:
    shapes = ((name, shape_of(field)) for name, field in config.model_fields.items())
    return tuple((name, shape) for name, shape in shapes if shape.is_a(Path) or shape.is_a(BaseModel))


def _in_full(path: Path) -> str:
    return os.path.abspath(os.path.expanduser(path))


def option(
    default: Any,
    *,
    help: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    flag: str | None = None,
    hidden: bool = False,
) -> Any:
    """Declare one field of a ``Config``: its default, what it does, and its bounds.

    Pass ``...`` as the default of an option that must be given. ``flag`` is its name on the command line where
    that is not the field's: ``members: tuple[Member, ...] = option(..., flag="member")``.
    ``--help`` leaves a ``hidden`` one out; ``chimera plugins show`` does not.
    """
    bounds: dict[str, Any] = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    extra: dict[str, Any] = {"flag": flag} if flag else {}
    if hidden:
        extra["hidden"] = True
    return Field(default, description=help, json_schema_extra=extra or None, **bounds)


def read_fraction(value: Any) -> Any:
    """Turn ``"8/255"`` into a float, in a list too; what is no fraction is left for the validator to refuse."""
    if isinstance(value, (list, tuple)):
        return [read_fraction(item) for item in value]
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*", value)
    return float(match[1]) / float(match[2]) if match and float(match[2]) else value


def read_duration(value: Any) -> Any:
    """Turn ``90s``, ``10m``, ``2h`` or ``1h30m`` into seconds; anything but a string stays as it is.

    Raises:
        ValueError: if the string is no duration.
    """
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    try:
        return float(text)
    except ValueError:
        raise ValueError("write a duration as 90s, 10m, 2h or 1h30m") from None


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Duration = Annotated[float, BeforeValidator(read_duration)]
"""Type of an option that is a time in seconds; users may write ``90s``, ``10m`` or ``2h``."""


def read_count(value: Any) -> Any:
    """Turn ``200k``, ``2M`` or ``1_000`` into a number; anything but a string stays as it is.

    Raises:
        ValueError: if the string is no count.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([km]?)", value.strip().lower().replace("_", "").replace(",", ""))
    if match is None:
        raise ValueError("write a number of images as 5000, 200k or 2M")
    return round(float(match[1]) * _SCALES[match[2]])


_SCALES = {"": 1, "k": 1_000, "m": 1_000_000}

ImageCount = Annotated[int, BeforeValidator(read_count)]
"""Type of an option that counts images; users may write ``200k`` or ``2M``."""


class ComponentRef(Config):
    """A component chosen by name inside another one's options, with options of its own."""

    kind: ClassVar[str] = ""
    name: str
    options: dict[str, Any] = {}

    @property
    def short_name(self) -> str:
        """Its name as messages give it: without the plugin."""
        return self.name.rpartition(":")[2]

    @classmethod
    def from_word(cls, word: str) -> Mapping[str, Any]:
        """Take a word for the component's name."""
        return {"name": word}


class EncoderRef(ComponentRef):
    """A feature encoder chosen by name."""

    kind: ClassVar[str] = "feature-encoder"


class SourceRef(ComponentRef):
    """A dataset source chosen by name."""

    kind: ClassVar[str] = "dataset-source"


@dataclass(frozen=True)
class Shape:
    """A field's type taken apart: ``inner`` without Optional, Annotated and tuple; ``rules`` are the Annotated's."""

    inner: Any
    multiple: bool = False
    rules: tuple[Any, ...] = ()

    def is_a(self, kind: type) -> bool:
        """Return whether the inner type is a subclass of ``kind``."""
        return isinstance(self.inner, type) and issubclass(self.inner, kind)


def shape_of(field: FieldInfo) -> Shape:
    """Take a field's type apart."""
    return _shape(field.annotation, tuple(field.metadata))


def reads_words(config: type) -> bool:
    """Return whether a table of these options can be given as one word."""
    return issubclass(config, Config) and config.from_word.__func__ is not Config.from_word.__func__  # type: ignore[attr-defined]


def path_fields(config: type[BaseModel]) -> frozenset[str]:
    """Name the options whose type is ``Path``."""
    return frozenset(n for n, field in config.model_fields.items() if shape_of(field).is_a(Path))


def flag_name(name: str, field: FieldInfo) -> str:
    """Name a field as the command line does, without dashes in front."""
    extra = field.json_schema_extra
    named = extra.get("flag") if isinstance(extra, dict) else None
    return str(named) if named else name.replace("_", "-")


def is_hidden(field: FieldInfo) -> bool:
    """Return whether a field is left out of help."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("hidden") is True


def suggest(name: str, known: Iterable[str]) -> str:
    """Return what was probably meant: `` (did you mean 'x'?)``, or the known names when nothing is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f" (did you mean '{near[0]}'?)"
    return f" (known: {', '.join(known)})" if known else ""


def _shape(annotation: Any, rules: tuple[Any, ...]) -> Shape:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return _shape(inner, (*rules, *more))
    if origin in (Union, types.UnionType):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _shape(inner[0], rules) if len(inner) == 1 else Shape(str, rules=rules)
    if origin in (tuple, list, Sequence):
        inside = _shape(typing.get_args(annotation)[0], ())
        return Shape(inside.inner, multiple=True, rules=inside.rules)
    return Shape(annotation, rules=rules)


def parse_share_box(text: str) -> tuple[float, float, float, float]:
    """Read ``left,top,right,bottom`` as shares of a picture.

    Raises:
        ValueError: unless it is four numbers with 0 <= left < right <= 1 and 0 <= top < bottom <= 1.
    """
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("write a box as left,top,right,bottom, e.g. .2,.1,.8,.6") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError("a box needs 0 <= left < right <= 1 and 0 <= top < bottom <= 1")
    return left, top, right, bottom
