"""Residual networks without norms, for 32, 64 or 128 pixels, cheap enough for a CPU.

In the spirit of SNGAN (Miyato et al. 2018, arXiv:1802.05957) and R3GAN (Huang et al. 2024, arXiv:2501.05441). Blocks
convolve at the lower resolution: a 3 x 3 kernel there and a strided 4 x 4 one, instead of upsampling and two full
convolutions, which cost three times as much. Legend of shapes: N images, Z noise, C condition, S side of the image.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import Draw
from chimera_gan.networks.parts import (
    Critic,
    Dropout,
    Generator,
    Projection,
    build_activation,
    check_size,
    draw_he,
    draw_normal,
    norm_of_maps,
    normalise_spectrally,
)

SIZES = (32, 64, 128)
_START = 4  # side of the smallest maps


class ResnetGenerator(Generator):
    """Noise beside the condition -> linear -> 4 x 4 maps -> residual blocks that double the side -> tanh.

    Args:
        size: S.
        noise: Z.
        condition: C, or 0. It enters the first layer as it is.
        channels: at S / 2; smaller maps have up to 8 times as many, the last ones half.
        most_channels: of any maps; None: as many as that gives.
        norm: ``batch`` or ``none``.
        activation: ``relu`` or ``leaky``.
        dropout: rate after each block.
        dropout_in_use: drop when images are made, too.
    Raises:
        ConfigError: for another size.
    """

    def __init__(
        self,
        size: int,
        *,
        noise: int,
        condition: int = 0,
        channels: int = 64,
        most_channels: int | None = None,
        norm: str = "none",
        activation: str = "leaky",
        dropout: float = 0.0,
        dropout_in_use: bool = False,
    ) -> None:
        super().__init__(size, noise=noise, condition=condition)
        widths = _widths(size, channels, most_channels)
        pairs = list(pairwise(widths))
        self.first = nn.Linear(noise + condition, widths[0] * _START**2)
        draw_normal(self.first.weight, std=1 / math.sqrt(noise + condition))
        self.blocks = nn.ModuleList(UpBlock(a, b, norm=norm, active=activation) for a, b in pairs)
        self.dropouts = nn.ModuleList(
            Dropout(dropout, in_use=dropout_in_use, purpose=f"dropout/{k}") for k in range(len(pairs))
        )
        self.last = nn.Sequential(norm_of_maps(norm, widths[-1]), build_activation(activation))
        self.to_image = nn.Conv2d(widths[-1], 3, 3, padding=1)
        _initialise(self, blocks=len(pairs))

    def forward(self, z: Tensor, c: Tensor | None = None, *, draw: Draw | None = None) -> Tensor:
        """Map (N, Z) and (N, C) to (N, 3, S, S). See ``Generator``."""
        self.check(c)
        x = self.first(z if c is None else torch.cat([z, c], 1)).unflatten(1, (-1, _START, _START))
        for block, dropout in zip(self.blocks, self.dropouts, strict=True):
            x = dropout(block(x), draw)
        return torch.tanh(self.to_image(self.last(x)))


class ResnetCritic(Critic):
    """3 x 3 convolution -> residual blocks that halve the side until 4 pixels -> sum over pixels -> linear.

    The features, of the logit and of the projection, are that sum, divided by 4: its square root of pixels.

    Args:
        size: S.
        condition: C of the projection, or 0 for a critic without one.
        channels: at S / 2; smaller maps have up to 8 times as many, the first ones half.
        most_channels: of any maps; None: as many as that gives.
        norm: ``batch``, ``layer`` or ``none``.
        spectral_norm: bound every layer's spectral norm by 1. Blocks then do not start as their short cuts.
    Raises:
        ConfigError: for another size.
    """

    def __init__(
        self,
        size: int,
        *,
        condition: int = 0,
        channels: int = 64,
        most_channels: int | None = None,
        norm: str = "none",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = _widths(size, channels, most_channels)[::-1]
        pairs = list(pairwise(widths))
        self.first = nn.Conv2d(3, widths[0], 3, padding=1)
        self.blocks = nn.Sequential(*(DownBlock(a, b, norm=norm) for a, b in pairs))
        self.last = nn.Sequential(norm_of_maps(norm, widths[-1]), build_activation("leaky"))
        self.judge = nn.Linear(widths[-1], 1)
        self.projection = Projection(condition, widths[-1]) if condition else None
        # A kernel of zeros has no spectral norm to divide by.
        _initialise(self, blocks=len(pairs), as_short_cut=not spectral_norm)
        if spectral_norm:
            normalise_spectrally(self)

    def features(self, x: Tensor) -> Tensor:
        """Map (N, 3, S, S) to (N, F). See ``Critic``."""
        maps: Tensor = self.last(self.blocks(self.first(x)))
        return maps.sum((2, 3)) / _START


class UpBlock(nn.Module):
    """Doubles the side. Both ways change channels before they grow; norms and activations come first."""

    def __init__(self, channels_in: int, channels: int, *, norm: str, active: str) -> None:
        super().__init__()
        self.active = build_activation(active)
        self.norm1 = norm_of_maps(norm, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.norm2 = norm_of_maps(norm, channels)
        self.conv2 = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        self.short = _short(channels_in, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C, 2 H, 2 W)."""
        change = self.conv2(self.active(self.norm2(self.conv1(self.active(self.norm1(x))))))
        out: Tensor = F.interpolate(self.short(x), scale_factor=2, mode="nearest") + change
        return out


class DownBlock(nn.Module):
    """Halves the side. The mirror of ``UpBlock``: both ways shrink before the second convolution."""

    def __init__(self, channels_in: int, channels: int, *, norm: str) -> None:
        super().__init__()
        self.active = build_activation("leaky")
        self.norm1 = norm_of_maps(norm, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 4, stride=2, padding=1)
        self.norm2 = norm_of_maps(norm, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.short = _short(channels_in, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C, H / 2, W / 2)."""
        change = self.conv2(self.active(self.norm2(self.conv1(self.active(self.norm1(x))))))
        out: Tensor = self.short(F.avg_pool2d(x, 2)) + change
        return out


def _initialise(network: nn.Module, *, blocks: int, as_short_cut: bool = True) -> None:
    """Keep the signal's size without norms: Fixup (Zhang et al. 2019, arXiv:1901.09321), as R3GAN uses it.

    The first kernel of each of L blocks is shrunk by L ** -0.5; the second is 0, so the block starts as its short cut.
    """
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            draw_he(part)
    for block in network.modules():
        if isinstance(block, UpBlock | DownBlock):
            draw_he(block.conv1, gain=math.sqrt(2 / blocks))
            draw_he(block.conv2)
            if as_short_cut:
                nn.init.zeros_(block.conv2.weight)
            if isinstance(block.short, nn.Conv2d):
                draw_he(block.short, gain=1.0)


def _short(channels_in: int, channels: int) -> nn.Module:
    """Build the way past a block: nothing, or a 1 x 1 convolution where channels change."""
    return nn.Identity() if channels_in == channels else nn.Conv2d(channels_in, channels, 1, bias=False)


def _widths(size: int, channels: int, most: int | None) -> list[int]:
    """Give the channels of the maps from 4 pixels up to S."""
    check_size("resnet", size, SIZES)
    doublings = int(math.log2(size // _START))
    widths = [channels * min(2**k, 8) for k in reversed(range(doublings))] + [max(channels // 2, 1)]
    return [min(width, most or width) for width in widths]
