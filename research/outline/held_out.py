"""What training never sees, in any form; ``measure.py`` tests on it. Folders are those of the data's own README."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PAIRS = Path(__file__).parents[2] / "examples" / "parts"
_EVERY = 3
# Test cut-outs whose ground has another animal in plain sight, larger or nearly as large; seen on the grounds by eye.
_IN_COMPANY = [
    "albino-peahen",
    "bull",
    "cuckoo",
    "elephant",
    "fox",
    "gnu-stand",
    "hippopotamus",
    "koala",
    "lion",
    "owl",
    "quetzal",
    "rabbit",
    "wapiti",
    "wombat",
]
# Kinds of which training sees another stamp of Tux Paint, beside the cut-outs.
_STAMPED = {"penguin", "seagull"}
_GROUND = (384, 288)


class Tested(NamedTuple):
    """A picture (H, W, 3) uint8 with its true mask (H, W) in [0, 1]; ``group`` is its sequence or kind."""

    group: str
    name: str
    picture: NDArray[np.uint8]
    mask: NDArray[np.float64]


def held_out_photographs(data: Path) -> list[Path]:
    """Give the photographs of the pairs on which creatures are judged; nobody drew their true masks."""
    return [data / f"{name}.jpg" for name in sorted(paired()) if not name.startswith("cutouts/")]


def split_cutouts(data: Path) -> tuple[list[Path], list[Path]]:
    """Give the cut-outs to learn from, and those to test on: every third by file name.

    Those of the pairs on which creatures are judged are in neither, unless they are tested on anyway.
    """
    files = sorted((data / "cutouts").glob("*.png"))
    test = files[::_EVERY]
    away = paired()
    return [file for file in files if file not in test and f"cutouts/{file.stem}" not in away], test


@functools.cache
def paired() -> frozenset[str]:
    """Name the pictures on which creatures are judged (``cutouts/fox``), of all lists of pairs."""
    lines = [line for file in sorted(_PAIRS.glob("pairs*.txt")) for line in file.read_text().splitlines()]
    return frozenset(name for line in lines if not line.startswith("#") for name in line.split())


def test_composites(data: Path) -> Iterator[tuple[Path, Tested]]:
    """Lay each test cut-out on a camera trap's frame; gives the frame's file, too, which is kept out as well."""
    drawn = random.Random(0)
    grounds = sorted((data / "cameratrap" / "images").iterdir())
    width, height = _GROUND
    for file in split_cutouts(data)[1]:
        animal = Image.open(file).convert("RGBA")
        ground = drawn.choice(grounds)
        scale = drawn.uniform(0.45, 0.85) * min(width / animal.width, height / animal.height)
        size = (max(8, int(animal.width * scale)), max(8, int(animal.height * scale)))
        animal = animal.resize(size, Image.Resampling.LANCZOS)
        x, y = drawn.randint(0, width - size[0]), drawn.randint(0, height - size[1])
        picture = Image.open(ground).convert("RGB").resize(_GROUND)
        picture.paste(animal, (x, y), animal)
        mask = np.zeros((height, width))
        mask[y : y + size[1], x : x + size[0]] = np.asarray(animal)[..., 3] / 255
        yield ground, Tested("composites", file.stem, np.asarray(picture), mask)


def video_frames(data: Path, *, every: int = 1) -> Iterator[Tested]:
    """Give the frames of video sequences with their masks."""
    for file in sorted((data / "video-masks").glob("*.jpg"))[::every]:
        mask = np.asarray(Image.open(file.with_suffix(".png")).convert("L")) / 255
        yield Tested(file.stem.split("-")[0], file.stem, np.asarray(Image.open(file).convert("RGB")), mask)


def without_twins(data: Path) -> set[str]:
    """Name the test cut-outs of whose kind (``rabbit-2`` is a ``rabbit``) nothing is learnt from."""
    learn, test = split_cutouts(data)
    kinds = {_kind(file) for file in learn} | _STAMPED
    return {file.stem for file in test if _kind(file) not in kinds}


def in_company(data: Path) -> set[str]:
    """Name the test cut-outs that are not alone: which animal is meant there is a matter of opinion."""
    return {file.stem for file in split_cutouts(data)[1]} & set(_IN_COMPANY)


def _kind(file: Path) -> str:
    return file.stem.split("-")[0].rstrip("0123456789")
