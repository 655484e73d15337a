"""Draw a layout's animal in coats re-made from their own pixels: texture by patches, the layout's light, its head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import Subject, Window, resize_to, shrink_mask, transfer_colour
from chimera_style.config import StyleConfig
from chimera_style.drawing import Drawing, Progress, further, portion
from chimera_style.heads import TINT_FULL, TINT_HALF_WAY, tinted, with_head
from chimera_style.light import relit
from chimera_style.patching import patched
from chimera_style.pelt import Pelt

# The animal is drawn at about the size at which it is shown, but on a canvas of this mean side at least, and of this
# longer side at most: beyond, time grows and the coats' photographs show no more.
_CANVAS, _LONGEST = 160, 400
_MOST_MAGNIFICATION = 2.0
# How much of the layout's light lies on the coat, at equal weights and without any weight on the layout.
_LIGHT_HALF_WAY, _LIGHT_FULL = 1.0, 0.7
# Several coats share the body along its axis. Their border: width as a share of the body, waves (per side) and how far they
# reach, in standard deviations of the way along the axis.
_BORDER, _WAVES, _WAVINESS = 0.04, 4, 0.12
_OUTSIDE = 6 * _BORDER


def draw_by_patches(
    layout: Subject,
    keep: Tensor,
    pelts: Sequence[Pelt],
    shares: Sequence[float],
    *,
    seed: int,
    window: Window,
    config: StyleConfig,
    progress: Progress,
) -> Drawing:
    """Draw the layout's animal in the coats' own pixels.

    Args:
        layout: picture that gives pose, light and surroundings.
        keep: float (1, H, W) in [0, 1], how much of the layout stays: its head.
        pelts: what the body is covered with, one or more.
        shares: each pelt's share of the body, sum 1.
        seed: decides where the search begins, the size of the markings within a tenth, and where coats meet.
        window: the part of the layout to draw.
        config: how.
        progress: called with the share done.
    """
    generator = torch.Generator().manual_seed(seed)
    canvas, keep = _canvas(layout, keep, window)
    borders = division(canvas.mask, keep, shares, generator)
    texture = torch.zeros_like(canvas.image)
    worn = [k for k, share in enumerate(shares) if share > 0]
    for turn, k in enumerate(worn):
        own = torch.Generator().manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        jitter = 0.9 + 0.2 * float(torch.rand(1, generator=own))
        laid = patched(
            canvas,
            pelts[k],
            texture_scale=jitter * config.texture_scale,
            generator=own,
            progress=portion(progress, turn / len(worn), 1 / len(worn)),
        )
        if config.colour == "keep":
            laid = transfer_colour(laid, canvas.mask, canvas.image, canvas.mask)
        texture += borders[k] * laid
    colours = canvas.image
    if config.colour == "take":
        colours = tinted(canvas, [Subject(pelt.image, pelt.mask) for pelt in pelts], shares)

    def creature(tint: float, light: float) -> Tensor:
        body = relit(texture, canvas.image, canvas.mask, amount=light)
        return with_head(body, canvas, keep, colours, tint=tint)

    half_way = creature(TINT_HALF_WAY, _LIGHT_HALF_WAY)

    def make_full() -> Tensor:
        return further(creature(TINT_FULL, _LIGHT_FULL), half_way, canvas.image)

    return Drawing(canvas, half_way, math.nan, make_full)


def _canvas(layout: Subject, keep: Tensor, window: Window) -> tuple[Subject, Tensor]:
    height, width = window.canvases(side=_CANVAS, coarsest=_CANVAS, magnification=_MOST_MAGNIFICATION)[-1]
    shrink = min(1.0, _LONGEST / max(height, width))
    shape = (max(16, round(height * shrink)), max(16, round(width * shrink)))
    body = Subject(resize_to(window.cut(layout.image), shape), shrink_mask(window.cut(layout.mask), shape))
    return body, shrink_mask(window.cut(keep), shape)


def division(mask: Tensor, keep: Tensor, shares: Sequence[float], generator: torch.Generator) -> Tensor:
    """Divide a body among coats, from its front to its back, in areas that are their shares.

    Mixed pixel by pixel, stripes and spots would be a double exposure.

    Args:
        mask: float (1, H, W) in [0, 1].
        keep: float (1, H, W) in [0, 1], the head: the first coat begins there.
        shares: one per coat, sum 1.
        generator: on the CPU, decides the borders' waves.
    Returns:
        float (len(shares), H, W), sum 1 in every pixel; a coat without a share has none to speak of.
    """
    height, width = mask.shape[-2:]
    waves = torch.randn(1, 1, _WAVES, _WAVES, generator=generator).to(mask)
    waves = F.interpolate(waves, (height, width), mode="bicubic", align_corners=False)[0, 0]
    body = (mask * (1 - keep))[0]
    if float(body.sum()) < 1:
        body = torch.ones_like(body)
    rows, columns = torch.meshgrid(torch.arange(height).to(mask), torch.arange(width).to(mask), indexing="ij")
    points = torch.stack([rows, columns])
    weight = body / body.sum()
    centre = (points * weight).sum((1, 2), keepdim=True)
    away = points - centre
    covariance = torch.einsum("ihw,jhw,hw->ij", away, away, weight)
    # On the CPU: the oldest torch that we take has no eigh for Apple's GPUs.
    axis = torch.linalg.eigh(covariance.double().cpu()).eigenvectors[:, -1].to(mask)
    along = (axis[:, None, None] * away).sum(0)
    front = float((along * keep[0] * mask[0]).sum())
    if front > 0 or (front == 0 and float(axis[1]) < 0):
        along = -along
    along = along / (along.square() * weight).sum().sqrt().clamp_min(1e-6) + _WAVINESS * waves
    ranks = _ranks(along, weight)
    edges = [_beyond_the_ends(sum(shares[:k])) for k in range(1, len(shares))]
    passed = [torch.ones_like(ranks), *(((ranks - edge) / _BORDER).sigmoid() for edge in edges)]
    passed.append(torch.zeros_like(ranks))
    return torch.stack([before - after for before, after in pairwise(passed)])


def _beyond_the_ends(edge: float) -> float:
    """Push a border near one end of the body out of it, so that nothing is left of a coat whose share goes to none."""
    start, end = (max(0.0, 1 - side / (2 * _BORDER)) ** 2 for side in (edge, 1 - edge))
    return edge + _OUTSIDE * (end - start)


def _ranks(values: Tensor, weight: Tensor) -> Tensor:
    """Give the share of the weight that lies at smaller values: (H, W) in [0, 1]."""
    order = values.flatten().sort(stable=True).indices
    below = weight.flatten()[order].cumsum(0)
    return torch.empty_like(below).scatter_(0, order, below).view_as(values)
