"""The sentences of a report: who leads, what the columns mean, what failed and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chimera_core.report.columns import FIGURES, RANKING, TESTS, Metric, describe
from chimera_core.report.formatting import listed, show
from chimera_core.report.record import ComparisonRecord, Fuser, Interval, Place
from chimera_core.scoring.formula import EARLIER, FORMULA


@dataclass(frozen=True)
class Row:
    """A fuser in the ranking; ``place`` None where nothing of it could be ranked. ``figures``: one per column."""

    fuser: Fuser
    place: Place | None
    figures: list[Interval]
    ties: list[str]


@dataclass(frozen=True)
class Trouble:
    """Cells that failed alike. ``where`` names up to three."""

    fuser: str
    reason: str
    count: int
    where: str


def headline(comparison: ComparisonRecord) -> str:
    """Say in a sentence or two who leads, or that nobody does: a tie has no winner, and a control is no method."""
    ranked = [place for place in comparison.ranking if place.mean is not None]
    if not ranked:
        return "Nothing could be ranked: no fuser has a score."
    labels = comparison.labels
    best = min(ranked, key=lambda place: place.rank)
    controls = {fuser.id for fuser in comparison.fusers if fuser.is_control}
    if best.tied_with:
        others = listed(labels[other] for other in best.tied_with)
        sentence = f"No winner: {labels[best.fuser]} has the best mean score, but the intervals do not tell it from {others}."
    else:
        sentence = f"{labels[best.fuser]} ranks first, with a {best.metric} of {with_interval(best)}."
    if best.fuser in controls:
        sentence += " It is a control: no fuser has beaten it."
    elif tied := [other for other in best.tied_with if other in controls]:
        verb = "is a control" if len(tied) == 1 else "are controls"
        sentence += f" {listed(labels[other] for other in tied)} {verb}."
    return sentence


def with_interval(interval: Interval) -> str:
    """Write a mean with its interval: ``0.412 (0.380 to 0.451)``."""
    if interval.mean is None or interval.low is None or interval.high is None:
        return show(interval.mean)
    return f"{show(interval.mean)} ({show(interval.low)} to {show(interval.high)})"


def intervals(comparison: ComparisonRecord) -> str:
    """Name the intervals: ``95 % intervals`` where their confidence is known."""
    known = comparison.confidence
    return "intervals" if known is None else f"{100 * known:g} % intervals"


def is_flag(warning: str) -> bool:
    """Return whether a warning is one of the short flags; others are sentences."""
    return warning in _WARNINGS


def explained(warning: str) -> str:
    """Return what a warning means, if it is one that is known."""
    meaning = _WARNINGS.get(warning)
    return f"{warning} ({meaning})" if meaning else warning


def group_noun(comparison: ComparisonRecord) -> str:
    """Return what the tuples are: ``pair``, or ``tuple`` where some have three parents or more."""
    return "pair" if all(len(tuple_.labels) == 2 for tuple_ in comparison.tuples) else "tuple"


def ranking_columns(comparison: ComparisonRecord) -> list[Metric]:
    """Name the figures beside the headline metric that some place of the ranking has."""
    met = dict.fromkeys(name for place in comparison.ranking for name in place.metrics)
    headline_metrics = {place.metric for place in comparison.ranking}
    known = [name for name in FIGURES if name in met]
    names = [*known, *(name for name in met if name not in known)]
    return [describe(name, comparison.metrics) for name in names if name not in headline_metrics]


def ranking_rows(comparison: ComparisonRecord, columns: Sequence[Metric]) -> list[Row]:
    """Give every fuser a row, best first; those without a place come last and are not hidden."""
    places = {place.fuser: place for place in comparison.ranking}
    labels = comparison.labels
    rows = []
    for fuser in comparison.by_rank:
        place = places.get(fuser.id)
        figures = [place.metrics.get(metric.name, Interval()) if place else Interval() for metric in columns]
        rows.append(Row(fuser, place, figures, [labels[other] for other in place.tied_with] if place else []))
    return rows


def legend(comparison: ComparisonRecord, names: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Explain the columns that a report of this comparison has: (title of the table, [(column, meaning)]).

    Args:
        comparison: what is reported.
        names: of its figures.
    """
    figures = {name: describe(name, comparison.metrics) for name in names}
    explained_figures = [
        (name, f"{m.meaning} {m.better.capitalize()} is better." if m.better else m.meaning)
        for name, m in figures.items()
        if m.meaning
    ]
    tables = [("Ranking", list(RANKING.items())), ("Figures", explained_figures)]
    if comparison.tests:
        tables.insert(1, ("Pairwise tests", list(TESTS.items())))
    return [(title, rows) for title, rows in tables if rows]


def failures(comparison: ComparisonRecord) -> list[Trouble]:
    """Gather the failed cells by fuser and reason, most first."""
    return _gather(comparison, "failed")


def not_applicable(comparison: ComparisonRecord) -> list[Trouble]:
    """Gather the cells that a fuser does not make, by fuser and reason."""
    return _gather(comparison, "n/a")


def unmeasured(comparison: ComparisonRecord) -> list[tuple[str, str, int]]:
    """Gather the figures that could not be measured: (metric, reason, count), most first."""
    met = Counter(
        (name, measured.reason or "no reason given")
        for cell in comparison.cells
        if cell.status == "ok"
        for name, measured in cell.metrics.items()
        if measured.value is None
    )
    return [(name, reason, count) for (name, reason), count in met.most_common()]


def _gather(comparison: ComparisonRecord, status: str) -> list[Trouble]:
    names = {tuple_.id: " + ".join(tuple_.labels) for tuple_ in comparison.tuples}
    met: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cell in comparison.cells:
        if cell.status == status:
            met[cell.fuser, cell.error or "without a reason"].append(names[cell.tuple])
    labels = comparison.labels
    found = [
        Trouble(labels[fuser], reason, len(where), _places(where)) for (fuser, reason), where in met.items()
    ]
    return sorted(found, key=lambda trouble: -trouble.count)


def formula(comparison: ComparisonRecord) -> str:
    """Return which formula the scores follow, and whether it is today's."""
    if all("score" not in cell.metrics for cell in comparison.cells):
        return ""
    if comparison.formula == FORMULA:
        return f"Fused and score follow formula {FORMULA}."
    known = (
        f"formula {comparison.formula}"
        if comparison.formula is not None
        else f"formula {EARLIER} or an older one"
    )
    return (
        f"Fused and score follow {known}, and do not compare with those of formula {FORMULA}, today's: "
        "chimera compare measures anew."
    )


def _places(names: Sequence[str]) -> str:
    """Name up to three tuples; apart by ; because a name may hold commas and "and"."""
    distinct = list(dict.fromkeys(names))
    more = [f"{len(distinct) - 3} more"] if len(distinct) > 3 else []
    return "; ".join([*distinct[:3], *more])


_WARNINGS = {
    "ignores-weights": "its creatures do not follow the weights that were asked for",
    "collapsed": "its creatures are nearly all alike",
}
