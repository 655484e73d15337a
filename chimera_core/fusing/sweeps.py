"""Creatures along a way of weights, as one picture or a moving one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chimera_core.fusing.fusion import Fusion

GIF_FPS = 6


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
        progress(1, 1)
    return frames, fusion.text(steps[0], seeds[0]) | {
        "chimera.weights": str([[round(w, 6) for w in s] for s in steps])
    }


def write_moving_sweep(path: Path, frames: Sequence[Any], text: Mapping[str, str]) -> None:
    """Write the frames there and back, as an endless GIF."""
    from chimera_core.images import write_gif

    write_gif(path, [*frames, *frames[-2:0:-1]], fps=GIF_FPS, text=text)
