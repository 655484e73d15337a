from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chimera_core.plugins.discovery import PluginHost, discover
from chimera_core.plugins.entries import CollectionEntry
from chimera_core.plugins.registry import Registry
from chimera_core.plugins.settings import read_settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """A few pictures in the layout of Tux Paint's stamps."""
    folder = tmp_path / "stamps"
    for name in (
        "animals/birds/rooster.png",
        "animals/birds/heron_greatblue.png",
        "animals/birds/cartoon/penguin.png",
        "animals/mammals/horse.png",
        "animals/mammals/giraffe.png",
        "animals/mammals/rhino_black.png",
        "animals/mammals/wolf.png",
        "animals/mammals/cats/lion.png",
        "animals/mammals/cats/lion-2.png",
        "animals/mammals/cats/cartoon/lion.png",
        "animals/mammals/horse_mirror.png",
        "seasonal/horse.png",
        "seasonal/bunny-egg.png",
        "symbols/star.png",
    ):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cutout(file)
    (folder / "animals/birds/rooster.txt").write_text("A colorful rooster.\nde.utf8=Ein bunter Hahn.\n")
    (folder / "animals/birds/rooster.dat").write_text("colorable\n")
    (folder / "animals/birds/swallow.svg").write_text("<svg/>")
    (folder / "animals/birds/swallow.txt").write_text("A swallow.\n")
    return folder


def cutout(file: Path, *, side: int = 120, colour: tuple[int, int, int] = (180, 90, 30)) -> Path:
    """Write a disc on transparent ground, as the stamps are cut out."""
    from PIL import ImageDraw

    image = Image.new("RGBA", (side, side), (0, 255, 0, 0))
    ImageDraw.Draw(image).ellipse((side // 4, side // 4, 3 * side // 4, 3 * side // 4), fill=(*colour, 255))
    image.save(file)
    return file


@pytest.fixture
def make_host(root: Path, stamps: Path) -> Callable[..., PluginHost]:
    """Make a host with this test's library and stamps, and no others."""
    entry = CollectionEntry(
        title="Tux Paint",
        folders=(str(stamps),),
        parts=("animals", "seasonal"),
        licence="GPL-2.0-or-later",
        attribution="Tux Paint stamps",
        home_page="https://tuxpaint.org/",
    )

    def make(*points: EntryPoint, **registry: Any) -> PluginHost:
        settings = read_settings({"CHIMERA_LIBRARY": str(root)}, Path("no-such-file"))
        return discover(settings, Registry(collections={"tuxpaint": entry}, **registry), points)

    return make
