"""`chimera compare` from file to tables: resumed, killed, interrupted, unchanged; results as scripts read them."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from toys.forked_workers import FORKED_WORKERS

from chimera_core.compare.estimate import estimate_cost
from chimera_core.compare.experiment.plan import Comparison, check_experiment
from chimera_core.compare.figures.scoring import Scores
from chimera_core.compare.making.work import Working
from chimera_core.errors import DataError
from chimera_core.plugins.discovery import default_host
from chimera_core.report.reading import read_comparison
from chimera_core.report.record import ComparisonRecord
from chimera_core.runs.record import work_in

Write = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]
COLUMNS = ["cell", "fuser", "preset", "encoder", "trainer", "parents", "weights", "seed", "metric", "value", "n", "extractor", "status", "error"]  # fmt: skip


# Without looking for animals, which takes seconds.
ELLIPSE = '[fusers.cut-and-blend]\nfuser = "cut-and-blend"\noptions = { subject = "ellipse" }\n'


def figure(value: float | None, reason: str | None = None) -> dict[str, Any]:
    return {"value": value, "n": 8, "extractor": "a judge", "reason": reason}


def red_and_blue(comparison: Comparison, made: Any, folder: Path, **_: Any) -> tuple[Scores, int]:
    """Stand in for the judges: the score is the redness, the log-odds how much more blue than red there is."""
    scores = Scores()
    for cell in comparison.all_cells:
        if cell.id in made:
            with Image.open(folder / made[cell.id]["image"]) as picture:
                red, _, blue = (
                    v / 255 for v in picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
                )  # type: ignore[union-attr]
            scores.cells[cell.id] = {
                "score": figure(red),
                "log_odds": figure(blue - red),
                "realism": figure(None, "no reference"),
            }
            scores.sets[cell.fuser, cell.tuple_id] = {"ignores-weights": figure(float(cell.fuser == "copy"))}
    return scores, len(comparison.tuples)


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chimera_core.compare.run.score_cells", red_and_blue)
    monkeypatch.setattr("chimera_core.compare.run.open_scorecard", lambda comparison, device: None)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_an_experiment_becomes_tables_and_going_on_computes_nothing(
    experiment: Write, place: Path, coloured: None, here: Here
) -> None:
    text = '[fusers.mix]\nfuser = "faulty"\noptions = { failure = "raises" }\n' + ELLIPSE
    path = experiment(
        ('[["a.png", "b.png"]]', '[["a.png", "b.png"], ["b.png", "a.png"], ["lion", "zebra"]]'),
        ("[0.5, 0.5]]", "[0.5, 0.5], [0, 1]]"),
        fusers=text,
    )
    code, out, err = here("compare", path, "--jobs", "1", "--json")
    assert code == 0, err
    message = json.loads(out)
    run = place / "runs" / "small"
    assert message["run"] == str(run) and (
        message["cells"],
        message["failed"],
        message["not_applicable"],
    ) == (90, 6, 30)
    assert message["made"] == 60

    document = json.loads((run / "comparison.json").read_text())
    assert document.keys() == ComparisonRecord.model_fields.keys()
    assert read_comparison(run).model_dump(mode="json") == document
    fusers = {f["id"]: f for f in document["fusers"]}
    assert set(fusers) == {"mix", "copy", "pixel-average", "collage", "cut-and-blend"}
    assert fusers["mix"]["warnings"][0] == "6 of 18 cells failed; figures are of the others"
    assert fusers["copy"]["warnings"][-1] == "ignores-weights" and fusers["copy"]["is_control"]
    assert fusers["mix"]["cost"]["seconds_per_image"] > 0 and fusers["mix"]["cost"]["device"] == "cpu"
    cells = document["cells"]
    assert Counter(c["status"] for c in cells) == {"ok": 54, "failed": 6, "n/a": 30}
    for cell in cells:
        assert (cell["image"] is not None and (run / cell["image"]).is_file()) == (cell["status"] == "ok")
    assert all((run / image).is_file() for t in document["tuples"][:2] for image in t["images"])
    assert document["tuples"][2] == {"id": 2, "labels": ["lion", "zebra"], "images": [None, None]}
    # The mean of the two parents' redness, whoever mixes their pixels half and half.
    ranking = {place["fuser"]: place for place in document["ranking"]}
    assert ranking["pixel-average"]["mean"] == pytest.approx(ranking["mix"]["mean"], abs=0.03)
    assert ranking["pixel-average"]["pairs"] == 2 and ranking["mix"]["seeds"] == 1
    assert [p["rank"] for p in document["ranking"]] == [1, 2, 3, 4, 5]
    sweep = next(s for s in document["sweeps"] if s["fuser"] == "copy")
    assert sweep["share"] == [0.0, 0.5, 1.0] and sweep["position"][0] == pytest.approx(0, abs=0.01)

    rows = json.loads((run / "results.json").read_text())
    assert list(rows[0]) == COLUMNS
    assert Counter((r["metric"], r["status"]) for r in rows if r["fuser"] == "mix") == {
        ("score", "ok"): 6, ("log_odds", "ok"): 6, ("realism", "n/a"): 6, ("score", "failed"): 6, ("score", "n/a"): 6,
    }  # fmt: skip
    assert all((r["value"] is None) == (r["status"] != "ok") for r in rows)
    with open(run / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows) and json.loads(table[0]["weights"]) == rows[0]["weights"]
    with open(run / "summary.csv", newline="") as file:
        assert {row["metric"] for row in csv.DictReader(file)} == {"score", "log_odds"}

    with open(run / "axes.csv", newline="") as file:
        assert list(csv.DictReader(file)) == []

    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.name != ".lock"}
    code, out, err = here("compare", run / "config.toml", "--run", run, "--json")
    assert code == 0 and json.loads(out)["made"] == 0 and "nothing has changed" in err
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.name != ".lock"} == before


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers", "few_views")
def test_a_dry_run_leaves_nothing_behind(experiment: Write, place: Path, here: Here) -> None:
    text = '[fusers.mix]\nfuser = "faulty"\noptions = { pause_s = 0.2 }\n'
    code, out, err = here(
        "compare", experiment(("[0, 1]", "[0, 2, 4, 6]"), fusers=text), "--dry-run", "--json", "--jobs", "1"
    )
    assert code == 0, err
    found = json.loads(out)
    assert (found["cells"], found["waiting"], found["fusers"]["mix"]) == (40, 40, 8)
    assert 8 * 0.2 <= found["seconds"] < 8 * 2
    assert found["measuring_s"] > 0
    assert not (place / "runs").exists()


def test_the_estimate_of_measuring_counts_tuples_and_pictures_or_gives_the_reason(
    experiment: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = experiment(('[["a.png", "b.png"]]', '[["a.png", "b.png"], ["b.png", "a.png"]]'))
    checked = check_experiment(path, default_host())
    working = Working(jobs=1, device="cpu")
    monkeypatch.setattr("chimera_core.compare.estimate.make_cells", lambda *args: None)
    monkeypatch.setattr("chimera_core.compare.estimate.trial_of_measuring", lambda *args: (5.0, 0.5))
    found = estimate_cost(checked, path.parent / "run", working)
    assert found.measuring_s == 2 * 5 + 0.5 * found.waiting and found.waiting > 4

    def refuse(*args: object) -> tuple[float, float]:
        raise DataError("no judge here")

    monkeypatch.setattr("chimera_core.compare.estimate.trial_of_measuring", refuse)
    found = estimate_cost(checked, path.parent / "run", working)
    assert found.measuring_s is None
    assert found.remarks[-1] == "the time of measuring is not known: no judge here"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda run: (run / "run.json").write_text('{"kind": "comparison", "experiment": "other"}'), "holds the results of experiment 'other', not of 'small'"),
        (lambda run: (run / "run.json").write_text('{"kind": "fuser"}'), "is a run of another kind (fuser)"),
        (lambda run: (run / "photo.jpg").write_text(""), "holds no comparison"),
    ],
)  # fmt: skip
def test_a_folder_of_something_else_is_left_alone(
    experiment: Write, place: Path, here: Here, make: Callable[[Path], object], message: str
) -> None:
    run = place / "run"
    run.mkdir()
    make(run)
    before = sorted(p.name for p in run.iterdir())
    code, out, err = here("compare", experiment(), "--run", run)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert sorted(p.name for p in run.iterdir()) == before


SLOW = '[fusers.mix]\nfuser = "faulty"\noptions = { pause_s = 0.05, diary = "diary.txt" }\n'


def recorded(run: Path) -> dict[str, dict[str, Any]]:
    records = {}
    for file in (run / "cells").glob("*.json"):
        records[file.stem] = json.loads(file.read_text())  # a torn record would not be JSON
    return records


def wait_for_records(run: Path, count: int, process: Any) -> None:
    while len(list((run / "cells").glob("*.json"))) < count and process.poll() is None:
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_cells_and_says_130(
    experiment: Write, place: Path, number: signal.Signals, fork_server: Callable[..., Any]
) -> None:
    path = experiment(("seeds = [0, 1]", f"seeds = {list(range(0, 400, 2))}"), fusers=SLOW)
    run = place / "run"
    line = ["compare", str(path), "--run", str(run), "--jobs", "1"]
    order = {"code": FORKED_WORKERS, "arguments": line}
    process = fork_server(sys.executable, os.environ).start(order, cwd=place, environ=os.environ)
    try:
        wait_for_records(run, 10, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and out == "" and err.endswith("chimera: interrupted\n"), err
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    records = recorded(run)
    assert 10 <= len(records) < 400 and [r["error"] for r in records.values() if r["status"] != "ok"] == []
    for cell in records:
        with Image.open(run / "cells" / f"{cell}.png") as picture:
            picture.load()
    assert not list(run.rglob("*.tmp"))


def test_a_comparison_is_known_as_one_before_anything_else_lies_in_its_folder(
    experiment: Write, place: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying: list[list[str]] = []

    def draw(experiment: Any, folder: Path) -> Any:
        lying.append(sorted(p.name for p in folder.iterdir() if not p.name.startswith(".lock")))
        raise DataError("no parents: draw others")

    monkeypatch.setattr("chimera_core.compare.run.lay_out", draw)
    for _ in range(2):
        code, _, err = here("compare", experiment())
        assert code != 0 and err.endswith("no parents: draw others\n")
    assert lying == [["run.json"], ["run.json"]]


def test_two_comparisons_do_not_work_in_one_folder(experiment: Write, place: Path, here: Here) -> None:
    run = place / "runs" / "small"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"kind": "comparison", "experiment": "small"}')
    with work_in(run, work="compared"):
        code, _, err = here("compare", experiment())
    assert code == 2 and f"run small is being compared by process {os.getpid()} on " in err


def test_threads_of_workers_do_not_depend_on_the_number_of_jobs() -> None:
    from chimera_core.compare.making.pool import Limits, Pool

    assert Pool(Path(os.curdir), 1, Limits(1.0)).threads == Pool(Path(os.curdir), 4, Limits(1.0)).threads == 1
