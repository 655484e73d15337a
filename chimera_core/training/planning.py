"""What the plans of all trainings share: the machine checked, steps counted, every value spelled out."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from chimera_core.components.choice import layered_options, resolve_config
from chimera_core.components.options import SourceRef
from chimera_core.data.batches import ImageSplit
from chimera_core.data.duplicates import count_pairs
from chimera_core.data.losses import DataLosses, count_losses, refuse_losses
from chimera_core.data.split_names import HELD_OUT
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import spell_paths
from chimera_core.plugins.discovery import PluginHost
from chimera_core.precision import Precision, choose_precision
from chimera_core.training import launch
from chimera_core.training.data import OpenedData
from chimera_core.training.options import DEFAULT_EPOCHS, ImageTraining, TrainingOptions
from chimera_core.training.parts.metrics import check_tensorboard


def check_machine(config: TrainingOptions, cache: Path) -> tuple[torch.device, Precision]:
    """Give the device and precision of a training, having checked that this machine can do all that it asks for.

    Args:
        config: of the training.
        cache: the setting ``cache``, below which compiled code is kept.
    Raises:
        ConfigError: if not.
    """
    device = launch.check_devices(config.device, config.devices)
    precision = choose_precision(config.precision, device)
    if config.log == "tensorboard":
        check_tensorboard()
    if config.compile:
        keep_compiled_code_private(cache)
        _check_compiler(device)
    if config.batch % config.devices:
        raise ConfigError(
            f"a batch of {config.batch} cannot be shared by {config.devices} devices: make it a multiple"
        )
    return device, precision


def keep_compiled_code_private(cache: Path) -> None:
    """Let torch keep what it compiles below our cache, unless the user has said where.

    It would take a folder of the shared temporary one, whose name anyone can guess and fill before: with code that is
    then loaded.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "compiled"))


def count_steps(config: TrainingOptions, images: int) -> int:
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


def filled_length(config: TrainingOptions, total: int) -> dict[str, Any]:
    """Fill in the length, and how often to log, where the user does not say: 200 lines."""
    return {
        "images": config.images or (None if config.epochs is not None else total),
        "log_images": config.log_images or max(config.batch, total // 200),
    }


def spelled(reference: Any, host: PluginHost) -> Any:
    """Give a reference with every value of its component's options."""
    component = host.find(reference.kind, reference.name)
    config = resolve_config(component, host, layered_options(component, host, None, reference.options))
    options = config.model_dump(mode="json", exclude_none=True)
    return reference.model_copy(update={"options": options})


def located(source: SourceRef) -> SourceRef:
    """Spell where data lie in full, so that the run is understood from any working folder."""
    return source.model_copy(update={"options": spell_paths(source.options)})


def shares_by_label(config: ImageTraining, data: OpenedData) -> Mapping[int, float] | None:
    """Give the shares of the classes in training, where the source wants others than its files have."""
    shares = data.source.opened.info.shares
    if shares is None or config.sampling != "natural":
        return None
    return {label: shares.get(name, 0.0) for label, name in enumerate(data.images.classes)}


def losses_of(
    config: ImageTraining, data: OpenedData, train: ImageSplit, val: ImageSplit, val_name: str
) -> DataLosses:
    """Count what the data of a training have lost.

    Raises:
        DataError: if they have, and ``strict_data`` is set.
    """
    lost = count_losses(
        data.source.opened.info,
        data.images,
        train=train.labels.tolist(),
        val=val.labels.tolist(),
        val_name=val_name,
        held_out_pairs=_held_out_pairs(data, train, val) if val_name == HELD_OUT else 0,
    )
    if config.strict_data:
        refuse_losses(lost)
    return lost


def _held_out_pairs(data: OpenedData, train: ImageSplit, val: ImageSplit) -> int:
    """Count equal images on both sides of what is held out; images are compared only where packing met equal ones."""
    met = getattr(data.images, "index", {}).get("duplicates", {})
    return count_pairs(train, val) if met.get("pairs", 0) > met.get("across", 0) else 0


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
