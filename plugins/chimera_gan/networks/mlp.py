"""The first report's pair: linear layers alone, for any size. 1.23 billion parameters at 448 pixels.

Legend of shapes: N images, Z noise, C condition, S side of the image.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from chimera_core.api import ConfigError, Draw
from chimera_gan.networks.parts import (
    Critic,
    Dropout,
    Generator,
    Projection,
    build_activation,
    normalise_spectrally,
)


class MlpGenerator(Generator):
    """Noise and condition side by side -> [linear -> LeakyReLU 0.2 -> batch norm] 256, 512, 1024 -> linear -> tanh.

    Args:
        size: S, any.
        noise: Z.
        condition: C, or 0. It enters as it is.
        channels: width of the first layer; the others have twice and four times as many.
        most_channels: width of any hidden layer at most; None: as many as that gives.
        norm: ``batch`` or ``none``. It stands after the activation, as in the report.
        activation: ``relu`` or ``leaky``.
        dropout: rate after each norm.
        dropout_in_use: drop when images are made, too.
    Source: report 1; layers by torch's own initialisation, of which the report says nothing.
    """

    def __init__(
        self,
        size: int,
        *,
        noise: int,
        condition: int = 0,
        channels: int = 256,
        most_channels: int | None = None,
        norm: str = "batch",
        activation: str = "leaky",
        dropout: float = 0.0,
        dropout_in_use: bool = False,
    ) -> None:
        super().__init__(_any(size), noise=noise, condition=condition)
        widths = [noise + condition, *(min(k * channels, most_channels or k * channels) for k in (1, 2, 4))]
        self.stages = nn.ModuleList(
            _stage(widths[k], widths[k + 1], norm=norm, active=activation) for k in range(3)
        )
        self.dropouts = nn.ModuleList(
            Dropout(dropout, in_use=dropout_in_use, purpose=f"dropout/{k}") for k in range(3)
        )
        self.to_image = nn.Linear(widths[-1], 3 * size * size)

    def forward(self, z: Tensor, c: Tensor | None = None, *, draw: Draw | None = None) -> Tensor:
        """Map (N, Z) and (N, C) to (N, 3, S, S). See ``Generator``."""
        self.check(c)
        x = z if c is None else torch.cat([z, c], 1)
        for stage, dropout in zip(self.stages, self.dropouts, strict=True):
            x = dropout(stage(x), draw)
        return torch.tanh(self.to_image(x)).view(-1, 3, self.size, self.size)


class MlpCritic(Critic):
    """Pixels -> [linear -> LeakyReLU 0.2] 1024, 512, 256 -> linear -> one logit.

    Args:
        size: S, any.
        condition: C of the projection on the last 256 features, or 0 for a critic without one, as in the report.
        channels: width of the last layer, 256 in the report; the others have twice and four times as many.
        most_channels: width of any hidden layer at most; None: as many as that gives.
        norm: ``batch``, ``layer`` or ``none`` before each activation.
        spectral_norm: bound every layer's spectral norm by 1.
    Source: report 1. Its sigmoid belongs to the objective here.
    """

    def __init__(
        self,
        size: int,
        *,
        condition: int = 0,
        channels: int = 256,
        most_channels: int | None = None,
        norm: str = "none",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [3 * _any(size) ** 2, *(min(k * channels, most_channels or k * channels) for k in (4, 2, 1))]
        layers: list[nn.Module] = [nn.Flatten()]
        for width_in, width in pairwise(widths):
            layers += [nn.Linear(width_in, width), _norm(norm, width), build_activation("leaky")]
        self.body = nn.Sequential(*layers)
        self.judge = nn.Linear(channels, 1)
        self.projection = Projection(condition, channels) if condition else None
        if spectral_norm:
            normalise_spectrally(self)

    def features(self, x: Tensor) -> Tensor:
        """Map (N, 3, S, S) to (N, 256). See ``Critic``."""
        out: Tensor = self.body(x)
        return out


def _stage(width_in: int, width: int, *, norm: str, active: str) -> nn.Module:
    return nn.Sequential(nn.Linear(width_in, width), build_activation(active), _norm(norm, width))


def _norm(name: str, width: int) -> nn.Module:
    if name == "layer":
        return nn.LayerNorm(width)
    return nn.BatchNorm1d(width) if name == "batch" else nn.Identity()


def _any(size: int) -> int:
    if size < 1:
        raise ConfigError(f"size {size}: mlp makes any from 1 pixel on; set one of these")
    return size
