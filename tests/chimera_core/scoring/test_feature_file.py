"""Features in a mapped file: whole or not at all, and nothing in it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from chimera_core.errors import DataError, ShapeError
from chimera_core.scoring.judge.feature_file import open_features, write_features


def test_features_are_written_as_they_come_and_mapped(tmp_path: Path) -> None:
    features = torch.randn(50, 4)
    path = tmp_path / "new" / "features.npy"
    mapped = write_features(path, (b for b in features.split(7)), n=50)
    assert torch.equal(mapped, features) and torch.equal(open_features(path), features)
    mapped[0] = 0  # a copy in memory: the file stays
    assert torch.equal(open_features(path), features)


@pytest.mark.parametrize("batches", [[(3, 4)], [(3, 4), (9, 4)], [(3, 4), (7, 5)], []])
def test_a_file_that_is_not_what_was_announced_is_not_there(
    tmp_path: Path, batches: list[tuple[int, int]]
) -> None:
    path = tmp_path / "features.npy"
    with pytest.raises(ShapeError):
        write_features(path, (torch.zeros(shape) for shape in batches), n=10)
    assert list(tmp_path.iterdir()) == []


def test_damage_and_strange_files_are_said(tmp_path: Path) -> None:
    path = tmp_path / "features.npy"
    write_features(path, [torch.zeros(10, 4)], n=10)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"features\.npy' holds no features"):
        open_features(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="holds no features"):
        open_features(path)
    np.save(path, np.zeros((3, 2), dtype=np.float64))
    with pytest.raises(DataError, match="holds no features"):
        open_features(path)
