"""What came out of a comparison: ranking with intervals, tests, sweeps, and which judge agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chimera_core.compare.experiment.cells import Cell
from chimera_core.compare.experiment.plan import Comparison
from chimera_core.compare.figures.axes import axis_effects
from chimera_core.compare.figures.scoring import Scores
from chimera_core.report.record import Axis, Interval, Place, SecondJudge, Sweep, Test
from chimera_core.statistics import (
    PairedTest,
    compare_paired,
    estimate,
    kendall_tau,
    means_by_tuple,
    tied_with,
)

METRIC = "score"
"""What fusers are ranked by."""
_FLAGS_SHARE = 0.5
"""A flag of a fuser's sets is a warning where more than so many of its tuples raise it."""


def is_mixed(cell: Cell) -> bool:
    """Return whether all parents have a part in a creature; only such can be chimeras, and count in the ranking."""
    return min(cell.weights) > 0


@dataclass(frozen=True)
class Summary:
    """What came out: the parts of ``comparison.json`` that are reckoned from scores."""

    ranking: list[Place]
    tests: list[Test]
    axes: list[Axis]
    sweeps: list[Sweep]
    second_judge: SecondJudge | None


def summarise(comparison: Comparison, made: Mapping[str, Any], scores: Scores) -> Summary:
    """Rank the fusers, and test them against each other."""
    means = {fuser: _means(cells, scores, METRIC) for fuser, cells in comparison.cells.items()}
    measured = {fuser: found for fuser, found in means.items() if found}
    tests = compare_paired(measured)
    order = sorted(
        comparison.cells,
        key=lambda f: -estimate(measured[f]).mean if f in measured else float("inf"),
    )
    ends = _ends(comparison, scores)
    sweeps = (_sweep(fuser, cells, scores, ends) for fuser, cells in comparison.cells.items())
    return Summary(
        ranking=[
            _place(rank, fuser, comparison, scores, made, measured, tests)
            for rank, fuser in enumerate(order, start=1)
        ],
        tests=[Test(**asdict(test)) for test in tests],
        axes=axis_effects(
            comparison.experiment.entries, lambda fuser: measured.get(fuser, {}), metric=METRIC
        ),
        sweeps=[sweep for sweep in sweeps if sweep is not None],
        second_judge=_second(comparison, scores, measured),
    )


def warnings_of(fuser: str, cells: Sequence[Cell], made: Mapping[str, Any], scores: Scores) -> list[str]:
    """List what the reader should know of a fuser: failures, cells it cannot make, flags of its sets."""
    found = []
    failed = sum(not c.reason and c.id not in made for c in cells)
    without = sum(bool(c.reason) for c in cells)
    if failed:
        found.append(f"{failed} of {len(cells)} cells failed; figures are of the others")
    if without:
        found.append(
            f"{without} of {len(cells)} cells are n/a: it {next(c.reason for c in cells if c.reason)}"
        )
    sets = [figures for (name, _), figures in scores.sets.items() if name == fuser]
    for flag in sorted({name for figures in sets for name in figures if _is_flag(name)}):
        raised = [figures[flag]["value"] for figures in sets if flag in figures]
        known = [value for value in raised if value is not None]
        if known and sum(map(bool, known)) > _FLAGS_SHARE * len(known):
            found.append(flag)
    return found


def _is_flag(name: str) -> bool:
    return name in ("ignores-weights", "collapsed")


def _means(cells: Sequence[Cell], scores: Scores, metric: str) -> dict[int, float]:
    found = ((c.tuple_id, scores.figure(c.id, metric)) for c in cells if is_mixed(c))
    return means_by_tuple((t, v) for t, v in found if v is not None)


