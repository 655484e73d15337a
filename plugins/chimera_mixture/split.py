"""One split of a mixture: parts of its members' splits, one after the other, nothing copied."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from chimera_core.api import DataError, Example, ShapeError, Split, cut, parse_box

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Some images of one split, with the class, domain and crop that they get."""

    split: Split
    indices: Sequence[int]
    label: int
    domain: int
    crop: str
    box: Box | None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, k: int) -> Example:
        """Decode image k of this part."""
        index = self.indices[k]
        image = self.split[index].image
        box = parse_box(self.crop, image.shape[1], image.shape[2]) if self.crop else self.box
        if box is not None:
            try:
                image = cut(image, box)
            except ShapeError as error:
                paths = getattr(self.split, "paths", None)
                raise DataError(f"{paths[index] if paths else f'image {index}'}: {error}") from error
        return Example(image, self.label, self.domain)


class MixedSplit:
    """One split of a mixture: the members' images one after the other.

    ``paths`` is there if every member's split has it.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._starts = [0, *itertools.accumulate(len(part) for part in parts)]
        self.labels: Sequence[int] = _Joined([(_Same(p.label), range(len(p))) for p in parts])
        self.domains: Sequence[int] = _Joined([(_Same(p.domain), range(len(p))) for p in parts])
        paths = [getattr(part.split, "paths", None) for part in parts]
        if all(paths):  # none, or nothing: of images that are not files of their own
            self.paths: Sequence[Path] = _Joined(
                [(p, part.indices) for p, part in zip(paths, parts, strict=True) if p]
            )

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Example:
        """Decode one image, cropped as its member says.

        Raises:
            DataError: if its file cannot be read, or the crop misses it.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = bisect.bisect_right(self._starts, index) - 1
        return self._parts[part][index - self._starts[part]]


@dataclass(frozen=True)
class _Same(Generic[T]):
    """Gives the same value for every index."""

    value: T

    def __getitem__(self, index: int) -> T:
        return self.value


class _Joined(Sequence[T]):
    """Picks from several sequences, one after the other, without copying them."""

    def __init__(self, parts: Sequence[tuple[Any, Sequence[int]]]) -> None:
        self._parts = parts
        self._starts = [0, *itertools.accumulate(len(indices) for _, indices in parts)]

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        index = index + len(self) if index < 0 else index
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = bisect.bisect_right(self._starts, index) - 1
        values, indices = self._parts[part]
        return values[indices[index - self._starts[part]]]

    def __iter__(self) -> Any:
        for values, indices in self._parts:
            yield from (values[index] for index in indices)
