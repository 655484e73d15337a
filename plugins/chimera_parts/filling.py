"""Fill the place of what was removed from a photograph, from its surroundings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from chimera_core.api import blurred, resized
from chimera_parts.arrays import Array, Mask, grow, soften

# Patches are matched at these longer sides of the region around the hole, in pixels, with this radius.
_SIDES, _ITERATIONS = (56, 112), (6, 4)
_RADIUS = 3
# Room around the hole from which patches come, as a share of its longer side, and at least in pixels.
_ROOM, _LEAST_ROOM = 0.7, 24
_MOST_SOURCES = 9000
_CHUNK = 1500
# A row further off counts as this many columns where a fill begins; a patch from another height costs this much.
_ROW_PRICE, _RISE_PRICE = 2.0, 0.1
# A neighbour's continuation is taken if it fits no worse than this many times the best; so many rounds.
_COHERENT, _ROUNDS = 1.35, 2
# Pixels are copied along at most so many offsets; costs are blurred by this many cells; where nothing can be copied.
_MOST_OFFSETS, _REGION, _UNUSABLE = 60, 1.5, 3.0
_NEIGHBOURS = [np.array(step) for step in ((0, -1), (-1, 0), (0, 1), (1, 0))]


def fill(
    image: Array,
    hole: Mask,
    *,
    avoid: Mask | None = None,
    report: Callable[[float], None] = lambda share: None,
) -> Array:
    """Fill a hole with patches of what surrounds it.

    Args:
        image: float32 (H, W, 3) in [0, 1].
        hole: bool (H, W), what is to be replaced.
        avoid: bool (H, W), from where no patch may come: the animal itself.
        report: called now and then with how far it is, in [0, 1].
    Returns:
        float32 (H, W, 3); pixels far from the hole are those of ``image``.
    Source: Wexler, Shechtman and Irani 2007, "Space-time completion of video", in two dimensions: patches
        are matched coarse to fine, then pixels are copied at full resolution along the offsets that were found.
    """
    if hole.sum() < 4:
        return image
    rows, columns = np.nonzero(hole)
    room = int(_ROOM * max(np.ptp(rows), np.ptp(columns))) + _LEAST_ROOM
    height, width = hole.shape
    part = (
        slice(max(0, rows.min() - room), min(height, rows.max() + room + 1)),
        slice(max(0, columns.min() - room), min(width, columns.max() + room + 1)),
    )
    made = image.copy()
    source = hole[part] if avoid is None else (avoid | hole)[part]
    made[part] = _filled(image[part], hole[part], source, report)
    return made


def _filled(image: Array, hole: Mask, avoid: Mask, report: Callable[[float], None]) -> Array:
    found = None
    for level, (side, iterations) in enumerate(zip(_SIDES, _ITERATIONS, strict=True)):
        scale = min(1.0, side / max(hole.shape))
        shape = (max(12, round(hole.shape[0] * scale)), max(12, round(hole.shape[1] * scale)))
        small = resized(image, shape)
        small_hole = cv2.resize(hole.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.02
        small_avoid = cv2.resize(avoid.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.1
        sources = _sources(small_avoid)
        if len(sources) < 20:
            sources, small_avoid = _sources(small_hole), small_hole
        if len(sources) < 20:
            return image
        start = _blurred_fill(small, small_avoid) if found is None else np.where(
            small_hole[..., None], resized(found[0], shape), small
        )  # fmt: skip
        found = _match(
            small,
            small_hole,
            small_avoid,
            sources,
            start.astype(np.float32),
            iterations,
            report=partial(_report_level, report, level),
        )
    if found is None:
        return image
    coarse, offsets = found
    return _copied(image, hole, avoid, coarse, offsets)


def _report_level(report: Callable[[float], None], level: int, share: float) -> None:
    report((level + share) / len(_SIDES))


def _sources(avoid: Mask) -> np.ndarray:
    """Centres of whole patches that touch nothing to avoid: int (n, 2), rows and columns."""
    usable = ~ndimage.binary_dilation(avoid, structure=np.ones((3, 3)), iterations=_RADIUS)
    usable[:_RADIUS] = usable[-_RADIUS:] = False
    usable[:, :_RADIUS] = usable[:, -_RADIUS:] = False
    centres = np.argwhere(usable)
    if len(centres) > _MOST_SOURCES:
        centres = centres[np.linspace(0, len(centres) - 1, _MOST_SOURCES).astype(int)]
    return centres


def _levelled(made: Array, image: Array, hole: Mask, avoid: Mask, scale: float) -> Array:
    """Lift or lower what was filled in until it meets its surroundings, as light falls off smoothly.

    The animal beside the hole, which is to be avoided, would darken or lighten what lies behind it.

    Source: a membrane as in Perez et al. 2003, "Poisson image editing", section 2, by blurs of falling width.
    """
    ring = (grow(hole, 5 * scale) & ~grow(hole, scale) & ~avoid).astype(np.float32)
    if not ring.any():
        return np.asarray(np.clip(made, 0, 1), np.float32)
    off = (image - made) * ring[..., None]
    width = max(hole.shape) / 4
    level = np.zeros_like(made)
    while width > scale:
        weight = blurred(ring, width)
        local = blurred(off, width) / np.maximum(weight, 1e-6)[..., None]
        # Narrow blurs are trusted near the ring only, wide ones where nothing else reaches.
        trust = np.clip(weight / (0.05 * max(float(weight.max()), 1e-6)), 0, 1)[..., None]
        level = level * (1 - trust) + local * trust
        width /= 2
    return np.asarray(np.clip(made + np.clip(level, -0.25, 0.25), 0, 1), np.float32)


def _blurred_fill(image: Array, hole: Mask) -> Array:
    rows, columns = ndimage.distance_transform_edt(
        hole, sampling=(_ROW_PRICE, 1.0), return_distances=False, return_indices=True
    )
    return np.where(hole[..., None], blurred(image[rows, columns], 4), image)


def _match(
    image: Array,
    hole: Mask,
    avoid: Mask,
    sources: np.ndarray,
    start: Array,
    iterations: int,
    *,
    report: Callable[[float], None],
) -> tuple[Array, np.ndarray]:
    """Alternate between nearest patches and their votes: the filled picture, and offsets int (h, w, 2).

    What is to be avoided but is no hole, the animal beside it, counts for nothing in a patch.
    """
    height, width = hole.shape
    near = ndimage.binary_dilation(hole, structure=np.ones((3, 3)), iterations=_RADIUS)
    targets = np.argwhere(np.pad(near, _RADIUS))
    known = _patches(np.pad(image, ((_RADIUS, _RADIUS), (_RADIUS, _RADIUS), (0, 0)), mode="edge"))
    source_at = (sources[:, 0] + _RADIUS) * (width + 2 * _RADIUS) + sources[:, 1] + _RADIUS
    library = known[:, source_at]
    padded = (height + 2 * _RADIUS, width + 2 * _RADIUS)
    target_at = torch.from_numpy(targets[:, 0] * padded[1] + targets[:, 1])
    counts = _patches(
        np.pad(
            (hole | ~avoid).astype(np.float32)[..., None].repeat(3, 2),
            ((_RADIUS, _RADIUS), (_RADIUS, _RADIUS), (0, 0)),
        )
    )[:, target_at]
    # Grounds change from top to bottom more than from side to side.
    rise = (sources[:, 0] - (targets[:, :1] - _RADIUS)).astype(np.float32) / height
    price = torch.from_numpy(_RISE_PRICE * np.square(rise)) * counts.sum(0)[:, None]
    # A squared distance less what all sources of a target have in common; this part stays from round to round.
    price.addmm_(counts.T, library.square())
    current, nearest = start, np.zeros(len(targets), int)
    for k in range(iterations):
        grid = np.pad(current, ((_RADIUS, _RADIUS), (_RADIUS, _RADIUS), (0, 0)), mode="edge")
        wanted = _patches(grid)[:, target_at]
        chosen = []
        products = (wanted * counts).T
        for first in range(0, len(targets), _CHUNK):
            part = slice(first, first + _CHUNK)
            chosen.append(torch.addmm(price[part], products[part], library, alpha=-2).argmin(1))
            report((k + len(chosen) * _CHUNK / (len(targets) + _CHUNK)) / iterations)
        nearest = torch.cat(chosen).numpy()
        if k == iterations - 1:
            nearest = _coherent(nearest, sources, targets - _RADIUS, library, wanted, counts)
        picked = library[:, nearest]
        off = ((picked - wanted).square() * counts).sum(0) / counts.sum(0).clamp_min(1)
        weight = torch.exp(-off / (off.mean() + 1e-6))
        votes, total = (
            _votes(picked * weight, target_at, padded),
            _votes(weight.expand(3 * (2 * _RADIUS + 1) ** 2, -1), target_at, padded),
        )
        mean = (votes / total.clamp_min(1e-6)).permute(1, 2, 0).numpy()
        inner = (slice(_RADIUS, -_RADIUS), slice(_RADIUS, -_RADIUS))
        covered = total[0].numpy()[inner] > 1e-6
        current = np.where((hole & covered)[..., None], mean[inner], current).astype(np.float32)
    offsets = np.zeros((*padded, 2), np.float32)
    offsets[targets[:, 0], targets[:, 1]] = sources[nearest] - (targets - _RADIUS)
    return current, offsets[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _coherent(
    nearest: np.ndarray,
    sources: np.ndarray,
    targets: np.ndarray,
    library: torch.Tensor,
    wanted: torch.Tensor,
    counts: torch.Tensor,
) -> np.ndarray:
    """Let neighbours come from neighbours wherever that fits nearly as well: larger pieces show fewer edges."""
    corner = np.minimum(sources.min(0), targets.min(0)) - 1
    shape = np.maximum(sources.max(0), targets.max(0)) - corner + 2
    source_at, target_at = (np.full(shape, -1) for _ in range(2))
    source_at[tuple((sources - corner).T)] = np.arange(len(sources))
    target_at[tuple((targets - corner).T)] = np.arange(len(targets))

    def distance(which: np.ndarray, at: np.ndarray) -> np.ndarray:
        return np.asarray(((library[:, which] - wanted[:, at]).square() * counts[:, at]).sum(0))

    everyone = np.arange(len(targets))
    best = distance(nearest, everyone)
    nearest, allowed = nearest.copy(), best * _COHERENT
    for step in _NEIGHBOURS * _ROUNDS:
        neighbour = target_at[tuple((targets + step - corner).T)]
        offered = np.where((neighbour >= 0)[:, None], sources[nearest[neighbour]] - step, sources[0])
        inside = ((offered - corner >= 0) & (offered - corner < shape)).all(1) & (neighbour >= 0)
        candidate = np.where(inside, source_at[tuple(np.clip(offered - corner, 0, shape - 1).T)], -1)
        at = np.flatnonzero((candidate >= 0) & (candidate != nearest))
        fits = distance(candidate[at], at) <= allowed[at]
        nearest[at[fits]] = candidate[at[fits]]
    return nearest


def _patches(padded: Array) -> torch.Tensor:
    """All patches of a picture, a column each: float (3 k k, h w), zero-padded."""
    values = torch.from_numpy(np.ascontiguousarray(padded)).permute(2, 0, 1)[None]
    return F.unfold(values, 2 * _RADIUS + 1, padding=_RADIUS)[0]


def _votes(columns: torch.Tensor, at: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Add patches up where they lie: float (3, h, w)."""
    everywhere = torch.zeros(columns.shape[0], shape[0] * shape[1]).index_copy(1, at, columns)
    return F.fold(everywhere[None], shape, 2 * _RADIUS + 1, padding=_RADIUS)[0]


