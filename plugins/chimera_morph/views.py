"""Jittered views of a canvas: what looks like an animal in one pixel-exact position only is noise.

Resampling is by matrix products and Fourier shears: their gradients are the same on every call, which those of
``grid_sample`` and of reflection padding are not on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Reflected pixels around the canvas, at least: against a network's zeros at the border the optimiser grows rainbow noise.
_PADDING = 16
# Sides of views are multiples of 4 with no larger factors than these: a row of 382 = 2 * 191 pixels took four times as
# long to transform as one of 384.
_FACTORS = (2, 3, 5, 7)


@dataclass(frozen=True)
class Jitter:
    """By how much views differ: degrees, a factor up or down, a share of the sides, and whether they are mirrored."""

    rotation: float
    zoom: float
    shift: float
    mirror: bool = True


def views_of(
    canvas: Tensor, count: int, jitter: Jitter, generator: torch.Generator, *, beside: Tensor | None = None
) -> Tensor:
    """Look at a canvas from several positions.

    Args:
        canvas: float (C, h, w).
        count: N, how many views.
        jitter: how they differ.
        generator: of the CPU; the same numbers are drawn whatever the device.
        beside: float (M, h, w), further channels that are seen from the same positions, without a gradient.
    Returns:
        float (N, C + M, H, W), the canvas in the middle, reflected at its borders by 16 pixels or a few more.
    """
    height, width = canvas.shape[-2:]
    turn, zoom, down, across, mirror = torch.rand(5, count, generator=generator)
    zooms = torch.exp((2 * zoom - 1) * math.log(jitter.zoom))
    signs = torch.where(mirror < 0.5, -1.0, 1.0) if jitter.mirror else torch.ones(count)
    rows = _resampling(height, 1 / zooms, (2 * down - 1) * jitter.shift * height).to(canvas)
    columns = _resampling(width, signs / zooms, (2 * across - 1) * jitter.shift * width).to(canvas)
    angles = ((2 * turn - 1) * math.radians(jitter.rotation)).to(canvas)
    turning = _Turning(angles, (rows.shape[1], columns.shape[1])) if jitter.rotation else None

    def seen(channels: Tensor) -> Tensor:
        views = _resample(channels, rows, columns)
        return views if turning is None else turning(views)

    if beside is None:
        return seen(canvas)
    with torch.no_grad():
        still = seen(beside)
    return torch.cat([seen(canvas), still], 1)


def _resample(canvas: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Multiply a canvas (C, h, w) by matrices (N, H, h) and (N, W, w): views (N, C, H, W)."""
    count, tall, height = rows.shape
    channels, _, width = canvas.shape
    # All views' rows in one product: the canvas is not copied for each of them.
    strips = rows.reshape(count * tall, height) @ canvas.transpose(0, 1).reshape(height, channels * width)
    views = strips.view(count, tall * channels, width) @ columns.transpose(-1, -2)
    return views.view(count, tall, channels, -1).transpose(1, 2)


def _resampling(side: int, step: Tensor, shift: Tensor) -> Tensor:
    """Build the matrices (N, padded side, side) that resample linearly, reflecting at the border.

    Args:
        side: pixels.
        step: (N,), pixels of the canvas from one pixel of a view to the next; negative mirrors.
        shift: (N,), pixels of the canvas.
    """
    padded = _padded(side)
    cells = torch.arange(padded) - (padded - side) // 2 - (side - 1) / 2
    places = cells * step[:, None] + shift[:, None] + (side - 1) / 2
    last = max(side - 1, 1)
    places = last - ((places % (2 * last)) - last).abs()
    return (1 - (places[..., None] - torch.arange(side)).abs()).clamp_min(0)


def _padded(side: int) -> int:
    """Give the side of a view of so many pixels."""
    length = side + 2 * _PADDING
    while length % 4 or not _is_quick(length):
        length += 1
    return length


def _is_quick(length: int) -> bool:
    for factor in _FACTORS:
        while length % factor == 0:
            length //= factor
    return length == 1


class _Turning:
    """Turns views (N, C, H, W) by angles (N,) in radians.

    Source: three shears, Unser et al. 1995 (IEEE TIP 4), equation 6; each is a shift of rows, exact in Fourier space.
    """

    def __init__(self, angles: Tensor, shape: tuple[int, int]) -> None:
        height, width = shape
        self._half = _phases(-(angles / 2).tan(), height, width)
        self._whole = _phases(angles.sin(), width, height)

    def __call__(self, views: Tensor) -> Tensor:
        views = _shear(views, self._half)
        views = _shear(views.transpose(-1, -2), self._whole).transpose(-1, -2)
        return _shear(views, self._half)


def _phases(slopes: Tensor, height: int, width: int) -> Tensor:
    """Give by what each wave of each row turns, complex (N, 1, height, width // 2 + 1), if rows shift by slopes (N,)."""
    rows = torch.arange(height, device=slopes.device, dtype=slopes.dtype) - (height - 1) / 2
    shifts = slopes[:, None] * rows
    frequencies = torch.fft.rfftfreq(width, device=slopes.device, dtype=slopes.dtype)
    angle = -2 * math.pi * shifts[..., None] * frequencies
    return torch.polar(torch.ones_like(angle), angle)[:, None]


def _shear(views: Tensor, phases: Tensor) -> Tensor:
    sheared: Tensor = _Shear.apply(views, phases)
    return sheared


class _Shear(torch.autograd.Function):
    """Shift rows in Fourier space; its gradient is the shift back, which torch's own makes of a longer complex transform."""

    @staticmethod
    def forward(ctx: Any, views: Tensor, phases: Tensor) -> Tensor:
        ctx.save_for_backward(phases)
        return _shifted(views, phases)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (phases,) = ctx.saved_tensors
        return _shifted(gradients[0], phases.conj()), None


def _shifted(views: Tensor, phases: Tensor) -> Tensor:
    shifted: Tensor = torch.fft.irfft(torch.fft.rfft(views, dim=-1) * phases, n=views.shape[-1], dim=-1)
    return shifted
