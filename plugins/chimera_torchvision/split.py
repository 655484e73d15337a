"""One split of torchvision's, decoded image by image."""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chimera_core.api import DataError, Example, PluginError, one_line, picture_shape, read_picture
from chimera_torchvision.opening import Opened, Part, open_once
from chimera_torchvision.reading import trimap_of


@dataclass
class TorchvisionSplit:
    """One split. Pickled it carries what opens it, not the images that torchvision may hold in memory."""

    part: Part
    rows: tuple[int, ...]
    labels: tuple[int, ...]

    def adopt(self, opened: Opened) -> None:
        """Take a data set that is open already."""
        self._opened = opened

    def __getstate__(self) -> dict[str, Any]:
        return {"part": self.part, "rows": self.rows, "labels": self.labels}

    @property
    def dataset(self) -> Any:
        """torchvision's own object, opened once in each process."""
        return self._data.dataset

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The file of every example; none where images are not files of their own."""
        files = self._data.facts.files
        return tuple(Path(files[row]) for row in self.rows) if files else ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        """Give one image as torchvision decodes it: uint8 RGB (3, H, W), not turned, no profile applied.

        Raises:
            DataError: if its file is damaged or too large; its header is looked at before torchvision decodes it.
        """
        row, label = self.rows[index], self.labels[index]
        dataset, facts = self._data
        if facts.files:
            picture_shape(facts.files[row])
        try:
            with nullcontext() if facts.files else _DRAWING:
                image, target = dataset[row]
            pixels = np.array(image.convert("RGB"))
        except Exception as error:  # torchvision's border: on damaged files decoders raise nearly everything
            reason = one_line(error, limit=160) or type(error).__name__
            where = f"'{facts.files[row]}'" if facts.files else f"image {row} of {self.part.name}"
            raise DataError(f"{where} cannot be decoded ({reason}): get it anew") from error
        if facts.is_target and int(target) != facts.values[row]:
            raise PluginError(
                f"image {row} of torchvision's {self.part.name} has label {int(target)}, and {facts.values[row]} was read "
                "from its lists: report it to the plugin torchvision"
            )
        return Example(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), label)

    def mask(self, index: int) -> torch.Tensor | None:
        """Give an image's trimap as a mask, uint8 (1, H, W): 255 on the animal, 128 between, 0 on the ground.

        None where the data set has none.
        """
        trimap = trimap_of(self.dataset, self.rows[index])
        if not trimap or not os.path.isfile(trimap):
            return None
        values = torch.from_numpy(read_picture(trimap).rgb[..., 0].copy())
        return torch.where(values == 1, 255, torch.where(values == 3, 128, 0)).to(torch.uint8)[None]

    @property
    def _data(self) -> Opened:
        if not hasattr(self, "_opened"):
            self._opened = open_once(self.part)
        return self._opened


# FakeData seeds torch's global generator for each image: two threads would draw each other's.
_DRAWING = threading.Lock()