def _copied(image: Array, hole: Mask, avoid: Mask, coarse: Array, offsets: np.ndarray) -> Array:
    """Copy full-size pixels along few offsets, each over a region: texture has no grid where neighbours come from neighbours.

    Source: dominant offsets as in He and Sun 2012, "Statistics of patch offsets for image completion"; regions by filtered
        costs as in Hosni et al. 2013, "Fast cost-volume filtering for visual correspondence", by blurs.
    """
    shape = hole.shape
    scale = np.array([shape[0] / coarse.shape[0], shape[1] / coarse.shape[1]], np.float32)
    blur = 2 * float(scale.max())
    wanted = resized(coarse, shape)
    smooth = blurred(image, blur)
    # Grain is copied, not colours: neighbouring copies then meet without a step.
    grain = image - smooth
    region = grow(hole, 3)
    rows, columns = np.nonzero(region)
    part = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    usable = ~avoid
    least = np.full(region[part].shape, np.inf, np.float32)
    detail = np.zeros((*least.shape, 3), np.float32)
    for step in _dominant(offsets, scale):
        there = _shifted(usable.astype(np.float32), part, step, outside=0.0)
        off = np.abs(_shifted(smooth, part, step, outside=0.0) - wanted[part]).sum(2)
        cost = blurred(np.where(there > 0.5, off, _UNUSABLE), _REGION * float(scale.max()))
        cost = np.where(there > 0.5, cost, _UNUSABLE + cost)
        better = cost < least
        least = np.where(better, cost, least)
        detail = np.where(better[..., None], _shifted(grain, part, step, outside=0.0), detail)
    made = wanted.copy()
    made[part] += np.where((least < _UNUSABLE)[..., None], detail, 0)
    made = _levelled(made, image, hole, avoid, float(scale.max()))
    share = soften(grow(hole, 2), 1.5)[..., None]
    return np.asarray(np.clip(image * (1 - share) + made * share, 0, 1), np.float32)


