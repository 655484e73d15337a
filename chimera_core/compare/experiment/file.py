"""An experiment file: its tables and keys, each mistake with file, line and key, and the fusers that it asks for. Torch-free."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.files.toml import TomlFile, read_toml
from chimera_core.fusing.request import check_seeds
from chimera_core.options.config import Config, option
from chimera_core.options.layers import Layer, build_config, check_layer, merge

ConfigT = TypeVar("ConfigT", bound=Config)
MAX_FUSERS = 1_000
"""Of one table, by its axes; each is looked up, checked and has a row in the report."""
MAX_SEEDS = 10_000
MAX_CELLS = 1_000_000
"""Of an experiment: beyond, what is noted of them no longer fits into a report's file."""


class ParentsTable(Config):
    """Whom every fuser fuses: tuples of files and classes, or images drawn from a source."""

    tuples: tuple[tuple[str, ...], ...] = option((), help="files and class names, each tuple one task")
    source: str | None = option(None, help="where images of classes come from")
    options: dict[str, Any] = option({}, help="of the source")
    split: str | None = option(None, help="of the source; val, test or train, whichever is there first")
    classes: tuple[str, ...] = option((), help="draw from these classes only; all when empty")
    sample: int | None = option(None, help="so many pairs of images, of two classes each", ge=1, le=10_000)
    seed: int = option(0, help="of the drawing", ge=0)


class JudgeTable(Config):
    """The encoder that measures; it must be no fuser's own."""

    encoder: str = option(..., help="a run, an exported file, a model or a component")
    options: dict[str, Any] = option({}, help="of the encoder")


class ReferenceTable(Config):
    """A broad set of images of animals, for realism."""

    source: str = option(..., help="a dataset source")
    options: dict[str, Any] = option({}, help="of the source")
    split: str | None = option(None, help="of the source; train where it has one")
    images: int = option(2000, help="at most so many, spread evenly; fewer are not a broad set", ge=100)


class FuserTable(Config):
    """One fuser, or a product of fusers that differ along axes."""

    fuser: str = option(..., help="a run, an exported file, a model or a component")
    preset: str | None = option(None, help="of the component")
    options: dict[str, Any] = option({}, help="of the fuser")
    size: int | None = option(None, help="side at which it draws; the experiment's when None", ge=16, le=2048)
    parents: Literal["auto", "photo", "class"] = option(
        "auto", help="what it gets where it takes both: images (auto, photo) or class names"
    )
    axes: dict[str, tuple[Any, ...]] = option({}, help="option -> its values; every combination is a fuser")
    train: dict[str, Any] | None = option(None, help="what `chimera fuser train --config` takes")


class ExperimentTable(Config):
    """The whole file; the tables of fusers, parents and judges are checked by themselves."""

    name: str = option(..., help="of the experiment and, without --run, of its folder")
    size: int = option(..., help="side in pixels at which everything is scored", ge=16, le=2048)
    seeds: tuple[int, ...] = option(..., help="of the creatures")
    weights: tuple[tuple[float, ...], ...] = option(..., help="one list per creature, one weight per parent")
    parents: dict[str, Any] = option(..., help="see ParentsTable")
    fusers: dict[str, Any] = option(..., help="see FuserTable")
    judge: dict[str, Any] = option({}, help="see JudgeTable")
    judge2: dict[str, Any] | None = option(None, help="a second judge, which must rank alike")
    reference: dict[str, Any] | None = option(None, help="see ReferenceTable")
    metrics: tuple[str, ...] = option((), help="of plugins, measured beside the scorecard's figures")
    encoders: dict[str, Any] = option({}, help="what `chimera encoder train --config` takes, by name")


@dataclass(frozen=True)
class ExperimentFile:
    """An experiment file that was read: its tables, and where everything stands in it."""

    toml: TomlFile = field(repr=False)
    top: ExperimentTable
    parents: ParentsTable
    judges: Mapping[str, JudgeTable]
    reference: ReferenceTable | None
    fusers: Mapping[str, FuserTable]

    def layer(self, *keys: str | int) -> Layer:
        """Give the table at ``keys`` with its places in the file."""
        whole = Layer(self.toml.name, self.toml.table, self.toml.line_of)
        return whole.inside(*keys) if keys else whole

    def error(self, message: object, *keys: str | int) -> ConfigError:
        """Make the error about what stands at ``keys``: file, line and key come first."""
        key = ".".join(map(str, keys))
        return ConfigError(one_line(f"{self.toml.place(keys)}: {key + ': ' if key else ''}{message}"))


def read_experiment(path: Path) -> ExperimentFile:
    """Read an experiment file and check all that can be checked without looking at anything else.

    Raises:
        ConfigError: for the first mistake, with file, line and key.
    """
    toml = read_toml(path, what="experiment", paths_beside=True)
    whole = Layer(toml.name, toml.table, toml.line_of)
    top = _read(ExperimentTable, whole, "the experiment")
    judges = {
        key: _read(JudgeTable, whole.inside(key), f"[{key}]")
        for key in ("judge", "judge2")
        if whole.has((key,))
    }
    fusers = {}
    for name in top.fusers:
        if not isinstance(top.fusers[name], Mapping):
            raise ConfigError(
                f"{whole.place(('fusers', name))}: fusers.{one_line(name, limit=100)} must be a table"
            )
        fusers[name] = _read(FuserTable, whole.inside("fusers", name), f"[fusers.{name}]")
    file = ExperimentFile(
        toml=toml,
        top=top,
        parents=_read(ParentsTable, whole.inside("parents"), "[parents]"),
        judges=judges,
        reference=_read(ReferenceTable, whole.inside("reference"), "[reference]") if top.reference else None,
        fusers=fusers,
    )
    _check(file)
    return file


