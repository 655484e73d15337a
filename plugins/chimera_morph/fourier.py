"""Fourier parameterisation of a change of pixels: brightness and two opponent colours, within an L2 budget.

Stepping pixels by themselves gives high-frequency noise, because nothing ties a pixel to its neighbours. Stepping the
amplitudes of waves, scaled as natural images are, gives shapes. h, w: sides of the canvas.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Columns: brightness, red against blue, green against both. Orthonormal, so lengths are the same in either space.
_OPPONENT = ((3**-0.5, 2**-0.5, -(6**-0.5)), (3**-0.5, 0.0, 2 * 6**-0.5), (3**-0.5, -(2**-0.5), -(6**-0.5)))
# Waves longer than this share of the canvas are no stronger than those of this length.
_LONGEST = 0.5
# Colour is this much weaker than brightness, and fades where waves are shorter than so many pixels: eyes see colour
# coarsely, networks do not, and what they add there shows as coloured noise.
_COLOUR, _COLOUR_WAVE = 0.4, 40.0


def wave_scale(shape: tuple[int, int], device: torch.device) -> Tensor:
    """Give the amplitude of each wave: float (3, h, w // 2 + 1), mean 1 for brightness.

    Source: 1/f amplitudes: Olah et al. 2017 (Distill), "Feature Visualization", as in lucid. Weak and coarse colour: ours.
    """
    height, width = shape
    down = torch.fft.fftfreq(height, device=device)[:, None]
    across = torch.fft.rfftfreq(width, device=device)[None]
    frequency = (down.square() + across.square()).sqrt()
    brightness = 1 / frequency.clamp_min(1 / (_LONGEST * max(shape)))
    brightness = brightness / brightness.mean()
    colour = _COLOUR * brightness / (1 + (frequency * _COLOUR_WAVE).square())
    return torch.stack([brightness, colour, colour])


def to_pixels(waves: Tensor, scale: Tensor, shape: tuple[int, int]) -> Tensor:
    """Turn waves, float (3, h, w // 2 + 1, 2), into a change of pixels (3, h, w)."""
    planes = torch.fft.irfft2(torch.view_as_complex(waves) * scale, s=shape, norm="ortho")
    return torch.einsum("cp,phw->chw", _opponent(planes), planes)


def to_waves(change: Tensor, scale: Tensor) -> Tensor:
    """Invert ``to_pixels``: the waves of a change (3, h, w); colour too fine for our waves comes out in full."""
    planes = torch.einsum("cp,chw->phw", _opponent(change), change)
    waves: Tensor = torch.fft.rfft2(planes, norm="ortho") / scale
    return torch.view_as_real(waves).contiguous()


def radius_on(mask: Tensor, budget: float) -> float:
    """Scale a budget, stated for 128 x 128 pixels, to the area of a mask (1, h, w): the same root mean square."""
    return budget * math.sqrt(float(mask.sum())) / 128


def within(change: Tensor, radius: float) -> Tensor:
    """Shorten a change to the L2 length ``radius`` where it is longer; differentiable."""
    length: Tensor = torch.linalg.vector_norm(change)
    return change * (radius / length.clamp_min(1e-12)).clamp(max=1)


def roughness(change: Tensor) -> Tensor:
    """Take the mean absolute step between neighbouring pixels of a change (3, h, w)."""
    return change.diff(dim=-1).abs().mean() + change.diff(dim=-2).abs().mean()


def _opponent(like: Tensor) -> Tensor:
    return torch.tensor(_OPPONENT, dtype=like.dtype, device=like.device)
