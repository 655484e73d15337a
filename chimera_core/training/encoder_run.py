"""From options to a trained encoder: open the data, build the network, make or take up the run folder, train."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import BaseModel
from torch import Tensor

from chimera_core.data.batches import ImageSplit, TensorSplit
from chimera_core.data.fingerprint import packing_of
from chimera_core.data.packed import PackedSource
from chimera_core.data.packing import pack
from chimera_core.data.subsets import HELD_OUT, HELD_OUT_SHARE, hold_out, name_splits, of_domains
from chimera_core.errors import ChimeraError, ConfigError, RunError
from chimera_core.files import one_line
from chimera_core.interfaces import DatasetSource, FeatureEncoder, RobustnessTrainer, no_progress
from chimera_core.layers import build_config, merge
from chimera_core.options import EncoderRef, SourceRef
from chimera_core.plugins import Component, PluginHost
from chimera_core.runs import make_run_folder, read_run_record, write_run_record
from chimera_core.training import checkpoints, config_file, launch
from chimera_core.training.augment import find_augmentation
from chimera_core.training.config import EncoderTraining
from chimera_core.training.encoder_loop import EncoderJob, Outcome, Vary, smooth, train_encoder
from chimera_core.training.interrupts import catch_interrupts
from chimera_core.training.metrics import check_tensorboard
from chimera_core.training.mixing import cutmix, mixup
from chimera_core.training.optimizers import layer_factors, parameter_groups, schedule
from chimera_core.training.precision import choose_precision
from chimera_core.training.randomness import Draw, seed_step
from chimera_core.training.trained import KIND, read_training
from chimera_core.use import build, layered_options, resolve_config


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
    progress: Callable[[float, float], None] = no_progress,
) -> EncoderPlan:
    """Check a training and prepare all it needs, before anything is written.

    Args:
        config: as the user wants it; component options are merged from all layers.
        host: where components are found.
        may_fill: options of the encoder that are taken from the source, where it has them.
        is_dry: take no memory for the network (it lies on ``meta``), and pack nothing: images cannot be taken.
        progress: of packing, in images.
    Raises:
        ChimeraError: for whatever is wrong, in one line.
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
    # Components are looked up before the data are packed, which may take minutes.
    trainer = build(host, "robustness-trainer", config.trainer.name, config.trainer.options)
    host.find("feature-encoder", config.encoder.name)
    source = open_source_of(config.source, host)
    packed: Data = (
        list_data(source.opened)
        if is_dry
        else pack_data(source, host, config.size, config.fit, progress=progress)
    )
    classes = packed.classes
    if len(classes) < 2:
        raise ConfigError(
            f"source {config.source.name} has one class only ({', '.join(classes)}): an encoder learns to tell "
            "classes apart, so give it two or more"
        )
    train, val, val_name = choose_splits(packed, config)
    steps = _steps(config, len(train))
    encoder_options = _filled(config.encoder, host, may_fill, {"classes": len(classes), "size": config.size})
    seed_step(config.seed, -1)
    with torch.device("meta" if is_dry else "cpu"):
        encoder: FeatureEncoder = build(host, "feature-encoder", config.encoder.name, encoder_options)
    check_encoder(encoder, classes=len(classes), size=config.size, name=config.encoder.name)
    # Asked for now, so that what is wrong with them is said before a folder is made.
    schedule(config.schedule, total_images=steps * config.batch, warmup_images=config.warmup_images)
    parameter_groups(encoder, weight_decay=0, factors=layer_factors(encoder, config.layer_decay))
    vary = _variation(config, len(classes))
    resolved = config.model_copy(
        update={
            "precision": precision,
            "source": _located(_dumped(config.source, host)),
            "encoder": _dumped(config.encoder.model_copy(update={"options": encoder_options}), host),
            "trainer": _dumped(config.trainer, host),
            **_cadences(config, len(train), steps),
        }
    )
    shares = source.opened.info.shares
    by_label = None
    if shares is not None and config.sampling == "natural":
        by_label = {label: shares.get(name, 0.0) for label, name in enumerate(classes)}
    return EncoderPlan(
        resolved, packed, train, val, val_name, encoder, trainer, device, steps, vary, by_label
    )


@dataclass(frozen=True)
class OpenedSource:
    """A source with all that it was opened by."""

    opened: DatasetSource
    component: Component
    options: BaseModel


class Data(Protocol):
    """What a training asks of its data: a packed source, or a list of what it would hold."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains."""

    @property
    def splits(self) -> Mapping[str, ImageSplit]:
        """Splits by name."""

    @property
    def content(self) -> str:
        """Hash of all that decides the images."""


@dataclass(frozen=True)
class ListedData:
    """Labels and domains of a source whose images were not read."""

    classes: tuple[str, ...]
    domains: tuple[str, ...]
    splits: Mapping[str, ImageSplit]
    content: str = ""


