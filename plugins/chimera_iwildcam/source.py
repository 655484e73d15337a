"""The ``iwildcam`` source: the official splits of WILDS, or one camera's images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from chimera_core.api import ConfigError, DataError, DatasetSource, Example, SourceInfo, read_picture
from chimera_iwildcam.config import IWildCamConfig
from chimera_iwildcam.layout import (
    FOLDER,
    MASKS,
    SPLITS,
    absent_files,
    find_folder,
    read_class_names,
    read_table,
)
from chimera_iwildcam.plugin import HOME_PAGE, LICENCE
from chimera_iwildcam.wilds_package import open_dataset, score

Rows = tuple[int, ...]


class IWildCamSource(DatasetSource):
    """Photographs of camera traps, as the WILDS benchmark splits and scores them.

    Label k is wilds' y = k (0 is ``empty``), named by ``categories.csv``; domain k is ``location_remapped`` = k,
    named by that number. With ``location``, the splits are train and test of that one camera, drawn image by image
    out of all its images in whatever official split; classes and domains stay those of the whole.

    Source: Beery et al. 2020, arXiv:2004.10340; Koh et al. 2021, arXiv:2012.07421; package wilds 2.0.0.
    """

    def __init__(self, config: IWildCamConfig) -> None:
        self.config = config
        self.folder = find_folder(config.root)

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the data by its tables."""
        names, unnamed = read_class_names(self.folder, int(self._tables.dataset.n_classes))
        return SourceInfo(
            name="iwildcam",
            classes=names,
            domains=tuple(map(str, range(self._tables.n_locations))),
            splits={split: len(rows) for split, rows in self._rows.items()},
            licence=LICENCE,
            home_page=HOME_PAGE,
            notes=self._notes(unnamed),
        )

    def open(self, split: str) -> IWildCamSplit:
        """Open a split; see ``DatasetSource``."""
        rows = self._rows_of(split)
        tables = self._tables
        return IWildCamSplit(
            folder=self.folder / "train",
            names=tuple(tables.names[row] for row in rows),
            labels=tuple(tables.dataset.y_array[list(rows)].tolist()),
            domains=tuple(tables.column("location", rows)),
            metadata={
                "datetime": tuple(tables.datetimes[row] for row in rows),
                "sequence": tuple(tables.column("sequence", rows)),
            },
        )

    def files(self, split: str) -> Sequence[Path]:
        """List the split's images, and the tables that say which they are and what they show."""
        tables = (self.folder / "metadata.csv", self.folder / "categories.csv")
        return (*tables, *self.open(split).paths)

    @classmethod
    def download(cls, config: IWildCamConfig, *, progress: Callable[[float, float], None]) -> None:
        """Refuse: the archive's host is out of order.

        Raises:
            ConfigError: always, with other places to look.
        """
        raise ConfigError(
            "iWildCam cannot be downloaded by a program today: the host that wilds downloads from, "
            "worksheets.codalab.org, fails for months on end (p-lambda/wilds issues 171, 174, 175). Try "
            "https://wilds.stanford.edu/downloads by hand, or a copy that others keep, and unpack it to "
            f"{Path(os.path.expanduser(config.root)) / FOLDER}. What LILA BC (https://lila.science/datasets/iwildcam-2022) "
            "and Kaggle (iwildcam-2020-fgvc7) publish is what WILDS was made from, in another layout without its "
            "labels and splits"
        )

    def evaluate(self, split: str, predictions: Sequence[int]) -> Mapping[str, float]:
        """Score predictions with wilds: ``F1-macro_all`` is the official metric.

        Raises:
            ConfigError: if there is not one class index per image.
            DataError: if the split is unknown.
        """
        return score(self._tables.dataset, self._rows_of(split), predictions)

    @cached_property
    def _tables(self) -> _Tables:
        table = read_table(self.folder)
        return _Tables(
            dataset=open_dataset(self.folder),
            names=tuple(table["filename"]),
            datetimes=tuple(table["datetime"]),
        )

    @cached_property
    def _rows(self) -> dict[str, Rows]:
        """Rows of the table by split; empty splits are left out."""
        if self.config.location is not None:
            return self._rows_of_camera(self.config.location)
        dataset = self._tables.dataset
        found = {split: tuple(dataset.get_subset(split).indices.tolist()) for split in SPLITS}
        return {split: rows for split, rows in found.items() if rows}

    def _rows_of(self, split: str) -> Rows:
        if split not in self._rows:
            known = ", ".join(self._rows)
            raise DataError(f"'{self.config.root}' has no split '{split}' (it has: {known})")
        return self._rows[split]

    def _rows_of_camera(self, location: int) -> dict[str, Rows]:
        """Cut a camera's rows in two; each part keeps the order of the table and is never empty."""
        tables = self._tables
        if location >= tables.n_locations:
            raise ConfigError(
                f"there is no location {location}: they are numbered 0 to {tables.n_locations - 1}"
            )
        rows = torch.nonzero(tables.locations == location).flatten()
        n = len(rows)
        if n < 2:
            raise DataError(f"location {location} has {n} image, too few for train and test: choose another")
        n_train = min(max(round(self.config.train_share * n), 1), n - 1)
        generator = torch.Generator().manual_seed(self.config.split_seed)
        order = torch.randperm(n, generator=generator)
        cut = {"train": order[:n_train], "test": order[n_train:]}
        return {split: tuple(rows[part.sort().values].tolist()) for split, part in cut.items()}

    def _notes(self, unnamed: Sequence[int]) -> tuple[str, ...]:
        """Tell the user what the counts do not."""
        names = self._tables.names
        notes = [f"{len(names):,} images of {self._tables.n_locations} locations in '{self.folder}'"]
        if self.config.location is not None:
            notes.append(
                f"location {self.config.location} alone, {self.config.train_share:.0%} drawn to train with seed "
                f"{self.config.split_seed}; pictures of one burst may lie on both sides"
            )
        if unnamed:
            shown = ", ".join(map(str, unnamed[:5])) + (" ..." if len(unnamed) > 5 else "")
            notes.append(f"categories.csv has no name for {len(unnamed)} classes: {shown}")
        absent = absent_files(self.folder, names)
        if absent:
            shown = ", ".join(absent[:3]) + (" ..." if len(absent) > 3 else "")
            notes.append(f"{len(absent):,} of these images are not in the folder train: {shown}")
        return tuple(notes)


