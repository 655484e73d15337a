"""What an axis of an experiment does: the same fuser at each of its values, everything else alike.

A fuser that is trained several times (axis ``train.seed``) is one fuser: its trainings are drawn anew beside the parents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chimera_core.compare.experiment.file import short_value
from chimera_core.compare.experiment.fusers import FuserEntry
from chimera_core.report.record import Axis, AxisValue
from chimera_core.statistics import Estimate, estimate_crossed, holm, wilcoxon_p

REPLICATES = "train.seed"
"""The axis that says nothing of a fuser but how often it was trained."""
Means = Callable[[str], Mapping[int, float]]


@dataclass(frozen=True)
class _Group:
    """One value of an axis: means by (tuple, training), over all other axes; NaN where nothing was measured."""

    value: Any
    table: NDArray[np.float64]


def axis_effects(entries: Sequence[FuserEntry], means_of: Means, *, metric: str) -> list[Axis]:
    """Compare the values of every axis of every table of fusers.

    Args:
        means_of: gives a fuser's means by tuple; none where nothing was measured.
    Returns:
        Each axis with its values: their means with intervals, their differences from the first value with intervals
        (paired by tuple and training) and p (Wilcoxon over tuples; ``p_holm`` is corrected for the values of the axis).
        An axis of which less than two values were measured is left out.
    """
    found = []
    tables: dict[str, list[FuserEntry]] = {}
    for entry in entries:
        if entry.table is not None and entry.axes:
            tables.setdefault(entry.table, []).append(entry)
    for name, members in tables.items():
        means = {entry.id: means_of(entry.id) for entry in members}
        tuples = sorted({t for m in means.values() for t in m})
        trainings = list(dict.fromkeys(_training(e) for e in members))
        for axis in members[0].axes:
            if axis == REPLICATES:
                continue
            groups = [
                _group(value, [e for e in members if e.axes[axis] == value], means, tuples, trainings)
                for value in _values(members, axis)
            ]
            if len(known := [g for g in groups if np.isfinite(g.table).any()]) > 1:
                found.append(_effect(name, axis, metric, known))
    return found


def _values(members: Sequence[FuserEntry], axis: str) -> list[Any]:
    seen: list[Any] = []
    for entry in members:
        if entry.axes[axis] not in seen:
            seen.append(entry.axes[axis])
    return seen


def _training(entry: FuserEntry) -> str:
    return short_value(entry.axes.get(REPLICATES, ""))


def _group(
    value: Any,
    members: Sequence[FuserEntry],
    means: Mapping[str, Mapping[int, float]],
    tuples: Sequence[int],
    trainings: Sequence[str],
) -> _Group:
    table = np.full((len(tuples), len(trainings)), np.nan)
    for column, training in enumerate(trainings):
        own = [means[e.id] for e in members if _training(e) == training]
        for row, tuple_id in enumerate(tuples):
            if met := [m[tuple_id] for m in own if tuple_id in m]:
                table[row, column] = np.mean(met)
    return _Group(value, table)


def _effect(table: str, axis: str, metric: str, groups: Sequence[_Group]) -> Axis:
    first = groups[0]
    differences = [g.table - first.table for g in groups[1:]]
    # Where nothing is shared nothing can be told.
    ps = [wilcoxon_p(d) if len(d := _by_tuple(table_)) else 1.0 for table_ in differences]
    rows = [_row(first, None, None, None)]
    rows += [
        _row(group, estimate_crossed(difference) if np.isfinite(difference).any() else None, p, p_holm)
        for group, difference, p, p_holm in zip(groups[1:], differences, ps, holm(ps), strict=True)
    ]
    trainings = int(np.isfinite(first.table).any(0).sum())
    return Axis(table=table, axis=axis, metric=metric, trainings=trainings, values=rows)


def _by_tuple(table: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = table[np.isfinite(table).any(1)]
    found: NDArray[np.float64] = np.nanmean(kept, axis=1)
    return found


def _row(group: _Group, difference: Estimate | None, p: float | None, p_holm: float | None) -> AxisValue:
    own = estimate_crossed(group.table)
    by_training = [float(np.nanmean(c)) for c in group.table.T if np.isfinite(c).any()]
    return AxisValue(
        value=short_value(group.value),
        mean=own.mean,
        low=own.low,
        high=own.high,
        by_training=by_training if len(by_training) > 1 else [],
        difference=difference.mean if difference else None,
        difference_low=difference.low if difference else None,
        difference_high=difference.high if difference else None,
        p=p,
        p_holm=p_holm,
    )
