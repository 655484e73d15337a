"""The run folder of an encoder's training: make it or take it up, train, and record how that went."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from chimera_core.errors import ConfigError, RunError
from chimera_core.files import one_line
from chimera_core.interfaces import no_progress
from chimera_core.layers import build_config, merge
from chimera_core.plugins import PluginHost
from chimera_core.runs import make_run_folder, read_run_record, write_run_record
from chimera_core.training import checkpoints, config_file, launch
from chimera_core.training.config import EncoderTraining
from chimera_core.training.encoder_loop import EncoderJob, Outcome, train_encoder
from chimera_core.training.encoder_plan import EncoderPlan
from chimera_core.training.interrupts import Stop, catch_interrupts
from chimera_core.training.trained import KIND, read_options

TrainingT = TypeVar("TrainingT", bound=EncoderTraining)


def run_training(
    plan: EncoderPlan,
    folder: Path,
    host: PluginHost,
    *,
    resume: bool = False,
    stop: Stop | None = None,
    progress: Callable[[float, float], None] = no_progress,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train into a run folder, in this process (and its peers under torchrun).

    Args:
        plan: of ``plan_training``.
        folder: of the run.
        host: for ``run.json``.
        resume: go on from the newest sound checkpoint, if there is one.
        stop: set by a signal, where the caller catches them; None: this function does.
        progress: called with (done, total) in images.
        say: called with what the user should know.
    Raises:
        RunError: if it fails; ``run.json`` says so too.
    """
    config = plan.config
    fabric = launch.open_fabric(plan.device, config.precision)  # type: ignore[arg-type]
    is_first = fabric.is_global_zero
    checkpoint = None
    if resume:
        checkpoint, troubles = checkpoints.newest_checkpoint(folder / checkpoints.FOLDER)
        for trouble in troubles if is_first else ():
            say(f"{trouble}: the one before it is used")
        if checkpoint is not None:
            checkpoints.check_fits(checkpoint, {"model": plan.encoder})
        if is_first:
            seen = (
                f"from {checkpoint.images:,} images"
                if checkpoint
                else "from the beginning: no checkpoint yet"
            )
            say(f"going on {seen}")
    job = EncoderJob(
        encoder=plan.encoder,
        trainer=plan.trainer,
        train=plan.train,
        val=plan.val,
        classes=len(plan.classes),
        config=config,
        folder=folder,
        total_steps=plan.total_steps,
        shares=plan.shares,
        vary=plan.vary,
    )

    def record(status: str, **facts: Any) -> None:
        if is_first:
            _write_record(folder, host, plan, status, str(fabric.device), **facts)

    if is_first:
        make_run_folder(folder)
        config_file.write_config(folder / config_file.FILE, config.model_dump(mode="json"))
    record("running")
    try:
        with catch_interrupts() if stop is None else contextlib.nullcontext(stop) as asked, launch.peers():
            outcome = train_encoder(
                job,
                fabric,
                resume=checkpoint,
                stop=asked,
                progress=progress if is_first else no_progress,
                say=say if is_first else lambda line: None,
            )
    except Exception as error:
        full = _out_of_memory(error, config.batch)
        record("failed", error=one_line(full or error))
        if full:
            raise full from error
        raise
    launch.close_fabric(fabric)
    record(outcome.status, **{k: v for k, v in dataclasses.asdict(outcome).items() if k != "status"})
    return outcome


def resumed_config(
    folder: Path, given: Mapping[str, Any], *, model: type[TrainingT], kind: str = KIND
) -> TrainingT:
    """Read the options that a run was started with, and lay over them those that ``--resume`` may change.

    Args:
        folder: of the run.
        given: the options of this command line, nested.
        model: the kind of its options.
        kind: of the run, as its record says.
    Raises:
        ConfigError: if the folder holds no such run, or an option differs that may not.
    """
    before, record = read_options(folder, model, kind)
    kept = before.model_dump(mode="json", exclude_none=True)
    if model.MAY_CHANGE & given.keys() & {"images", "epochs"}:
        kept = {k: v for k, v in kept.items() if k not in ("images", "epochs")}
    config = build_config(model, merge(kept, given), where="encoder training")
    old, new = before.model_dump(mode="json"), config.model_dump(mode="json")
    for name in given.keys() - model.MAY_CHANGE - ({"precision"} if config.precision == "auto" else set()):
        if changed := _first_difference(old[name], new[name], name):
            raise ConfigError(
                f"the run was started with {changed[0]} {changed[1]}, not {changed[2]}: leave that out of --resume, "
                "or start another run"
            )
    return config.model_copy(update={"precision": record.get("precision", before.precision)})


def check_same_data(folder: Path, content: str, source: str) -> None:
    """Refuse to go on with a run on other data than it began with.

    Args:
        folder: of the run.
        content: hash of the data as they are.
        source: what the message names.
    Raises:
        ConfigError: if contents or labels have changed.
    """
    known = read_run_record(folder).get("content")
    if known is not None and known != content:
        raise ConfigError(f"the data of source {source} have changed since the run began: start another run")


def _write_record(
    folder: Path, host: PluginHost, plan: EncoderPlan, status: str, device: str, **facts: Any
) -> None:
    config = plan.config
    write_run_record(
        folder,
        host,
        status=status,
        seed=config.seed,
        device=device,
        kind=KIND,
        devices=config.devices,
        precision=config.precision,
        threads=torch.get_num_threads(),
        encoder=config.encoder.name,
        trainer=config.trainer.name,
        source=config.source.name,
        classes=list(plan.classes),
        domains=list(plan.packed.domains),
        size=config.size,
        train_images=len(plan.train),
        val_split=plan.val_name,
        val_images=len(plan.val),
        content=plan.packed.content,
        images_total=plan.total_steps * config.batch,
        parameters=sum(p.numel() for p in plan.encoder.parameters()),
        **facts,
    )


def _out_of_memory(error: Exception, batch: int) -> RunError | None:
    full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    mend = "take a smaller --batch or --size; --dry-run says what fits"
    return RunError(f"a batch of {batch} does not fit into memory: {mend}") if full else None


def _first_difference(old: Any, new: Any, path: str) -> tuple[str, str, str] | None:
    """Name the first plain value that differs, as the command line spells it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            inner = path if key in ("name", "options") else f"{path}.{key}"
            if found := _first_difference(old.get(key), new.get(key), inner):
                return found
        return None
    return None if old == new else (path.replace("_", "-"), one_line(old), one_line(new))
