"""A picture that was made, with all that it was made of. Torch-free, and knows no Gradio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chimera_core.studio.asks import Ask
from chimera_core.studio.parents import Slot


@dataclass(frozen=True)
class Creature:
    """A picture that was made: what was asked for, the file, its fuser's remarks, and how the page stood."""

    ask: Ask
    file: str
    fuser: str
    size: tuple[int, int]
    remarks: tuple[str, ...] = ()
    options: Mapping[tuple[str, ...], Any] = field(default_factory=dict)
    took_s: float = 0.0
    parents: tuple[Slot | None, ...] = ()
    masks: tuple[str, ...] = ()
    looks: tuple[dict[str, Any], ...] = ()
    names: tuple[str, ...] = ()
    """What the fuser calls the parents in its remarks."""

    @property
    def shares(self) -> list[float]:
        """Where the sliders stood, in per cent by place."""
        weights = iter(self.ask.weights)
        return [float(round(100 * next(weights, 0.0), 1)) if slot else 0.0 for slot in self.parents]

    def looks_like(self, other: Creature) -> bool:
        """Say whether another creature has the very same pixels."""
        from PIL import Image, ImageChops

        with Image.open(self.file) as mine, Image.open(other.file) as theirs:
            if (mine.size, mine.mode) != (theirs.size, theirs.mode):
                return False
            return ImageChops.difference(mine, theirs).getbbox(alpha_only=False) is None
