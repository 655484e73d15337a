"""Creatures along a way of weights, as one picture or a moving one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chimera_core.fusing.fusion import Fusion

FPS = 6
"""Of moving sweeps."""


def sweep_frames(
    fusion: Fusion, *, progress: Callable[[float, float], None]
) -> tuple[list[Any], dict[str, str]]:
    """Make a creature at each of the request's weights.

    Args:
        progress: called with (done, total) of each creature, in turn.
    Returns:
        uint8 (H, W, 3) each, over white; and what the file says of them.
    """
    from chimera_core.images.pixels import to_uint8

    steps, seeds = fusion.request.weights, fusion.request.seeds
    frames: list[Any] = []
    for weights in steps:
        frames.append(to_uint8(fusion.make(weights, seeds, progress=progress)[0]))
    return frames, fusion.text(steps[0], seeds[0]) | {
        "chimera.weights": str([[round(w, 6) for w in s] for s in steps])
    }


def there_and_back(frames: Sequence[Any]) -> list[Any]:
    """Give the frames of a moving sweep, which ends where it begins."""
    even = _of_one_size(frames)
    return [*even, *even[-2:0:-1]]


def _of_one_size(frames: Sequence[Any]) -> list[Any]:
    """Lay frames on white of the largest height and width, in the middle: some fusers' shapes follow the weights."""
    import numpy as np

    height, width = (max(frame.shape[axis] for frame in frames) for axis in (0, 1))
    even = []
    for frame in frames:
        down, right = height - frame.shape[0], width - frame.shape[1]
        margins = ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0))
        even.append(np.pad(frame, margins, constant_values=255) if down or right else frame)
    return even