@dataclass(frozen=True)
class IWildCamSplit:
    """Photographs of one split; they are decoded when they are asked for.

    ``metadata`` holds, for every example, ``datetime`` (text as in the table, ``2013-06-05 05:44:19.000``) and
    ``sequence``: pictures of one burst share that number.
    """

    folder: Path
    names: tuple[str, ...]
    labels: Sequence[int]
    domains: Sequence[int]
    metadata: Mapping[str, Sequence[Any]]

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The file of every example."""
        return tuple(self.folder / name for name in self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        """Decode one image: uint8 RGB (3, H, W) in its own size, whatever the file's colours; label, location."""
        rgb = read_picture(self.folder / self.names[index]).rgb
        return Example(torch.from_numpy(rgb.copy()).permute(2, 0, 1), self.labels[index], self.domains[index])

    def mask(self, index: int) -> torch.Tensor | None:
        """Give the mask of an image's animals, uint8 (1, H, W), where ``instance_masks`` has one of its name.

        They belong to iWildCam 2022: PNGs of 0 for the ground and 1, 2 ... for its animals, in any size.
        """
        path = self.folder.parent / MASKS / Path(self.names[index]).with_suffix(".png")
        if not os.path.isfile(path):
            return None
        is_animal = torch.from_numpy(read_picture(path).rgb.copy()).amax(-1) > 0
        return is_animal.to(torch.uint8)[None] * 255


@dataclass(frozen=True)
class _Tables:
    """wilds' data set, and the two columns that it keeps to itself."""

    dataset: Any
    names: tuple[str, ...]
    datetimes: tuple[str, ...]

    @property
    def locations(self) -> torch.Tensor:
        """Location of every row, int64 (N,)."""
        field: int = self.dataset.metadata_fields.index("location")
        found: torch.Tensor = self.dataset.metadata_array[:, field]
        return found

    @property
    def n_locations(self) -> int:
        return int(self.locations.max()) + 1

    def column(self, name: str, rows: Rows) -> list[int]:
        """Give a field of wilds' metadata for some rows."""
        values: list[int] = self.dataset.metadata_array[
            list(rows), self.dataset.metadata_fields.index(name)
        ].tolist()
        return values
