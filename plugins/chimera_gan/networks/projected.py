"""Critics on a frozen network's features, mixed by fixed random kernels (Sauer et al. 2021, arXiv:2111.01007).

Mixing over channels and scales leaves no feature that a critic could lean on alone, and none that the generator may ignore.
Legend of shapes: N images, C condition, K scales, finest first, of S_k pixels and F_k channels; W_k channels when mixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_gan.networks.parts import (
    Projection,
    build_activation,
    draw_normal,
    norm_of_maps,
    normalise_spectrally,
)

_FINEST, _WIDEST = 32, 256  # channels; each coarser scale has twice as many as the one before
_OF_PIXELS = (3, 24, 48, 96)  # channels of a critic of pixels
_LAST = 4  # side, about, of the maps that give logits: 4 x 4 of them at every scale (section 3.2)


class RandomMixing(nn.Module):
    """Fixed random kernels: 1 x 1 across the channels of each scale, then 3 x 3 from the coarsest scale to the finest.

    Each scale is the sum of its own features and the next coarser scale, enlarged. The kernels are drawn once (He et
    al. 2015, without the gain of an activation, for there is none) and kept in the checkpoint: torch does not promise the
    same numbers of one seed in every version.

    Args:
        channels: F_k.
    Source: sections 3.1 and appendix of the paper. There each scale is enlarged before its critic sees it, too, which costs
    four times as much; here it stays as it is.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        widths = [min(_FINEST * 2**k, _WIDEST) for k in range(len(channels))]
        self.channels = [widths[0], *widths[:-1]]
        for k, (found, width, out) in enumerate(zip(channels, widths, self.channels, strict=True)):
            self.register_buffer(f"across_channels_{k}", _random_kernel(width, found, 1))
            self.register_buffer(f"across_scales_{k}", _random_kernel(out, width, 3))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map (N, F_k, S_k, S_k) to (N, ``channels[k]``, S_k, S_k)."""
        mixed: list[Tensor] = []
        for k in reversed(range(len(maps))):
            x = F.conv2d(maps[k], self.get_buffer(f"across_channels_{k}"))
            if mixed:
                coarser = F.interpolate(mixed[-1], x.shape[-2:], mode="bilinear", align_corners=False)
                x = (x + coarser) / math.sqrt(2)
            mixed.append(F.conv2d(x, self.get_buffer(f"across_scales_{k}"), padding=1))
        return mixed[::-1]


class ProjectedCritic(nn.Module):
    """One small critic per scale: strided 4 x 4 convolutions until 4 pixels, batch norm, LeakyReLU 0.2, spectral norm.

    The coarsest one, whose maps know what is in the image, is asked whether the condition fits (Miyato and Koyama 2018).

    Args:
        channels: F_k, of the frozen network's maps.
        sides: S_k.
        condition: C, or 0 for critics that see the image alone.
        norm: ``batch``, ``layer`` or ``none``.
        pixels: one more, of the images themselves, that sees patches of 22 pixels (ours). A frozen network strides in its
            first layer, so dots and stripes of 2 to 4 pixels pass for texture.
    """

    def __init__(
        self,
        channels: Sequence[int],
        sides: Sequence[int],
        *,
        condition: int = 0,
        norm: str = "batch",
        pixels: bool = False,
    ) -> None:
        super().__init__()
        self.mixing = RandomMixing(channels)
        self.heads = nn.ModuleList(
            _Head(width, side, condition=condition if k == len(sides) - 1 else 0, norm=norm)
            for k, (width, side) in enumerate(zip(self.mixing.channels, sides, strict=True))
        )
        self.of_pixels = _pixel_head(norm) if pixels else None

    def forward(
        self,
        maps: Sequence[Tensor],
        c: Tensor | None = None,
        strength: Tensor | None = None,
        *,
        pixels: Tensor | None = None,
    ) -> list[Tensor]:
        """Judge images by their maps.

        Args:
            maps: float (N, F_k, S_k, S_k), the finest first.
            c: float (N, C), norm sqrt(C), or None: the images alone are judged.
            strength: float (N,), factor of the projection for each image; None is 1 for all.
            pixels: the images, float (N, 3, S, S) in [-1, 1], for a critic that looks at them; others leave them alone.
        Returns:
            One float32 tensor (N, P) of logits per scale, of P = 16 places where sides are powers of two; great for real.
            That of the pixels comes last, of S / 8 x S / 8 places.
        """
        logits = [head(x, c, strength) for head, x in zip(self.heads, self.mixing(maps), strict=True)]
        if self.of_pixels is not None and pixels is not None:
            logits.append(self.of_pixels(pixels).flatten(1).float())
        return logits


class _Head(nn.Module):
    """The critic of one scale."""

    def __init__(self, channels: int, side: int, *, condition: int, norm: str) -> None:
        super().__init__()
        halvings = max(0, int(math.log2(side / _LAST)))
        # As many channels at one side of maps, whatever scale they come from.
        widths = [channels, *(_WIDEST // 2**k for k in reversed(range(max(halvings, 1))))]
        kernel, stride = (4, 2) if halvings else (3, 1)
        self.body = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(a, b, kernel, stride=stride, padding=1),
                    norm_of_maps(norm, b),
                    build_activation("leaky"),
                )
                for a, b in pairwise(widths)
            )
        )
        self.judge = nn.Conv2d(_WIDEST, 1, 3, padding=1)
        normalise_spectrally(self)
        # After that, unbounded: it learns what fits from an embedding of small weights.
        self.projection = Projection(condition, _WIDEST) if condition else None

    def forward(self, x: Tensor, c: Tensor | None, strength: Tensor | None) -> Tensor:
        features = self.body(x)
        logits: Tensor = self.judge(features).flatten(1)
        if self.projection is not None and c is not None:
            logits = logits + self.projection(features.mean((2, 3)), c, strength)[:, None]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _pixel_head(norm: str) -> nn.Module:
    """Build a critic of patches: three strided convolutions, and one that gives logits."""
    stages = [
        nn.Sequential(
            nn.Conv2d(a, b, 4, stride=2, padding=1),
            norm_of_maps("none" if a == 3 else norm, b),
            build_activation("leaky"),
        )
        for a, b in pairwise(_OF_PIXELS)
    ]
    head = nn.Sequential(*stages, nn.Conv2d(_OF_PIXELS[-1], 1, 3, padding=1))
    normalise_spectrally(head)
    return head


def _random_kernel(channels: int, channels_in: int, side: int) -> Tensor:
    kernel = torch.empty(channels, channels_in, side, side)
    draw_normal(kernel, std=1 / math.sqrt(channels_in * side**2))
    return kernel
