"""``comparison.json``: what a comparison measured, as ``chimera compare`` writes it and the report reads it.

A key is added here, and shown by a template: later versions of the file load, and so do earlier ones, whose keys were
fewer.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator

from chimera_core.errors import DataError
from chimera_core.files.own_folders import relative_name

FILE = "comparison.json"
KIND = "comparison"
Number = FiniteFloat | None


class _Part(BaseModel):
    # What a later version adds is not for this report.
    model_config = ConfigDict(frozen=True, extra="ignore")


def _inside(path: str | None) -> str | None:
    """Refuse a picture outside the run's folder: a report that travels must not carry the reader's files."""
    if path is not None:
        try:
            relative_name(path)
        except DataError as error:
            raise ValueError(str(error)) from None
    return path


class Measured(_Part):
    """One figure. ``value`` None: it could not be measured, and ``reason`` says why."""

    value: Number = None
    n: int = 0
    reason: str | None = None


class Judge(_Part):
    """An encoder that judged, and how it resizes."""

    name: str
    resize: str = ""


class Reference(_Part):
    """The broad set of animal images that realism is measured against."""

    name: str
    n: int


class Tuple(_Part):
    """Parents that were fused with each other. ``images``: how they are shown; None where nothing is."""

    id: int
    labels: list[str] = Field(min_length=1)
    images: list[str | None] = []

    @field_validator("images")
    @classmethod
    def _inside_the_run(cls, paths: list[str | None]) -> list[str | None]:
        return [_inside(path) for path in paths]


class Cost(_Part):
    """What a fuser costs: seconds for an image on a device, seconds of training, parameters."""

    seconds_per_image: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    device: str = ""
    train_s: Number = None
    parameters: int | None = None


class Fuser(_Part):
    """One fuser of the comparison, with its options and its cost."""

    id: str
    label: str
    fuser: str
    preset: str | None = None
    encoder: str | None = None
    trainer: str | None = None
    options: dict[str, Any] = {}
    is_control: bool = False
    cost: Cost = Cost()
    warnings: list[str] = []


class CellRecord(_Part):
    """One creature: a fuser, parents, weights and a seed; or why there is none."""

    id: str
    fuser: str
    tuple: int
    weights: list[FiniteFloat]
    seed: int
    image: str | None = None
    status: Literal["ok", "failed", "n/a"]
    error: str | None = None
    wall_s: Number = None
    metrics: dict[str, Measured] = {}

    @field_validator("image")
    @classmethod
    def _inside_the_run(cls, path: str | None) -> str | None:
        return _inside(path)


class Interval(_Part):
    """A mean with its interval; None where nothing could be measured."""

    mean: Number = None
    low: Number = None
    high: Number = None


class Place(Interval):
    """A fuser's place in the ranking, and those that the figures do not tell apart from it."""

    fuser: str
    rank: int
    metric: str = "score"
    pairs: int = 0
    seeds: int = 0
    metrics: dict[str, Interval] = {}
    tied_with: list[str] = []


class Test(_Part):
    """A paired test of two fusers; ``p_holm`` is corrected for their number."""

    a: str
    b: str
    difference: Number = None
    low: Number = None
    high: Number = None
    p: Number = None
    p_holm: Number = None


class AxisValue(Interval):
    """A fuser at one value of an axis; differences are from the axis's first value."""

    value: str
    by_training: list[FiniteFloat] = []
    difference: Number = None
    difference_low: Number = None
    difference_high: Number = None
    p: Number = None
    p_holm: Number = None


class Axis(_Part):
    """What an axis does to a fuser, over all other axes; ``trainings``: of each value."""

    table: str
    axis: str
    metric: str = "score"
    trainings: int = 1
    values: list[AxisValue] = []


class Sweep(_Part):
    """Where a fuser's creatures lie between two parents (0 and 1), by the share of the second."""

    fuser: str
    share: list[FiniteFloat]
    position: list[Number]
    low: list[Number] = []
    high: list[Number] = []


class SecondJudge(_Part):
    """How alike another judge ranks."""

    name: str
    kendall_tau: Number = None


class PluginMetric(_Part):
    """A figure of a plugin: which way is better, what it means, and what to install to get it."""

    better: Literal["higher", "lower", ""] = ""
    meaning: str = ""
    distribution: str = ""


class ComparisonRecord(_Part):
    """All that the report is made of; the pictures lie beside it."""

    name: str
    size: int
    seeds: list[int]
    weights: list[list[FiniteFloat]]
    created: str = ""
    command: str = ""
    judges: list[Judge] = []
    formula: int | None = None
    reference: Reference | None = None
    notes: list[str] = []
    metrics: dict[str, PluginMetric] = {}
    tuples: list[Tuple]
    fusers: list[Fuser]
    cells: list[CellRecord]
    ranking: list[Place] = []
    tests: list[Test] = []
    axes: list[Axis] = []
    sweeps: list[Sweep] = []
    second_judge: SecondJudge | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None

    @property
    def by_rank(self) -> list[Fuser]:
        """The fusers as they rank, then those without a place as the file names them."""
        ranks = {place.fuser: place.rank for place in self.ranking}
        return sorted(self.fusers, key=lambda fuser: ranks.get(fuser.id, len(self.fusers) + 1))

    @property
    def labels(self) -> dict[str, str]:
        """The label of every fuser."""
        return {fuser.id: fuser.label for fuser in self.fusers}

    def sweep_of(self, tuple_: Tuple) -> list[tuple[float, ...]]:
        """The weights that these parents were fused with, in the order of the file."""
        met = {weight_key(cell.weights) for cell in self.cells_of(tuple_)}
        named = [weight_key(weights) for weights in self.weights]
        return [w for w in dict.fromkeys(named) if w in met] + sorted(met.difference(named), reverse=True)

    def cells_of(self, tuple_: Tuple) -> list[CellRecord]:
        """The cells of these parents."""
        return self._cells_by_tuple.get(tuple_.id, [])

    @cached_property
    def _cells_by_tuple(self) -> dict[int, list[CellRecord]]:
        grouped: dict[int, list[CellRecord]] = {}
        for cell in self.cells:
            grouped.setdefault(cell.tuple, []).append(cell)
        return grouped


def weight_key(weights: Iterable[float]) -> tuple[float, ...]:
    """Make weights comparable: thirds that were added up differ in the last bits."""
    return tuple(round(float(weight), 6) for weight in weights)
