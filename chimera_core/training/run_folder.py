"""What every training does around its loop: take the run up again, write what it is, and say how it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from chimera_core.data.batches import ImageSplit
from chimera_core.data.losses import DataLosses
from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import one_line, quote
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import checkpoints
from chimera_core.runs import config as config_file
from chimera_core.runs.record import RECORD, make_run_folder, work_in, write_run_record
from chimera_core.training import launch
from chimera_core.training.data import Data
from chimera_core.training.options import ImageTraining

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@contextmanager
def train_in(folder: Path, *, resume: bool) -> Iterator[None]:
    """Keep the folder of a training for this process and its peers while the block runs.

    The first of them holds the lock: the agent that started them may be killed, and they go on.

    Args:
        folder: of the run; it is made.
        resume: there is a run already.
    Raises:
        ConfigError: if another process works there; if a run is there that this one would write over.
    """
    if launch.rank() != 0:
        yield
        return
    with work_in(folder, work="trained"):
        if not resume and (folder / RECORD).exists():  # another process has been here since we looked
            raise ConfigError(
                f"the run {quote(folder)} is there already: go on with --resume, or name another with --run"
            )
        yield


def take_checkpoint(
    folder: Path, modules: Mapping[str, nn.Module], *, say: Callable[[str], None]
) -> checkpoints.Checkpoint | None:
    """Read the newest sound checkpoint of a run that goes on, and say where it goes on from.

    Args:
        folder: of the run.
        modules: that it must fit.
        say: called with what the user should know.
    Returns:
        None if there is none yet.
    Raises:
        DataError: if it is of other networks.
    """
    checkpoint, troubles = checkpoints.newest_checkpoint(folder / checkpoints.FOLDER)
    for trouble in troubles:
        say(f"{trouble}: the one before it is used")
    if checkpoint is not None:
        checkpoints.check_fits(checkpoint, modules)
    seen = f"from {checkpoint.images:,} images" if checkpoint else "from the beginning: no checkpoint yet"
    say(f"going on {seen}")
    return checkpoint


class Recorder:
    """Writes ``config.toml`` and ``run.json`` of a training, in the first process alone.

    Args:
        folder: of the run; it is made.
        host: for ``run.json``.
        fabric: launched.
        config: with every value resolved.
        facts: of this kind of training.
    """

    def __init__(
        self, folder: Path, host: PluginHost, fabric: Fabric, config: ImageTraining, facts: Mapping[str, Any]
    ) -> None:
        self._folder, self._host, self._config, self._facts = folder, host, config, facts
        self._device = str(fabric.device)
        self._is_first = fabric.is_global_zero
        if self._is_first:
            make_run_folder(folder)
            config_file.write_config(folder / config_file.FILE, config.model_dump(mode="json"))

    def __call__(self, status: str, **more: Any) -> None:
        """Write the record anew."""
        if not self._is_first:
            return
        config = self._config
        write_run_record(
            self._folder,
            self._host,
            status=status,
            seed=config.seed,
            device=self._device,
            devices=config.devices,
            precision=config.precision,
            threads=torch.get_num_threads(),
            source=config.source.name,
            size=config.size,
            **self._facts,
            **more,
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record that the training runs, and how it failed if the block raises: the record does not stay ``running``.

        Raises:
            RunError: instead of what says that memory ran out.
        """
        self("running")
        try:
            yield
        except KeyboardInterrupt:  # a second signal, or one before the first step: nothing was saved since
            with suppress(RunError):
                self("interrupted")
            raise
        except BaseException as error:
            full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
            mend = "take a smaller --batch or --size; --dry-run says what fits"
            clear = (
                RunError(f"a batch of {self._config.batch} does not fit into memory: {mend}")
                if full
                else None
            )
            with suppress(RunError):  # of a full disk: what is wrong is said all the same
                self("failed", error=one_line(clear or str(error) or repr(error)))
            if clear is not None:
                raise clear from error
            raise


def data_facts(
    packed: Data, train: ImageSplit, val: ImageSplit, val_name: str, lost: DataLosses | None
) -> dict[str, Any]:
    """Say in ``run.json`` what is learned from."""
    return {
        "classes": list(packed.classes),
        "domains": list(packed.domains),
        "train_images": len(train),
        "val_split": val_name,
        "val_images": len(val),
        "content": packed.content,
        "lost": lost.facts if lost is not None else None,
        "data": packed.data,
    }
