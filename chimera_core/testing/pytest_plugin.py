"""Fixtures for the tests of plugins: ``pytest_plugins = ["chimera_core.testing.pytest_plugin"]`` in their conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chimera_core.interfaces.learner import FuserData
from chimera_core.randomness import Draw
from chimera_core.records import Parent
from chimera_core.testing.encoders import SmallEncoder
from chimera_core.testing.fixtures.shapes import write_shapes
from chimera_core.testing.pictures import draw_parents
from chimera_core.testing.training_data import draw_fuser_data


@pytest.fixture
def photographs() -> list[Parent]:
    """Three photographs drawn in code, of different shapes, each with its mask."""
    return draw_parents(3)


@pytest.fixture
def shapes_folder(tmp_path: Path) -> Path:
    """Drawn discs and squares as files, ``train`` and ``val``, for the source ``folder``."""
    return write_shapes(tmp_path / "shapes")


@pytest.fixture
def fuser_data() -> FuserData:
    """What a learner learns from: 24 drawn images of 16 pixels in memory."""
    return draw_fuser_data()


@pytest.fixture
def small_encoder() -> SmallEncoder:
    """A tiny encoder of three classes in evaluation mode, always with the same weights."""
    encoder = SmallEncoder()
    return encoder.eval()


@pytest.fixture
def draw() -> Callable[..., Draw]:
    """Make the random numbers of a batch: ``draw(6)`` for six examples, ``draw(6, step=3)``."""

    def make(count: int, *, seed: int = 0, epoch: int = 0, step: int = 0) -> Draw:
        return Draw(seed, epoch, torch.arange(count), step=step)

    return make


@pytest.fixture
def chimera_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what Chimera writes in this test's own folder: packed data, downloads, runs, pictures; gives that folder."""
    for name in ("CACHE", "ASSETS", "RUNS", "LIBRARY"):
        monkeypatch.setenv(f"CHIMERA_{name}", str(tmp_path / name.lower()))
    from chimera_core.plugins import discovery

    discovery._discover_once.cache_clear()
    monkeypatch.chdir(tmp_path)
    return tmp_path
