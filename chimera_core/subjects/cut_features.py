"""Numbers that tell good cuts between head and body from bad ones."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from chimera_core.subjects.cut_candidates import HOT, RIM, Array, Candidates, Grid, Mask, Values

# Widths of bands beside a cut, and distances at which the animal's width is measured, in sides of the animal.
_BANDS, _STATIONS = (0.05, 0.15), (-0.3, -0.18, -0.08, 0.08, 0.18, 0.3)
_NOTCH_SIZES = (0.1, 0.2)
# How sharply candidates of a better overlap outvote others.
_VOTE = 25.0


def describe(grid: Grid, candidates: Candidates) -> dict[str, Values]:
    """Describe every candidate: by name, float (K,) of order one; NaN where the grid does not know."""
    geometry = _Geometry.of(grid, candidates)
    features = _agreement_with_scores(grid, candidates, geometry)
    features |= _shape(candidates, geometry)
    features |= _both_sides(grid, geometry)
    features |= _notches(grid, candidates, geometry)
    features |= _place_in_picture(grid, geometry)
    features |= _neck(grid, geometry)
    return {
        name: np.broadcast_to(value, geometry.size.shape).astype(float) for name, value in features.items()
    }


def describe_sides(grid: Grid, candidates: Candidates) -> Values:
    """Describe a cut's ends, float (K, 3): how much the one that lies clockwise of the way into the head is the higher one,
    nearer the body's middle, and further from the snout (0 where that is not known) than the other.
    """
    g = _Geometry.of(grid, candidates)
    rest = 1 - g.heads
    cells = np.maximum(1, rest.sum(1))
    away, back = (rest * g.across).sum(1) / cells, (rest * g.along).sum(1) / cells
    snout = np.zeros(len(g.size))
    if grid.snout is not None:
        weight = g.heads * grid.snout[grid.animal] ** 2
        snout = -(weight * g.across).sum(1) / (weight.sum(1) + 1e-6) / np.sqrt(g.size)
    return np.stack([-np.cos(candidates.angle), away / (np.hypot(away, back) + 1e-6), snout], 1).astype(float)


class _Geometry(NamedTuple):
    """What the descriptions share, of K candidates and P cells of the animal.

    ``along`` and ``across`` (K, P) are a cell's coordinates, from the cut's line and from the cut's middle; ``rim`` (K, P)
    marks the head's cells on the cut, ``before`` (K, P) cells of the body near it.
    """

    rows: Array
    columns: Array
    side: float
    heads: Array
    size: Values
    along: Array
    across: Array
    rim: Array
    length: Values
    span: Values
    ends: tuple[Values, Values]
    near: Mask
    before: Array

    @classmethod
    def of(cls, grid: Grid, candidates: Candidates) -> _Geometry:
        rows, columns = (v.astype(np.float32) for v in np.nonzero(grid.animal))
        side = math.sqrt(len(rows))
        heads = candidates.heads[:, grid.animal].astype(np.float32)
        cos, sin = (f(candidates.angle)[:, None].astype(np.float32) for f in (np.cos, np.sin))
        along = (cos * columns + sin * rows - candidates.offset[:, None]).astype(np.float32)
        across = cos * rows - sin * columns
        rim = (along <= RIM) * heads
        length = np.maximum(1, rim.sum(1)).astype(float)
        middle = (rim * across).sum(1) / length
        ends = np.where(rim > 0, across, np.inf).min(1), np.where(rim > 0, across, -np.inf).max(1)
        span = np.maximum(1, ends[1] - ends[0] + 1).astype(float)
        across = (across - middle[:, None]).astype(np.float32)
        near = np.abs(across) <= 0.5 * span[:, None] + 0.12 * side
        before = ((1 - heads) * near).astype(np.float32)
        size = heads.sum(1).astype(float)
        return cls(rows, columns, side, heads, size, along, across, rim, length, span, ends, near, before)


def _agreement_with_scores(grid: Grid, candidates: Candidates, g: _Geometry) -> dict[str, Values | float]:
    score = grid.scores[grid.animal]
    hot = (score > HOT).astype(np.float32)
    mass, total, inside, hot_inside = float(score.sum()) + 1e-6, len(score), g.heads @ score, g.heads @ hot
    overlap = inside / (mass + g.size - inside)
    features: dict[str, Values | float] = {
        "overlap": overlap,
        "overlap_behind_best": overlap - overlap.max(),
        "mass_inside": inside / mass,
        "mean_inside": inside / g.size,
        "mean_outside": (mass - inside) / np.maximum(1, total - g.size),
        "hot_inside": hot_inside / (float(hot.sum()) + 1),
        "cold_inside": 1 - hot_inside / g.size,
        "hot_share": float(hot.mean()),
        "log_size_to_mass": np.log(g.size / mass),
    }
    surest = grid.surest_piece()[grid.animal]
    surest_mass, surest_inside = float(surest.sum()) + 1e-6, g.heads @ surest
    features["surest_overlap"] = surest_inside / (surest_mass + g.size - surest_inside)
    features["surest_inside"] = surest_inside / surest_mass
    features["surest_share"] = surest_mass / mass
    # What other good candidates enclose.
    both = g.heads @ g.heads.T
    alike = both / (g.size[:, None] + g.size[None] - both)
    votes = np.exp(_VOTE * (overlap - overlap.max()))
    features["agreement"] = alike @ (votes / votes.sum())
    features["agreement_of_all"] = float((votes / votes.sum()) @ features["agreement"])
    row, column = grid.peak()
    peak = int(np.flatnonzero((g.rows == row) & (g.columns == column))[0])
    features["peak_inside"] = g.heads[:, peak].astype(float)
    features["peak_depth"] = g.along[:, peak] / np.sqrt(g.size)
    features["peak_aside"] = np.abs(g.across[:, peak]) / g.span
    features["peak_score"] = float(score[peak])
    return features


def _shape(candidates: Candidates, g: _Geometry) -> dict[str, Values | float]:
    total = len(g.rows)
    depth, aside = (g.heads * g.along).sum(1) / g.size, (g.heads * g.across).sum(1) / g.size
    deep = np.sqrt((g.heads * (g.along - depth[:, None]) ** 2).sum(1) / g.size)
    wide = np.sqrt((g.heads * (g.across - aside[:, None]) ** 2).sum(1) / g.size)
    return {
        "share": g.size / total,
        "log_share": np.log(g.size / total),
        "lost_beyond": (candidates.beyond - g.size) / total,
        "rim_to_head": g.length / np.sqrt(g.size),
        "rim_to_body": g.length / np.sqrt(np.maximum(1, total - g.size)),
        "rim_gap": g.span / g.length - 1,
        "down": np.maximum(0, np.sin(candidates.angle)),
        "up": np.maximum(0, -np.sin(candidates.angle)),
        "spread_out": deep * wide * 4 / g.size,
        "elongated": np.log((deep + 0.5) / (wide + 0.5)),
        "depth_to_rim": np.log(np.maximum(0, depth) / g.length + 0.05),
        "head_aside": np.abs(aside) / g.span,
    }


def _both_sides(grid: Grid, g: _Geometry) -> dict[str, Values | float]:
    """Scores and the animal's width on both sides of the cut: a neck is a narrowing where the scores fall."""
    score = grid.scores[grid.animal]
    features: dict[str, Values | float] = {}
    for band in _BANDS:
        parts = g.heads * (g.along <= band * g.side), g.before * ((g.along <= 0) & (g.along > -band * g.side))
        within, outside = ((part @ score) / np.maximum(1, part.sum(1)) for part in parts)
        features[f"score_inside_{band}"], features[f"score_outside_{band}"] = within, outside
        features[f"score_step_{band}"] = within - outside
    for station in _STATIONS:
        slab = np.abs(g.along - station * g.side) <= 1
        wide = ((g.heads if station > 0 else g.before) * slab).sum(1) / 2
        features[f"width_{station}"] = np.log((wide + 1) / (g.length + 1))
    return features


