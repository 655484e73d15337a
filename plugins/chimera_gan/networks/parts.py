"""What generators and critics of every family share: their interface, the condition, norms, dropout.

Legend of shapes: N images, Z noise, C condition, F features, S side of the image.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from chimera_core.api import ConfigError, Draw, ShapeError


class Generator(nn.Module):
    """Makes images from noise and, if ``condition`` is not 0, a condition.

    Args:
        size: S, side of the images in pixels.
        noise: Z, length of the noise.
        condition: C, length of the condition; 0 for none.
    """

    def __init__(self, size: int, *, noise: int, condition: int = 0) -> None:
        super().__init__()
        self.size, self.noise, self.condition = size, noise, condition

    @abstractmethod
    def forward(self, z: Tensor, c: Tensor | None = None, *, draw: Draw | None = None) -> Tensor:
        """Make one image of each row of noise.

        Args:
            z: float (N, Z), standard normal.
            c: float (N, C), entries of order 1: norm sqrt(C). None for a generator without condition.
            draw: gives the masks of dropout, so that they belong to the example; None: torch's own generator does.
        Returns:
            float (N, 3, S, S) in [-1, 1].
        Raises:
            ShapeError: if ``c`` is missing, has another length, or is not wanted.
        """

    def check(self, c: Tensor | None) -> None:
        """Raise ShapeError unless ``c`` is the condition that this generator was built for."""
        met = 0 if c is None else c.shape[-1]
        if met != self.condition:
            raise ShapeError(f"condition of length {met} given to a generator built for {self.condition}")


class Critic(nn.Module):
    """Judges images: a part that looks at the image alone, and one that asks whether the condition fits.

    Subclasses set ``judge``, which maps features to one logit, and ``projection``.
    Source: Miyato and Koyama 2018, arXiv:1802.05637, equation 3, for the second part.
    """

    judge: nn.Module
    projection: Projection | None

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Give phi(x): maps (N, C, H, W) or vectors (N, F); the projection reads them flattened."""

    def forward(self, x: Tensor, c: Tensor | None = None, strength: Tensor | None = None) -> Tensor:
        """Judge each image.

        Args:
            x: float (N, 3, S, S) in [-1, 1].
            c: float (N, C), norm sqrt(C). None, or a critic without projection: the image alone is judged.
            strength: float (N,), factor of the projection for each image; None is 1 for all.
        Returns:
            float32 logits (N,), great for real; any real number.
        """
        features = self.features(x)
        logits: Tensor = self.judge(features).flatten()
        if self.projection is not None and c is not None:
            logits = logits + self.projection(features.flatten(1), c, strength)
        # Losses and penalties want more than the three digits of bfloat16.
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


class Projection(nn.Module):
    """strength * <V c, phi> / sqrt(F): of order 1 at the start for ``c`` of norm sqrt(C) and features of order 1."""

    def __init__(self, condition: int, features: int) -> None:
        super().__init__()
        self.embed = nn.Linear(condition, features, bias=False)
        draw_normal(self.embed.weight, std=1 / math.sqrt(condition))

    def forward(self, phi: Tensor, c: Tensor, strength: Tensor | None = None) -> Tensor:
        """Map features (N, F), conditions (N, C) and strengths (N,) to (N,)."""
        fit: Tensor = (self.embed(c) * phi).sum(1) / math.sqrt(phi.shape[1])
        return fit if strength is None else fit * strength


class Dropout(nn.Module):
    """Dropout that may stay active in use, and whose mask may belong to the example.

    Args:
        rate: share of values that are set to 0.
        in_use: drop in evaluation mode as well (second report).
        purpose: tells this module's numbers from those of others.
    """

    def __init__(self, rate: float, *, in_use: bool, purpose: str) -> None:
        super().__init__()
        self.rate, self.in_use, self.purpose = rate, in_use, purpose

    def forward(self, x: Tensor, draw: Draw | None = None) -> Tensor:
        """Drop values of (N, ...), and scale the others by 1 / (1 - rate)."""
        if self.rate == 0 or not (self.training or self.in_use):
            return x
        if draw is None:
            return F.dropout(x, self.rate, training=True)
        keep = draw.uniform(*x.shape[1:], purpose=self.purpose) >= self.rate
        return x * keep / (1 - self.rate)


def norm_of_maps(name: str, channels: int) -> nn.Module:
    """Build batch norm, layer norm (per image, over channels and pixels), or nothing for maps (N, C, H, W)."""
    if name == "layer":
        return nn.GroupNorm(1, channels)
    return nn.BatchNorm2d(channels) if name == "batch" else nn.Identity()


def build_activation(name: str) -> nn.Module:
    """Build ``relu``, or ``leaky`` with slope 0.2."""
    return nn.LeakyReLU(0.2) if name == "leaky" else nn.ReLU()


def draw_normal(weight: Tensor, *, mean: float = 0.0, std: float) -> None:
    """Draw a weight from a normal distribution.

    A skeleton on the meta device has nothing to fill, and torch would import its compiler for it, which takes 2 s.
    """
    if not weight.is_meta:
        nn.init.normal_(weight, mean, std)


def draw_he(conv: nn.Conv2d | nn.ConvTranspose2d, *, gain: float = math.sqrt(2)) -> None:
    """Draw a kernel such that signals keep their size without norms; the bias is 0.

    Source: He et al. 2015, arXiv:1502.01852. What counts is how many values an output is the sum of: of a transposed
    kernel, each output meets only every stride-th tap, or a single one where the maps that it reads are 1 x 1.
    """
    taps = conv.kernel_size[0] * conv.kernel_size[1]
    if isinstance(conv, nn.ConvTranspose2d):
        taps = taps // conv.stride[0] ** 2 if conv.stride[0] > 1 else 1
    draw_normal(conv.weight, std=gain / math.sqrt(conv.in_channels * taps))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def normalise_spectrally(network: nn.Module) -> None:
    """Bound the spectral norm of every convolution and linear layer by 1.

    Source: Miyato et al. 2018, arXiv:1802.05957. Draws from torch's global generator, as initialisation does.
    """
    for layer in [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]:
        parametrizations.spectral_norm(layer)


def check_size(family: str, size: int, sizes: tuple[int, ...]) -> None:
    """Raise ConfigError, naming the sizes that the family makes, if ``size`` is none of them."""
    if size not in sizes:
        *most, last = map(str, sizes)
        raise ConfigError(f"size {size}: {family} makes {', '.join(most)} or {last} pixels; set one of these")