def _place(
    rank: int,
    fuser: str,
    comparison: Comparison,
    scores: Scores,
    made: Mapping[str, Any],
    measured: Mapping[str, Mapping[int, float]],
    tests: Sequence[PairedTest],
) -> Place:
    cells = [c for c in comparison.cells[fuser] if c.id in made and is_mixed(c)]
    found = estimate(measured[fuser]) if fuser in measured else None
    names = {n for c in cells for n in scores.cells.get(c.id, {})}
    metrics = {n: _interval(m) for n in sorted(names) if (m := _means(cells, scores, n))}
    metrics |= {n: i for n, i in _set_metrics(fuser, scores).items() if not _is_flag(n)}
    return Place(
        fuser=fuser,
        rank=rank,
        metric=METRIC,
        mean=None if found is None else found.mean,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        pairs=len({c.tuple_id for c in cells}),
        seeds=len({c.seed for c in cells}),
        metrics=metrics,
        tied_with=tied_with(fuser, tests),
    )


def _set_metrics(fuser: str, scores: Scores) -> dict[str, Interval]:
    by_name: dict[str, list[tuple[int, float]]] = {}
    for (name, tuple_id), figures in scores.sets.items():
        for metric, figure in figures.items() if name == fuser else ():
            if figure["value"] is not None:
                by_name.setdefault(metric, []).append((tuple_id, figure["value"]))
    return {metric: _interval(means_by_tuple(found)) for metric, found in sorted(by_name.items())}


def _interval(means: Mapping[int, float]) -> Interval:
    found = estimate(means)
    return Interval(mean=found.mean, low=found.low, high=found.high)


def _ends(comparison: Comparison, scores: Scores) -> dict[int, tuple[float, float]]:
    """Give each tuple's log-odds of its two parents' own pictures, which the control ``copy`` shows."""
    found: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for entry in comparison.experiment.entries:
        if not entry.is_control or entry.choice.component.spec.name != "copy":
            continue
        for cell in comparison.cells[entry.id]:
            value = scores.figure(cell.id, "log_odds")
            if len(cell.weights) == 2 and value is not None:
                found.setdefault((cell.tuple_id, int(cell.weights[1] > cell.weights[0])), []).append(
                    (0, value)
                )
    means = {key: means_by_tuple(values)[0] for key, values in found.items()}
    return {t: (means[t, 0], means[t, 1]) for t, side in means if side == 0 and (t, 1) in means}


def _sweep(
    fuser: str, cells: Sequence[Cell], scores: Scores, ends: Mapping[int, tuple[float, float]]
) -> Sweep | None:
    """Place a fuser's creatures between their two parents (0 and 1) by the share of the second; None: unmeasured."""
    by_share: dict[float, list[tuple[int, float]]] = {}
    for cell in cells:
        value = scores.figure(cell.id, "log_odds")
        first, second = ends.get(cell.tuple_id, (0.0, 0.0))
        # Parents that the judge puts in the wrong order have nothing between them.
        if len(cell.weights) == 2 and value is not None and first < second:
            place = (value - first) / (second - first)
            by_share.setdefault(cell.weights[1], []).append((cell.tuple_id, place))
    if len(by_share) < 2:
        return None
    placed = {share: estimate(means_by_tuple(found)) for share, found in sorted(by_share.items())}
    return Sweep(
        fuser=fuser,
        share=list(placed),
        position=[e.mean for e in placed.values()],
        low=[e.low if e.low is not None else e.mean for e in placed.values()],
        high=[e.high if e.high is not None else e.mean for e in placed.values()],
    )


def _second(
    comparison: Comparison, scores: Scores, measured: Mapping[str, Mapping[int, float]]
) -> SecondJudge | None:
    if "judge2" not in comparison.experiment.judges:
        return None
    name = judge_name(comparison, "judge2")
    others = {f: _means(comparison.cells[f], scores, f"{METRIC}[{name}]") for f in measured}
    shared = [f for f in measured if others[f]]
    tau = kendall_tau(
        [estimate(measured[f]).mean for f in shared], [estimate(others[f]).mean for f in shared]
    )
    return SecondJudge(name=name, kendall_tau=tau)


def judge_name(comparison: Comparison, key: str) -> str:
    """Name a judge as figures carry it: the model of the component, or what was trained."""
    table = comparison.experiment.file.judges[key]
    return str(table.options.get("model", table.encoder))
