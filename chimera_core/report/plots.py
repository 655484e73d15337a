"""The plots of a report: places in user units, which the templates draw as SVG in the colours of the page."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from chimera_core.report.formatting import show, show_seconds
from chimera_core.report.record import ComparisonRecord, Fuser, Place

_LETTER = 6.6  # mean width of a letter of the plots' 12-unit font
_LINE = 14.0
_MOST_LABELS = 16


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Label:
    """Text beside a point; ``anchor`` is SVG's."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Spot:
    """A point with the ends of its interval above and below."""

    x: float
    y: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Point:
    """A fuser's cost and score, described in words too; ``label`` None where there was no room."""

    spot: Spot
    is_control: bool
    description: str
    label: Label | None


@dataclass(frozen=True)
class Frame:
    """Where a plot is drawn: ``left`` to ``right`` and ``top`` to ``bottom`` is the field inside the axes."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    y_ticks: list[Tick]


@dataclass(frozen=True)
class Plot(Frame):
    """Score by cost."""

    x_ticks: list[Tick]
    points: list[Point]
    untimed: list[str]


@dataclass(frozen=True)
class Curve:
    """A small plot over the share of the second parent: ``line`` and ``band`` are SVG paths ("" for none)."""

    label: str
    is_control: bool
    line: str
    band: str
    dots: list[tuple[float, float]]
    description: str


@dataclass(frozen=True)
class Curves(Frame):
    """Small plots with one scale; ``ideal`` (a path, "" for none) is the same in each."""

    ideal: str
    each: list[Curve]


def score_by_cost(comparison: ComparisonRecord, *, width: float, height: float) -> Plot | None:
    """Place the ranked fusers by seconds for an image (to the right, logarithmic where they differ much) and score.

    Returns:
        None if no fuser has both a score and a cost.
    """
    fusers = {fuser.id: fuser for fuser in comparison.fusers}
    ranked = [(fusers[place.fuser], place) for place in comparison.ranking if place.mean is not None]
    timed = [(fuser, place) for fuser, place in ranked if fuser.cost.seconds_per_image is not None]
    if not timed:
        return None
    left, right, top, bottom = 44.0, width - 16.0, 16.0, height - 44.0
    # What takes no measurable time has a place too: a control at 0 s would be left of every axis.
    costs = [max(fuser.cost.seconds_per_image or 0.0, 1e-4) for fuser, _ in timed]
    if max(costs) > 8 * min(costs):
        low_x, high_x, x_ticks = _log_scale(costs)
        costs = [math.log10(cost) for cost in costs]
    else:
        low_x, high_x, x_ticks = _linear_scale([0.0, *costs])
        x_ticks = [(value, f"{text} s") for value, text in x_ticks]
    figures = [v for _, place in timed for v in (place.mean, place.low, place.high) if v is not None]
    low_y, high_y, y_ticks = _linear_scale([0.0, *figures])

    def at_x(value: float) -> float:
        return left + (value - low_x) / (high_x - low_x) * (right - left)

    def at_y(value: float) -> float:
        return bottom - (value - low_y) / (high_y - low_y) * (bottom - top)

    spots = [
        Spot(
            at_x(cost),
            at_y(place.mean or 0.0),
            *(at_y(place.mean or 0.0 if end is None else end) for end in (place.high, place.low)),
        )
        for cost, (_, place) in zip(costs, timed, strict=True)
    ]
    return Plot(
        width,
        height,
        left,
        right,
        top,
        bottom,
        [Tick(at_y(value), text) for value, text in y_ticks],
        [Tick(at_x(value), text) for value, text in x_ticks],
        _points(timed, spots, (left, right, top, bottom)),
        [fuser.label for fuser, _ in ranked if fuser.cost.seconds_per_image is None],
    )


def positions(comparison: ComparisonRecord) -> Curves | None:
    """Draw where each fuser's creatures lie between their parents; the diagonal is what was asked for."""
    labels = {fuser.id: fuser for fuser in comparison.fusers}
    order = {fuser.id: place for place, fuser in enumerate(comparison.by_rank)}
    rows = []
    for sweep in sorted(comparison.sweeps, key=lambda sweep: order[sweep.fuser]):
        low = sweep.low if len(sweep.low) == len(sweep.share) else [None] * len(sweep.share)
        high = sweep.high if len(sweep.high) == len(sweep.share) else [None] * len(sweep.share)
        points = [
            (share, value, a, b)
            for share, value, a, b in zip(sweep.share, sweep.position, low, high, strict=False)
            if value is not None
        ]
        if points:
            rows.append((labels[sweep.fuser].label, labels[sweep.fuser].is_control, points))
    return _curves(rows, "position", diagonal=True)


def scores_by_share(comparison: ComparisonRecord) -> Curves | None:
    """Draw each fuser's mean score by the share of the second of two parents, over pairs and seeds."""
    sums: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell in comparison.cells:
        score = cell.metrics.get("score")
        if len(cell.weights) == 2 and score is not None and score.value is not None:
            sums[cell.fuser][round(cell.weights[1], 6)].append(score.value)
    rows = []
    for fuser in comparison.by_rank:
        if len(sums[fuser.id]) > 1:
            points = [(share, fmean(values), None, None) for share, values in sorted(sums[fuser.id].items())]
            rows.append((fuser.label, fuser.is_control, points))
    return _curves(rows, "score", diagonal=False)


