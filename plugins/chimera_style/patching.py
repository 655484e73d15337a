"""Re-make a layout's body from a coat's own pixels: patches, coarse to fine.

Source: texture optimisation (Kwatra et al. 2005, SIGGRAPH) with even use of the source (Kaspar et al. 2015, Computer
Graphics Forum 34) and guides (image analogies: Hertzmann et al. 2001), by the search of Barnes et al. 2009. The
anatomy as guide is ours: stripes follow the body.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import Subject, shrink_mask
from chimera_style.anatomy import anatomy
from chimera_style.patches import (
    Atlas,
    Target,
    build_atlas,
    improve,
    match_cost,
    overuse,
    search_all,
    vote,
    with_histogram,
)
from chimera_style.pelt import Pelt

# Radius of a patch at the coarsest scale, the next, ...
_RADII = (4, 4, 3, 2)
# From one scale to the next.
_STEP = 0.62
# The coarsest scale: its longer side is at least this, and the coat's markings still show.
_COARSEST, _MARKINGS_SHOWN = 34, 0.6
# A scale is left out at which fewer places of the coat have a whole patch around them.
_LEAST_PLACES = 150
# Rounds at the coarsest scale, the next, ...; the last number holds for all finer ones.
_ROUNDS = (12, 8, 5, 4, 3)
# At so many scales every place of the coat is compared (at most so many), then only likely ones.
_THOROUGH, _MOST_PLACES = 2, 6000
_ANGLES = (0.0, 30.0, -30.0, 60.0, -60.0, 90.0)
# What a squared difference of each guide costs, as a share of the variance of the coat's colours: axis (two),
# thickness, back or belly.
_GUIDE_WEIGHTS = (0.35, 0.35, 0.5, 0.5)
_OVERUSE = 0.25
# At the coarsest scale guides begin with so many times more weight, which falls to none within so many rounds.
_ANATOMY_FIRST, _TURNS_OF_ANATOMY = 6.0, 4
# Markings are at least and at most so much larger than the coat's photograph shows them.
_LEAST_SCALE, _MOST_SCALE = 0.35, 1.8
# So far beyond the outline the texture is drawn, in pixels.
_REACH = 3
# Sigma of a vote, at least.
_SHARPEST = 0.5

Progress = Callable[[float], None]


def patched(
    body: Subject, pelt: Pelt, *, texture_scale: float, generator: torch.Generator, progress: Progress
) -> Tensor:
    """Cover a body with a pelt.

    Args:
        body: canvas and mask of the animal to be covered.
        pelt: what it is covered with.
        texture_scale: size of the markings; 1 is their size relative to the pelt's own animal.
        generator: on the CPU; decides where the search begins.
        progress: called with the share done.
    Returns:
        float (3, H, W) in [0, 1]: the texture without light; only what lies under the mask, and little around it, is
        drawn.
    """
    height, width = body.mask.shape[-2:]
    natural = texture_scale * math.sqrt(float((body.mask > 0.5).sum()) / max(1.0, pelt.animal))
    natural = min(max(natural, _LEAST_SCALE), _MOST_SCALE)
    guides = anatomy(body.mask)
    scales = _scales(pelt, natural, max(height, width))
    drawn: Tensor | None = None
    old: _Level | None = None
    done, whole = 0.0, sum(_work(scale, k) for k, scale in enumerate(scales))
    for k, scale in enumerate(scales):
        shape = (max(12, round(height * scale)), max(12, round(width * scale)))
        source = pelt.scaled(natural * scale)
        level = _Level(
            source,
            shrink_mask(body.mask, shape),
            shrink_mask(guides, shape),
            radius=_fitting(source, _at(_RADII, k)),
        )
        matches = level.begin(generator) if old is None else level.continued(old, generator)
        rounds = _at(_ROUNDS, k)
        level.draw(matches, rounds, thorough=k < _THOROUGH, beginning=k == 0, generator=generator)
        drawn, old = level.picture(), level
        done += _work(scale, k)
        progress(done / whole)
    assert drawn is not None
    return F.interpolate(drawn[None], (height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _scales(pelt: Pelt, natural: float, side: int) -> list[float]:
    """Scales coarse to fine, the finest is 1."""
    scales = [1.0]
    while True:
        scale = scales[0] * _STEP
        small = pelt.scaled(natural * scale)
        if (
            scale * side < _COARSEST
            or small.places(_RADII[0]) < _LEAST_PLACES
            or small.spread() < _MARKINGS_SHOWN**2 * pelt.spread()
        ):
            return scales
        scales.insert(0, scale)


def _work(scale: float, k: int) -> float:
    return scale**2 * _at(_ROUNDS, k) + 0.1


def _fitting(pelt: Pelt, radius: int) -> int:
    """Take smaller patches where a coat has no place for larger ones: a thin snake, a thumbnail."""
    while radius > 0 and pelt.places(radius) < _LEAST_PLACES:
        radius -= 1
    return radius


def _at(numbers: tuple[int, ...], k: int) -> int:
    return numbers[min(k, len(numbers) - 1)]


class _Level:
    """One scale: the atlas of the pelt, the target, and what was matched."""

    def __init__(self, pelt: Pelt, mask: Tensor, guides: Tensor, *, radius: int) -> None:
        self.atlas: Atlas = build_atlas(pelt.image, pelt.mask, pelt.guides, radius=radius, angles=_ANGLES)
        self.shape = (mask.shape[-2], mask.shape[-1])
        self.radius = radius
        self.pad = pad = radius + _REACH
        covered = F.max_pool2d(F.pad(mask, (pad,) * 4), 2 * _REACH + 1, 1, _REACH)[0] > 0.1
        wide = F.pad(guides[None], (pad,) * 4, mode="replicate")[0]
        self.target = Target(
            covered.flatten().nonzero()[:, 0],
            (covered.shape[0], covered.shape[1]),
            wide.flatten(1).T.contiguous(),
            radius,
        )
        spread = pelt.spread().clamp_min(1e-4)
        self.spread = spread
        self.weights = spread * guides.new_tensor(_GUIDE_WEIGHTS)
        self.pixels = pelt.image.mean((1, 2)).expand(covered.numel(), 3).contiguous()
        self.matches = self.target.places

    def begin(self, generator: torch.Generator) -> Tensor:
        """Lay the pelt over the body once, from side to side; chance where it does not reach."""
        # Smooth noise instead of white: neighbours begin as neighbours.
        down, right = self._coordinates(self.target.places, self.target.shape)
        side = self.atlas.view[0]
        mirror = int(torch.randint(2, (1,), generator=generator))
        view = mirror * len(_ANGLES)
        first = (self.atlas.places // (side * side)) == view
        if not bool(first.any()):
            first = torch.ones_like(first)
        rows, columns = self._coordinates(self.atlas.places[first] % (side * side), self.atlas.view)
        y = rows.min() + (down - down.min()) / (down.max() - down.min()).clamp_min(1) * (
            rows.max() - rows.min()
        )
        x = columns.min() + (right - right.min()) / (right.max() - right.min()).clamp_min(1) * (
            columns.max() - columns.min()
        )
        laid = view * side * side + y.round().long() * side + x.round().long()
        return self._or_chance(laid.clamp(0, len(self.atlas.usable) - 1), generator)

    def continued(self, coarse: _Level, generator: torch.Generator) -> Tensor:
        """Take over a coarser level's matches and picture."""
        ratios = [fine / rough for fine, rough in zip(self.shape, coarse.shape, strict=True)]
        pad, rough = self.pad, coarse.pad
        down, right = self._coordinates(self.target.places, self.target.shape)
        exact = [(down - pad + 0.5) / ratios[0] - 0.5, (right - pad + 0.5) / ratios[1] - 0.5]
        nearest = [
            part.round().long().clamp(0, side - 1) for part, side in zip(exact, coarse.shape, strict=True)
        ]
        at = (nearest[0] + rough) * coarse.target.shape[1] + nearest[1] + rough
        field = torch.full((coarse.target.shape[0] * coarse.target.shape[1],), -1, device=at.device)
        field[coarse.target.places] = coarse.matches
        old = field[at]
        old_side, side = coarse.atlas.view[0], self.atlas.view[0]
        view, place = old // (old_side * old_side), old % (old_side * old_side)
        rows, columns = self._coordinates(place, coarse.atlas.view)
        scale = math.sqrt(ratios[0] * ratios[1])
        moved = [
            ((part + offset - near - (old_side - 1) / 2) * scale + (side - 1) / 2).round().long()
            for part, offset, near in zip((rows, columns), exact, nearest, strict=True)
        ]
        matches = view * side * side + moved[0] * side + moved[1]
        unknown = (old < 0) | (moved[0] < 0) | (moved[0] >= side) | (moved[1] < 0) | (moved[1] >= side)
        fine = F.interpolate(coarse.picture()[None], self.shape, mode="bicubic", align_corners=False)
        self.pixels = F.pad(fine, (pad,) * 4, mode="replicate")[0].flatten(1).T.contiguous()
        return self._or_chance(torch.where(unknown, 0, matches), generator)

    def draw(
        self, matches: Tensor, rounds: int, *, thorough: bool, beginning: bool, generator: torch.Generator
    ) -> None:
        """Match and vote by turns."""
        atlas, target = self.atlas, self.target
        guides = target.guides[target.places]
        price = float(_OVERUSE * self.spread)
        trust = torch.ones(len(target.places), device=matches.device)
        if thorough:
            self.pixels = vote(atlas, target, matches, trust, self.pixels, sharp=max(_SHARPEST, self.radius))
        penalty = overuse(atlas, matches, price=price)
        for turn in range(rounds):
            patches = target.patches(self.pixels)
            # At first the anatomy decides, then the neighbours: else stripes that were laid the wrong way agree with
            # each other, and stay.
            weights = self.weights * (1 + _ANATOMY_FIRST * max(0.0, 1 - turn / _TURNS_OF_ANATOMY) * beginning)
            # Half of what was before: else all places leave for the same unused part at once, and come back together.
            penalty = 0.5 * (penalty + overuse(atlas, matches, price=price))
            if thorough:
                drawn = torch.randperm(len(atlas.places), generator=generator)[:_MOST_PLACES].sort().values
                places = atlas.places[drawn.to(matches.device)]
                matches = search_all(atlas, places, patches, guides, weights, penalty)
            matches = improve(
                atlas,
                target,
                matches,
                patches,
                weights,
                penalty,
                generator=generator,
                strides=(1, 3, 1) if turn < 2 else (1,),
                tries=2,
            )
            cost = match_cost(atlas, matches, patches, guides, self.weights, torch.zeros_like(penalty))
            trust = (-cost / cost.mean().clamp_min(1e-8)).exp()
            self.pixels = vote(
                atlas, target, matches, trust, self.pixels, sharp=max(_SHARPEST, self.radius / 1.5)
            )
            if thorough:
                values = self.pixels[target.places]
                self.pixels[target.places] = with_histogram(values, atlas.pixels[atlas.places])
        self.pixels = vote(atlas, target, matches, trust, self.pixels, sharp=max(_SHARPEST, self.radius / 3))
        self.matches = matches

    def picture(self) -> Tensor:
        """What is drawn, without padding: float (3, h, w)."""
        pad = self.pad
        return self.pixels.T.reshape(3, *self.target.shape)[:, pad:-pad, pad:-pad]

    @staticmethod
    def _coordinates(flat: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        return flat // shape[1], flat % shape[1]

    def _or_chance(self, matches: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(len(self.atlas.places), (len(matches),), generator=generator)
        chance = self.atlas.places[drawn.to(matches.device)]
        return torch.where(self.atlas.usable[matches], matches, chance)
