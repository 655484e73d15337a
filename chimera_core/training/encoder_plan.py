"""From options to a training that can start: every value resolved, the data opened, the network built and tried."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files import one_line
from chimera_core.interfaces import FeatureEncoder, RobustnessTrainer, no_progress
from chimera_core.options import EncoderRef, SourceRef
from chimera_core.plugins import PluginHost
from chimera_core.training import launch
from chimera_core.training.augment import find_augmentation
from chimera_core.training.config import DEFAULT_EPOCHS, EncoderTraining
from chimera_core.training.encoder_data import Data, OpenedData, choose_splits, open_data
from chimera_core.training.encoder_loop import Vary, smooth
from chimera_core.training.metrics import check_tensorboard
from chimera_core.training.mixing import cutmix, mixup
from chimera_core.training.optimizers import layer_factors, parameter_groups, schedule
from chimera_core.training.precision import Precision, choose_precision
from chimera_core.training.randomness import Draw, seed_step
from chimera_core.use import build, layered_options, resolve_config

TrainingT = TypeVar("TrainingT", bound=EncoderTraining)


@dataclass(frozen=True)
class EncoderPlan:
    """A training that has been checked: every value is resolved, the data are packed, the network is built."""

    config: EncoderTraining
    packed: Data
    train: ImageSplit
    val: ImageSplit
    val_name: str
    encoder: FeatureEncoder
    trainer: RobustnessTrainer
    device: torch.device
    total_steps: int
    vary: Vary
    shares: Mapping[int, float] | None = None
    """Of the classes in training, where the source wants others than its files have."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.packed.classes


