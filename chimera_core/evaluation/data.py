"""The images that an encoder is measured on: its training's own, or those of any other source, classes matched by name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from chimera_core.components.trained import Trained
from chimera_core.data.batches import ImageSplit
from chimera_core.data.losses import count_losses, list_classes
from chimera_core.data.split_names import split_to_test_on
from chimera_core.data.subsets import RelabelledSplit
from chimera_core.errors import ConfigError
from chimera_core.files.names import match_names
from chimera_core.options.config import suggest
from chimera_core.options.training import EncoderTraining, ImageTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.training.data import Data, OpenedData, choose_splits, open_data

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredImages:
    """The images that an encoder is measured on; their labels count its classes.

    Args:
        source: the data set's name.
        data: hash of what the data are, wherever they lie.
        split: name of the split.
        classes: of the encoder, by label.
        domains: of the source, by domain.
        unknown: classes of the source that the encoder did not learn, and which have images in the split.
        left_out: number of those images.
    """

    source: str
    data: str
    split: str
    images: ImageSplit
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def key(self) -> str:
        """Name data and split, apart from other data of the same source: ``folder-1a2b3c4d/test``."""
        return f"{self.source}-{self.data[:8]}/{self.split}"


def own_images(
    config: EncoderTraining, host: PluginHost, trained: Trained, classes: Sequence[str], *, split: str | None
) -> MeasuredImages:
    """Open the images of a training.

    Args:
        classes: that were learned, by label; none: those of the source.
        split: which; None: the one that it validates on.
    Raises:
        ConfigError: if there is no such split, or the source has other classes now.
    """
    # Another split than its own is of all domains.
    whole = split is not None and split != config.val_split
    opened = open_data(config, host, whole=whole, check=lambda listed: _own(listed.images, config, split))
    packed = opened.images
    _warn_of_losses(opened, config)
    if list(packed.classes) != list(classes or packed.classes):
        raise ConfigError(
            f"the source has other classes now than {trained} learned: name other data, with --source to have their "
            "classes matched by name, or train another"
        )
    images, name = _own(packed, config, split)
    return MeasuredImages(
        config.source.short_name,
        packed.data or packed.content,
        name,
        images,
        tuple(packed.classes),
        tuple(packed.domains),
    )


def other_images(
    config: ImageTraining, host: PluginHost, trained: Trained, classes: Sequence[str], *, split: str | None
) -> MeasuredImages:
    """Open the images of a source that an encoder did not learn from; classes are matched by name.

    What it did not learn is left out, and said in one line.

    Args:
        config: says source, size and fit.
        classes: that were learned, by label.
        split: which; None: the one to test on.
    Raises:
        ConfigError: if there is no such split, or no image in it is of a class that was learned.
    """
    if not classes:
        raise ConfigError(
            f"{trained} does not say which classes it tells apart: give a training's --config instead"
        )

    def choose(images: Data) -> MeasuredImages:
        name = split_to_test_on({of: len(split) for of, split in images.splits.items()}, split)
        whole, matched = images.splits[name], match_names(images.classes, classes)
        own_label = {of: label for label, of in enumerate(classes)}
        labels = torch.tensor([own_label[matched[of]] if of in matched else -1 for of in images.classes])
        known = RelabelledSplit(whole, labels[whole.labels])
        present = [images.classes[label] for label in sorted(set(whole.labels.tolist()))]
        if not len(known):
            raise ConfigError(
                f"source {config.source.short_name} has no image of a class that {trained} learned in split '{name}' "
                f"(it has {list_classes(present)}; learned were {list_classes(classes)}): name other data"
            )
        return MeasuredImages(
            config.source.short_name,
            images.data or images.content,
            name,
            known,
            tuple(classes),
            tuple(images.domains),
            unknown=tuple(of for of in present if of not in matched),
            left_out=len(whole) - len(known),
        )

    opened = open_data(config, host, check=lambda listed: choose(listed.images))
    _warn_of_losses(opened, config)
    found = choose(opened.images)
    _say_what_is_left_out(found, trained)
    return found


def _own(images: Data, config: EncoderTraining, split: str | None) -> tuple[ImageSplit, str]:
    _, val, val_name = choose_splits(images, config)
    name = split or val_name
    if split is not None and split not in images.splits and split != val_name:
        raise ConfigError(f"there is no split '{split}'" + suggest(split, {**images.splits, val_name: val}))
    return (val if name == val_name else images.splits[name]), name


def _warn_of_losses(opened: OpenedData, config: ImageTraining) -> None:
    if lost := count_losses(opened.source.opened.info, opened.images):
        _log.warning("source %s: %s", config.source.short_name, lost)


def _say_what_is_left_out(found: MeasuredImages, trained: Trained) -> None:
    seen = set(found.images.labels.tolist())
    absent = [name for label, name in enumerate(found.classes) if label not in seen]
    parts = []
    if found.left_out:
        total = found.left_out + len(found.images)
        what = f"{trained} did not learn {list_classes(found.unknown)}"
        parts.append(f"{found.left_out:,} of {total:,} images are left out, because {what}")
    if absent:
        parts.append(f"no image of {list_classes(absent)}, which it learned")
    if parts:
        _log.warning("source %s, split %s: %s", found.source, found.split, "; ".join(parts))
