"""The fusers that an experiment file asks for, its axes multiplied out; none is looked up here. Torch-free."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chimera_core.compare.experiment.file import ExperimentFile, FuserTable
from chimera_core.components.layers import merge
from chimera_core.files.atomic import one_line


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
