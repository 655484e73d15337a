"""Some domains of a source, as a source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core.data.domains import DomainsOfSource
from chimera_core.data.fingerprint import folder_name
from chimera_core.data.packing import pack
from chimera_core.interfaces.components import DatasetSource
from chimera_core.records import Example, SourceInfo


class Pictures:
    """Six grey images; image k is as bright as k, and every other one is of domain b."""

    def __init__(self, folder: Path) -> None:
        self.labels = [0, 1, 0, 1, 1, 0]
        self.domains = [0, 1, 0, 1, 0, 1]
        self.paths = [folder / f"{k}.txt" for k in range(6)]

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Example:
        image = torch.full((3, 8, 8), int(self.paths[index].read_text()), dtype=torch.uint8)
        return Example(image, self.labels[index], self.domains[index])


class Source(DatasetSource):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for k in range(6):
            (folder / f"{k}.txt").write_text(str(k))
        (folder / "table.csv").write_text("labels")

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("grey", ("x", "y"), {"train": 6, "test": 6}, domains=("a", "b"))

    def open(self, split: str) -> Pictures:
        return Pictures(self.folder)

    def files(self, split: str) -> Sequence[Path]:
        return [self.folder / "table.csv", *self.open(split).paths]


def packing(*domains: str) -> dict[str, Any]:
    known = {
        "format": 1,
        "source": "grey",
        "plugin": "p",
        "version": "1",
        "options": {},
        "size": 8,
        "fit": "crop",
    }
    return {**known, **({"domains": list(domains)} if domains else {})}


@pytest.fixture
def part(tmp_path: Path) -> DomainsOfSource:
    (tmp_path / "data").mkdir()
    return DomainsOfSource(Source(tmp_path / "data"), ["b"])


def test_only_its_images_are_counted_listed_and_read(part: DomainsOfSource) -> None:
    assert part.info.splits == {"train": 3, "test": 3} and part.info.domains == ("a", "b")
    split = part.open("train")
    assert split.labels == [1, 1, 0] and split.domains == [1, 1, 1]
    assert [int(split[k].image[0, 0, 0]) for k in range(3)] == [1, 3, 5]
    assert [path.name for path in part.files("train")] == ["table.csv", "1.txt", "3.txt", "5.txt"]


def test_it_is_packed_by_itself_and_stays_when_another_domain_changes(
    part: DomainsOfSource, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    packed = pack(part, packing("b"), cache, workers=0)
    assert packed.splits["train"].take(torch.tensor([2, 0]))[:, 0, 0, 0].tolist() == [5, 1]
    assert packed.domains == ("a", "b") and packed.splits["train"].domains.tolist() == [1, 1, 1]
    assert folder_name(packing("b")) != folder_name(packing()) != folder_name(packing("a"))
    for name, is_same in (("0.txt", True), ("1.txt", False)):
        (part.source.folder / name).write_text("99")  # type: ignore[attr-defined]
        again = pack(DomainsOfSource(part.source, ["b"]), packing("b"), cache, workers=0)
        assert (again.content == packed.content) == is_same
