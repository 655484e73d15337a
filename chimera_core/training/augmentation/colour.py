"""Changes of colour, each image by its own amount. Images are float (N, 3, H, W) in [0, 1]; amounts float (N,).

torchvision.transforms.v2.functional takes one amount for a whole batch, so that it would have to be called image by
image; these give the same values (a test compares them).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Of red, green and blue in what the eye takes for lightness (ITU-R 601).
_GREY = (0.2989, 0.587, 0.114)


def adjust_brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 the image."""
    return (x * _each(factor)).clamp(0, 1)


def adjust_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean grey of the image: 0 is grey, 1 the image."""
    return _blend(x, grey(x).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image in grey: 0 is grey, 1 the image."""
    return _blend(x, grey(x), factor)


def adjust_sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed image: 0 is smooth, 1 the image. The outermost pixels stay."""
    kernel = torch.full((3, 1, 3, 3), 1 / 13, device=x.device, dtype=x.dtype)
    kernel[:, :, 1, 1] = 5 / 13
    smooth = x.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(x, kernel, groups=3)
    return _blend(x, smooth, factor)


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the upper bits of each value's eight: int64 (N,), 0 to 8."""
    step = 2.0 ** (8 - _each(bits))
    return ((x * 255).round().div(step).floor() * step) / 255


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert what is at least as light as the threshold."""
    return torch.where(x >= _each(threshold), 1 - x, x)


def autocontrast(x: Tensor) -> Tensor:
    """Stretch each channel to [0, 1]; a channel of one value stays."""
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (x - low) / span.clamp(min=1e-12), x).clamp(0, 1)


def equalize(x: Tensor) -> Tensor:
    """Spread the 256 values of each channel evenly, as PIL does."""
    values = (x * 255).round().long().flatten(2)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int64, device=x.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    # PIL's step: pixels per value, the last occupied value left out.
    last = 255 - (counts.flip(2) > 0).long().argmax(2, keepdim=True)
    step = (values.shape[2] - counts.gather(2, last)) // 255
    before = counts.cumsum(2) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(0, 255)
    spread = table.gather(2, values)
    return (torch.where(step == 0, values, spread).float() / 255).view_as(x)


def grey(x: Tensor) -> Tensor:
    """Give lightness: (N, 3, H, W) -> (N, 1, H, W)."""
    red, green, blue = x.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[:, None]


def _blend(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    factor = _each(factor)
    return (factor * x + (1 - factor) * other).clamp(0, 1)


def _each(amount: Tensor) -> Tensor:
    return amount.view(-1, 1, 1, 1)
