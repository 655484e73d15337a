"""``--log tensorboard``: event files in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.api import RunLogger, make_folder


class TensorBoardLogger(RunLogger):
    """Writes events into ``tensorboard/`` of the run: ``tensorboard --logdir RUNS`` shows them."""

    def __init__(self, config: Any, *, folder: Path) -> None:
        super().__init__(config, folder=folder)
        from torch.utils.tensorboard import SummaryWriter

        self._board: Any = SummaryWriter(str(make_folder(folder / "tensorboard", within=folder)))

    def log(self, images: int, values: Mapping[str, float]) -> None:
        """Write one scalar a value, at so many images."""
        for name, value in values.items():
            self._board.add_scalar(name, value, images)
        self._board.flush()

    def close(self) -> None:
        """Close the event file."""
        self._board.close()
