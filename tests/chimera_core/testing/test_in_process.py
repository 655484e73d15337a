"""Training, loading and making in process, and the fixtures that plugins' tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from toys.mutants import Fade, OnePicture

from chimera_core.api import (
    Draw,
    FeatureEncoder,
    FuserData,
    FusionGenerator,
    Parent,
    PluginError,
    open_source,
)
from chimera_core.plugins import discovery
from chimera_core.testing import SmallEncoder, load, make, train_encoder, train_fuser
from chimera_core.testing.pytest_plugin import (
    chimera_folders,
    draw,
    fuser_data,
    photographs,
    shapes_folder,
    small_encoder,
)

__all__ = ["chimera_folders", "draw", "fuser_data", "photographs", "shapes_folder", "small_encoder"]


@pytest.fixture
def fakes(chimera_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    info = chimera_folders / "site" / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chimera.plugins]\nfakes = chimera_core.testing.fakes.plugin\n")
    monkeypatch.syspath_prepend(str(info.parent))
    discovery._discover_once.cache_clear()
    yield chimera_folders
    discovery._discover_once.cache_clear()


@pytest.mark.slow
def test_a_fuser_is_trained_loaded_and_used(fakes: Path) -> None:
    run = train_fuser("mean-image", fakes / "one", images=32, options={"lr": 0.2})
    fuser = load(run)
    assert isinstance(fuser, FusionGenerator)
    assert make(fuser, ["disc", "square"], size=16).shape == (1, 3, 16, 16)


@pytest.mark.slow
def test_an_encoder_is_trained_and_loaded(fakes: Path) -> None:
    run = train_encoder("cnn", fakes / "two", options={"widths": (4, 8), "depth": 1}, images=16)
    encoder = load(run)
    assert isinstance(encoder, FeatureEncoder)
    assert encoder(torch.rand(1, 3, 16, 16)).shape == (1, 2)


def test_make_guards_what_a_fuser_gives(photographs: list[Parent]) -> None:
    assert make(Fade(), photographs, seeds=(1, 2), size=24).shape == (2, 3, 24, 24)
    with pytest.raises(PluginError, match=r"fuser OnePicture gave \(3, 24, 24\)"):
        make(OnePicture(), photographs[:2], size=24)


def test_fixtures_are_what_components_take(
    shapes_folder: Path, fuser_data: FuserData, small_encoder: SmallEncoder, draw: Callable[..., Draw]
) -> None:
    assert open_source("folder", root=str(shapes_folder)).info.splits == {"train": 16, "val": 8}
    images = fuser_data.images.take(torch.arange(3))
    assert small_encoder(images.float() / 255).shape == (3, 3)
    assert draw(3).uniform(2, purpose="x").shape == (3, 2)
