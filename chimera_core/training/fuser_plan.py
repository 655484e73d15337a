"""From options to a fuser's training that can start: every value resolved, the data opened, the networks built."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import BaseModel

from chimera_core.components.choice import Choice, build, choose
from chimera_core.components.options import EncoderRef
from chimera_core.data.batches import ImageSplit
from chimera_core.errors import ConfigError
from chimera_core.interfaces.components import FeatureEncoder, FusionGenerator, no_progress
from chimera_core.interfaces.learner import FuserData, FuserLearner
from chimera_core.models.encoders import load_trained
from chimera_core.models.names import find_trained
from chimera_core.plugins.discovery import PluginHost
from chimera_core.precision import Precision
from chimera_core.randomness import seed_step
from chimera_core.training.data import Data, TrainingData
from chimera_core.training.fuser import FuserPlan
from chimera_core.training.options import FuserTraining
from chimera_core.training.parts.optimizers import schedule
from chimera_core.training.plan import (
    check_machine,
    count_steps,
    filled_length,
    open_training_data,
    resolve_reference,
    with_whole_paths,
)


def plan_fuser(
    config: FuserTraining,
    host: PluginHost,
    *,
    progress: Callable[[float, float], None] = no_progress,
) -> FuserPlan:
    """Check a training and prepare all it needs, before anything is written.

    Args:
        config: as the user wants it; component options are merged from all layers.
        host: where components are found.
        progress: of packing, in images.
    Raises:
        ChimeraError: for whatever is wrong, in one line.
    """
    device, precision = check_machine(config, host.settings.path("cache"))
    # Components are looked up before the data are packed, which may take minutes.
    choice, fuser = choose_fuser(config, host)
    check_init_from(config, host)
    judge = _open_judge(config.judge, host)
    data = open_training_data(config, host, lambda parted: check_judged(parted, config), progress=progress)
    steps = count_steps(config, len(data.train))
    resolved = _resolved(config, host, choice, steps=steps, precision=precision)
    learner = build_learner(fuser, choice.config, resolved, data.images, data.train, steps, device)
    check_beginning(config, learner)
    return FuserPlan(
        config=resolved,
        data=data,
        device=device,
        total_steps=steps,
        fuser=fuser,
        options=choice.config,
        learning=learner,
        judge=judge,
    )


def check_judged(data: TrainingData, config: FuserTraining) -> None:
    """Check that there are held-out images enough to measure quality by: a distance takes two of each set.

    Raises:
        ConfigError: if there are fewer.
    """
    images = len(data.val)
    if config.judge is not None and images < 2:
        raise ConfigError(
            f"split {data.val_name} has {images} image{'s' * (images != 1)}, and quality is measured by 2 or more: "
            "name another --val-split, or take --judge none"
        )


def check_init_from(config: FuserTraining, host: PluginHost) -> None:
    """Check that what a training begins with is there.

    Raises:
        ConfigError: if ``init_from`` names no run, file or model.
    """
    if config.init_from is not None and find_trained(host, config.fuser.kind, config.init_from) is None:
        raise ConfigError(
            f"there is no run, exported file or model '{config.init_from}' to begin from: check --init-from"
        )


def check_beginning(config: FuserTraining, learner: FuserLearner) -> None:
    """Check that a learner that begins with another has one.

    Raises:
        ConfigError: if ``init_from`` is missing.
    """
    if learner.starts_from_another and config.init_from is None:
        raise ConfigError("with these options it begins with one that has learned: name that by --init-from")


def build_learner(
    fuser: type[FusionGenerator],
    options: BaseModel,
    config: FuserTraining,
    packed: Data,
    train: ImageSplit,
    steps: int,
    device: torch.device | str,
) -> FuserLearner:
    """Build the networks of a fuser that learns.

    Raises:
        ConfigError: if it cannot learn this.
    """
    known = FuserData(
        images=train,
        classes=packed.classes,
        size=config.size,
        batch=config.batch,
        seed=config.seed,
        total_images=steps * config.batch,
        domains=packed.domains,
    )
    seed_step(config.seed, -1)
    return fuser.learner(options, known, device=device)


def choose_fuser(config: FuserTraining, host: PluginHost) -> tuple[Choice, type[FusionGenerator]]:
    """Look up the fuser that is to learn, and check its options.

    Raises:
        ConfigError: if it needs no training, or an option is wrong.
        PluginError: if there is none of that name.
    """
    choice = choose(host, config.fuser.kind, config.fuser.name, config.fuser.options)
    fuser: type[FusionGenerator] = choice.component.load_class()
    if not fuser.needs_training:
        raise ConfigError(f"fuser {choice.component.spec.name} needs no training: use it by `chimera fuse`")
    return choice, fuser


def _open_judge(judge: EncoderRef | None, host: PluginHost) -> FeatureEncoder | None:
    if judge is None:
        return None
    if trained := find_trained(host, judge.kind, judge.name):
        return load_trained(trained, host).eval()
    encoder: FeatureEncoder = build(host, judge.kind, judge.name, judge.options)
    return encoder.eval()


def _resolved(
    config: FuserTraining, host: PluginHost, choice: Choice, *, steps: int, precision: Precision
) -> FuserTraining:
    """Fill in every value, so that the options alone decide what is trained.

    Unless the user says otherwise, pictures are drawn 20 times, and quality is measured as often where that leaves ten
    times as many images to learn from as a measurement looks at.
    """
    total = steps * config.batch
    schedule(config.schedule, total_images=total, warmup_images=config.warmup_images)
    twentieth = max(config.batch, total // 20)
    judge = config.judge
    if judge is not None and not find_trained(host, judge.kind, judge.name):
        judge = resolve_reference(judge, host)
    update = {
        **filled_length(config, total),
        "checkpoint_images": config.checkpoint_images or twentieth,
        "quality_images": config.quality_images or max(twentieth, 10 * config.judge_images),
        "sample_images": config.sample_images or twentieth,
        "precision": precision,
        "source": with_whole_paths(resolve_reference(config.source, host)),
        "fuser": config.fuser.model_copy(update=choice.as_table()),
        "judge": judge,
    }
    return config.model_copy(update=update)
