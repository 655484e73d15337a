"""Some domains of a source, as a source: a study of ten cameras need not decode the images of three hundred."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.interfaces.components import DatasetSource, Split, own_mask
from chimera_core.records import Example, SourceInfo

if TYPE_CHECKING:
    from torch import Tensor


class DomainsOfSource(DatasetSource):
    """The images of some domains, in their order; classes and domains are those of the whole.

    Args:
        source: the whole.
        names: of domains that it has.
    """

    def __init__(self, source: DatasetSource, names: Sequence[str]) -> None:
        self.source = source
        self.names = tuple(names)
        self._splits: dict[str, _Part] = {}

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the whole, but for the number of images."""
        whole = self.source.info
        return dataclasses.replace(whole, splits={name: len(self.open(name)) for name in whole.splits})

    def open(self, split: str) -> _Part:
        """Open one split; see ``DatasetSource``."""
        if split not in self._splits:
            known = self.source.info.domains
            wanted = {known.index(name) for name in self.names}
            self._splits[split] = _Part(self.source.open(split), wanted)
        return self._splits[split]

    def files(self, split: str) -> Sequence[Path]:
        """List the files that these images are read from, tables of the whole among them."""
        part = self.open(split)
        elsewhere = {*getattr(part.split, "paths", ())} - {*getattr(part, "paths", ())}
        return [path for path in self.source.files(split) if path not in elsewhere]

    def made_of(self) -> Any:
        """Return which domains they are; see ``DatasetSource``."""
        return [self.source.made_of(), list(self.names)]


class _Part:
    """The examples of a split that are of some domains."""

    def __init__(self, split: Split, wanted: set[int]) -> None:
        self.split = split
        domains = getattr(split, "domains", None) or [0] * len(split)
        self._kept = [index for index, domain in enumerate(domains) if int(domain) in wanted]
        labels = split.labels
        self.labels = [int(labels[index]) for index in self._kept]
        self.domains = [int(domains[index]) for index in self._kept]
        paths = getattr(split, "paths", None)
        if paths:
            self.paths = [paths[index] for index in self._kept]

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Example:
        return self.split[self._kept[index]]

    def mask(self, index: int) -> Tensor | None:
        return own_mask(self.split, self._kept[index])
