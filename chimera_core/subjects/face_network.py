"""A small head that finds eyes, nose, mouth and chin in a view of a face, from features of a frozen encoder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.errors import ShapeError
from chimera_core.files.weights import check_state, load_state

LEVELS = (2, 3, 4)
"""Of EfficientNet-Lite0 that are read: strides 8, 16 and 32."""

VIEW = 224
"""Side of a view in pixels."""

GRID = 28
"""Side of a heat map in cells."""

POINTS = ("eye left", "eye right", "nose", "mouth", "chin")
"""Left and right are those of the picture."""

MIRRORED = [1, 0, 2, 3, 4]
"""Where each point lies in the mirror image's list."""

_WEIGHTS = Path(__file__).parent / "weights" / "face.safetensors"
_CHANNELS = (40, 112, 320)
_WIDTHS = (32, 48, 48)
_WIDTH = 64
# Cells around a heat map's peak whose mean is the point.
_REACH = 2


class FaceAnswer(NamedTuple):
    """What the head says of N views; logits all."""

    heat: Tensor
    """(N, 5, 28, 28): softmax over the cells tells where a point is."""
    seen: Tensor
    """(N, 5): whether the point is in sight."""
    face: Tensor
    """(N,): whether the view holds a face, whole and neither tiny nor too near."""
    person: Tensor
    """(N,): whether that face is a person's."""


class FaceNetwork(nn.Module):
    """Reads three feature maps and gives heat maps of five points, whether each is in sight, whether there is a face, and
    whether it is a person's.

    0.2 million weights.

    Source: heat maps of points: Tompson et al. 2014, arXiv:1406.2984; dilated convolutions: Yu and Koltun 2016,
        arXiv:1511.07122; sizes ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(_CHANNELS, _WIDTHS, strict=True))
        self.mix = nn.Conv2d(sum(_WIDTHS), _WIDTH, 3, padding=1)
        self.context = nn.Linear(_WIDTHS[-1], _WIDTH)
        self.blocks = nn.ModuleList(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=d, dilation=d) for d in (2, 3, 1))
        self.heat = nn.Conv2d(_WIDTH, len(POINTS), 1)
        self.seen = nn.Linear(_WIDTH, len(POINTS))
        self.face = nn.Linear(2 * _WIDTH, 1)
        self.person = nn.Linear(2 * _WIDTH, 1)

    def forward(self, maps: Sequence[Tensor]) -> FaceAnswer:
        """Answer for feature maps (``LEVELS``) of views (N, 3, 224, 224), as ``view_features`` gives them.

        Raises:
            ShapeError: if the maps are another encoder's.
        """
        channels = tuple(level.shape[1] for level in maps)
        if channels != _CHANNELS:
            raise ShapeError(
                f"faces are read from feature maps of {_CHANNELS} channels, but these have {channels}: "
                "pass the default encoder (timm)"
            )
        sides = [reduce(level) for reduce, level in zip(self.reduce, maps, strict=True)]
        wide = [F.interpolate(s, (GRID, GRID), mode="bilinear", align_corners=False) for s in sides]
        x = self.mix(torch.cat(wide, 1)) + self.context(sides[-1].mean((2, 3)))[:, :, None, None]
        x = x.relu()
        for block in self.blocks:
            x = x + block(x).relu()
        heat = self.heat(x)
        # What each point is judged by is what lies under its heat.
        there = torch.einsum("nkc,ndc->nkd", heat.flatten(2).softmax(-1), x.flatten(2))
        seen = torch.einsum("nkd,kd->nk", there, self.seen.weight) + self.seen.bias
        whole = torch.cat([there.mean(1), x.mean((2, 3))], 1)
        return FaceAnswer(heat, seen, self.face(whole)[:, 0], self.person(whole)[:, 0])


def view_features(maps: Sequence[Tensor]) -> list[Tensor]:
    """Scale each feature map (N, C, h, w) to a root mean square length of 1, view by view."""
    return [
        level / level.square().sum(1, keepdim=True).mean((2, 3), keepdim=True).sqrt().clamp_min(1e-9)
        for level in maps
    ]


def peaks(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Read the points off heat maps (N, K, h, w) of logits.

    Returns:
        float (N, K, 2): x, y in [0, 1] of the view, from its outer edge to its outer edge, the mean around the highest
        cell; float (N, K) in [0, 1]: the share of the heat around it.
    """
    count, points, height, width = heat.shape
    chance = heat.flatten(2).softmax(-1)
    best = chance.argmax(-1)
    rows = torch.arange(height, device=heat.device)
    columns = torch.arange(width, device=heat.device)
    near = ((rows - (best // width)[..., None]).abs() <= _REACH)[..., :, None] & (
        (columns - (best % width)[..., None]).abs() <= _REACH
    )[..., None, :]
    chance = chance.view(count, points, height, width) * near
    mass = chance.sum((2, 3))
    x = (chance.sum(2) * (columns + 0.5)).sum(-1) / mass / width
    y = (chance.sum(3) * (rows + 0.5)).sum(-1) / mass / height
    return torch.stack([x, y], -1), mass


@functools.cache
def face_network(device: torch.device) -> FaceNetwork:
    """Load the head that comes with us, frozen, once for each device.

    Raises:
        DataError: if its file is missing or damaged.
    """
    state = {name: value.float() for name, value in load_state(_WEIGHTS).items()}
    with torch.random.fork_rng(
        devices=[]
    ):  # first weights, which are replaced, would move the global generator
        network = FaceNetwork()
    own = {name: (tuple(value.shape), value.dtype) for name, value in network.state_dict().items()}
    check_state(state, own, where=_WEIGHTS.name)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False).to(device)