def _points(timed: Sequence[tuple[Fuser, Place]], spots: Sequence[Spot], frame: _Box) -> list[Point]:
    taken = [(spot.x - 6, spot.y - 6, spot.x + 6, spot.y + 6) for spot in spots]
    taken += [(spot.x - 2, spot.top, spot.x + 2, spot.bottom) for spot in spots]
    labels = _place_labels(spots, [fuser.label for fuser, _ in timed], taken, frame)
    return [
        Point(
            spot,
            fuser.is_control,
            f"{fuser.label}: {show(place.mean)} at {show_seconds(fuser.cost.seconds_per_image)} per image",
            label,
        )
        for (fuser, place), spot, label in zip(timed, spots, labels, strict=True)
    ]


_Row = tuple[str, bool, Sequence[tuple[float, float, float | None, float | None]]]


def _curves(rows: Sequence[_Row], what: str, *, diagonal: bool) -> Curves | None:
    """Draw rows of (share, value, low, high), each in a plot of its own with the scale of all."""
    if not rows:
        return None
    width, height, left, right, top, bottom = 200.0, 140.0, 34.0, 192.0, 10.0, 116.0
    met = [v for _, _, points in rows for _, *values in points for v in values if v is not None]
    shown = [0.0, 1.0 if diagonal else 0.0, *met]
    low, high, ticks = _linear_scale(shown, most=4)
    # Small plots have no room for an empty half: the field ends where the figures do.
    low, high = min(shown), max(max(shown), low + 1e-6)
    ticks = [(value, text) for value, text in ticks if low <= value <= high]

    def at(share: float, value: float) -> tuple[float, float]:
        return round(left + share * (right - left), 1), round(
            bottom - (value - low) / (high - low) * (bottom - top), 1
        )

    each = []
    for label, is_control, points in rows:
        banded = [(s, a, b) for s, _, a, b in points if a is not None and b is not None]
        outline = [at(s, b) for s, _, b in banded] + [at(s, a) for s, a, _ in reversed(banded)]
        dots = [at(s, value) for s, value, _, _ in points]
        figures = ", ".join(f"{show(v)} at {100 * s:.0f} %" for s, v, _, _ in points)
        band = _path(outline) + "Z" if len(banded) > 1 else ""
        each.append(Curve(label, is_control, _path(dots), band, dots, f"{label}: {what} {figures}"))
    ideal = _path([at(0, 0), at(1, 1)]) if diagonal else ""
    return Curves(
        width, height, left, right, top, bottom, [Tick(at(0, v)[1], text) for v, text in ticks], ideal, each
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


def _linear_scale(values: Sequence[float], *, most: int = 6) -> tuple[float, float, list[tuple[float, str]]]:
    """Return the ends of an axis and at most about ``most`` round numbers on it, as (value, text)."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        high = low + 1
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10, 20) if (high - low) / (factor * step) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [i * step for i in range(first, last + 1)]
    return ticks[0], ticks[-1], [(v, f"{v:.10g}".replace("-", "\N{MINUS SIGN}")) for v in ticks]


def _log_scale(values: Sequence[float]) -> tuple[float, float, list[tuple[float, str]]]:
    """As ``_linear_scale``, of seconds and in powers of ten: the ends and ticks are logarithms."""
    low, high = math.log10(min(values)), math.log10(max(values))
    ticks = [(float(power), _power(power)) for power in range(math.floor(low), math.ceil(high) + 1)]
    inside = [tick for tick in ticks if low - 0.25 <= tick[0] <= high + 0.25]
    # Half a power of room on each side, so that no point lies on the frame.
    return low - 0.25, high + 0.25, inside[:: max(1, len(inside) // 5)]


def _power(power: int) -> str:
    return f"{10**power} s" if power >= 0 else f"{10 ** (power + 3):g} ms"


def _place_labels(
    spots: Sequence[Spot], texts: Sequence[str], taken: list[_Box], frame: _Box
) -> list[Label | None]:
    """Put each text beside its point where it covers nothing that is taken; the first are served first."""
    left, right, top, bottom = frame
    labels: list[Label | None] = []
    for index, (spot, text) in enumerate(zip(spots, texts, strict=True)):
        shown = text if len(text) <= 24 else text[:23] + "…"
        wide = len(shown) * _LETTER
        label = None
        for anchor, dx, dy in _WAYS if index < _MOST_LABELS else ():
            x0 = spot.x + dx - {"start": 0.0, "end": wide, "middle": wide / 2}[anchor]
            box = (x0, spot.y + dy - _LINE + 4, x0 + wide, spot.y + dy + 3)
            inside = (
                left + 2 <= box[0] and box[2] <= right + 12 and top - 8 <= box[1] and box[3] <= bottom - 2
            )
            if inside and not any(_overlap(box, other) for other in taken):
                label = Label(spot.x + dx, spot.y + dy, anchor, shown)
                taken.append(box)
                break
        labels.append(label)
    return labels


_Box = tuple[float, float, float, float]
# Where a label may stand: SVG's anchor, and how far from its point. Beside it, then above and below, then askew.
_WAYS = (
    ("start", 10.0, 4.0),
    ("end", -10.0, 4.0),
    ("start", 8.0, -8.0),
    ("end", -8.0, -8.0),
    ("start", 8.0, 17.0),
    ("end", -8.0, 17.0),
    ("middle", 0.0, -12.0),
    ("middle", 0.0, 21.0),
)


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
