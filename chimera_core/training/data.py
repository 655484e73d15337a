"""What a training learns from: a source opened, packed or only listed, and its images parted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from pydantic import BaseModel

from chimera_core.components.choice import choose
from chimera_core.data.batches import ImageSplit, TensorSplit
from chimera_core.data.domains import DomainsOfSource
from chimera_core.data.fingerprint import folder_name, packing_of
from chimera_core.data.losses import DataLosses
from chimera_core.data.packed import PackedSource
from chimera_core.data.packing import pack
from chimera_core.data.split_names import HELD_OUT, JOINED, name_splits
from chimera_core.data.subsets import (
    JoinedSplit,
    SubsetSplit,
    check_domains,
    hold_out,
    hold_out_plainly,
    of_domains,
)
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.interfaces.components import DatasetSource, no_progress
from chimera_core.interfaces.guards import check_info, check_split
from chimera_core.options.config import SourceRef, flag_name
from chimera_core.options.training import ImageTraining
from chimera_core.plugins.discovery import Component, PluginHost


@dataclass(frozen=True)
class OpenedSource:
    """A source with all that it was opened by."""

    opened: DatasetSource
    component: Component
    options: BaseModel


@dataclass(frozen=True)
class ListedData:
    """Labels and domains of a source whose images were not read."""

    classes: tuple[str, ...]
    domains: tuple[str, ...]
    splits: Mapping[str, ImageSplit]
    content: str = ""
    data: str = ""


Data = PackedSource | ListedData
"""What a training asks of its data: a packed source, or a list of what it would hold."""


@dataclass(frozen=True)
class OpenedData:
    """A source and its images."""

    source: OpenedSource
    images: Data


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The images of a training, parted, and what was lost on the way."""

    images: Data
    train: ImageSplit
    val: ImageSplit
    val_name: str
    shares: Mapping[int, float] | None = None
    """Of the classes in training, where the source wants others than its files have."""
    lost: DataLosses | None = None
    source: DatasetSource | None = None
    """Of the images, as they were before they were packed."""


Check = Callable[[OpenedData], object]
"""Raises where data cannot be learned from."""


def open_data(
    config: ImageTraining,
    host: PluginHost,
    *,
    whole: bool = False,
    is_dry: bool = False,
    check: Check | None = None,
    progress: Callable[[float, float], None] = no_progress,
) -> OpenedData:
    """Open the data of a training; ``is_dry``: list them and pack nothing; ``whole``: those of all domains.

    ``check`` is given them as they are listed, before they are packed, which may take an hour; where they are packed
    already it is not called.

    Where only some domains are learned from and validated on, the images of others are not packed: those of all
    cameras of iWildCam would take 122 GB at 448 px.
    """
    source = open_source_of(config.source, host)
    # Which splits there are to choose from depends on the images, so only where the user has chosen.
    is_chosen = config.train_split is not None and config.val_split == HELD_OUT
    names = config.domains if is_chosen and not whole else ()
    return open_domains(source, config, host, names, is_dry=is_dry, check=check, progress=progress)


def open_domains(
    source: OpenedSource,
    config: ImageTraining,
    host: PluginHost,
    names: Sequence[str],
    *,
    is_dry: bool = False,
    check: Check | None = None,
    progress: Callable[[float, float], None] = no_progress,
) -> OpenedData:
    """List or pack the images of some domains; of all, where ``names`` are none or all of them."""
    with naming_options(source.options):
        info = source.opened.info
        check_info(info, source.component.spec.name)
        known = info.domains
        names = check_domains(names, known)
        some = () if set(names) == set(known) else sorted(names, key=known.index)
        if some:
            source = replace(source, opened=DomainsOfSource(source.opened, some))
        if is_dry:
            return OpenedData(source, list_data(source.opened))
        packing = packing_of(source.component, source.options, size=config.size, fit=config.fit, domains=some)
        cache = host.settings.path("cache")
        if check is not None and not (cache / folder_name(packing)).exists():
            check(OpenedData(source, list_data(source.opened)))
        return OpenedData(source, pack(source.opened, packing, cache, progress=progress))


def open_source_of(source: SourceRef, host: PluginHost) -> OpenedSource:
    """Open a source."""
    choice = choose(host, source.kind, source.name, source.options)
    with naming_options(choice.config):
        return OpenedSource(choice.load(), choice.component, choice.config)


@contextmanager
def naming_options(options: BaseModel) -> Iterator[None]:
    """Let what a source says of its options name them as a training takes them: ``--source.root`` for ``--root``."""
    try:
        yield
    except ChimeraError as error:
        text = str(error)
        for name, field in type(options).model_fields.items():
            flag = flag_name(name, field)
            text = re.sub(rf"(?<!\S)--{re.escape(flag)}(?![\w-])", f"--source.{flag}", text)
        error.args = (text, *error.args[1:])
        raise


def list_data(source: DatasetSource) -> ListedData:
    """List what a source says it holds; files that cannot be read are still among them."""
    info = source.info
    splits: dict[str, ImageSplit] = {}
    for name in info.splits:
        split = source.open(name)
        check_split(split, name, info.name)
        labels = torch.tensor(list(split.labels), dtype=torch.int64)
        domains = torch.tensor(list(getattr(split, "domains", None) or [0] * len(labels)), dtype=torch.int64)
        splits[name] = TensorSplit(torch.empty(len(labels), 0, dtype=torch.uint8), labels, domains)
    return ListedData(info.classes, info.domains, splits)


def choose_splits(images: Data, config: ImageTraining) -> tuple[ImageSplit, ImageSplit, str]:
    """Give the images to learn from, those to validate on, and the name of the latter."""
    train, val_name = choose_pool(images, config)
    if config.domains:
        train = of_domains(train, config.domains, images.domains)
    if val_name != HELD_OUT:
        return train, images.splits[val_name], val_name
    rest, held = part(train, config)
    if not len(held):
        raise ConfigError(f"{len(rest)} images are too few to hold some out: name a --val-split")
    return rest, held, HELD_OUT


def choose_pool(images: Data, config: ImageTraining) -> tuple[ImageSplit, str]:
    """Give the images that are learned from, before some are held out, and the name of the split to validate on."""
    counts = {name: len(split) for name, split in images.splits.items()}
    train_name, val_name = name_splits(counts, config.train_split, config.val_split)
    if train_name == JOINED and JOINED not in images.splits:
        return JoinedSplit([split for split in images.splits.values() if len(split)]), val_name
    return images.splits[train_name], val_name


def part(split: ImageSplit, config: ImageTraining) -> tuple[SubsetSplit, SubsetSplit]:
    """Part images as a training does that has no split to validate on: (to learn from, held out)."""
    draw = hold_out_plainly if config.held_out == "plain" else hold_out
    return draw(split, share=config.held_out_share, seed=config.seed)
