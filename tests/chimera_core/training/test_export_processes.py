"""`chimera encoder export` and `chimera fuser export` in processes of their own: killed at any instant, and two at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.files.leftovers import is_temporary

TRAINING = [
    "--source",
    "folder",
    "--size",
    "16",
    "--batch",
    "8",
    "--images",
    "48",
    "--precision",
    "fp32",
    "--device",
    "cpu",
]
KINDS = {
    "encoder": ["--encoder", "tiny", "--encoder.width", "400", "--trainer", "plain"],
    "fuser": ["mean-image", "--fuser.tables", "8", "--judge", "none"],
}


@pytest.fixture(scope="module")
def export(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_site: Path,
    pictures: Path,
    fork_server: Callable[..., Any],
    killable: Callable[..., Any],
) -> Callable[[str], Any]:
    folder = tmp_path_factory.mktemp("exporting")
    environ = os.environ | {
        "PYTHONPATH": str(tiny_site),
        "CHIMERA_CACHE": str(folder / "cache"),
        "CHIMERA_RUNS": str(folder / "runs"),
        "OMP_NUM_THREADS": "1",
    }
    server = fork_server(sys.executable, environ)

    def work(kind: str) -> Any:
        line = [kind, "train", *KINDS[kind], *TRAINING, "--source.root", str(pictures), "--run", kind]
        done = server.run({"arguments": line}, cwd=folder, environ=environ)
        assert done.returncode == 0, done.stderr

        def start(name: str) -> Any:
            place(name).mkdir(exist_ok=True)
            line = [kind, "export", kind, "-o", str(place(name) / "out.safetensors"), "--dtype", "fp32"]
            return server.start({"arguments": line}, cwd=folder, environ=environ)

        def place(name: str) -> Path:
            return folder / f"{kind}-{name}"

        def contents(name: str) -> dict[str, bytes]:
            return {p.name: p.read_bytes() for p in place(name).iterdir()}

        def look(name: str) -> Callable[[str], None]:
            """Half a file never has the name of the whole one."""
            assert contents("whole").items() >= {
                (k, v) for k, v in contents(name).items() if not is_temporary(k)
            }
            return lambda err: None

        return killable(start=start, result=contents, folder=place, look=look)

    return work


@pytest.fixture(scope="module", params=KINDS)
def work(request: pytest.FixtureRequest, export: Callable[[str], Any]) -> Any:
    return export(request.param)


def test_killed_at_random_instants_the_file_is_whole_or_not_there(work: Any) -> None:
    work.kill_at_random_instants(few=2)


def test_two_that_export_to_one_file_at_once_leave_a_whole_one(work: Any) -> None:
    work.start_two_at_once()
