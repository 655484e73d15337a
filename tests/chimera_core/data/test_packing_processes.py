"""`chimera source prepare` in processes of its own: killed at any instant, and two at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def work(
    tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any], killable: Callable[..., Any]
) -> Any:
    folder = tmp_path_factory.mktemp("packing")
    _draw_pictures(folder / "images")
    server = fork_server(sys.executable, os.environ | {"OMP_NUM_THREADS": "1"})

    def start(name: str) -> Any:
        line = ["source", "prepare", "folder", "--root", str(folder / "images")]
        line += ["--size", "48", "--workers", "2"]
        environ = os.environ | {"CHIMERA_CACHE": str(folder / name), "OMP_NUM_THREADS": "1"}
        return server.start({"arguments": line}, cwd=folder, environ=environ)

    def result(name: str) -> dict[str, bytes]:
        (packed,) = (folder / name).glob("folder-*")
        return {path.name: path.read_bytes() for path in packed.iterdir()}

    def look(name: str) -> Callable[[str], None]:
        """Blocks that were done are not done again: their files are the very same."""
        done = {_inode(p.with_suffix(".npy")) for p in (folder / name).rglob("*-0*.json")}

        def check(err: str) -> None:
            assert done <= {_inode(p) for p in (folder / name).rglob("*.npy")}

        return check

    return killable(start=start, result=result, folder=lambda name: folder / name, look=look)


def test_killed_at_random_instants_it_goes_on_to_the_same_bytes(work: Any) -> None:
    work.kill_at_random_instants(few=2)


def test_of_two_that_prepare_at_once_one_waits_and_both_have_it(work: Any) -> None:
    work.start_two_at_once()


def _inode(path: Path) -> int:
    return path.stat().st_ino


def _draw_pictures(root: Path) -> None:
    """Draw so many noisy pictures that a kill falls between blocks."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 1200), ("val", 240)):
        for k in range(count):
            path = root / split / ("cat" if k % 3 else "dog") / f"{k:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (70 + k % 7, 75, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path, compress_level=1)
