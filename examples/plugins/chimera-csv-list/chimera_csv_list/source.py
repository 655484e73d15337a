"""Images that ``images.csv`` names, a table with the columns file, class and split."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from chimera_core.api import (
    DataError,
    DatasetSource,
    Example,
    MissingDataError,
    SourceInfo,
    read_picture,
    relative_name,
)

from chimera_csv_list.plugin import CsvListConfig

_COLUMNS = ("file", "class", "split")


class CsvList(DatasetSource):
    """Reads the table at once, and images when they are asked for."""

    def __init__(self, config: CsvListConfig) -> None:
        table = config.root / "images.csv"
        if not table.is_file():
            raise MissingDataError(f"there is no {table}: name the folder of your images.csv with --root")
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except (UnicodeError, csv.Error) as error:
            raise DataError(f"{table} is not a CSV table in UTF-8: save it as one") from error
        for column in _COLUMNS:
            if not all(row.get(column) for row in rows):
                raise DataError(
                    f"{table} has a row without {column}: it needs the columns file, class, split"
                )
        # relative_name refuses names that leave the folder: a table may be a stranger's.
        files = [config.root / relative_name(row["file"]) for row in rows]
        self._rows = [(f, row["class"], row["split"]) for f, row in zip(files, rows, strict=True)]
        self._lost = tuple(f"{file}: there is no such file" for file in files if not file.is_file())
        self._classes = tuple(sorted({row["class"] for row in rows}))

    @property
    def info(self) -> SourceInfo:
        """Describe the data, without decoding an image."""
        return SourceInfo(
            name="csv-list",
            classes=self._classes,
            splits=Counter(split for file, _, split in self._rows if file.is_file()),
            unreadable=self._lost,
        )

    def open(self, split: str) -> "CsvListSplit":
        """Open a split by name."""
        rows = [(file, name) for file, name, of in self._rows if of == split and file.is_file()]
        if not rows:
            known = ", ".join(self.info.splits)
            raise DataError(f"source csv-list has no split '{split}' (it has: {known})")
        labels = tuple(self._classes.index(name) for _, name in rows)
        return CsvListSplit(tuple(file for file, _ in rows), labels)


@dataclass(frozen=True)
class CsvListSplit:
    """Files and their classes. It can be pickled, because other processes read it too."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        picture = read_picture(self.paths[index])  # upright, in sRGB; a damaged file is a DataError
        return Example(torch.tensor(picture.rgb).permute(2, 0, 1).contiguous(), self.labels[index])
