"""The run folder of a fuser's training: make it or take it up, train, and record how that went."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

from torch import nn

from chimera_core.errors import ConfigError, DataError
from chimera_core.files.weights import lengthened, load_state
from chimera_core.interfaces.components import FusionGenerator, no_progress
from chimera_core.interfaces.learner import FuserLearner, TrainedFacts
from chimera_core.models.fusers import find_trained_fuser
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import checkpoints
from chimera_core.runs.options import FUSER, read_options
from chimera_core.runs.record import find_run
from chimera_core.training import launch
from chimera_core.training.fuser_loop import FuserJob, FuserOutcome, train_fuser
from chimera_core.training.fuser_options import FuserTraining
from chimera_core.training.fuser_plan import FuserPlan
from chimera_core.training.parts.interrupts import Stop, catch_interrupts
from chimera_core.training.run_folder import Recorder, data_facts, take_checkpoint, train_in


def run_fuser(
    plan: FuserPlan,
    folder: Path,
    host: PluginHost,
    *,
    resume: bool = False,
    stop: Stop | None = None,
    progress: Callable[[float, float], None] = no_progress,
    say: Callable[[str], None] = lambda line: None,
) -> FuserOutcome:
    """Train into a run folder, in this process (and its peers under torchrun).

    Args:
        plan: of ``plan_fuser``.
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
    plan: FuserPlan,
    folder: Path,
    host: PluginHost,
    resume: bool,
    stop: Stop | None,
    progress: Callable[[float, float], None],
    say: Callable[[str], None],
) -> FuserOutcome:
    config = plan.config
    fabric = launch.open_fabric(plan.device, config.precision)  # type: ignore[arg-type]
    if not fabric.is_global_zero:
        progress, say = no_progress, lambda line: None
    checkpoint = take_checkpoint(folder, plan.learner.modules, say=say) if resume else None
    if checkpoint is None and config.init_from is not None:
        begin_from(plan.learner, config, host)
    job = FuserJob(
        learner=plan.learner,
        fuser=plan.fuser,
        options=plan.options,
        train=plan.train,
        val=plan.val,
        classes=plan.classes,
        config=config,
        folder=folder,
        total_steps=plan.total_steps,
        shares=plan.shares,
        judge=plan.judge,
    )
    made = _loaded(plan)
    facts = {
        "kind": FUSER,
        "fuser": config.fuser.name,
        "accepts": sorted(made.accepts),
        "max_parents": made.max_parents,
        **data_facts(plan.packed, plan.train, plan.val, plan.val_name, plan.lost),
        "images_total": plan.total_steps * config.batch,
        "parameters": count_parameters(plan.learner),
    }
    record = Recorder(folder, host, fabric, config, facts)
    catching = catch_interrupts() if stop is None else contextlib.nullcontext(stop)
    with record.watching(), catching as asked, launch.peers():
        outcome = train_fuser(job, fabric, resume=checkpoint, stop=asked, progress=progress, say=say)
    launch.close_fabric(fabric)
    record(outcome.status, **{k: v for k, v in dataclasses.asdict(outcome).items() if k != "status"})
    return outcome


def count_parameters(learner: FuserLearner) -> dict[str, int]:
    """Count the parameters of each network."""
    counts = {name: sum(p.numel() for p in m.parameters()) for name, m in learner.modules.items()}
    return {name: count for name, count in counts.items() if count}


def begin_from(learner: FuserLearner, config: FuserTraining, host: PluginHost) -> None:
    """Put what another training has learned into a learner; optimizers begin anew.

    A run of the same size gives all its networks, as its newest checkpoint has them; one of another size, an exported file
    or a model what a fuser of it has.

    Args:
        learner: that begins.
        config: names the other by ``init_from``.
        host: where it is looked up.
    Raises:
        ConfigError: if there is no such run of a fuser, or the learner cannot begin with it.
        DataError: if it has no checkpoint, or its networks are of another architecture.
    """
    name = config.init_from or ""
    run = find_run(name, host.settings.path("runs"))
    try:
        if run is not None and read_options(run, FuserTraining, FUSER)[0].size == config.size:
            _begin_from_checkpoint(learner, run)
        else:
            _begin_from_fuser(learner, config, name, host)
    except (ConfigError, DataError) as error:
        raise type(error)(f"--init-from {name}: {error}") from None


def _begin_from_checkpoint(learner: FuserLearner, run: Path) -> None:
    checkpoint, _ = checkpoints.newest_checkpoint(run / checkpoints.FOLDER)
    if checkpoint is None:
        raise DataError("the run has no checkpoint yet: nothing to begin from")
    modules: dict[str, nn.Module] = learner.modules
    checkpoints.restore(checkpoint, modules=modules, optimizers={})


def _begin_from_fuser(learner: FuserLearner, config: FuserTraining, name: str, host: PluginHost) -> None:
    kind = config.fuser.kind
    found = find_trained_fuser(host, name)
    if found is None:
        raise ConfigError("there is no such run, exported file or model: check its name")
    if found.component != host.find(kind, config.fuser.name):
        raise ConfigError(
            f"it is one of {found.component.plugin}:{found.component.spec.name}, not of {config.fuser.name}"
        )
    said = found.said
    facts = TrainedFacts(said.classes, said.size, said.facts)
    learner.begin_from(lengthened(load_state(found.weights)), found.options(host, {}), facts)


def _loaded(plan: FuserPlan) -> FusionGenerator:
    """Make the fuser as it will be used: which parents it accepts may depend on what it has learned."""
    fuser = plan.fuser(plan.options, device="cpu")
    facts = TrainedFacts(plan.classes, plan.config.size, plan.learner.facts())
    fuser.load({name: t.detach().cpu() for name, t in plan.learner.state().items()}, facts)
    return fuser