def _notches(grid: Grid, candidates: Candidates, g: _Geometry) -> dict[str, Values | float]:
    """How much animal lies around a cut's ends: those of a neck lie in notches of the outline."""
    height, width = grid.animal.shape
    cos, sin = np.cos(candidates.angle), np.sin(candidates.angle)
    features: dict[str, Values | float] = {}
    for size in _NOTCH_SIZES:
        edge = 2 * round(size * g.side / 2) + 1
        full = cv2.blur(grid.animal.astype(np.float32), (edge, edge), borderType=cv2.BORDER_CONSTANT)
        around = []
        for end in g.ends:
            x, y = cos * candidates.offset - sin * end, sin * candidates.offset + cos * end
            around.append(full[_index(y, height), _index(x, width)].astype(float))
        features[f"notch_least_{size}"], features[f"notch_most_{size}"] = (
            np.minimum(*around),
            np.maximum(*around),
        )
    return features


def _place_in_picture(grid: Grid, g: _Geometry) -> dict[str, Values | float]:
    height, width = grid.animal.shape
    floor = g.rows >= height - 1
    border = floor | (g.rows <= 0) | (g.columns <= 0) | (g.columns >= width - 1)
    return {
        "head_on_frame": (g.heads @ border.astype(np.float32)) / np.sqrt(g.size),
        "rim_on_frame": (g.rim @ border.astype(np.float32)) / g.length,
        "animal_on_frame": float(border.sum()) / g.side,
        "animal_on_floor": float(floor.sum()) / g.side,
        "animal_tall": math.log((np.ptp(g.rows) + 1) / (np.ptp(g.columns) + 1)),
        "animal_share": len(g.rows) / (height * width),
        "head_high": (float(g.rows.mean()) - (g.heads @ g.rows) / g.size) / g.side,
    }


def _neck(grid: Grid, g: _Geometry) -> dict[str, Values | float]:
    if grid.neck is None:
        return dict.fromkeys(("neck_on_cut", "neck_inside", "neck_depth"), math.nan)
    neck = grid.neck[grid.animal]
    mass = float(neck.sum()) + 1e-6
    beside = (np.abs(g.along) <= 0.06 * g.side) * g.near
    return {
        "neck_on_cut": (beside @ neck) / np.maximum(1, beside.sum(1)) / (float(neck.max()) + 0.05),
        "neck_inside": (g.heads @ neck) / mass,
        "neck_depth": np.clip((g.along @ neck) / mass / np.sqrt(g.size), -3, 3),
    }


def _index(values: Values, size: int) -> NDArray[np.intp]:
    return np.clip(values, 0, size - 1).round().astype(np.intp)
