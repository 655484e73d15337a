"""A few drawn images in memory, as a training hands them to a learner."""

from __future__ import annotations

import torch

from chimera_core.data.batches import TensorSplit
from chimera_core.interfaces.learner import FuserData
from chimera_core.testing.fixtures.shapes import draw_shape

CLASSES = ("disc", "square")


def draw_images(count: int = 24, *, size: int = 16, seed: int = 0) -> TensorSplit:
    """Draw discs and squares in turn: uint8 (count, 3, size, size), labels 0 and 1."""
    labels = torch.arange(count) % len(CLASSES)
    images = [
        torch.from_numpy(draw_shape(seed + k, size, size, kind=CLASSES[k % len(CLASSES)])).permute(2, 0, 1)
        for k in range(count)
    ]
    return TensorSplit(torch.stack(images), labels)


def draw_fuser_data(count: int = 24, *, size: int = 16, batch: int = 4, seed: int = 0) -> FuserData:
    """Give what a learner learns from: drawn discs and squares, in batches of four.

    Args:
        count: of images.
        size: their side in pixels.
        batch: images per step.
        seed: of the run.
    """
    return FuserData(
        images=draw_images(count, size=size),
        classes=CLASSES,
        size=size,
        batch=batch,
        seed=seed,
        total_images=10 * batch,
    )
