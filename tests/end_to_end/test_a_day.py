"""A day of a user with everything that disturbs it ends as one that nothing disturbed."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from toys.forked_workers import FORKED_WORKERS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.timeout(900)
def test_a_slow_folder_a_full_disk_kills_moved_data_and_swapping_change_no_byte(
    tmp_path: Path, fork_server: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    day = runpy.run_path(str(BENCHMARKS / "a_day.py"))
    hook = tmp_path / "day" / "hook"
    hook.mkdir(parents=True)
    (hook / "sitecustomize.py").write_text(day["SLOW_HOOK"])
    environ = os.environ | {"PYTHONPATH": day["hooked"](hook), "OMP_NUM_THREADS": "1"}
    server = fork_server(sys.executable, environ)

    def start(arguments: list[str], cwd: Path, environ: Mapping[str, str]) -> Any:
        code = FORKED_WORKERS if arguments[0] == "compare" else ""
        return server.start({"code": code, "arguments": arguments}, cwd=cwd, environ=environ)

    code = day["main"](["--files", "60", "--images", "384", "--folder", str(tmp_path / "day")], start)
    lines = capsys.readouterr().out.splitlines()
    assert code == 0, "\n".join(lines)
    assert lines[-1] == "both days end in the same bytes"
    # What makes the day worth living: these came in time.
    hit = {line[10:42].strip() for line in lines if "was through before" not in line}
    assert {"prepare: the disk is full", "encoder: killed", "encoder: the data are gone"} <= hit
