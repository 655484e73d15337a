"""From options to a training that can start: every value resolved, the data opened, the network built and tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from chimera_core.components.choice import choose
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.atomic import one_line
from chimera_core.interfaces.components import FeatureEncoder, no_progress
from chimera_core.options.config import EncoderRef
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.precision import Precision
from chimera_core.randomness import Draw, seed_step
from chimera_core.training.additions import check_augmentation, find_augmentation, find_logger
from chimera_core.training.augmentation.copy_paste import CopyPaste, check_copy_paste, plan_copy_paste
from chimera_core.training.augmentation.mixing import cutmix, mixup, smooth
from chimera_core.training.augmentation.presets import (
    COPY_PASTE,
    Augmentation,
)
from chimera_core.training.data import OpenedData, TrainingData
from chimera_core.training.encoder import EncoderPlan, Vary
from chimera_core.training.parts.optimizers import layer_factors, parameter_groups, schedule
from chimera_core.training.plan import (
    check_machine,
    count_steps,
    filled_length,
    open_training_data,
    resolve_reference,
    with_whole_paths,
    without_memory,
)

TrainingT = TypeVar("TrainingT", bound=EncoderTraining)


def plan_encoder(
    config: EncoderTraining,
    host: PluginHost,
    *,
    may_fill: Sequence[str] = ("classes", "size"),
    is_dry: bool = False,
    data: OpenedData | None = None,
    progress: Callable[[float, float], None] = no_progress,
) -> EncoderPlan:
    """Check a training and prepare all it needs, before anything is written.

    Args:
        config: as the user wants it; component options are merged from all layers.
        may_fill: options of the encoder that are taken from the source, where it has them.
        is_dry: take no memory for the network (it lies on ``meta``), and pack nothing: images cannot be taken.
        data: of the config, where they are open already.
        progress: of packing, in images.
    Raises:
        ChimeraError: for whatever is wrong, in one line.
    """
    device, precision = check_machine(config, host.settings.path("cache"))
    # Components are looked up before the data are packed, which may take minutes.
    logger = find_logger(config, host)
    trainer = choose(host, "robustness-trainer", config.trainer.name, config.trainer.options).load()
    host.find("feature-encoder", config.encoder.name)
    if config.devices > 1 and trainer.keeps_state:
        raise ConfigError(
            f"trainer {config.trainer.short_name} keeps something of every batch for the next, which works in one process: "
            "take --devices 1"
        )
    check_augmentation(config.augment, host)
    if config.is_timed and config.warmup_images:
        raise ConfigError(
            "a training whose length is --max-minutes has no --warmup-images: give --images or --epochs, too, or take "
            "--schedule one-cycle, which has a rise of its own"
        )
    learned = open_training_data(
        config,
        host,
        lambda parted: _check_data(parted, config),
        data=data,
        is_dry=is_dry,
        progress=progress,
    )
    classes, images = len(learned.images.classes), len(learned.train)
    steps = count_steps(config, images)
    config = resolve_training(config, host, classes=classes, may_fill=may_fill, precision=precision)
    seed_step(config.seed, -1)
    with without_memory() if is_dry else torch.device("cpu"):
        encoder: FeatureEncoder = choose(
            host, "feature-encoder", config.encoder.name, config.encoder.options
        ).load()
    check_encoder(encoder, classes=classes, size=config.size, name=config.encoder.short_name)
    # Asked for now, so that what is wrong with them is said before a folder is made.
    schedule(config.schedule, total_images=steps * config.batch, warmup_images=config.warmup_images)
    parameter_groups(encoder, weight_decay=0, factors=layer_factors(encoder, config.layer_decay))
    augment: Augmentation
    if config.augment != COPY_PASTE:
        augment = find_augmentation(config.augment, host)
    elif is_dry:  # nothing is varied
        augment = find_augmentation("none", host)
    else:
        augment = plan_copy_paste(learned, config, device, progress=progress)
    return EncoderPlan(
        config=config.model_copy(update=_cadences(config, images, steps)),
        data=learned,
        device=device,
        total_steps=steps,
        is_timed=config.is_timed,
        logger=logger,
        encoder=encoder,
        trainer=trainer,
        vary=_variation(config, classes, augment),
        pasted=augment.facts if isinstance(augment, CopyPaste) else None,
    )


def _check_data(data: TrainingData, config: EncoderTraining) -> None:
    if config.augment == COPY_PASTE:
        check_copy_paste(config)
    classes = data.images.classes
    if len(classes) < 2:
        raise ConfigError(
            f"source {config.source.short_name} has one class only ({', '.join(classes)}): an encoder learns to tell "
            "classes apart, so give it two or more"
        )


def resolve_training(
    config: TrainingT, host: PluginHost, *, classes: int, may_fill: Sequence[str], precision: Precision
) -> TrainingT:
    """Fill in every value of the components, so that the options alone decide what is trained.

    Args:
        config: whose component options are merged from all layers.
    """
    known = {"classes": classes, "size": config.size}
    options = _filled(config.encoder, host, may_fill, known)
    return config.model_copy(
        update={
            "precision": precision,
            "source": with_whole_paths(resolve_reference(config.source, host)),
            "encoder": resolve_reference(config.encoder.model_copy(update={"options": options}), host),
            "trainer": resolve_reference(config.trainer, host),
        }
    )


def check_encoder(encoder: FeatureEncoder, *, classes: int, size: int, name: str) -> None:
    """Show an encoder two grey images of the size, and look at its logits.

    Raises:
        ConfigError: if it cannot take them, or tells another number of classes apart.
    """
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    was_training = encoder.training
    try:
        with torch.no_grad():
            logits = encoder.eval()(torch.full((2, 3, size, size), 0.5, device=device))
    except ChimeraError:
        raise
    except Exception as error:  # plugin border: networks raise many kinds when an image is too small for them
        raise ConfigError(
            f"encoder {name} cannot take images of {size} x {size} ({one_line(error, limit=160)}): "
            "try another --size"
        ) from error
    finally:
        encoder.train(was_training)
    if logits.shape != (2, classes):
        raise ConfigError(
            f"encoder {name} gives logits {tuple(logits.shape)} for two images, but the source has {classes} "
            f"classes: it must give (2, {classes}); see its option for the number of classes"
        )


def _cadences(config: EncoderTraining, images: int, steps: int) -> dict[str, Any]:
    """Fill in how often to validate and save, where the user does not say: 20 times."""
    total = steps * config.batch
    validate = config.validate_images or max(images, total // 20)
    return {
        **filled_length(config, total, is_timed=config.is_timed),
        "validate_images": validate,
        "checkpoint_images": config.checkpoint_images or validate,
    }


def _filled(
    encoder: EncoderRef, host: PluginHost, may_fill: Sequence[str], known: Mapping[str, int]
) -> dict[str, Any]:
    fields = host.find("feature-encoder", encoder.name).spec.config.model_fields
    return {**encoder.options, **{name: known[name] for name in may_fill if name in fields}}


def _variation(config: EncoderTraining, classes: int, augment: Augmentation) -> Vary:
    """Join augmentation, mixing and label smoothing."""
    mix: Callable[..., tuple[Tensor, Tensor]] = lambda x, y, draw, classes: (x, y)  # noqa: E731
    if config.mix != "none":
        mix = {"mixup": mixup, "cutmix": cutmix}[config.mix]

    def vary(x: Tensor, y: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        x, y = mix(augment(x, draw), y, draw, classes=classes)
        return x, smooth(y, classes=classes, share=config.label_smoothing)

    return vary
