"""A small decoder that draws an animal's outline, or its head's, from the features of a frozen encoder."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.errors import ShapeError
from chimera_core.files.weights import check_state, load_state

LEVELS = (0, 1, 2, 3, 4)
"""Of the encoder that are read: all of EfficientNet-Lite0's, strides 2 to 32."""

_WEIGHTS = Path(__file__).parent / "weights"
_CHANNELS = (16, 24, 40, 112, 320)
_WIDTHS = (16, 32, 64, 96, 128)
_BLOCKS = (1, 2, 2, 3, 3)
_KERNELS = (3, 3, 3, 5, 5)
# Levels that also answer while learning: strides 8 and 16.
_CHECKED = (2, 3)


def outline_decoder(device: torch.device) -> OutlineDecoder:
    """Load the decoder of whole animals that comes with us, frozen, once for each device.

    Raises:
        DataError: if its file is missing or damaged.
    """
    return _decoder("outline.safetensors", device)


def head_decoder(device: torch.device) -> OutlineDecoder:
    """Load the decoder of heads that comes with us; it is like ``outline_decoder``'s in all but what it learned.

    Raises:
        DataError: if its file is missing or damaged.
    """
    return _decoder("head_mask.safetensors", device)


@functools.cache
def _decoder(file: str, device: torch.device) -> OutlineDecoder:
    state = {name: value.float() for name, value in load_state(_WEIGHTS / file).items()}
    with torch.random.fork_rng(
        devices=[]
    ):  # first weights, which are replaced, would move the global generator
        decoder = OutlineDecoder()
    own = {
        name: value
        for name, value in decoder.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    check_state(state, {name: (tuple(v.shape), v.dtype) for name, v in own.items()}, where=file)
    decoder.load_state_dict(state, strict=False)
    return decoder.eval().requires_grad_(False).to(device)


class OutlineDecoder(nn.Module):
    """Reads five feature maps, coarse to fine, and gives one logit for each cell of stride 2: animal or not, head or not.

    0.20 million weights. ``scale`` holds each channel's mean and standard deviation over training pictures.

    Source: feature pyramid: Lin et al. 2017 (CVPR); depthwise-separable blocks: Howard et al. 2017,
        arXiv:1704.04861; sizes ours.
    """

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.stack([torch.zeros(sum(_CHANNELS)), torch.ones(sum(_CHANNELS))]))
        self.lateral = nn.ModuleList(_convolution(c, w) for c, w in zip(_CHANNELS, _WIDTHS, strict=True))
        self.descend = nn.ModuleList(
            _convolution(coarse, fine) for fine, coarse in itertools.pairwise(_WIDTHS)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_Block(width, kernel) for _ in range(count)))
            for width, kernel, count in zip(_WIDTHS, _KERNELS, _BLOCKS, strict=True)
        )
        # What the whole view holds helps to tell a small animal from a large one's ear.
        self.context = nn.Linear(_WIDTHS[-1], _WIDTHS[-1])
        self.answer = nn.Conv2d(_WIDTHS[0], 1, 1)
        self.checks = nn.ModuleList(nn.Conv2d(_WIDTHS[level], 1, 1) for level in _CHECKED)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Give logits (N, 1, H / 2, W / 2) for the five feature maps of images (N, 3, H, W).

        Raises:
            ShapeError: if the maps are another encoder's.
        """
        return self.all_answers(maps)[0]

    def all_answers(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Give logits at strides 2, 8 and 16: the latter two keep coarse levels honest while learning."""
        channels = tuple(level.shape[1] for level in maps)
        if channels != _CHANNELS:
            raise ShapeError(
                f"the outline is read from feature maps of {_CHANNELS} channels, but these have {channels}: "
                "pass the default encoder (timm)"
            )
        means, deviations = (row.split(_CHANNELS) for row in self.scale)
        sides = [
            lateral((level - mean[:, None, None]) / deviation[:, None, None])
            for lateral, level, mean, deviation in zip(self.lateral, maps, means, deviations, strict=True)
        ]
        x = sides[-1].relu()
        x = self.blocks[-1]((x + self.context(x.mean((2, 3)))[:, :, None, None]).relu())
        checks: list[Tensor] = []
        for level in range(len(sides) - 2, -1, -1):
            above = F.interpolate(
                self.descend[level](x), sides[level].shape[-2:], mode="bilinear", align_corners=False
            )
            x = self.blocks[level]((sides[level] + above).relu())
            if level in _CHECKED:
                checks.insert(0, self.checks[_CHECKED.index(level)](x))
        return [self.answer(x), *checks]


class _Block(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *_convolution(width, width, kernel, groups=width),
            nn.ReLU(inplace=True),
            *_convolution(width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.inner(x))


def _convolution(into: int, out: int, kernel: int = 1, *, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)
    )
