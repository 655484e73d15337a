"""Light and shade of an animal, apart from its markings: pure functions on float (3, H, W) pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Sigma of "broad", as a share of the root of the animal's area: limbs and folds for a layout; for a coat, only what is wider
# than its markings.
_LAYOUT_BREADTH, _COAT_BREADTH = 0.035, 0.25
# How much of the layout's light comes back: broad, and its fur and wrinkles.
_BROAD, _FINE = 0.75, 0.4
# Broad light is bent to at most this many e-folds from its mean: a layout's own markings are no shade.
_MOST_LIGHT = 0.9
_FINEST_LIGHT = 0.5
# 1 would never burn out, but takes the brilliance of a zebra's white.
_BEND = 0.6
# How much of a coat's own light is taken off it.
_TAKEN_OFF = 0.7
_DARKEST = 0.04


def relit(texture: Tensor, layout: Tensor, mask: Tensor, *, amount: float = 1.0) -> Tensor:
    """Put a layout's light and shade on a texture that has none.

    Args:
        texture: float (3, H, W) in [0, 1].
        layout: float (3, H, W) in [0, 1], the picture whose light is taken.
        mask: float (1, H, W) in [0, 1], its animal.
        amount: 0 gives the texture itself.
    Returns:
        float (3, H, W) in [0, 1].
    """
    log = _log_luminance(layout)
    broad = blurred(log, mask, _LAYOUT_BREADTH * _size(mask))
    mean = (broad * mask).sum() / mask.sum().clamp_min(1e-3)
    shade = _MOST_LIGHT * ((broad - mean) / _MOST_LIGHT).tanh()
    detail = _FINEST_LIGHT * ((log - broad) / _FINEST_LIGHT).tanh()
    light = (amount * (_BROAD * shade + _FINE * detail)).exp()
    # Light above the mean bends toward white instead of burning out: a white coat keeps its fur.
    bent = texture * light / (1 + _BEND * texture * (light - 1).clamp_min(0))
    return bent.clamp(0, 1)


def flattened(coat: Tensor, mask: Tensor) -> Tensor:
    """Take a coat's own light and shade off it: what is broader than markings.

    Args:
        coat: float (3, H, W) in [0, 1].
        mask: float (1, H, W) in [0, 1], where it is coat.
    """
    log = _log_luminance(coat)
    broad = blurred(log, mask, _COAT_BREADTH * _size(mask))
    mean = (broad * mask).sum() / mask.sum().clamp_min(1e-3)
    return (coat * (-_TAKEN_OFF * (broad - mean)).exp()).clamp(0, 1)


def blurred(values: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """Blur values (C, H, W) by a Gaussian that sees only what lies under a mask (1, H, W)."""
    both = torch.cat([values * mask, mask])[None]
    # A wide Gaussian is taken on a smaller copy: its sigma there is two pixels or more.
    step = max(1, int(sigma / 3))
    shape = (values.shape[-2], values.shape[-1])
    small = F.interpolate(both, (max(4, shape[0] // step), max(4, shape[1] // step)), mode="area")
    radius = max(1, math.ceil(2.5 * sigma / step))
    taps = torch.arange(-radius, radius + 1, device=values.device, dtype=values.dtype)
    kernel = (-0.5 * (taps * step / max(sigma, 1e-3)).square()).exp()
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    channels = small.shape[1]
    rows = F.conv2d(small, kernel[..., None].expand(channels, 1, -1, 1), padding=(radius, 0), groups=channels)
    done = F.conv2d(rows, kernel[:, :, None].expand(channels, 1, 1, -1), padding=(0, radius), groups=channels)
    done = F.interpolate(done, shape, mode="bilinear", align_corners=False)[0]
    return done[:-1] / done[-1:].clamp_min(1e-3)


def _log_luminance(image: Tensor) -> Tensor:
    return image.mean(0, keepdim=True).clamp_min(_DARKEST).log()


def _size(mask: Tensor) -> float:
    return math.sqrt(max(1.0, float(mask.sum())))
