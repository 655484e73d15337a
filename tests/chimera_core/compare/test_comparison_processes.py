"""`chimera compare` in processes of its own: killed at any instant, and two at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys.forked_workers import FORKED_WORKERS

from chimera_core.compare.experiment.cells import read_record

EXPERIMENT = """name = "small"
size = 16
seeds = [0, 2, 4]
weights = [[1, 0], [0.5, 0.5]]
[parents]
tuples = [["a.png", "b.png"]]
[judge]
encoder = "cnn"
[fusers.mix]
fuser = "faulty"
options = { pause_s = 0.1 }
[fusers.cut-and-blend]
fuser = "cut-and-blend"
options = { subject = "ellipse" }
"""
# Judges that take no time and call every creature half good.
CODE = """
from chimera_core.compare import run
from chimera_core.compare.figures import scoring

def measure(card, comparison, parents, cells, missing, missing_sets, kept, folder):
    figure = {"value": 0.5, "n": 8, "extractor": "a judge", "reason": None}
    kept["cells"].update({cell.id: {"score": figure, "log_odds": figure} for cell in missing})
    kept["sets"].update({scoring._set_key(cells[fuser]): {"ignores-weights": figure} for fuser in missing_sets})

run.open_scorecard = scoring.open_scorecard = lambda comparison, device: True
scoring._measure = measure
"""


@pytest.fixture(scope="module")
def work(
    tmp_path_factory: pytest.TempPathFactory,
    faulty_site: Path,
    fork_server: Callable[..., Any],
    killable: Callable[..., Any],
) -> Any:
    folder = tmp_path_factory.mktemp("comparing")
    generator = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / name)
    environ = os.environ | {
        "PYTHONPATH": str(faulty_site),
        "CHIMERA_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    server = fork_server(sys.executable, environ)

    def start(name: str) -> Any:
        path = folder / "small.toml"
        path.write_text(EXPERIMENT)
        line = ["compare", str(path), "--run", str(folder / name), "--jobs", "2", "--device", "cpu"]
        return server.start({"code": FORKED_WORKERS + CODE, "arguments": line}, cwd=folder, environ=environ)

    def records(name: str) -> dict[str, Any]:
        cells = [p.stem for p in (folder / name / "cells").glob("*.json")]
        return {cell: record for cell in cells if (record := read_record(folder / name, cell)) is not None}

    def result(name: str) -> dict[str, Any]:
        run = folder / name
        document = json.loads((run / "comparison.json").read_text())
        for fuser in document["fusers"]:
            del fuser["cost"]
        for cell in document["cells"]:
            del cell["wall_s"]
        made = {key: value for key, value in document.items() if key not in ("created", "command")}
        pictures = {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*.png")}
        status = json.loads((run / "run.json").read_text())["status"]
        return {"made": made, "status": status, "rows": (run / "results.csv").read_bytes(), **pictures}

    def look(name: str) -> Callable[[str], None]:
        """A cell that has a record is not made again: it took the same time to the digit."""
        done = {cell: record["wall_s"] for cell, record in records(name).items()}

        def check(err: str) -> None:
            assert done.items() <= {cell: record["wall_s"] for cell, record in records(name).items()}.items()

        return check

    return killable(start=start, result=result, folder=lambda name: folder / name, look=look, alone="compared")  # fmt: skip


def test_killed_at_random_instants_no_cell_is_lost_and_the_tables_are_the_same(work: Any) -> None:
    work.kill_at_random_instants(few=2)


def test_of_two_that_compare_at_once_one_is_sent_away(work: Any) -> None:
    work.start_two_at_once()
