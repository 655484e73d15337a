"""One training in its run folder: make or resume it, train, and record what it is and how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import quote
from chimera_core.interfaces.components import no_progress
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import checkpoints
from chimera_core.runs import config as config_file
from chimera_core.runs.record import RECORD, make_run_folder, noting_failure, work_in, write_run_record
from chimera_core.training import launch
from chimera_core.training.data import TrainingData
from chimera_core.training.learner import TrainingPlan
from chimera_core.training.loop import Outcome, train
from chimera_core.training.parts.interrupts import Stop, catch_interrupts

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def run_training(
    plan: TrainingPlan,
    folder: Path,
    host: PluginHost,
    *,
    resume: bool = False,
    stop: Stop | None = None,
    progress: Callable[[float, float], None] = no_progress,
    notify: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train into a run folder, in this process (and its peers under torchrun).

    Args:
        resume: go on from the newest sound checkpoint, if there is one.
        stop: set by a signal, where the caller catches them; None: this function does.
        progress: called with (done, total) in images.
    Raises:
        ConfigError: if another process works in the folder, or a run is there and ``resume`` is not asked for.
        RunError: if it fails; ``run.json`` says so too.
    """
    # The first process holds the lock for its peers: the agent that started them may be killed, and they go on.
    is_first = launch.rank() == 0
    with hold_run(folder, work="trained", resume=resume) if is_first else contextlib.nullcontext():
        fabric = launch.open_fabric(plan.device, plan.config.precision)  # type: ignore[arg-type]
        if not fabric.is_global_zero:
            progress, notify = no_progress, lambda line: None
        checkpoint = _newest_checkpoint(folder, plan.networks, notify=notify) if resume else None
        if checkpoint is None:
            plan.begin(host)
        record = _Recorder(folder, host, fabric, plan)
        catching = catch_interrupts() if stop is None else contextlib.nullcontext(stop)
        with record.watching(), catching as asked, launch.peers():
            learner = plan.learner(fabric, folder)
            outcome = train(
                learner, plan, fabric, folder, resume=checkpoint, stop=asked, progress=progress, notify=notify
            )
        launch.close_fabric(fabric)
        record(**dataclasses.asdict(outcome))
        return outcome


@contextmanager
def hold_run(folder: Path, *, work: str, resume: bool) -> Iterator[None]:
    """Keep a run's folder for this process while the block runs.

    Args:
        folder: of the run; it is made.
        resume: whether the run may be there already.
    Raises:
        ConfigError: if another process works in the folder, or a run is there and ``resume`` is not asked for.
    """
    with work_in(folder, work=work):
        if not resume and (folder / RECORD).exists():  # another process has been here since we looked
            raise ConfigError(
                f"the run {quote(folder)} is there already: go on with --resume, or name another with --run"
            )
        yield


def _newest_checkpoint(
    folder: Path, modules: Mapping[str, nn.Module], *, notify: Callable[[str], None]
) -> checkpoints.Checkpoint | None:
    """Read the newest sound checkpoint of a run that is resumed, which must fit the networks; None if there is none."""
    checkpoint, troubles = checkpoints.newest_checkpoint(folder / checkpoints.FOLDER)
    for trouble in troubles:
        notify(f"{trouble}: the one before it is used")
    if checkpoint is not None:
        checkpoints.check_fits(checkpoint, modules)
    seen = f"from {checkpoint.images:,} images" if checkpoint else "from the beginning: no checkpoint yet"
    notify(f"going on {seen}")
    return checkpoint


class _Recorder:
    """Writes ``config.toml`` and ``run.json`` of a training, in the first process alone."""

    def __init__(self, folder: Path, host: PluginHost, fabric: Fabric, plan: TrainingPlan) -> None:
        config = plan.config
        self._folder, self._host, self._config = folder, host, config
        self._facts = {
            **plan.facts(),
            **_data_facts(plan.data),
            "images_total": None if plan.is_timed else plan.total_steps * config.batch,
        }
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
        """Record that the training runs, and how it failed if the block raises.

        Raises:
            RunError: instead of what says that memory ran out.
        """
        self("running")
        with noting_failure(self):
            try:
                yield
            except Exception as error:
                if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                    mend = "take a smaller --batch or --size; --dry-run says what fits"
                    raise RunError(
                        f"a batch of {self._config.batch} does not fit into memory: {mend}"
                    ) from error
                raise


def _data_facts(data: TrainingData) -> dict[str, Any]:
    return {
        "classes": list(data.images.classes),
        "domains": list(data.images.domains),
        "train_images": len(data.train),
        "val_split": data.val_name,
        "val_images": len(data.val),
        "content": data.images.content,
        "lost": data.lost.facts if data.lost is not None else None,
        "data": data.images.data,
    }
