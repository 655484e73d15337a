"""Cells are made once, and one that goes wrong costs no other: in worker processes, as `chimera compare` makes them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from chimera_core.compare.experiment.cells import Cell, image_path, read_record, record_path, write_record
from chimera_core.compare.experiment.plan import Comparison, check_experiment, lay_out
from chimera_core.compare.making.work import Working, estimate_s, make_cells, pending, trials_of
from chimera_core.errors import ConfigError
from chimera_core.plugins.discovery import default_host

Write = Callable[..., Path]
GIB = 1 << 30


def laid_out(path: Path, folder: Path) -> Comparison:
    folder.mkdir(exist_ok=True)
    return lay_out(check_experiment(path, default_host()), folder)


def test_a_worker_is_ended_where_processes_have_no_groups(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimera_core.compare.making.pool import _Worker

    monkeypatch.delattr(os, "killpg")  # as on Windows
    worker = _Worker("toys", place / "worker.log", 1)
    worker.kill()
    assert worker._process.poll() is not None


def of(cells: Iterable[Cell], fuser: str) -> list[Cell]:
    return [c for c in cells if c.fuser == fuser]


@pytest.mark.slow
def test_five_faulty_fusers_are_rows_with_reasons_and_the_rest_is_whole(
    experiment: Write, place: Path
) -> None:
    failures = ["good", "raises", "nan", "shape", "hangs", "eats", "dies"]
    text = "".join(f'[fusers.{w}]\nfuser = "faulty"\noptions = {{ failure = "{w}" }}\n' for w in failures)
    path = experiment(("weights = [[1, 0], [0.5, 0.5]]", "weights = [[0.5, 0.5]]"), fusers=text)
    run = place / "run"
    comparison = laid_out(path, run)
    cells = [c for failure in failures for c in comparison.cells[failure]]
    make_cells(comparison, cells, run, Working(2, cell_s=6.0, memory=3 * GIB // 2))
    found = {(c.fuser, c.seed): read_record(run, c.id) for c in cells}
    assert all(record is not None for record in found.values())
    assert {key for key, record in found.items() if record["status"] != "ok"} == {
        (w, 1) for w in failures[1:]
    }
    reasons = {failure: found[failure, 1]["error"] for failure in failures[1:]}
    assert reasons["raises"] == r"RuntimeError: as it was told\nin two lines"
    assert "gave NaN or infinite pixel values" in reasons["nan"]
    assert "gave (1, 3, 8, 16), whose shorter side is not the 16 pixels asked for" in reasons["shape"]
    assert "took longer than the 0.1 minutes that a cell may take" in reasons["hangs"]
    assert "GiB of memory, more than the 1.5 that a worker may take" in reasons["eats"]
    assert "its process ended by signal SIGABRT" in reasons["dies"]
    for failure in failures:
        (good, bad) = comparison.cells[failure]
        with Image.open(image_path(run, good.id)) as picture:
            assert picture.size == (16, 16) and json.loads(picture.text["chimera.weights"]) == [0.5, 0.5]  # type: ignore[attr-defined]
        assert image_path(run, bad.id).is_file() == (failure == "good")


def test_only_what_a_change_touches_is_made_again(experiment: Write, place: Path) -> None:
    run = place / "run"
    first = laid_out(experiment(), run)
    everything = {c.id for c in first.all_cells}
    assert len(everything) == 5 * 4  # five fusers, two seeds, two weights

    def changed(*replaced: tuple[str, str], **more: str) -> list[Cell]:
        again = laid_out(experiment(*replaced, **more), run)
        return [c for c in again.all_cells if c.id not in everything]

    assert changed() == []
    assert changed(('name = "small"', 'name = "other"'), ("[fusers.mix]", "[fusers.mixed]")) == []
    new_weight = changed(("[0.5, 0.5]", "[0.25, 0.75]"))
    assert len(new_weight) == 10 and {c.weights for c in new_weight} == {(0.25, 0.75)}
    assert {c.seed for c in changed(("[0, 1]", "[0, 1, 2]"))} == {2}
    option = changed(('fuser = "faulty"', 'fuser = "faulty"\noptions = { level = 0.25 }'))
    assert {c.fuser for c in option} == {"mix"} and len(option) == 4
    assert len(changed(("size = 16", "size = 24"))) == 20
    Image.new("RGB", (20, 20), "red").save(place / "b.png")
    assert len(changed()) == 20


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_cell_without_its_picture_or_with_a_torn_record_is_made_again(
    experiment: Write, place: Path
) -> None:
    run = place / "run"
    comparison = laid_out(experiment(), run)
    cells = of(comparison.all_cells, "copy")
    make_cells(comparison, cells, run, Working(1))
    assert of(pending(comparison, run), "copy") == []
    image_path(run, cells[0].id).unlink()
    record_path(run, cells[1].id).write_text('{"id":')
    assert of(pending(comparison, run), "copy") == cells[:2]
    record = json.loads(record_path(run, cells[2].id).read_text())
    record_path(run, cells[2].id).write_text(json.dumps(record | {"status": "failed", "error": "x"}))
    assert of(pending(comparison, run), "copy") == cells[:2]
    assert of(pending(comparison, run, retry_failed=True), "copy") == cells[:3]


def test_trials_are_two_costly_cells_of_each_fuser_and_tell_the_time(experiment: Write, place: Path) -> None:
    run = place / "run"
    path = experiment(
        ("[0, 1]", "[0, 1, 2]"), ('[["a.png", "b.png"]]', '[["a.png", "b.png"], ["b.png", "a.png"]]')
    )
    comparison = laid_out(path, run)
    waiting = pending(comparison, run)
    trials = trials_of(comparison, waiting)
    assert [(c.fuser, c.tuple_id, c.weights) for c in trials] == [
        ("mix", 0, (0.5, 0.5)),
        ("mix", 1, (0.5, 0.5)),
    ]
    (run / "cells").mkdir()
    for trial, wall_s in zip(trials, (9.0, 2.0), strict=True):
        image_path(run, trial.id).touch()
        write_record(run, trial, status="ok", wall_s=wall_s)
    assert estimate_s(of(waiting, "mix"), trials, run, jobs=2) == 12 * 2.0 / 2


def test_a_class_that_nobody_knows_has_no_cells_and_says_why(experiment: Write, place: Path) -> None:
    replaced = ('[["a.png", "b.png"]]', '[["a.png", "b.png"], ["lion", "zebra"]]')
    comparison = laid_out(experiment(replaced), place / "run")
    reasons = {c.reason for c in comparison.all_cells if c.tuple_id == 1}
    assert reasons == {"knows no class lion, and there is no image of it (see [parents] source)"}
    assert all(c.tuple_id == 0 for c in pending(comparison, place / "run"))


def test_a_fuser_that_can_take_none_of_the_parents_is_a_mistake(experiment: Write, place: Path) -> None:
    path = experiment(('[["a.png", "b.png"]]', '[["lion", "zebra"]]'))
    with pytest.raises(
        ConfigError, match=r"line 9: fusers.mix: faulty can take none of the parents: it knows no class"
    ):
        laid_out(path, place / "run")


def test_a_fuser_that_learns_must_have_learned(experiment: Write, place: Path) -> None:
    path = experiment(fusers='[fusers.mean]\nfuser = "mean-image"\n')
    with pytest.raises(
        ConfigError, match=r"mean-image must be trained first: name a run of it, or add \[fusers.mean.train\]"
    ):
        laid_out(path, place / "run")
