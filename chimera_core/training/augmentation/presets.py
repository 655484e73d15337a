"""Augmentation of whole batches, on their device, in pixel space.

Every image's amounts come from its own draw, so they do not change with the batch, the number of processes or an
interruption. torchvision.transforms.v2 was tried: its functions take one amount for all images of a call and draw from
the global generator, so the few operations are written here for a batch (``colour``, ``warp``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chimera_core.errors import ConfigError
from chimera_core.randomness import Draw
from chimera_core.training.augmentation import colour
from chimera_core.training.augmentation import geometry as warp
from chimera_core.training.augmentation.rand_augment import rand_augment

Augmentation = Callable[[Tensor, Draw], Tensor]

COPY_PASTE = "copy-paste"
"""The one augmentation that must know the data: ``encoder_plan`` builds it."""


def random_flip(x: Tensor, draw: Draw) -> Tensor:
    """Mirror half of the images left and right."""
    return warp.flip(x, _is_flipped(draw))


def crop_flip(x: Tensor, draw: Draw, *, padding: int | None = None) -> Tensor:
    """Move by up to ``padding`` pixels each way, and mirror half of the images.

    Args:
        x: images, float (N, 3, H, W) in [0, 1].
        draw: random numbers of these images.
        padding: an eighth of the shorter side by default: 8 pixels at 64. The image is reflected into it; black bars
            would be a cue that no real image has.
    Returns:
        float (N, 3, H, W), channels last.
    Source: the usual recipe for small images (He et al. 2016, section 4.2), there with black.
    """
    reach = min(x.shape[-2:]) // 8 if padding is None else padding
    if reach >= min(x.shape[-2:]):
        raise ConfigError(
            f"a padding of {reach} pixels is more than images of {x.shape[-1]} x {x.shape[-2]} can reflect: lower it"
        )
    down, right = (draw.integers(2 * reach + 1, 2, purpose="augment/crop") - reach).unbind(1)
    return warp.shift(x, down, right, mirrored=_is_flipped(draw))


def random_rotation(x: Tensor, draw: Draw, *, degrees: float) -> Tensor:
    """Turn by up to ``degrees`` each way; bilinear, black corners."""
    angle = (2 * draw.uniform(purpose="augment/rotation").view(-1) - 1) * degrees
    return warp.affine(x, warp.rotation(angle)).clamp(0, 1)


def colour_jitter(x: Tensor, draw: Draw, *, strength: float) -> Tensor:
    """Change brightness, contrast and saturation, in random order, by factors of 1 - strength to 1 + strength."""
    factors = 1 + (2 * draw.uniform(3, purpose="augment/jitter") - 1) * strength
    order = draw.uniform(3, purpose="augment/jitter/order").argsort(1)
    adjust = (colour.adjust_brightness, colour.adjust_contrast, colour.adjust_saturation)
    for place in range(3):
        for number, change in enumerate(adjust):
            # Factor 1 changes nothing: without indices, a GPU need not wait.
            x = change(x, torch.where(order[:, place] == number, factors[:, number], 1.0))
    return x


def _report_1(x: Tensor, draw: Draw) -> Tensor:
    """The first report's first attempt: flip, colour jitter of 0.5, rotation by 15 degrees."""
    return random_rotation(colour_jitter(random_flip(x, draw), draw, strength=0.5), draw, degrees=15)


def _report_2(x: Tensor, draw: Draw) -> Tensor:
    """Its second attempt: flip and rotation only (the angle is unstated; we keep 15 degrees)."""
    return random_rotation(random_flip(x, draw), draw, degrees=15)


def _rand_augment(x: Tensor, draw: Draw) -> Tensor:
    return rand_augment(crop_flip(x, draw), draw)


def _is_flipped(draw: Draw) -> Tensor:
    return draw.uniform(purpose="augment/flip").view(-1) < 0.5


PRESETS: dict[str, Augmentation] = {
    "none": lambda x, draw: x,
    "flip": random_flip,
    "crop-flip": crop_flip,
    "rand-augment": _rand_augment,
    "report-1": _report_1,
    "report-2": _report_2,
}
