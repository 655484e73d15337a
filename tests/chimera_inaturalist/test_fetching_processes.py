"""`chimera library fetch` in processes of its own: killed at any instant, and two at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PICTURES = 8


@pytest.fixture
def work(service: Any, tmp_path: Path, fork_server: Callable[..., Any], killable: Callable[..., Any]) -> Any:
    service.pause_s = 0.01
    registry = f'[plugins.inaturalist.options.inaturalist]\napi = "{service.api}"\ninterval_s = 0\n'
    (tmp_path / "registry.toml").write_text(registry, encoding="utf-8")
    server = fork_server(sys.executable, os.environ)

    def start(name: str) -> Any:
        own = {"CHIMERA_LIBRARY": tmp_path / name, "CHIMERA_CACHE": tmp_path / "cache", "CHIMERA_REGISTRY": tmp_path / "registry.toml"}  # fmt: skip
        line = ["library", "fetch", "tiger", "-n", str(PICTURES)]
        return server.start(
            {"arguments": line}, cwd=tmp_path, environ=os.environ | {k: str(v) for k, v in own.items()}
        )

    def result(name: str) -> dict[str, bytes]:
        library = tmp_path / name
        files = [p for p in library.rglob("*") if p.is_file() and p.name != ".lock"]
        return {str(p.relative_to(library)): p.read_bytes() for p in files}

    def look(name: str) -> Callable[[str], None]:
        """What has come is not fetched again, and no picture is without its terms."""
        library = tmp_path / name
        waiting: set[int] = set()
        if (
            library / ".fetching/tiger/attribution.csv"
        ).exists():  # not yet cleared away, when all is in the library
            waiting = {int(p.stem) for p in library.glob(".fetching/tiger/tiger/[0-9]*")}
        for path in library.glob("tiger/*.jp*g"):
            assert "Ann" in path.with_name(f"{path.name}.toml").read_text(encoding="utf-8")
        service.requests.clear()

        def check(err: str) -> None:
            assert not set(service.fetched()) & waiting

        return check

    return killable(start=start, result=result, folder=lambda name: tmp_path / name, look=look)


def test_killed_at_random_instants_no_picture_is_lost_and_none_without_its_terms(work: Any) -> None:
    work.kill_at_random_instants(few=2)
    assert len(work.result("whole")) == 2 * PICTURES


def test_of_two_that_fetch_at_once_one_waits(work: Any) -> None:
    work.start_two_at_once()