def plan_training(
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
        host: where components are found.
        may_fill: options of the encoder that are taken from the source, where it has them.
        is_dry: take no memory for the network (it lies on ``meta``), and pack nothing: images cannot be taken.
        data: of the config, where they are open already.
        progress: of packing, in images.
    Raises:
        ChimeraError: for whatever is wrong, in one line.
    """
    device, precision = check_machine(config)
    # Components are looked up before the data are packed, which may take minutes.
    trainer = build(host, "robustness-trainer", config.trainer.name, config.trainer.options)
    host.find("feature-encoder", config.encoder.name)
    data = data or open_data(config, host, is_dry=is_dry, progress=progress)
    classes = data.images.classes
    if len(classes) < 2:
        raise ConfigError(
            f"source {config.source.name} has one class only ({', '.join(classes)}): an encoder learns to tell "
            "classes apart, so give it two or more"
        )
    train, val, val_name = choose_splits(data.images, config)
    steps = count_steps(config, len(train))
    config = resolve_training(config, host, classes=len(classes), may_fill=may_fill, precision=precision)
    seed_step(config.seed, -1)
    with torch.device("meta" if is_dry else "cpu"):
        encoder: FeatureEncoder = build(host, "feature-encoder", config.encoder.name, config.encoder.options)
    check_encoder(encoder, classes=len(classes), size=config.size, name=config.encoder.name)
    # Asked for now, so that what is wrong with them is said before a folder is made.
    schedule(config.schedule, total_images=steps * config.batch, warmup_images=config.warmup_images)
    parameter_groups(encoder, weight_decay=0, factors=layer_factors(encoder, config.layer_decay))
    vary = _variation(config, len(classes))
    resolved = config.model_copy(update=_cadences(config, len(train), steps))
    shares = data.source.opened.info.shares
    by_label = None
    if shares is not None and config.sampling == "natural":
        by_label = {label: shares.get(name, 0.0) for label, name in enumerate(classes)}
    return EncoderPlan(
        resolved, data.images, train, val, val_name, encoder, trainer, device, steps, vary, by_label
    )


def check_machine(config: EncoderTraining) -> tuple[torch.device, Precision]:
    """Give the device and precision of a training, having checked that this machine can do all that it asks for.

    Raises:
        ConfigError: if not.
    """
    device = launch.check_devices(config.device, config.devices)
    precision = choose_precision(config.precision, device)
    if config.log == "tensorboard":
        check_tensorboard()
    if config.compile:
        _check_compiler(device)
    if config.batch % config.devices:
        raise ConfigError(
            f"a batch of {config.batch} cannot be shared by {config.devices} devices: make it a multiple"
        )
    return device, precision


def resolve_training(
    config: TrainingT, host: PluginHost, *, classes: int, may_fill: Sequence[str], precision: Precision
) -> TrainingT:
    """Fill in every value of the components, so that the options alone decide what is trained.

    Args:
        config: whose component options are merged from all layers.
        host: where components are found.
        classes: of the source.
        may_fill: options of the encoder that are taken from the source, where it has them.
        precision: what was chosen.
    """
    known = {"classes": classes, "size": config.size}
    options = _filled(config.encoder, host, may_fill, known)
    return config.model_copy(
        update={
            "precision": precision,
            "source": _located(_dumped(config.source, host)),
            "encoder": _dumped(config.encoder.model_copy(update={"options": options}), host),
            "trainer": _dumped(config.trainer, host),
        }
    )


def count_steps(config: EncoderTraining, images: int) -> int:
    """Give the steps of a training on so many images.

    Raises:
        ConfigError: if they are fewer than a batch.
    """
    if config.batch > images:
        raise ConfigError(
            f"a batch of {config.batch} images is more than there are ({images}): lower --batch"
        )
    if config.images is not None:
        return math.ceil(config.images / config.batch)
    epochs = DEFAULT_EPOCHS if config.epochs is None else config.epochs
    return max(1, round(epochs * (images // config.batch)))


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
    """Fill in how often to log, validate and save, where the user does not say: 200 lines, and 20 validations."""
    total = steps * config.batch
    validate = config.validate_images or max(images, total // 20)
    return {
        "images": config.images or (None if config.epochs is not None else total),
        "log_images": config.log_images or max(config.batch, total // 200),
        "validate_images": validate,
        "checkpoint_images": config.checkpoint_images or validate,
    }


def _filled(
    encoder: EncoderRef, host: PluginHost, may_fill: Sequence[str], known: Mapping[str, int]
) -> dict[str, Any]:
    fields = host.find("feature-encoder", encoder.name).spec.config.model_fields
    return {**encoder.options, **{name: known[name] for name in may_fill if name in fields}}


def _dumped(reference: Any, host: PluginHost) -> Any:
    """Give a reference with every value of its component's options."""
    component = host.find(reference.kind, reference.name)
    config = resolve_config(component, host, layered_options(component, host, None, reference.options))
    options = config.model_dump(mode="json", exclude_none=True)
    return reference.model_copy(update={"options": options})


def _located(source: SourceRef) -> SourceRef:
    """Spell where data lie in full, so that the run is understood from any working folder."""
    options = {
        key: os.path.abspath(os.path.expanduser(value))
        if key.endswith(("root", "folder", "path", "file")) and isinstance(value, str) and value
        else value
        for key, value in source.options.items()
    }
    return source.model_copy(update={"options": options})


def _variation(config: EncoderTraining, classes: int) -> Vary:
    """Join augmentation, mixing and label smoothing."""
    augment: Callable[[Tensor, Draw], Tensor] = lambda x, draw: x  # noqa: E731
    if config.augment != "none":
        augment = find_augmentation(config.augment)
    mix: Callable[..., tuple[Tensor, Tensor]] = lambda x, y, draw, classes: (x, y)  # noqa: E731
    if config.mix != "none":
        mix = {"mixup": mixup, "cutmix": cutmix}[config.mix]

    def vary(x: Tensor, y: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        x, y = mix(augment(x, draw), y, draw, classes=classes)
        return x, smooth(y, classes=classes, share=config.label_smoothing)

    return vary


def _check_compiler(device: torch.device) -> None:
    if device.type != "cpu":
        return
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        with contextlib.redirect_stdout(sys.stderr):
            get_cpp_compiler()
    except Exception as error:  # torch raises a kind of its own, which moves between versions
        raise ConfigError(
            "--compile needs a C++ compiler, and there is none: install g++ or leave it out"
        ) from error
