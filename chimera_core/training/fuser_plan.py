"""From options to a fuser's training that can start: every value resolved, the data opened, the networks built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from chimera_core.components.choice import Choice, choose
from chimera_core.components.trained import find_trained
from chimera_core.data.batches import ImageSplit
from chimera_core.errors import ConfigError
from chimera_core.interfaces.components import FeatureEncoder, FusionGenerator, no_progress
from chimera_core.interfaces.guards import check_learner
from chimera_core.interfaces.learner import FuserData, FuserLearner
from chimera_core.models.encoders import resolve_encoder
from chimera_core.options.training import FuserTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import seed_step
from chimera_core.training.additions import find_logger
from chimera_core.training.data import TrainingData
from chimera_core.training.fuser import FuserPlan
from chimera_core.training.parts.optimizers import schedule
from chimera_core.training.plan import (
    check_machine,
    count_steps,
    filled_length,
    open_training_data,
    resolve_reference,
    with_whole_paths,
)


@dataclass(frozen=True)
class FuserStart:
    """A fuser's training whose networks are still to be built; ``config`` has its precision, the data are opened."""

    config: FuserTraining
    choice: Choice
    fuser: type[FusionGenerator]
    judge: FeatureEncoder | None
    data: TrainingData
    device: torch.device
    steps: int
    logger: Choice | None = None

    def build(self, images: ImageSplit, device: torch.device | str | None = None) -> FuserLearner:
        """Build the networks.

        Args:
            device: another one than the training's.
        Raises:
            ConfigError: if the fuser cannot learn this.
        """
        config = self.config
        known = FuserData(
            images=images,
            classes=self.data.images.classes,
            size=config.size,
            batch=config.batch,
            seed=config.seed,
            total_images=self.steps * config.batch,
            domains=self.data.images.domains,
        )
        seed_step(config.seed, -1)
        learner = self.fuser.learner(self.choice.config, known, device=device or self.device)
        check_learner(learner, f"fuser {self.choice.name}")
        return learner


def plan_fuser(
    config: FuserTraining,
    host: PluginHost,
    *,
    progress: Callable[[float, float], None] = no_progress,
) -> FuserPlan:
    """Check a training and prepare all it needs, before anything is written.

    Args:
        config: as the user wants it; component options are merged from all layers.
        progress: of packing, in images.
    Raises:
        ChimeraError: for whatever is wrong, in one line.
    """
    start = start_fuser(config, host, progress=progress)
    resolved = _resolved(start, host)
    learner = start.build(start.data.train)
    check_beginning(config, learner)
    return FuserPlan(
        config=resolved,
        data=start.data,
        device=start.device,
        total_steps=start.steps,
        logger=start.logger,
        fuser=start.fuser,
        options=start.choice.config,
        learning=learner,
        judge=start.judge,
    )


def start_fuser(
    config: FuserTraining,
    host: PluginHost,
    *,
    is_dry: bool = False,
    progress: Callable[[float, float], None] = no_progress,
) -> FuserStart:
    """Check all of a training that can be checked before its networks are built; see ``plan_fuser``.

    Args:
        is_dry: load no judge and pack nothing: images cannot be taken.
    """
    device, precision = check_machine(config, host.settings.path("cache"))
    logger = find_logger(config, host)
    # Components are looked up before the data are packed, which may take minutes.
    choice = choose(host, config.fuser.kind, config.fuser.name, config.fuser.options)
    fuser: type[FusionGenerator] = choice.component.load_class()
    if not fuser.needs_training:
        raise ConfigError(f"fuser {choice.component.spec.name} needs no training: use it by `chimera fuse`")
    if config.init_from is not None and find_trained(host, config.fuser.kind, config.init_from) is None:
        raise ConfigError(
            f"there is no run, exported file or model '{config.init_from}' to begin from: check --init-from"
        )
    found = None if config.judge is None else resolve_encoder(host, config.judge.name, config.judge.options)
    judge: FeatureEncoder | None = None if found is None or is_dry else found.load()
    data = open_training_data(
        config, host, lambda parted: _check_judged(parted, config), is_dry=is_dry, progress=progress
    )
    steps = count_steps(config, len(data.train))
    config = config.model_copy(update={"precision": precision})
    return FuserStart(config, choice, fuser, judge, data, device, steps, logger)


def _check_judged(data: TrainingData, config: FuserTraining) -> None:
    """Check that there are held-out images enough to measure quality by: a distance takes two of each set."""
    images = len(data.val)
    if config.judge is not None and images < 2:
        raise ConfigError(
            f"split {data.val_name} has {images} image{'s' * (images != 1)}, and quality is measured by 2 or more: "
            "name another --val-split, or take --judge none"
        )


def check_beginning(config: FuserTraining, learner: FuserLearner) -> None:
    """Check that a learner that begins with another has one.

    Raises:
        ConfigError: if ``init_from`` is missing.
    """
    if learner.starts_from_another and config.init_from is None:
        raise ConfigError("with these options it begins with one that has learned: name that by --init-from")


def _resolved(start: FuserStart, host: PluginHost) -> FuserTraining:
    """Fill in every value, so that the options alone decide what is trained.

    Unless the user says otherwise, pictures are drawn 20 times, and quality is measured as often where that leaves ten
    times as many images to learn from as a measurement looks at.
    """
    config, total = start.config, start.steps * start.config.batch
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
        "source": with_whole_paths(resolve_reference(config.source, host)),
        "fuser": config.fuser.model_copy(update=start.choice.as_table()),
        "judge": judge,
    }
    return config.model_copy(update=update)