@dataclass(frozen=True)
class Variant:
    """One combination of a table's axes, not looked up yet."""

    id: str
    name: str
    table: FuserTable
    options: Mapping[str, Any]
    train: Mapping[str, Any] | None
    axes: Mapping[str, Any]


def variants_of(file: ExperimentFile) -> list[Variant]:
    """Multiply out the axes of every table.

    Raises:
        ConfigError: if two come out alike, or an axis of ``train`` has no such table.
    """
    found: list[Variant] = []
    for name, table in file.fusers.items():
        for axis in table.axes:
            if axis.startswith("train.") and table.train is None:
                raise file.error(f"there is no [fusers.{name}.train] to vary", "fusers", name, "axes", axis)
        for values in itertools.product(*table.axes.values()):
            axes = dict(zip(table.axes, values, strict=True))
            options: dict[str, Any] = dict(table.options)
            train: dict[str, Any] | None = None if table.train is None else dict(table.train)
            for axis, value in axes.items():
                if axis.startswith("train.") and train is not None:
                    train = merge(train, nested(axis.removeprefix("train."), value))
                else:
                    options = merge(options, nested(axis, value))
            label = "".join(f"/{axis}={short_value(value)}" for axis, value in axes.items())
            found.append(Variant(name + label, name, table, options, train, axes))
    return found


def nested(path: str, value: Any) -> dict[str, Any]:
    """Put a value at a dotted path: ``a.b`` -> {a: {b: value}}."""
    table: Any = value
    for key in reversed(path.split(".")):
        table = {key: table}
    return dict(table)


def short_value(value: Any) -> str:
    """Spell a value of an axis for a fuser's name."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return one_line(text, limit=40)


def _read(model: type[ConfigT], layer: Layer, where: str) -> ConfigT:
    check_layer(model, layer, where=where)
    for name, found in model.model_fields.items():
        if found.is_required() and name not in layer.values:
            raise ConfigError(
                one_line(f"{layer.place()}: {where} needs the key '{name}': {found.description}")
            )
    return build_config(model, layer.values, where=where)


def _check(file: ExperimentFile) -> None:
    top = file.top
    if not re.fullmatch(r"[\w][\w .-]*", top.name):
        raise file.error(f"'{top.name}' cannot name a folder: use letters, digits, - and _", "name")
    for key in ("seeds", "weights", "fusers"):
        if not getattr(top, key):
            raise file.error("there is none: give one or more", key)
    if len(top.seeds) > MAX_SEEDS:
        raise file.error(f"{len(top.seeds):,} seeds: name {MAX_SEEDS:,} at most", "seeds")
    _check_once(file, top.seeds, "seeds")
    _check_once(file, top.weights, "weights")
    for seed in (min(top.seeds), max(top.seeds)):
        try:
            check_seeds(seed, 1)
        except ConfigError as error:
            raise file.error(error, "seeds") from None
    parents = file.parents
    if bool(parents.tuples) == (parents.sample is not None):
        raise file.error("give either tuples, or a source and sample, the number of pairs", "parents")
    if parents.sample is not None and parents.source is None:
        raise file.error("sample draws from a source: name it with source = ...", "parents", "sample")
    for key in ("classes",) if parents.tuples else ():
        if getattr(parents, key):
            raise file.error(f"{key} goes with sample, not with tuples", "parents", key)
    _check_once(file, parents.tuples, "parents", "tuples")
    for index, named in enumerate(parents.tuples):
        if len(named) < 2:
            raise file.error(
                f"a chimera needs two parents or more, but here are {len(named)}", "parents", "tuples", index
            )
    for name, fuser in file.fusers.items():
        for axis, values in fuser.axes.items():
            if not values:
                raise file.error("an axis needs a value", "fusers", name, "axes", axis)
            _check_once(file, values, "fusers", name, "axes", axis)
    _check_number(file)


def _check_number(file: ExperimentFile) -> None:
    """Count the fusers and creatures by multiplying, before anything lists them."""
    top, fusers = file.top, 0
    for name, fuser in file.fusers.items():
        lengths = [len(values) for values in fuser.axes.values()]
        if (own := math.prod(lengths)) > MAX_FUSERS:
            raise file.error(
                f"{' x '.join(map(str, lengths))} values are {own:,} fusers: {MAX_FUSERS:,} at most, name fewer values",
                *("fusers", name, "axes"),
            )
        fusers += own
    tuples = file.parents.sample or len(file.parents.tuples)
    cells = fusers * tuples * len(top.weights) * len(top.seeds)
    if cells > MAX_CELLS:
        raise file.error(
            f"{fusers:,} fusers, {tuples:,} tuples of parents, {len(top.weights):,} weights and {len(top.seeds):,} "
            f"seeds are {cells:,} creatures: {MAX_CELLS:,} at most, name fewer"
        )


def _check_once(file: ExperimentFile, values: Any, *keys: str | int) -> None:
    seen: set[tuple[type, str]] = set()
    for value in values:
        # 1 and true are equal to Python.
        key = (type(value), json.dumps(value, sort_keys=True, default=str))
        if key in seen:
            raise file.error(f"{_spelled(value)} stands there twice: leave one out", *keys)
        seen.add(key)


def _spelled(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
