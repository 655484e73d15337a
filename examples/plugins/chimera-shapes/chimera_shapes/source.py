"""Discs and squares, by day and by night. A real source would read files in ``__getitem__``."""

from dataclasses import dataclass

import torch
from chimera_core.api import DataError, DatasetSource, Example, SourceInfo

from chimera_shapes.plugin import ShapesConfig

_MOST = 100_000  # images of a split


class Shapes(DatasetSource):
    """Opens splits of drawn images."""

    def __init__(self, config: ShapesConfig) -> None:
        self.config = config

    @property
    def info(self) -> SourceInfo:
        """Describe the data, without decoding an image."""
        return SourceInfo(
            name="shapes",
            classes=("disc", "square"),
            domains=("day", "night"),
            splits=dict.fromkeys(self.config.splits, self.config.images),
            licence="CC0-1.0",
        )

    def open(self, split: str) -> "ShapesSplit":
        """Open a split by name."""
        splits = self.config.splits
        if split not in splits:
            raise DataError(f"source shapes has no split '{split}' (it has: {', '.join(splits)})")
        return ShapesSplit(self.config.images, self.config.side, _MOST * splits.index(split))


@dataclass(frozen=True)
class ShapesSplit:
    """Images, drawn when asked for. It can be pickled, because other processes read it too."""

    images: int
    side: int
    first_seed: int

    @property
    def labels(self) -> list[int]:
        """The class of every image, without reading one."""
        return [index % 2 for index in range(self.images)]

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.images:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(self.first_seed + index)
        colour = torch.randint(96, 256, (3, 1, 1), generator=generator)
        y, x = torch.meshgrid(*[torch.linspace(-1, 1, self.side)] * 2, indexing="ij")
        inside = (x**2 + y**2 < 0.5) if index % 2 == 0 else (x.abs().maximum(y.abs()) < 0.6)
        night = index // 2 % 2
        image = torch.where(inside, colour, 160 - 140 * night).to(torch.uint8)
        return Example(image, label=index % 2, domain=night)
