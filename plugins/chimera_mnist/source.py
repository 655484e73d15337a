"""The ``mnist`` source: handwritten digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chimera_core.api import DataError, DatasetSource, Example, MissingDataError, SourceInfo, describe_folder
from chimera_mnist.config import MnistConfig
from chimera_mnist.download import bring
from chimera_mnist.idx import cached_array, read_array, read_shape
from chimera_mnist.layout import LAYOUT, PREFIXES, files_of, raw_folder, root_of
from chimera_mnist.plugin import HOME_PAGE, LICENCE

BRING = "`chimera source prepare mnist --download` brings it"


class MnistSource(DatasetSource):
    """The digits 0 to 9, grey made RGB, in the splits ``train`` and ``test``.

    A split whose files are missing is left out, and the other one works.
    """

    def __init__(self, config: MnistConfig) -> None:
        root = root_of(config.root)
        raw = raw_folder(root)
        self._splits: dict[str, MnistSplit] = {}
        self._missing: dict[str, str] = {}
        for split in PREFIXES:
            files = files_of(raw, split)
            if files.images and files.labels:
                self._splits[split] = _open_split(files.images, files.labels)
            else:
                self._missing[split] = f"{' and '.join(files.missing)} not in '{raw}'"
        if not self._splits:
            raise MissingDataError(
                f"no MNIST in '{root}' ({describe_folder(root)}): expected {LAYOUT}; {BRING}",
                downloadable=True,
            )

    @property
    def info(self) -> SourceInfo:
        """Describe the splits that are here, and say what the others need."""
        return SourceInfo(
            name="mnist",
            classes=tuple(map(str, range(10))),
            splits={name: len(split) for name, split in self._splits.items()},
            licence=LICENCE,
            home_page=HOME_PAGE,
            notes=tuple(f"split {name} needs data: {text}; {BRING}" for name, text in self._missing.items()),
        )

    def open(self, split: str) -> MnistSplit:
        """Open a split; see ``DatasetSource``."""
        if split in self._missing:
            raise MissingDataError(
                f"split '{split}' of mnist needs data: {self._missing[split]}; {BRING}", downloadable=True
            )
        if split not in self._splits:
            raise DataError(f"mnist has no split '{split}' (it has: {', '.join(PREFIXES)})")
        return self._splits[split]

    def files(self, split: str) -> Sequence[Path]:
        """Name the two IDX files of a split."""
        opened = self.open(split)
        return (opened.images_file, opened.labels_file)

    @classmethod
    def download(cls, config: MnistConfig, *, progress: Callable[[float, float], None]) -> None:
        """Bring what is missing or damaged where ``config`` looks; see ``DatasetSource``."""
        bring(raw_folder(root_of(config.root)), progress=progress)


@dataclass(frozen=True, eq=False)
class MnistSplit:
    """One split. Pixels are read once in each process, so that pickling carries the labels alone."""

    images_file: Path
    labels_file: Path
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        """Give one image: uint8 (3, 28, 28), three times the same grey."""
        label = self.labels[index]  # an index out of range ends here
        try:
            changed_ns = self.images_file.stat().st_mtime_ns
        except OSError as error:
            raise DataError(f"'{self.images_file}' cannot be read ({error.strerror})") from error
        grey = cached_array(self.images_file, 3, changed_ns)
        if len(grey) != len(self):
            raise DataError(f"'{self.images_file}' has changed since it was opened: open mnist anew")
        return Example(torch.from_numpy(np.array(grey[index])).expand(3, -1, -1).contiguous(), label)


def _open_split(images: Path, labels: Path) -> MnistSplit:
    """Check headers and labels; no pixel is read.

    Raises:
        DataError: if a file is damaged, the two disagree, or a label is no digit.
    """
    count = read_shape(images, 3)[0]
    digits = np.array(read_array(labels, 1))
    if len(digits) != count:
        raise DataError(
            f"'{images}' holds {count:,} images but '{labels.name}' {len(digits):,} labels: get both anew"
        )
    if digits.max() > 9:
        raise DataError(
            f"label {int(digits.argmax())} of '{labels}' is {digits.max()}, no digit from 0 to 9: get it anew"
        )
    return MnistSplit(images, labels, tuple(digits.tolist()))
