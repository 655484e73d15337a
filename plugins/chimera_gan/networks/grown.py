"""A generator that has learned, and a stage that doubles the side of what it draws.

The stage adds detail to the picture, enlarged: it begins by adding nothing, so nothing that was learned is lost. It sees the
picture alone, so it may learn from photographs, too, which no generator drew.
Legend of shapes: N images, Z noise, C condition, s side of the trunk's pictures, S = 2 s.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import Draw
from chimera_gan.networks.parts import Generator, build_activation, draw_he

_CHANNELS, _BLOCKS = 48, 3
_FOLD = 2  # the stage works at s / 2, where a pixel holds 2 x 2 of the picture: four times as fast
_FINE = 12  # channels at s and S
_TAPS = (-1 / 16, 4 / 16, 10 / 16, 4 / 16, -1 / 16)


class GrownGenerator(Generator):
    """The trunk's picture, and a ``Doubling`` of it.

    Batch norm in the trunk goes by its statistics in training, too: those of the small batches of a short training would be
    worse, and the first picture would not be the old one.

    Args:
        trunk: of s pixels, an even number.
    """

    def __init__(self, trunk: Generator) -> None:
        super().__init__(2 * trunk.size, noise=trunk.noise, condition=trunk.condition)
        self.trunk, self.stage = trunk, Doubling()

    def forward(self, z: Tensor, c: Tensor | None = None, *, draw: Draw | None = None) -> Tensor:
        """Map (N, Z) and (N, C) to (N, 3, S, S). See ``Generator``."""
        return self.both(z, c, draw=draw)[1]

    def both(self, z: Tensor, c: Tensor | None = None, *, draw: Draw | None = None) -> tuple[Tensor, Tensor]:
        """Give the trunk's picture (N, 3, s, s), and the picture (N, 3, S, S), both in [-1, 1] and float32."""
        self.check(c)
        coarse = self.trunk(z, c, draw=draw).float()
        return coarse, self.stage(coarse)

    def train(self, mode: bool = True) -> GrownGenerator:
        """Set the mode, but leave the trunk's batch norm in evaluation mode."""
        super().train(mode)
        for part in self.trunk.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                part.eval()
        return self


class Doubling(nn.Module):
    """Enlarges a picture (bicubic) and adds detail: residual 3 x 3 convolutions at half of its side, two at twice its side.

    A critic on features, whose first layer strides, lets dots and stripes pass for texture, and what it lets pass is drawn. So
    the last step up is bilinear, then convolved (Odena et al. 2016, "Deconvolution and checkerboard artifacts"), and of the
    trunk's picture what changes sign from pixel to pixel is filtered out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * _FOLD**2, _CHANNELS, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(_CHANNELS) for _ in range(_BLOCKS))
        self.unfolded = nn.Conv2d(_CHANNELS, _FINE * _FOLD**2, 3, padding=1)
        self.fine = nn.Conv2d(_FINE, _FINE, 3, padding=1)
        self.last = nn.Conv2d(_FINE, 3, 3, padding=1)
        self.active = build_activation("leaky")
        for conv in (self.first, self.unfolded, self.fine):
            draw_he(conv)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (N, 3, s, s) to (N, 3, 2 s, 2 s), both in [-1, 1]; float32."""
        x = without_stripes(x)
        maps = self.first(F.pixel_unshuffle(x, _FOLD))
        for block in self.blocks:
            maps = block(maps)
        fine = self.active(F.pixel_shuffle(self.unfolded(self.active(maps)), _FOLD))
        fine = F.interpolate(fine, scale_factor=2, mode="bilinear", align_corners=False)
        detail: Tensor = self.last(self.active(self.fine(fine)))
        return (enlarged(x) + detail.float()).clamp(-1, 1)


class _Block(nn.Module):
    """Two convolutions past a short cut; the second starts small, as there are no norms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.active = build_activation("leaky")
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        draw_he(self.conv1)
        draw_he(self.conv2, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        change: Tensor = self.conv2(self.active(self.conv1(self.active(x))))
        return x + change


def without_stripes(x: Tensor) -> Tensor:
    """Filter the finest stripes out of maps (N, C, H, W): nothing is left of a period of 2 pixels, 3/4 of one of 4."""
    taps = torch.tensor(_TAPS, device=x.device, dtype=x.dtype)
    channels, reach = x.shape[1], len(_TAPS) // 2
    with torch.autocast(x.device.type, enabled=False):  # pictures have more than the three digits of bfloat16
        for shape, pad in (((1, 1, 1, -1), (reach, reach, 0, 0)), ((1, 1, -1, 1), (0, 0, reach, reach))):
            kernel = taps.view(shape).repeat(channels, 1, 1, 1)
            x = F.conv2d(F.pad(x, pad, mode="reflect"), kernel, groups=channels)
    return x


def enlarged(x: Tensor) -> Tensor:
    """Double the side of pictures (N, 3, s, s), bicubic, as the fuser enlarges what it gives; float32."""
    return _resized(x, x.shape[-2] * 2, x.shape[-1] * 2)


def shrunk(x: Tensor) -> Tensor:
    """Halve the side of pictures (N, 3, S, S), bicubic and antialiased, as photographs are shrunk; float32."""
    return _resized(x, x.shape[-2] // 2, x.shape[-1] // 2)


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x.float(), (height, width), mode="bicubic", antialias=True, align_corners=False)
