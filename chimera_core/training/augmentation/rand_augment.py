"""RandAugment: a few random operations of one strength, other ones for each image.

torchvision's takes the same operations for a whole batch, from the global generator; this one groups the images by
operation, and draws from ``Draw``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chimera_core.randomness import Draw
from chimera_core.training.augmentation import colour
from chimera_core.training.augmentation import geometry as warp

_BINS = 30  # strength 0 ... 30, as in the paper

Operation = Callable[[Tensor, Tensor], Tensor]


def rand_augment(x: Tensor, draw: Draw, *, count: int = 2, strength: float = 9) -> Tensor:
    """Apply ``count`` random operations to each image.

    Args:
        x: images, float (N, 3, H, W) in [0, 1].
        draw: random numbers of these images.
        count: operations one after another.
        strength: of each, 0 to 30; the sign, where one has a sign, is random.
    Returns:
        float (N, 3, H, W) in [0, 1].
    Source: Cubuk et al. 2020, arXiv:1909.13719; operations and ranges are torchvision's.
    """
    names = list(OPERATIONS)
    x = x.clone()
    for k in range(count):
        chosen = draw.integers(len(names), purpose=f"rand-augment/{k}/operation")
        sign = torch.where(draw.uniform(purpose=f"rand-augment/{k}/sign") < 0.5, -1.0, 1.0)
        for number, name in enumerate(names):
            rows = (chosen.view(-1) == number).nonzero().flatten()
            if len(rows):
                x[rows] = OPERATIONS[name](x[rows], sign.view(-1)[rows] * (strength / _BINS))
    return x


def _shear(x: Tensor, amount: Tensor, *, axis: int) -> Tensor:
    matrix = _identity(x)
    matrix[:, axis, 1 - axis] = 0.3 * amount
    return warp.affine(x, matrix)


def _translate(x: Tensor, amount: Tensor, *, axis: int) -> Tensor:
    matrix = _identity(x)
    matrix[:, axis, 2] = 150 / 331 * amount * x.shape[3 - axis]
    return warp.affine(x, matrix)


def _identity(x: Tensor) -> Tensor:
    return torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)


# Each takes images (n, 3, H, W) and signed strengths (n,) in [-1, 1].
OPERATIONS: dict[str, Operation] = {
    "identity": lambda x, amount: x,
    "shear-x": lambda x, amount: _shear(x, amount, axis=0),
    "shear-y": lambda x, amount: _shear(x, amount, axis=1),
    "translate-x": lambda x, amount: _translate(x, amount, axis=0),
    "translate-y": lambda x, amount: _translate(x, amount, axis=1),
    "rotate": lambda x, amount: warp.affine(x, warp.rotation(30 * amount)),
    "brightness": lambda x, amount: colour.adjust_brightness(x, 1 + 0.9 * amount),
    "saturation": lambda x, amount: colour.adjust_saturation(x, 1 + 0.9 * amount),
    "contrast": lambda x, amount: colour.adjust_contrast(x, 1 + 0.9 * amount),
    "sharpness": lambda x, amount: colour.adjust_sharpness(x, 1 + 0.9 * amount),
    "posterize": lambda x, amount: colour.posterize(x, 8 - (4 * amount.abs()).round().long()),
    "solarize": lambda x, amount: colour.solarize(x, 1 - amount.abs()),
    "autocontrast": lambda x, amount: colour.autocontrast(x),
    "equalize": lambda x, amount: colour.equalize(x),
}