def _dominant(offsets: np.ndarray, scale: Array) -> list[tuple[int, int]]:
    """Give the offsets that most of the hole's cells come along, in full-size pixels: rows, columns."""
    cells = offsets[np.abs(offsets).sum(2) > 0]
    if len(cells) == 0:
        return []
    different, counts = np.unique(cells.astype(int), axis=0, return_counts=True)
    most = different[np.argsort(-counts, kind="stable")[:_MOST_OFFSETS]]
    return [(round(float(y * scale[0])), round(float(x * scale[1]))) for y, x in most]


def _shifted(values: Array, part: tuple[slice, slice], step: tuple[int, int], *, outside: float) -> Array:
    """Give what lies a step away from a part of a picture."""
    height, width = values.shape[:2]
    found = np.full(
        (part[0].stop - part[0].start, part[1].stop - part[1].start, *values.shape[2:]), outside, np.float32
    )
    first = [max(0, part[k].start + step[k]) for k in (0, 1)]
    last = [min(size, part[k].stop + step[k]) for k, size in ((0, height), (1, width))]
    if first[0] < last[0] and first[1] < last[1]:
        into = tuple(
            slice(first[k] - step[k] - part[k].start, last[k] - step[k] - part[k].start) for k in (0, 1)
        )
        found[into] = values[first[0] : last[0], first[1] : last[1]]
    return found
