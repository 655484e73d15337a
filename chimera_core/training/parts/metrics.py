"""``metrics.jsonl``: one object a line, flushed; and running means that survive an interruption."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chimera_core.errors import DataError, RunError
from chimera_core.files.atomic import disk_trouble, one_line, quote
from chimera_core.files.own_folders import inside, open_own
from chimera_core.files.text import LARGE_BYTES, parse_json, read_text
from chimera_core.interfaces.additions import RunLogger

FILE = "metrics.jsonl"
_log = logging.getLogger(__name__)
TIMINGS = ("wall_s", "images_per_s")
"""Keys that differ between two runs of the same training."""
_OF_THE_LOOP = frozenset({"images", "epoch", "event", "diverged_at", *TIMINGS})
RESERVED_BY_FUSERS = _OF_THE_LOOP | {"rate", "kid", "extractor"}
"""Names that the training of a fuser logs by itself: no learner's scalar may have one."""
RESERVED_BY_ENCODERS = _OF_THE_LOOP | {
    "lr",
    "loss",
    "gradient_norm",
    "val_accuracy",
    "val_macro_f1",
    "val_loss",
}
"""Names that the training of an encoder logs by itself: no trainer's metric may have one."""


class MetricsLog:
    """Appends metrics to a run's file.

    Args:
        position: where to go on, as ``position`` gave it; what lies past it is cut off. None: after what is there.
        logger: of a plugin: it is given every number, too. One that fails is left out from then on, with a warning.
    Raises:
        RunError: if the disk refuses.
    """

    def __init__(
        self,
        folder: Path,
        *,
        position: int | None = 0,
        logger: RunLogger | None = None,
    ) -> None:
        self.path, self._logger = folder / FILE, logger
        try:
            self._file = open_own(self.path, "append", buffered=True)
            if position is not None and position < self._file.tell():
                self._file.truncate(position)
                self._file.seek(position)
        except OSError as error:
            raise RunError(f"cannot write {quote(self.path)}: {disk_trouble(error)}") from error

    @property
    def position(self) -> int:
        """Bytes written so far; a checkpoint keeps it."""
        return self._file.tell()

    def log(self, images: int, **values: Any) -> None:
        """Write one line: the images seen, then the values; floats are rounded to 7 digits, NaN becomes null."""
        line = json.dumps({"images": images, **{k: _plain(v) for k, v in values.items()}}, ensure_ascii=False)
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise RunError(f"cannot write {quote(self.path)}: {disk_trouble(error)}") from error
        numbers = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        self._tell_logger(lambda logger: logger.log(images, numbers))

    def cut(self, position: int) -> None:
        """Forget what was written past a position, after going back to a checkpoint."""
        self._file.truncate(position)
        self._file.seek(position)

    def close(self) -> None:
        """Close the files."""
        with suppress(
            OSError
        ):  # a line for which there was no room is tried once more; ``log`` has raised for it
            self._file.close()
        self._tell_logger(lambda logger: logger.close())

    def _tell_logger(self, call: Callable[[RunLogger], object]) -> None:
        """Call a stranger's logger. What goes wrong there, a lost network say, does not end a training of hours."""
        if self._logger is None:
            return
        try:
            call(self._logger)
        except Exception as error:  # plugin border
            what = f"{type(error).__name__}: {one_line(error, limit=200)}"
            _log.warning("%s failed (%s): nothing more goes there", type(self._logger).__name__, what)
            self._logger = None


class Means:
    """Means of scalars since the last report, kept on the device until then.

    A name need not be there at every step: each is averaged over the steps that had it.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take the scalars of one step."""
        for name, value in values.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """Give the means and start anew."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint has to keep."""
        return {name: [float(total), self._counts[name]] for name, total in self._sums.items()}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take up what a checkpoint kept."""
        self._counts = {name: int(count) for name, (_, count) in state.items()}
        self._sums = {n: torch.tensor(v, dtype=torch.float32, device=device) for n, (v, _) in state.items()}


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Read a run's metrics; a last line that was cut short is left out."""
    try:
        text = read_text(inside(folder, FILE), most_bytes=LARGE_BYTES)
    except FileNotFoundError:
        return []
    lines = text.split("\n")
    try:
        found = [parse_json(line) for line in lines[:-1] if line.strip()]
    except ValueError as error:
        raise DataError(
            f"{quote(folder / FILE)} is damaged ({one_line(error, limit=120)}): remove it"
        ) from None
    return [line for line in found if isinstance(line, dict)]


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.7g}") if value - value == 0 else None
    return value
