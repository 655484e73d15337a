"""Jittered views of a canvas: what looks like an animal in one pixel-exact position only is noise.

Resampling is by matrix products and Fourier shears: their gradients are the same on every call, which those of
``grid_sample`` and of reflection padding are not on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Reflected pixels around the canvas: against a network's zeros at the border the optimiser grows rainbow noise.
_PADDING = 16


@dataclass(frozen=True)
class Jitter:
    """By how much views differ: degrees, a factor up or down, a share of the sides, and whether they are mirrored."""

    rotation: float
    zoom: float
    shift: float
    mirror: bool = True


def views_of(canvas: Tensor, count: int, jitter: Jitter, generator: torch.Generator) -> Tensor:
    """Look at a canvas from several positions.

    Args:
        canvas: float (C, h, w).
        count: N, how many views.
        jitter: how they differ.
        generator: of the CPU; the same numbers are drawn whatever the device.
    Returns:
        float (N, C, h + 32, w + 32), reflected at the canvas's border.
    """
    height, width = canvas.shape[-2:]
    turn, zoom, down, across, mirror = torch.rand(5, count, generator=generator)
    zooms = torch.exp((2 * zoom - 1) * math.log(jitter.zoom))
    signs = torch.where(mirror < 0.5, -1.0, 1.0) if jitter.mirror else torch.ones(count)
    rows = _resampling(height, 1 / zooms, (2 * down - 1) * jitter.shift * height).to(canvas)
    columns = _resampling(width, signs / zooms, (2 * across - 1) * jitter.shift * width).to(canvas)
    views = rows[:, None] @ canvas @ columns[:, None].transpose(-1, -2)
    if jitter.rotation == 0:
        return views
    return _rotate(views, ((2 * turn - 1) * math.radians(jitter.rotation)).to(canvas))


def _resampling(side: int, step: Tensor, shift: Tensor) -> Tensor:
    """Build the matrices (N, side + 2 * padding, side) that resample linearly, reflecting at the border.

    Args:
        side: pixels.
        step: (N,), pixels of the canvas from one pixel of a view to the next; negative mirrors.
        shift: (N,), pixels of the canvas.
    """
    cells = torch.arange(side + 2 * _PADDING) - (side - 1) / 2 - _PADDING
    places = cells * step[:, None] + shift[:, None] + (side - 1) / 2
    last = max(side - 1, 1)
    places = last - ((places % (2 * last)) - last).abs()
    return (1 - (places[..., None] - torch.arange(side)).abs()).clamp_min(0)


def _rotate(views: Tensor, angles: Tensor) -> Tensor:
    """Turn views (N, C, h, w) by angles (N,) in radians.

    Source: three shears, Unser et al. 1995 (IEEE TIP 4), equation 6; each is a shift of rows, exact in Fourier space.
    """
    half, whole = -(angles / 2).tan(), angles.sin()
    views = _shear(views, half)
    views = _shear(views.transpose(-1, -2), whole).transpose(-1, -2)
    return _shear(views, half)


def _shear(views: Tensor, slopes: Tensor) -> Tensor:
    height, width = views.shape[-2:]
    rows = torch.arange(height, device=views.device, dtype=views.dtype) - (height - 1) / 2
    shifts = slopes[:, None] * rows
    frequencies = torch.fft.rfftfreq(width, device=views.device, dtype=views.dtype)
    angle = -2 * math.pi * shifts[..., None] * frequencies
    phase = torch.polar(torch.ones_like(angle), angle)[:, None]
    sheared: Tensor = torch.fft.irfft(torch.fft.rfft(views, dim=-1) * phase, n=width, dim=-1)
    return sheared
