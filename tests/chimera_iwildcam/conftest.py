"""Folders in iWildCam's layout, and wilds itself to compare with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
from chimera_iwildcam.wilds_package import import_dataset_class

from chimera_core.testing.fixtures.iwildcam import write_iwildcam


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten cameras, thirteen classes, all five splits; read only."""
    return write_iwildcam(tmp_path_factory.mktemp("iwildcam"), locations=10, classes=13, height=24)


@pytest.fixture(scope="session")
def wilds(root: Path) -> Any:
    """The reference: wilds' own data set, opened by wilds."""
    return import_dataset_class()(root_dir=str(root), download=False)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(root, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def edit(copy: Path) -> Callable[[Callable[[pandas.DataFrame], pandas.DataFrame | None]], Path]:
    """Change the table of the copy; the root of the copy."""

    def change(how: Callable[[pandas.DataFrame], pandas.DataFrame | None]) -> Path:
        path = copy / "iwildcam_v2.0" / "metadata.csv"
        table = pandas.read_csv(path, dtype=str)
        changed = how(table)
        (table if changed is None else changed).to_csv(path, index=False)
        return copy

    return change
