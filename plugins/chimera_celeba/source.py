"""The ``celeba`` source: aligned faces of celebrities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import torch

from chimera_celeba.config import CelebaConfig
from chimera_celeba.files import (
    BY_HAND,
    LAYOUT,
    SPLITS,
    find_layout,
    list_images,
    read_attribute,
    read_partitions,
    root_of,
)
from chimera_celeba.plugin import HOME_PAGE, LICENCE
from chimera_core.api import (
    ConfigError,
    DataError,
    DatasetSource,
    Example,
    SourceInfo,
    cut,
    parse_box,
    picture_shape,
    read_picture,
)

SIZE = (218, 178)
"""Height and width of the aligned images."""
EYES = (69.0, 111.0, 108.0, 111.0)
"""Where the eyes are in them, within a pixel or two: left x, left y, right x, right y.

Source: the positions that ALAE (Pidhorskyi et al. 2020, align_faces.py) notes for 178 x 218; the rows of
list_landmarks_align_celeba.txt lie around them (the first is 69 109 106 113).
"""


class CelebaSource(DatasetSource):
    """Faces in the official splits: one class ``person``, or two by an attribute.

    Any part of the images will do: those that the partition file does not know are left out, and counted.
    """

    def __init__(self, config: CelebaConfig) -> None:
        self.config = config
        self._layout = find_layout(root_of(config.root))
        self._eyes = _parse_eyes(config.eyes)
        if config.crop:
            parse_box(config.crop, *SIZE)  # a wrong crop shows now, not at the first image
        names = list_images(self._layout.images)
        partitions = read_partitions(self._layout)
        self._notes: list[str] = []
        self._left_out: dict[str, int] = {}
        known = [name for name in names if name in partitions]
        self._count_missing("the partition file", names, known)
        if len(partitions) > len(known):
            self._notes.append(
                f"{len(partitions) - len(known):,} images of the partition file are not in the folder"
            )
        self.classes: tuple[str, ...] = ("person",)
        values: dict[str, bool] = {}
        if config.label:
            attribute, values = read_attribute(self._layout, config.label)
            kebab = attribute.lower().replace("_", "-")
            self.classes = (f"not-{kebab}", kebab)
            labelled = [name for name in known if name in values]
            self._count_missing("the attribute file", known, labelled)
            known = labelled
        self._names = {
            split: tuple(name for name in known if partitions[name] == number)
            for number, split in enumerate(SPLITS)
        }
        self._values = values

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the faces by their lists."""
        return SourceInfo(
            name="celeba",
            classes=self.classes,
            splits={split: len(names) for split, names in self._names.items() if names},
            licence=LICENCE,
            home_page=HOME_PAGE,
            notes=tuple(self._notes),
            left_out=self._left_out,
            eyes=self._eyes_in_crop(),
        )

    def open(self, split: str) -> CelebaSplit:
        """Open a split; see ``DatasetSource``."""
        names = self._names.get(split, ())
        if not names:
            known = ", ".join(self.info.splits)
            raise DataError(f"celeba in '{self._layout.lists}' has no split '{split}' (it has: {known})")
        return CelebaSplit(
            paths=Paths(self._layout.images, names),
            labels=tuple(int(self._values.get(name, False)) for name in names),
            crop=self.config.crop,
        )

    @classmethod
    def download(cls, config: CelebaConfig, *, progress: Callable[[float, float], None]) -> None:
        """Return where the faces can be had: Google Drive, where they lie, often refuses programs.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"CelebA cannot be downloaded by a program: {BY_HAND}; put them into '{root_of(config.root)}' as {LAYOUT}"
        )

    def _count_missing(self, where: str, names: Sequence[str], known: Sequence[str]) -> None:
        """Note images that a list does not know.

        Raises:
            DataError: if these are more than half.
        """
        strangers = len(names) - len(known)
        if 2 * strangers > len(names):
            stranger = min(set(names) - set(known))
            raise DataError(
                f"{strangers:,} of {len(names):,} images in '{self._layout.images}' are not in {where}, such as "
                f"{stranger}: the two are of different data sets"
            )
        if strangers:
            self._notes.append(f"{strangers:,} images are not in {where}, and are left out")
            self._left_out[f"outside of {where}"] = strangers

    def _eyes_in_crop(self) -> tuple[float, float, float, float] | None:
        """Give the eyes in pixels of what ``open`` yields, judging the images' size by the first one."""
        size = _size_of(next(Paths(self._layout.images, n)[0] for n in self._names.values() if n))
        eyes = self._eyes
        if eyes is None or size is None or (self.config.eyes == "auto" and size != SIZE):
            return None
        if not self.config.crop:
            return eyes
        left, top, right, bottom = parse_box(self.config.crop, *size)
        across = max(1, round(right - left)) / (right - left)  # images have whole numbers of pixels
        down = max(1, round(bottom - top)) / (bottom - top)
        return (
            (eyes[0] - left) * across,
            (eyes[1] - top) * down,
            (eyes[2] - left) * across,
            (eyes[3] - top) * down,
        )


@dataclass(frozen=True)
class Paths(Sequence[Path]):
    """Files of one folder: 200,000 ``Path`` objects would take 80 MB, and seconds to pickle."""

    folder: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Paths(self.folder, self.names[index])
        return self.folder / self.names[index]


@dataclass(frozen=True)
class CelebaSplit:
    """Faces of one split; images are decoded when they are asked for."""

    paths: Paths
    labels: tuple[int, ...]
    crop: str

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        """Decode one face: uint8 RGB (3, H, W), cropped."""
        image = torch.from_numpy(read_picture(self.paths[index]).rgb.copy()).permute(2, 0, 1)
        if self.crop:
            image = cut(image, parse_box(self.crop, image.shape[1], image.shape[2]))
        return Example(image, self.labels[index])


def _parse_eyes(text: str) -> tuple[float, float, float, float] | None:
    if text == "auto":
        return EYES
    if text == "none":
        return None
    try:
        left_x, left_y, right_x, right_y = (float(kebab) for kebab in text.split(","))
        if left_x < right_x:
            return left_x, left_y, right_x, right_y
    except ValueError:
        pass
    raise ConfigError(
        f"--eyes {text} are not two points: write left x,left y,right x,right y, or auto or none"
    )


def _size_of(path: Path) -> tuple[int, int] | None:
    """Read height and width from an image's header; None if it cannot be read."""
    try:
        width, height, _ = picture_shape(path)
    except DataError:
        return None
    return height, width