def open_source_of(source: SourceRef, host: PluginHost) -> OpenedSource:
    """Open a source."""
    component = host.find("dataset-source", source.name)
    options = resolve_config(component, host, layered_options(component, host, None, source.options))
    return OpenedSource(component.load_class()(options), component, options)


def pack_data(
    source: OpenedSource,
    host: PluginHost,
    size: int,
    fit: str,
    *,
    progress: Callable[[float, float], None] = no_progress,
) -> PackedSource:
    """Give a source's packed cache, making it where it is missing or stale."""
    packing = packing_of(source.component, source.options, size=size, fit=fit)
    return pack(source.opened, packing, host.settings.path("cache"), progress=progress)


def list_data(source: DatasetSource) -> ListedData:
    """List what a source says it holds; files that cannot be read are still among them."""
    info = source.info
    splits: dict[str, ImageSplit] = {}
    for name in info.splits:
        split = source.open(name)
        labels = torch.tensor(list(split.labels), dtype=torch.int64)
        domains = torch.tensor(list(getattr(split, "domains", None) or [0] * len(labels)), dtype=torch.int64)
        splits[name] = TensorSplit(torch.empty(len(labels), 0, dtype=torch.uint8), labels, domains)
    return ListedData(info.classes, info.domains, splits)


def choose_splits(packed: Data, config: EncoderTraining) -> tuple[ImageSplit, ImageSplit, str]:
    """Give the images to learn from, those to validate on, and the name of the latter."""
    counts = {name: len(split) for name, split in packed.splits.items()}
    train_name, val_name = name_splits(counts, config.train_split, config.val_split)
    train: ImageSplit = packed.splits[train_name]
    if config.domains:
        train = of_domains(train, config.domains, packed.domains)
    if val_name == HELD_OUT:
        train, val = hold_out(train, share=HELD_OUT_SHARE, seed=config.seed)
        if not len(val):
            raise ConfigError(f"{len(train)} images are too few to hold some out: name a --val-split")
        return train, val, HELD_OUT
    return train, packed.splits[val_name], val_name


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


def run_training(
    plan: EncoderPlan,
    folder: Path,
    host: PluginHost,
    *,
    resume: bool = False,
    progress: Callable[[float, float], None] = no_progress,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train into a run folder, in this process (and its peers under torchrun).

    Args:
        plan: of ``plan_training``.
        folder: of the run.
        host: for ``run.json``.
        resume: go on from the newest sound checkpoint, if there is one.
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
        with catch_interrupts() as stop, launch.peers():
            outcome = train_encoder(
                job,
                fabric,
                resume=checkpoint,
                stop=stop,
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


def resumed_config(folder: Path, given: Mapping[str, Any]) -> EncoderTraining:
    """Read the options that a run was started with, and lay over them those that ``--resume`` may change.

    Args:
        folder: of the run.
        given: the options of this command line, nested.
    Raises:
        ConfigError: if the folder holds no such run, or an option differs that may not.
    """
    before, record = read_training(folder)
    kept = before.model_dump(mode="json", exclude_none=True)
    if "images" in given or "epochs" in given:
        kept = {k: v for k, v in kept.items() if k not in ("images", "epochs")}
    config = build_config(EncoderTraining, merge(kept, given), where="encoder training")
    old, new = before.model_dump(mode="json"), config.model_dump(mode="json")
    for name in (
        given.keys() - EncoderTraining.MAY_CHANGE - ({"precision"} if config.precision == "auto" else set())
    ):
        if changed := _first_difference(old[name], new[name], name):
            raise ConfigError(
                f"the run was started with {changed[0]} {changed[1]}, not {changed[2]}: leave that out of --resume, "
                "or start another run"
            )
    return config.model_copy(update={"precision": record.get("precision", before.precision)})


def check_same_data(folder: Path, plan: EncoderPlan) -> None:
    """Refuse to go on with a run on other data than it began with.

    Raises:
        ConfigError: if contents or labels have changed.
    """
    known = read_run_record(folder).get("content")
    if known is not None and known != plan.packed.content:
        raise ConfigError(
            f"the data of source {plan.config.source.name} have changed since the run began: start another run"
        )


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


def _steps(config: EncoderTraining, images: int) -> int:
    if config.batch > images:
        raise ConfigError(
            f"a batch of {config.batch} images is more than there are ({images}): lower --batch"
        )
    if config.images is not None:
        return math.ceil(config.images / config.batch)
    epochs = 10.0 if config.epochs is None else config.epochs
    return max(1, round(epochs * (images // config.batch)))


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


def _first_difference(old: Any, new: Any, path: str) -> tuple[str, str, str] | None:
    """Name the first plain value that differs, as the command line spells it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            inner = path if key in ("name", "options") else f"{path}.{key}"
            if found := _first_difference(old.get(key), new.get(key), inner):
                return found
        return None
    return None if old == new else (path.replace("_", "-"), one_line(old), one_line(new))
