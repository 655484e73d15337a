"""The ``inaturalist`` source: photographs of animals, each with its licence in ``attribution.csv``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from chimera_core.api import (
    DataError,
    DatasetSource,
    Example,
    MissingDataError,
    SourceInfo,
    default_data_root,
    describe_folder,
    read_picture,
)
from chimera_inaturalist.config import InaturalistConfig, read_licences, read_taxa
from chimera_inaturalist.download import bring
from chimera_inaturalist.manifest import MANIFEST, Row, read_rows
from chimera_inaturalist.plugin import HOME_PAGE, LICENCE

SPLITS = ("train", "val")
_VAL_TENTHS = 1


class InaturalistSource(DatasetSource):
    """Photographs in the classes that were asked for, in the splits ``train`` (nine tenths) and ``val``.

    What ``attribution.csv`` does not list, or lists under a licence that is not asked for, is left out.
    """

    def __init__(self, config: InaturalistConfig) -> None:
        self.root = _root_of(config)
        self._licences = read_licences(config.licences)
        rows, self._strange = read_rows(self.root)
        asked = read_taxa(config.taxa)
        listed = [row for row in rows.values() if not asked or row.class_name in asked]
        free = [row for row in listed if row.licence in self._licences]
        self._rows = sorted(
            (row for row in free if os.path.isfile(self.root / row.file)),
            key=lambda row: (row.class_name, int(row.photo_id)),
        )
        self._other_licences, self._not_here = len(listed) - len(free), len(free) - len(self._rows)
        here = {row.class_name for row in self._rows}
        missing = [name for name in asked if name not in here]
        if missing or not here:
            raise MissingDataError(self._what_is_missing(missing, config), downloadable=bool(asked))
        self.classes = tuple(sorted(here))

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the photographs by their table."""
        counts = ", ".join(
            f"{name} ({sum(row.class_name == name for row in self._rows)})" for name in self.classes
        )
        notes = [f"{len(self._rows)} photographs in '{self.root}': {counts}; terms in {MANIFEST}"]
        for count, what in (
            (self._other_licences, f"under other licences than {', '.join(self._licences)}, left out"),
            (self._not_here, f"listed in {MANIFEST} but not here; downloading again brings them"),
            (self._strange, f"lines of {MANIFEST} that make no sense, left out"),
        ):
            if count:
                notes.append(f"{what}: {count}")
        return SourceInfo(
            name="inaturalist",
            classes=self.classes,
            splits={split: len(rows) for split in SPLITS if (rows := self._rows_of(split))},
            licence=LICENCE,
            home_page=HOME_PAGE,
            notes=tuple(notes),
        )

    def open(self, split: str) -> Photographs:
        """Open a split; see ``DatasetSource``."""
        rows = self._rows_of(split)
        if not rows:
            raise DataError(f"inaturalist has no split '{split}' (it has: {', '.join(self.info.splits)})")
        return Photographs(
            paths=tuple(self.root / row.file for row in rows),
            labels=tuple(self.classes.index(row.class_name) for row in rows),
        )

    @classmethod
    def download(cls, config: InaturalistConfig, *, progress: Callable[[float, float], None]) -> None:
        """Bring photographs where ``config`` looks; see ``DatasetSource``."""
        bring(config, _root_of(config), progress=progress)

    def _rows_of(self, split: str) -> list[Row]:
        return [row for row in self._rows if split_of(row.observation_id) == split]

    def _what_is_missing(self, missing: list[str], config: InaturalistConfig) -> str:
        names = config.taxa or "lion,tiger"
        why = f"{self._other_licences} under other licences" if self._other_licences else ""
        why = why or describe_folder(self.root)
        return (
            f"no photographs of {', '.join(missing) or 'animals'} in '{self.root}' ({why}): "
            f'`chimera source prepare inaturalist --taxa "{names}" --download` brings them'
        )


@dataclass(frozen=True)
class Photographs:
    """A split of photographs in their own sizes; they are decoded when they are asked for."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        """Decode one photograph: uint8 RGB (3, H, W), transparent parts white."""
        rgb = read_picture(self.paths[index]).on_white()
        return Example(torch.from_numpy(rgb.copy()).permute(2, 0, 1), self.labels[index])


def split_of(observation_id: str) -> str:
    """Return which split an observation belongs to, now and after any other download: about a tenth is ``val``.

    All photographs of one observation are of one animal at one moment: on both sides they would make it easy.
    """
    return SPLITS[hashlib.sha256(observation_id.encode()).digest()[0] % 10 < _VAL_TENTHS]


def _root_of(config: InaturalistConfig) -> Path:
    return Path(os.path.expanduser(config.root)) if config.root else default_data_root("inaturalist")
