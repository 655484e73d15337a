"""The run folder of an encoder's training: make it or take it up, train, and record how that went."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

from chimera_core.interfaces.components import no_progress
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.options import ENCODER
from chimera_core.training import launch
from chimera_core.training.encoder_loop import EncoderJob, Outcome, train_encoder
from chimera_core.training.encoder_plan import EncoderPlan
from chimera_core.training.parts.interrupts import Stop, catch_interrupts
from chimera_core.training.run_folder import Recorder, data_facts, take_checkpoint, train_in


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
        ConfigError: if another process works in the folder, or a run is there and ``resume`` is not asked for.
        RunError: if it fails; ``run.json`` says so too.
    """
    with train_in(folder, resume=resume):
        return _run(plan, folder, host, resume, stop, progress, say)


def _run(
    plan: EncoderPlan,
    folder: Path,
    host: PluginHost,
    resume: bool,
    stop: Stop | None,
    progress: Callable[[float, float], None],
    say: Callable[[str], None],
) -> Outcome:
    config = plan.config
    fabric = launch.open_fabric(plan.device, config.precision)  # type: ignore[arg-type]
    if not fabric.is_global_zero:
        progress, say = no_progress, lambda line: None
    checkpoint = take_checkpoint(folder, {"model": plan.encoder}, say=say) if resume else None
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
    facts = {
        "kind": ENCODER,
        "encoder": config.encoder.name,
        "trainer": config.trainer.name,
        **data_facts(plan.packed, plan.train, plan.val, plan.val_name, plan.lost),
        "images_total": plan.total_steps * config.batch,
        "parameters": sum(p.numel() for p in plan.encoder.parameters()),
    }
    record = Recorder(folder, host, fabric, config, facts)
    catching = catch_interrupts() if stop is None else contextlib.nullcontext(stop)
    with record.watching(), catching as asked, launch.peers():
        outcome = train_encoder(job, fabric, resume=checkpoint, stop=asked, progress=progress, say=say)
    launch.close_fabric(fabric)
    record(outcome.status, **{k: v for k, v in dataclasses.asdict(outcome).items() if k != "status"})
    return outcome
