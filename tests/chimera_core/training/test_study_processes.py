"""``chimera encoder study`` in processes of its own: killed or interrupted, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.training.parts.metrics import TIMINGS, read_metrics

ARGUMENTS = [
    "--source",
    "folder",
    "--encoder",
    "cnn",
    "--encoder.widths",
    "4",
    "--encoder.depth",
    "1",
    "--size",
    "16",
    "--batch",
    "8",
    "--precision",
    "fp32",
    "--device",
    "cpu",
    "--epochs",
    "40",
    "--checkpoint-images",
    "120",
]


Start = Callable[..., Any]


@pytest.fixture(scope="module")
def start(
    tmp_path_factory: pytest.TempPathFactory, make_pictures: Callable[..., Path], fork_server: Start
) -> Start:
    """Start the command on three domains: one to learn from, one with few images, one with a single class."""
    folder = tmp_path_factory.mktemp("study")
    for name, classes, each in (("a", 3, 20), ("b", 2, 3), ("c", 1, 20), ("d", 2, 30)):
        make_pictures(folder / "cameras" / name, classes=classes, train=each, val=0, flat=True)
    environ = os.environ | {"CHIMERA_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    environ |= {"CHIMERA_RUNS": str(folder / "runs")}
    server = fork_server(sys.executable, environ)

    def call(*arguments: object) -> Any:
        line = ["encoder", "study", *map(str, arguments)]
        return server.start({"arguments": line}, cwd=folder, environ=environ)

    return call


def new(run: Path) -> list[object]:
    return [*ARGUMENTS, "--source.root", "cameras", "--run", run]


def finish(process: Any) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for_metrics(folder: Path, process: Any) -> None:
    path, end = folder / "metrics.jsonl", time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if path.exists() and path.stat().st_size > 0:
            return
        time.sleep(0.003)


def without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_timings(v) for k, v in value.items() if k != "wall_s"}
    return [without_timings(v) for v in value] if isinstance(value, list) else value


def table_of(run: Path) -> Any:
    return without_timings(json.loads((run / "study.json").read_text()))


def assert_same(one: Path, two: Path) -> None:
    assert table_of(one) == table_of(two)
    for domain in ("a", "d"):
        weights = [run / "domains" / domain / "checkpoints" / "best.safetensors" for run in (one, two)]
        assert weights[0].read_bytes() == weights[1].read_bytes(), domain
        lines = [
            [{k: v for k, v in x.items() if k not in TIMINGS} for x in read_metrics(run / "domains" / domain)]
            for run in (one, two)
        ]
        assert lines[0] == lines[1], domain


@pytest.fixture(scope="module")
def whole(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    code, out, err = finish(start(*new(run), "--json"))
    assert code == 0, err
    assert without_timings(json.loads(out))["rows"] == table_of(run)["rows"]
    return run


def test_two_domains_are_studied_and_two_say_why_not(whole: Path) -> None:
    rows = {row["domain"]: row for row in table_of(whole)["rows"]}
    assert [rows[name]["status"] for name in "abcd"] == ["ok", "n/a", "n/a", "ok"]
    assert rows["b"]["reason"].startswith("6 images, fewer than") and "one class" in rows["c"]["reason"]
    # The pictures are coloured by class: a network that learns anything beats guessing.
    assert rows["d"]["accuracy"] > rows["d"]["majority"]


def test_a_study_that_was_stopped_goes_on_to_the_same_table(
    start: Start, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(*new(run))
    stops = (("a", signal.SIGKILL, -signal.SIGKILL, "pending"), ("d", signal.SIGTERM, 130, "ok"))
    for domain, number, expected, first in stops:
        wait_for_metrics(run / "domains" / domain, process)
        process.send_signal(number)
        code, _, err = finish(process)
        assert code == expected, err
        assert [row["status"] for row in table_of(run)["rows"]] == [first, "n/a", "n/a", "pending"]
        process = start("--run", run, "--resume")
    assert "interrupted; go on with --run" in err and "Traceback" not in err
    code, _, err = finish(process)
    assert code == 0, err
    assert "chimera: d: going on from" in err and "chimera: a:" not in err
    assert_same(whole, run)
