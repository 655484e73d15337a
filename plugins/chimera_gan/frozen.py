"""A frozen encoder as the eyes of a critic: feature maps of several scales, with gradients by the pixels alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import ConfigError, EncoderRef, load_encoder

SMALLEST = 4  # side of the smallest maps that a critic looks at
_SCALES = 4
_LARGEST = 1 / 4  # of the side of the images: finer maps are edges, and cost most


class FrozenFeatures:
    """Maps of an encoder, the finest first: at most four scales, from a quarter of the side down to 4 pixels.

    No module: its weights are not ours to keep in a checkpoint, and nothing may train them.

    Args:
        reference: the encoder.
        size: side in pixels at which it sees images.
    Raises:
        ConfigError: if none of its maps is that large.
    """

    def __init__(self, reference: EncoderRef, *, size: int) -> None:
        self.size = size
        # A dry run builds without memory; the encoder itself is needed, and is small.
        with torch.device("cpu"), torch.no_grad():
            encoder = load_encoder(reference.name, **reference.options).requires_grad_(False)
            every = encoder.feature_maps(torch.zeros(1, 3, size, size), range(len(encoder.levels)))
        self._levels = _choose([found.shape[-1] for found in every], size)
        if not self._levels:
            raise ConfigError(
                f"encoder {reference.name} gives the critic no feature maps of {SMALLEST} to {int(size * _LARGEST)} "
                f"pixels at {size} pixels: raise --critic-encoder-size, or take another --critic-encoder"
            )
        self.channels = [every[level].shape[1] for level in self._levels]
        self.sides = [every[level].shape[-1] for level in self._levels]
        _spare_slow_kernels(encoder)
        self._encoder = encoder.to(memory_format=torch.channels_last)
        self._device = torch.device("cpu")

    def maps(self, x: Tensor) -> list[Tensor]:
        """See images (N, 3, S, S) in [-1, 1]: maps (N, ``channels[k]``, ``sides[k]``, ``sides[k]``)."""
        if x.device != self._device:
            self._encoder, self._device = self._encoder.to(x.device), x.device
        x = x / 2 + 0.5
        if x.shape[-1] != self.size:
            # Not clamped: augmentation may have left [0, 1], and clipping would stop the gradient.
            x = F.interpolate(
                x,
                (self.size, self.size),
                mode="bilinear",
                antialias=x.shape[-1] > self.size,
                align_corners=False,
            )
        return self._encoder.feature_maps(x.contiguous(memory_format=torch.channels_last), self._levels)


def _choose(sides: Sequence[int], size: int) -> list[int]:
    """Choose levels by the sides of their maps: of each side the deepest, the last four."""
    deepest = {side: level for level, side in enumerate(sides) if SMALLEST <= side <= size * _LARGEST}
    return sorted(deepest.values())[-_SCALES:]


def _spare_slow_kernels(encoder: nn.Module) -> None:
    """Let strided depthwise convolutions go back to the pixels in fp32 on a CPU.

    For bfloat16 oneDNN has no kernel of its own there: the gradient takes 245 ms where fp32 takes 60 (96 channels of 64
    pixels, batch 64, one thread), which would be a quarter of a training step.
    """
    for part in encoder.modules():
        if isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1 and max(part.stride) > 1:
            part.forward = partial(_in_fp32, part.forward)  # type: ignore[method-assign]


def _in_fp32(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if not x.requires_grad or x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return forward(x)
    with torch.autocast("cpu", enabled=False):
        return forward(x.float()).to(x.dtype)
