"""Nearest patches between a picture in the making and a coat: atlas, search, vote. No state but the arguments.

Legend: M places of the target, N usable places of the coat, V views of it (mirrored, turned), R radius of a patch,
D numbers of a patch, G guides. A match is an index into the atlas's flattened pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_style.anatomy import turned

# Distances of at most so many numbers at once: 64 MB.
_MOST_DISTANCES = 16_000_000
# A place of the coat is usable when the coat covers its patch but for rounding.
_COVERED = 0.97
# Side of the cells in which uses of the coat are counted, in its pixels.
_CELL = 4


@dataclass(frozen=True)
class Atlas:
    """Views of a coat, side by side in one long row of pixels.

    ``pixels`` is float (n, 3), ``guides`` (n, G); ``usable`` bool (n,) says whose patches are coat throughout,
    ``places`` lists them; ``cells`` tells the part of the coat that a pixel shows; ``view`` is the shape (h, w) of
    one view.
    """

    pixels: Tensor
    guides: Tensor
    usable: Tensor
    places: Tensor
    cells: Tensor
    view: tuple[int, int]
    radius: int

    def patches(self, matches: Tensor) -> Tensor:
        """Gather patches: float (len(matches), D)."""
        return _gathered(self.pixels, matches, self.view[1], self.radius)


def build_atlas(
    image: Tensor, mask: Tensor, guides: Tensor, *, radius: int, angles: Sequence[float]
) -> Atlas:
    """Lay out a coat, its mirror image, and both turned.

    Args:
        image: float (3, H, W) in [0, 1].
        mask: float (1, H, W) in [0, 1]: what may be used.
        guides: float (4, H, W), as `anatomy` gives them.
        radius: R.
        angles: by which the coat is turned, in degrees; 0 is the coat as it is.
    """
    # Cells are numbered as floats to be warped with the rest: exact, for a coat has far fewer than 2^24.
    height, width = mask.shape[-2:]
    side = (
        math.ceil(math.hypot(height, width)) if any(angle % 180 for angle in angles) else max(height, width)
    )
    # Even, as `_warped` makes the coat: with one middle in a pixel and one between two, every view would be blurred.
    side += 2 * radius + 2 + side % 2
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    across = -(-width // _CELL)
    cell = ((rows // _CELL) * across + columns // _CELL)[None].to(image)
    views = [(mirror, angle) for mirror in (False, True) for angle in angles]
    area = side * side
    pixels = image.new_empty(len(views) * area, 3)
    # Half precision is plenty for guides, and an atlas is the largest thing in memory.
    turned_guides = torch.empty(len(pixels), len(guides), dtype=torch.float16, device=image.device)
    usable = torch.empty(len(pixels), dtype=torch.bool, device=image.device)
    cells = torch.empty(len(pixels), dtype=torch.int32, device=image.device)
    stack = torch.cat([image, mask, guides])
    for k, (mirror, angle) in enumerate(views):
        own = slice(k * area, (k + 1) * area)
        warped = _warped(stack, side, angle=angle, mirror=mirror, mode="bilinear")
        covered = -F.max_pool2d(-warped[3:4], 2 * radius + 1, 1, radius)[0]
        inside = torch.zeros_like(covered, dtype=torch.bool)
        inside[radius : side - radius, radius : side - radius] = True
        pixels[own] = warped[:3].flatten(1).T
        turned_guides[own] = turned(warped[4:], angle=angle, mirror=mirror).flatten(1).T.half()
        usable[own] = (inside & (covered > _COVERED)).flatten()
        cells[own] = _warped(cell, side, angle=angle, mirror=mirror, mode="nearest").flatten().int()
    return Atlas(pixels, turned_guides, usable, usable.nonzero()[:, 0], cells, (side, side), radius)


def _warped(stack: Tensor, side: int, *, angle: float, mirror: bool, mode: str) -> Tensor:
    """Put (C, H, W) into the middle of an even square, mirrored and then turned clockwise; zeros around."""
    if mirror:
        stack = stack.flip(-1)
    stack = F.pad(stack, (0, stack.shape[-1] % 2, 0, stack.shape[-2] % 2))
    height, width = stack.shape[-2:]
    # An output pixel asks the input where it came from: turned back by the angle.
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    theta = stack.new_tensor(
        [
            [cosine * side / width, sine * side / width, 0],
            [-sine * side / height, cosine * side / height, 0],
        ]
    )
    grid = F.affine_grid(theta[None], [1, 1, side, side], align_corners=False)
    return F.grid_sample(stack[None], grid, mode=mode, padding_mode="zeros", align_corners=False)[0]


@dataclass(frozen=True)
class Target:
    """A picture in the making, padded by R and flattened.

    ``places`` (M,) are the flat centres to be matched, ``shape`` the padded (h, w), ``guides`` float (h * w, G).
    """

    places: Tensor
    shape: tuple[int, int]
    guides: Tensor
    radius: int

    def patches(self, pixels: Tensor) -> Tensor:
        """Gather the patches of pixels (h * w, 3): float (M, D)."""
        return _gathered(pixels, self.places, self.shape[1], self.radius)


def _gathered(pixels: Tensor, centres: Tensor, width: int, radius: int) -> Tensor:
    """Gather every other pixel of the patches around some centres, as on a chessboard: half the work, nothing lost."""
    steps = torch.arange(-radius, radius + 1, device=pixels.device)
    white = (steps[:, None] + steps) % 2 == 0
    offsets = (steps[:, None] * width + steps)[white]
    at = (centres[:, None] + offsets).flatten()
    return pixels.index_select(0, at).view(len(centres), -1)


def match_cost(
    atlas: Atlas, matches: Tensor, patches: Tensor, guides: Tensor, weights: Tensor, penalty: Tensor
) -> Tensor:
    """Cost (M,) of one match per place: mean squared difference, that of the guides, and overuse.

    Args:
        atlas: the coat.
        matches: long (M,).
        patches: float (M, D) of the target.
        guides: float (M, G) of the target.
        weights: float (G,), what a squared difference of a guide costs.
        penalty: float (n,), what a use of each of the atlas's pixels costs.
    """
    appearance = (atlas.patches(matches) - patches).square().mean(1)
    anatomy = ((atlas.guides[matches] - guides).square() * weights).sum(1)
    return appearance + anatomy + penalty[matches]


def search_all(
    atlas: Atlas, places: Tensor, patches: Tensor, guides: Tensor, weights: Tensor, penalty: Tensor
) -> Tensor:
    """Find the cheapest of the given places of the atlas for each patch: long (M,), as `match_cost` counts."""
    sources = atlas.patches(places)
    # |a - b|^2 = |a|^2 - 2ab + |b|^2, with the guides as further numbers; |b|^2 is the same for all matches.
    roots = weights.sqrt()
    scale = sources.shape[1] ** -0.5
    left = torch.cat([sources * scale, atlas.guides[places] * roots], 1)
    right = torch.cat([patches * scale, guides * roots], 1)
    own = left.square().sum(1) + penalty[places]
    chunk = max(1, _MOST_DISTANCES // max(1, len(places)))
    parts = [right[start : start + chunk] for start in range(0, len(right), chunk)]
    found = [torch.addmm(own, part, left.T, alpha=-2).argmin(1) for part in parts]
    return places[torch.cat(found)]


def improve(
    atlas: Atlas,
    target: Target,
    matches: Tensor,
    patches: Tensor,
    weights: Tensor,
    penalty: Tensor,
    *,
    generator: torch.Generator,
    strides: Sequence[int],
    tries: int,
) -> Tensor:
    """Improve matches by their neighbours' and by chance.

    Args:
        atlas: the coat.
        target: the picture in the making.
        matches: long (M,).
        patches: float (M, D) of the target.
        weights: as in `match_cost`.
        penalty: as in `match_cost`.
        generator: on the CPU.
        strides: distances at which neighbours are asked.
        tries: how many random matches are tried.
    Source: Barnes et al. 2009 (PatchMatch), all places at once instead of in scan order.
    """
    guides = target.guides[target.places]
    cost = match_cost(atlas, matches, patches, guides, weights, penalty)
    field = torch.full((target.shape[0] * target.shape[1],), -1, device=matches.device)
    for stride in strides:
        for down, right in ((0, stride), (stride, 0), (0, -stride), (-stride, 0)):
            field[target.places] = matches
            asked = (target.places - down * target.shape[1] - right) % len(field)
            tried = field[asked] + down * atlas.view[1] + right
            tried = torch.where(field[asked] < 0, matches, tried).clamp(0, len(atlas.usable) - 1)
            matches, cost = _better(atlas, matches, cost, tried, patches, guides, weights, penalty)
    for _ in range(tries):
        drawn = torch.randint(len(atlas.places), (len(matches),), generator=generator).to(matches.device)
        matches, cost = _better(atlas, matches, cost, atlas.places[drawn], patches, guides, weights, penalty)
    reach = atlas.view[0] // 4
    while reach >= 1:
        down, right = torch.randint(-reach, reach + 1, (2, len(matches)), generator=generator).to(
            matches.device
        )
        tried = (matches + down * atlas.view[1] + right).clamp(0, len(atlas.usable) - 1)
        matches, cost = _better(atlas, matches, cost, tried, patches, guides, weights, penalty)
        reach //= 3
    return matches


def _better(
    atlas: Atlas,
    matches: Tensor,
    cost: Tensor,
    tried: Tensor,
    patches: Tensor,
    guides: Tensor,
    weights: Tensor,
    penalty: Tensor,
) -> tuple[Tensor, Tensor]:
    rows = (atlas.usable[tried] & (tried != matches)).nonzero()[:, 0]
    if len(rows) == 0:
        return matches, cost
    other = match_cost(atlas, tried[rows], patches[rows], guides[rows], weights, penalty)
    won = other < cost[rows]
    rows, other = rows[won], other[won]
    return matches.index_copy(0, rows, tried[rows]), cost.index_copy(0, rows, other)


def vote(
    atlas: Atlas, target: Target, matches: Tensor, trust: Tensor, pixels: Tensor, *, sharp: float
) -> Tensor:
    """Draw every pixel as the mean of what the patches over it say.

    Args:
        atlas: the coat.
        target: the picture in the making.
        matches: long (M,).
        trust: float (M,), how much each patch counts.
        pixels: float (h * w, 3), kept where no patch lies.
        sharp: sigma, in pixels, of the weight that falls from a patch's centre; a small one copies, a large one
            averages.
    Returns:
        float (h * w, 3).
    Source: Kwatra et al. 2005, equation 3.
    """
    total = torch.zeros(len(pixels), 4, device=pixels.device, dtype=pixels.dtype)
    steps = range(-target.radius, target.radius + 1)
    for down in steps:
        for right in steps:
            weight = (trust * math.exp(-(down**2 + right**2) / (2 * sharp**2)))[:, None]
            seen = atlas.pixels.index_select(0, matches + down * atlas.view[1] + right)
            # Places differ, so that no two patches write one pixel in one step: the sum has one order.
            at = target.places + down * target.shape[1] + right
            total.index_add_(0, at, torch.cat([seen * weight, weight], 1))
    return torch.where(total[:, 3:] > 1e-8, total[:, :3] / total[:, 3:].clamp_min(1e-8), pixels)


def overuse(atlas: Atlas, matches: Tensor, *, price: float) -> Tensor:
    """Price every pixel of the atlas by how often its part of the coat is used beside the mean: float (n,).

    Source: Kaspar et al. 2015 (Self Tuning Texture Optimization), section 4.2: without it the flattest patches win.
    """
    count = int(atlas.cells.max()) + 1
    available = torch.zeros(count, device=matches.device)
    available[atlas.cells[atlas.places].long()] = 1
    uses = torch.bincount(atlas.cells[matches].long(), minlength=count).to(available)
    mean = len(matches) / available.sum().clamp_min(1)
    return (price * (uses / mean).clamp(max=6)).index_select(0, atlas.cells)


def with_histogram(values: Tensor, model: Tensor) -> Tensor:
    """Give values (M, C) the distribution of others (N, C), channel by channel, keeping their order.

    Source: Kopf et al. 2007 (solid texture synthesis), section 3.3: votes are means, and means are grey.
    """
    order = values.sort(dim=0, stable=True).indices
    ranks = torch.linspace(0, len(model) - 1, len(values), device=values.device).round().long()
    wanted = model.sort(dim=0, stable=True).values[ranks]
    return torch.empty_like(values).scatter_(0, order, wanted)
