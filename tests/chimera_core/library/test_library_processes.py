"""`chimera library add` in processes of its own: killed at any instant, and two at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PICTURES = 8


@pytest.fixture(scope="module")
def work(
    tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any], killable: Callable[..., Any]
) -> Any:
    folder = tmp_path_factory.mktemp("library")
    generator = np.random.default_rng(0)
    for k in range(PICTURES):
        pixels = generator.integers(0, 256, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02d}.jpg")
    server = fork_server(sys.executable, os.environ)

    def start(name: str) -> Any:
        files = [f"{k:02d}.jpg" for k in range(PICTURES)]
        line = ["library", "add", "lion", *files, "--licence", "CC0-1.0", "--attribution", "A. Person"]
        environ = os.environ | {"CHIMERA_LIBRARY": str(folder / name), "CHIMERA_CACHE": str(folder / "cache")}
        return server.start({"arguments": line}, cwd=folder, environ=environ)

    def look(name: str) -> Callable[[str], None]:
        """Whatever is there has its terms, and is whole."""
        for path in (folder / name).rglob("*.jpg"):
            assert path.with_name(f"{path.name}.toml").read_text().count("CC0-1.0") == 1
            with Image.open(path) as picture:
                picture.load()
        return lambda err: None

    return killable(start=start, result=lambda name: contents(folder / name), folder=lambda name: folder / name, look=look)  # fmt: skip


def contents(library: Path) -> dict[str, bytes]:
    return {str(p.relative_to(library)): p.read_bytes() for p in library.rglob("*") if p.is_file()}


def test_killed_at_random_instants_no_picture_is_lost_and_none_without_its_terms(work: Any) -> None:
    work.kill_at_random_instants(few=2)
    assert len(work.result("whole")) == 2 * PICTURES


def test_two_that_add_the_same_pictures_at_once_share_them(work: Any) -> None:
    work.start_two_at_once()
