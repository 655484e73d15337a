"""Strided convolutions, no pooling: the DCGAN of Radford et al. 2015, arXiv:1511.06434, at 28, 32, 64 or 128 pixels.

With 64 channels at 64 pixels, batch norm, ReLU in the generator and LeakyReLU 0.2 in the critic, the layers are those
of the PyTorch tutorial. Legend of shapes: N images, Z noise, C condition, E embedded condition, S side of the image.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

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

SIZES = (28, 32, 64, 128)
_EMBEDDED = 128  # at most: wider ones make the first layer the greatest of all


class DcganGenerator(Generator):
    """Noise beside a linear image of the condition -> 4 x 4 (or 7 x 7) maps -> doubled until S -> tanh.

    Args:
        size: S: 28 is 7 -> 14 -> 28, the others are 4 -> 8 -> ... -> S.
        noise: Z.
        condition: C, or 0.
        channels: of the last maps, at S / 2; every smaller map has twice as many as the next.
        most_channels: of any maps; None: as many as that gives.
        norm: ``batch`` or ``none``.
        activation: ``relu`` or ``leaky``.
        dropout: rate after each activation.
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
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        dropout_in_use: bool = False,
    ) -> None:
        super().__init__(size, noise=noise, condition=condition)
        start, widths = _plan(size, channels, most_channels)
        widths.reverse()
        bias = norm == "none"
        embedded = min(condition, _EMBEDDED)
        self.embed = nn.Linear(condition, embedded) if condition else None
        first = nn.ConvTranspose2d(noise + embedded, widths[0], start, bias=bias)
        doubling = [
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=bias)
            for a, b in zip(widths, [*widths[1:], 3], strict=True)
        ]
        self.stages = nn.ModuleList(
            _stage(conv, norm=norm, active=activation) for conv in (first, *doubling[:-1])
        )
        self.dropouts = nn.ModuleList(
            Dropout(dropout, in_use=dropout_in_use, purpose=f"dropout/{k}") for k in range(len(widths))
        )
        self.to_image = doubling[-1]
        _initialise(self, norm=norm)

    def forward(self, z: Tensor, c: Tensor | None = None, *, draw: Draw | None = None) -> Tensor:
        """Map (N, Z) and (N, C) to (N, 3, S, S). See ``Generator``."""
        self.check(c)
        x = z if self.embed is None else torch.cat([z, self.embed(c)], 1)
        x = x[:, :, None, None]
        for stage, dropout in zip(self.stages, self.dropouts, strict=True):
            x = dropout(stage(x), draw)
        return torch.tanh(self.to_image(x))


class DcganCritic(Critic):
    """Halves the side until 4 (or 7) pixels, LeakyReLU 0.2; one kernel of that size gives the logit.

    The features of the projection are the last maps, flattened: like the last kernel, it sees where things are.

    Args:
        size: S.
        condition: C of the projection, or 0 for a critic without one.
        channels: of the first maps, at S / 2; every smaller map has twice as many as the one before.
        most_channels: of any maps; None: as many as that gives.
        norm: ``batch``, ``layer`` (for gradient penalties) or ``none``; never on the first maps.
        spectral_norm: bound every layer's spectral norm by 1.
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
        norm: str = "batch",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        start, widths = _plan(size, channels, most_channels)
        bias = norm == "none"
        halving = [
            nn.Conv2d(a, b, 4, stride=2, padding=1, bias=bias)
            for a, b in zip([3, *widths[:-1]], widths, strict=True)
        ]
        norms = ["none"] + [norm] * (len(widths) - 1)
        self.body = nn.Sequential(
            *(_stage(conv, norm=n, active="leaky") for conv, n in zip(halving, norms, strict=True))
        )
        self.judge = nn.Conv2d(widths[-1], 1, start, bias=bias)
        self.projection = Projection(condition, widths[-1] * start**2) if condition else None
        _initialise(self, norm=norm)
        if spectral_norm:
            normalise_spectrally(self)

    def features(self, x: Tensor) -> Tensor:
        """Map (N, 3, S, S) to the last maps, (N, 8 * channels, 4, 4) at 64 pixels. See ``Critic``."""
        out: Tensor = self.body(x)
        return out


def _initialise(network: nn.Module, *, norm: str) -> None:
    """Draw convolutions from N(0, 0.02) and scales of batch norm from N(1, 0.02), as Radford et al. 2015 do.

    Without norms, 0.02 would let the signal fade from layer to layer: then as He et al. 2015 do.
    """
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            if norm == "none":
                draw_he(part)
            else:
                draw_normal(part.weight, std=0.02)
        elif isinstance(part, nn.BatchNorm2d):
            draw_normal(part.weight, mean=1.0, std=0.02)


def _plan(size: int, channels: int, most: int | None) -> tuple[int, list[int]]:
    """Give the side of the smallest maps, and the channels of all maps from S / 2 down to it."""
    check_size("dcgan", size, SIZES)
    start = 7 if size == 28 else 4
    halvings = int(math.log2(size // start))
    return start, [min(channels * 2**k, most or channels * 2**k) for k in range(halvings)]


def _stage(conv: nn.Conv2d | nn.ConvTranspose2d, *, norm: str, active: str) -> nn.Module:
    return nn.Sequential(conv, norm_of_maps(norm, conv.out_channels), build_activation(active))
