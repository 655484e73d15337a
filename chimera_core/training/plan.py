"""What the plans of all trainings share: machine and data checked, steps counted, every value in force."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from chimera_core.components.choice import choose, with_plugins
from chimera_core.data.duplicates import count_pairs
from chimera_core.data.losses import DataLosses, count_losses, refuse_losses
from chimera_core.data.split_names import HELD_OUT
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import spell_paths
from chimera_core.interfaces.components import no_progress
from chimera_core.options.config import ComponentRef, SourceRef
from chimera_core.options.training import DEFAULT_EPOCHS, ImageTraining, TrainingOptions
from chimera_core.plugins.discovery import PluginHost
from chimera_core.precision import Precision, choose_precision
from chimera_core.training import launch
from chimera_core.training.data import OpenedData, TrainingData, choose_splits, open_data

RefT = TypeVar("RefT", bound=ComponentRef)


def check_machine(config: TrainingOptions, cache: Path) -> tuple[torch.device, Precision]:
    """Give the device and precision of a training, having checked that this machine can do all that it asks for.

    Args:
        cache: the setting ``cache``, below which compiled code is kept.
    Raises:
        ConfigError: if not.
    """
    device = launch.check_devices(config.device, config.devices)
    precision = choose_precision(config.precision, device)
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


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Build networks on ``meta``, for a dry run; torch warns of weights that are loaded there and go nowhere."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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


def filled_length(config: TrainingOptions, total: int, *, is_timed: bool = False) -> dict[str, Any]:
    """Fill in the length, but where that is a time, and how often to log, where the user does not say: 200 lines."""
    return {
        "images": config.images or (None if is_timed or config.epochs is not None else total),
        "log_images": config.log_images or max(config.batch, total // 200),
    }


def resolve_reference(reference: RefT, host: PluginHost) -> RefT:
    """Give a reference by its full name, with every value of its component's options."""
    choice = choose(host, reference.kind, reference.name, reference.options)
    options = choice.config.model_dump(mode="json", exclude_none=True)
    named = with_plugins(host, type(choice.config), options, if_ambiguous=reference.kind == "dataset-source")
    return reference.model_copy(update={"name": choice.name, "options": named})


def with_whole_paths(source: SourceRef) -> SourceRef:
    """Spell where data lie in full, so that the run is understood from any working folder."""
    return source.model_copy(update={"options": spell_paths(source.options)})


def open_training_data(
    config: ImageTraining,
    host: PluginHost,
    check: Callable[[TrainingData], None],
    *,
    data: OpenedData | None = None,
    is_dry: bool = False,
    progress: Callable[[float, float], None] = no_progress,
) -> TrainingData:
    """Open and part the images of a training; what is wrong with them is found before they are packed.

    Args:
        check: raises where this kind of training cannot learn from them.
        data: of the config, where they are open already.
        is_dry: pack nothing: images cannot be taken.
        progress: of packing, in images.
    Raises:
        ConfigError, DataError: if they cannot be learned from.
    """

    def part_data(opened: OpenedData) -> TrainingData:
        train, val, val_name = choose_splits(opened.images, config)
        shares = _shares_by_label(config, opened)
        parted = TrainingData(
            images=opened.images,
            train=train,
            val=val,
            val_name=val_name,
            shares=shares,
            source=opened.source.opened,
        )
        check(parted)
        lost = _count_losses(config, opened, parted)
        count_steps(config, len(train))
        return replace(parted, lost=lost)

    return part_data(data or open_data(config, host, is_dry=is_dry, check=part_data, progress=progress))


def _shares_by_label(config: ImageTraining, data: OpenedData) -> Mapping[int, float] | None:
    shares = data.source.opened.info.shares
    if shares is None or config.sampling != "natural":
        return None
    return {label: shares.get(name, 0.0) for label, name in enumerate(data.images.classes)}


def _count_losses(config: ImageTraining, opened: OpenedData, data: TrainingData) -> DataLosses:
    lost = count_losses(
        opened.source.opened.info,
        data.images,
        train=data.train.labels.tolist(),
        val=data.val.labels.tolist(),
        val_name=data.val_name,
        held_out_pairs=_held_out_pairs(data) if data.val_name == HELD_OUT else 0,
    )
    if config.strict_data:
        refuse_losses(lost)
    return lost


def _held_out_pairs(data: TrainingData) -> int:
    """Count equal images on both sides of what is held out; images are compared only where packing met equal ones."""
    met = getattr(data.images, "index", {}).get("duplicates", {})
    return count_pairs(data.train, data.val) if met.get("pairs", 0) > met.get("across", 0) else 0


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
