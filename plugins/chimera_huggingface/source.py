"""The ``huggingface`` source: tables of encoded images and labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from chimera_core.api import (
    ConfigError,
    DataError,
    DatasetSource,
    Example,
    SourceInfo,
    decode_picture,
    one_line,
    read_picture,
)
from chimera_huggingface.columns import Columns, class_names, find_columns, numbers_of
from chimera_huggingface.config import HuggingFaceConfig
from chimera_huggingface.copies import Record, find_copy
from chimera_huggingface.opening import open_folder


class HuggingFaceSource(DatasetSource):
    """A data set whose rows hold an encoded image and a class.

    Images are decoded here, within our limits, and never by the library. Rows without a class are left out.
    """

    def __init__(self, config: HuggingFaceConfig) -> None:
        self.config = config
        self.record: Record | None = None
        if bool(config.name) == (config.path is not None):
            raise ConfigError("give --name owner/name of the hub or --path of a folder, one of the two")
        if config.path is None:
            self.folder, self.record = find_copy(config)
        else:
            if config.stream or config.revision:
                raise ConfigError(
                    "--stream and --revision belong to a --name of the hub: leave them out with --path"
                )
            self.folder = config.path.expanduser()
        self._tables = open_folder(self.folder, "" if self.record else config.config)
        if not self._tables:
            raise DataError(f"'{self.folder}' has no split")
        features = next(iter(self._tables.values())).features
        self.columns = find_columns(features, image=config.image, label=config.label)
        self.classes, self._labels = self._read_labels(features)

    def _read_labels(self, features: Any) -> tuple[tuple[str, ...], dict[str, list[int | None]]]:
        column = self.columns.label
        if not column:
            word = self.record.name.rpartition("/")[2] if self.record else self.folder.stem
            return (word,), {split: [0] * len(table) for split, table in self._tables.items()}
        values: dict[str, list[Any]] = {}
        for split, table in self._tables.items():
            if str(table.features.get(column)) != str(features[column]):
                raise DataError(
                    f"split {split} has another column '{column}' than the first split: they do not fit"
                )
            values[split] = table.select_columns([column]).with_format(None)[:][column]
        names = class_names(features, column, [v for some in values.values() for v in some])
        return names, {s: numbers_of(features[column], names, some) for s, some in values.items()}

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the tables; licence and citation are those of the data set's card."""
        known = next(iter(self._tables.values())).info
        record = self.record or Record("", "", "", known.license, known.citation, known.homepage)
        notes = [f"images in column '{self.columns.image}', classes in '{self.columns.label or '(none)'}'"]
        if record.commit:
            notes.append(f"{record.name} at commit {record.commit}, in '{self.folder}'")
        if self.config.stream:
            notes.append(
                f"a stream's first {self.config.stream} images of each split, out of a shuffled buffer"
            )
        if record.citation:
            notes.append(f"cite: {one_line(' '.join(record.citation.split()), limit=400)}")
        unlabelled = {s: some.count(None) for s, some in self._labels.items()}
        return SourceInfo(
            name="huggingface",
            classes=self.classes,
            splits={s: n for s, some in self._labels.items() if (n := len(some) - unlabelled[s])},
            licence=one_line(record.licence, limit=200) or "not named by the data set",
            home_page=one_line(record.home_page, limit=200),
            notes=tuple(notes),
            left_out={f"without a class in split {s}": n for s, n in unlabelled.items() if n},
        )

    def open(self, split: str) -> TableSplit:
        """Open a split; see ``DatasetSource``."""
        if split not in self.info.splits:
            known = ", ".join(self.info.splits)
            raise DataError(f"'{self.config.name or self.folder}' has no split '{split}' (it has: {known})")
        labels = self._labels[split]
        return TableSplit(
            table=_encoded(self._tables[split], self.columns),
            image=self.columns.image,
            rows=tuple(row for row, label in enumerate(labels) if label is not None),
            labels=tuple(label for label in labels if label is not None),
            folder=os.path.realpath(self.folder),
            title=f"{self.config.name or self.folder.name} {split}",
        )

    def files(self, split: str) -> Sequence[Path]:
        """Name the Arrow files, or the images where these are files of their own."""
        opened = self.open(split)
        return [Path(each["filename"]) for each in opened.table.cache_files] or opened.paths

    def made_of(self) -> Any:
        """Name the commit that a copy is of."""
        return [self.record.name, self.record.commit] if self.record else None

    @classmethod
    def download(cls, config: HuggingFaceConfig, *, progress: Callable[[float, float], None]) -> None:
        """Bring a data set of the hub, whole or as a stream; see ``DatasetSource``."""
        from chimera_huggingface.fetching import bring

        bring(config, progress=progress)


@dataclass(frozen=True, eq=False)
class TableSplit:
    """Rows of one split. Pickled it carries labels and names of files; Arrow files are mapped anew."""

    table: Any
    image: str
    rows: tuple[int, ...]
    labels: tuple[int, ...]
    folder: str
    title: str

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The file of every example, where the images are files of their own; else none."""
        if not self.rows or not isinstance(first := self._cell(0), dict) or first.get("bytes"):
            return ()
        return tuple(Path(self._own_file(index, self._cell(index))) for index in range(len(self)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        """Decode one image: uint8 RGB (3, H, W) in its own size, upright, transparent parts white.

        Raises:
            DataError: if its bytes are damaged, too large or no image, or name a file outside the data set.
        """
        label = self.labels[index]  # an index out of range ends here
        cell = self._cell(index)
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if data is None:
            picture = read_picture(self._own_file(index, cell))
        else:
            picture = decode_picture(data, self._title_of(index))
        return Example(torch.from_numpy(picture.on_white().copy()).permute(2, 0, 1), label)

    def _cell(self, index: int) -> Any:
        return self.table[self.rows[index]][self.image]

    def _own_file(self, index: int, cell: Any) -> str:
        """Give the file that a row names: one of the data set's folder, never another of this machine's."""
        named = cell.get("path") if isinstance(cell, dict) else None
        if not named:
            raise DataError(f"{self._title_of(index)} holds no image: leave it out of the data set")
        real = os.path.realpath(os.path.join(self.folder, named))
        if "://" in named or os.path.commonpath((real, self.folder)) != self.folder:
            raise DataError(
                f"{self._title_of(index)} names '{one_line(named, limit=80)}', a file outside the data set, which is not read"
            )
        return real

    def _title_of(self, index: int) -> str:
        return f"{self.title} row {self.rows[index]}"


def _encoded(table: Any, columns: Columns) -> Any:
    """Leave the images of a table as they were encoded."""
    from datasets import Image

    chosen = table.select_columns([columns.image]).with_format(None)
    if isinstance(chosen.features[columns.image], Image):
        chosen = chosen.cast_column(columns.image, Image(decode=False))
    return chosen
