"""What an experiment trains first is a run of its own, trained once, and goes by its name in options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimera_core.compare.experiment import plan, trainings
from chimera_core.compare.experiment.cells import read_record
from chimera_core.compare.experiment.fusers import FuserEntry, find_entries
from chimera_core.compare.experiment.identity import data_identity
from chimera_core.compare.experiment.moved_data import place_of
from chimera_core.compare.experiment.plan import (
    Experiment,
    check_experiment,
    lay_out,
    train_first,
    waits_for_training,
)
from chimera_core.compare.experiment.trainings import Training, train
from chimera_core.compare.making.work import Working, make_cells
from chimera_core.errors import ChimeraError
from chimera_core.plugins.discovery import default_host
from chimera_core.runs.record import read_run_record

Write = Callable[..., Path]

SOURCE = 'source = { name = "folder", options = { root = "data" } }\n'
ENCODER = f"""[encoders.small]
{SOURCE}images = 16
batch = 8
size = 16
[encoders.small.encoder]
name = "cnn"
options = {{ widths = [4], depth = 1 }}
"""
FUSER = f"""[fusers.mean]
fuser = "mean-image"
options = {{ photos = true, encoder = "small" }}
[fusers.mean.train]
{SOURCE}images = 16
batch = 8
size = 16
judge = "none"
[fusers.mean.axes]
"train.seed" = [0]
"""


@pytest.fixture
def data(place: Path) -> Path:
    for k, name in enumerate(("cat", "dog")):
        folder = place / "data" / name
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(40 * k, 40 * k + 90, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return place / "data"


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_encoders_and_fusers_are_trained_once_and_stand_in_the_cells(
    experiment: Write, data: Path, place: Path
) -> None:
    path = experiment(('encoder = "cnn"', 'encoder = "robust-lite0"'), fusers=ENCODER + FUSER)
    checked = check_experiment(path, default_host())
    run = place / "run"
    run.mkdir()
    assert [(t.kind, t.name) for t in waits_for_training(checked, run)] == [
        ("encoder", "small"),
        ("fuser", "mean/train.seed=0"),
    ]
    messages: list[str] = []
    trained = train_first(checked, run, device="cpu", notify=messages.append)
    assert len(messages) == 2 and waits_for_training(checked, run) == []
    (first,) = (e for e in trained.entries if not e.is_control)
    assert first.trained is not None and first.identity["weights"]
    runs = sorted(p.name.rpartition("-")[0] for p in (run / "trained").iterdir() if p.is_dir())
    assert runs == ["encoder-small", "fuser-mean-train-seed-0"]
    (encoder,) = first.choice.encoders
    assert read_run_record(Path(encoder.name))["kind"] == "encoder"
    cells = lay_out(trained, run).cells["mean/train.seed=0"]
    assert len(cells) == 4 and not any(c.reason for c in cells)

    before = {p: p.stat().st_mtime_ns for p in (run / "trained").rglob("*")}
    train_first(check_experiment(path, default_host()), run, device="cpu", notify=messages.append)
    assert len(messages) == 2 and {p: p.stat().st_mtime_ns for p in (run / "trained").rglob("*")} == before
    longer = check_experiment(
        experiment(
            ('encoder = "cnn"', 'encoder = "robust-lite0"'),
            ('"train.seed" = [0]', '"train.seed" = [0, 2]'),
            fusers=ENCODER + FUSER,
        ),
        default_host(),
    )
    assert [t.name for t in waits_for_training(longer, run)] == ["mean/train.seed=2"]


def test_fusers_are_looked_up_once_to_check_an_experiment_that_trains_some(
    experiment: Write, data: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def counted(*given: Any, **named: Any) -> list[FuserEntry]:
        calls.append(named)
        return find_entries(*given, **named)

    monkeypatch.setattr(plan, "find_entries", counted)
    (place / "run").mkdir()
    waiting = waits_for_training(check_experiment(experiment(), default_host()), place / "run")
    assert waiting == [] and len(calls) == 1
    path = experiment(('encoder = "cnn"', 'encoder = "robust-lite0"'), fusers=ENCODER + FUSER)
    checked = check_experiment(path, default_host())
    assert len(waits_for_training(checked, place / "run")) == 2 and len(calls) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_trainings_and_figures_stand_where_the_data_have_moved(
    experiment: Write, data: Path, place: Path
) -> None:
    def checked(*replaced: tuple[str, str]) -> Experiment:
        path = experiment(('encoder = "cnn"', 'encoder = "robust-lite0"'), *replaced, fusers=ENCODER + FUSER)
        return check_experiment(path, default_host())

    run = place / "run"
    run.mkdir()
    messages: list[str] = []
    first = train_first(checked(), run, device="cpu", notify=messages.append)
    assert len(messages) == 2
    identity = data_identity("folder", {"root": str(data), "size": 3})
    data.rename(place / "moved")
    assert data_identity("folder", {"root": str(place / "moved"), "size": 3}) == identity
    moved = [('root = "data"', 'root = "moved"')] * 2
    assert waits_for_training(checked(*moved), run) == []
    again = train_first(checked(*moved), run, device="cpu", notify=messages.append)
    assert len(messages) == 2
    assert [e.identity for e in again.entries] == [e.identity for e in first.entries]
    # Other images of the same names are other data.
    shutil.copytree(place / "moved", place / "other")
    shutil.copy(place / "other" / "cat" / "1.png", place / "other" / "cat" / "2.png")
    assert len(waits_for_training(checked(*[('root = "data"', 'root = "other"')] * 2), run)) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_training_that_was_interrupted_goes_on_where_its_data_lie_now(
    experiment: Write, data: Path, place: Path
) -> None:
    def encoder(root: str) -> Training:
        path = experiment(
            ('encoder = "cnn"', 'encoder = "robust-lite0"'),
            ('root = "data"', f'root = "{root}"'),
            fusers=ENCODER + FUSER,
        )
        return check_experiment(path, default_host()).trainings[0]

    run = place / "run"
    run.mkdir()
    begun = place_of(encoder("data"), run, default_host())
    train(encoder("data"), begun, device="cpu", registries=(), notify=lambda line: None)
    record = json.loads((begun / "run.json").read_text())
    (begun / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    data.rename(place / "moved")
    found = place_of(encoder("moved"), run, default_host())
    assert found == begun
    train(encoder("moved"), found, device="cpu", registries=(), notify=lambda line: None)
    assert read_run_record(begun)["status"] == "done"


@pytest.mark.slow
def test_a_training_by_other_code_is_another_and_one_by_a_longer_name_is_not(
    experiment: Write, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(*replaced: tuple[str, str], code: str = "old") -> str:
        text = ENCODER
        for old, new in replaced:
            text = text.replace(old, new)
        monkeypatch.setattr(trainings, "code_of", lambda host, *modules: code)
        path = experiment(('encoder = "cnn"', 'encoder = "robust-lite0"'), fusers=text + FUSER)
        return check_experiment(path, default_host()).trainings[0].folder

    assert folder() == folder(('"cnn"', '"cnn:cnn"'), ('"folder"', '"folder:folder"'))
    assert folder() != folder(code="edited")


@pytest.mark.slow
def test_neither_trainings_nor_workers_run_code_of_the_folder_they_are_called_in(
    experiment: Write, data: Path, place: Path
) -> None:
    # Names that the processes import, and this one has imported already.
    for name in ("queue", "json", "struct", "numpy", "torch", "click", "PIL"):
        (place / f"{name}.py").write_text(
            f"open({str(place / 'ran')!r}, 'a').write({name!r})\nraise SystemExit(9)\n"
        )
    alone = FUSER.replace(', encoder = "small"', "")  # one training: all start alike
    path = experiment(('encoder = "cnn"', 'encoder = "robust-lite0"'), fusers=alone)
    run = place / "run"
    run.mkdir()
    trained = train_first(check_experiment(path, default_host()), run, device="cpu", notify=lambda line: None)
    comparison = lay_out(trained, run)
    cells = comparison.cells["mean/train.seed=0"]
    make_cells(comparison, cells, run, Working(1))
    assert not (place / "ran").exists(), (place / "ran").read_text()
    assert [(read_record(run, c.id) or {}).get("status") for c in cells] == ["ok"] * len(cells)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images = 16", "imagse = 16", "line 11: [encoders.small] has no option 'imagse' (did you mean 'images'?)"),
        ('name = "cnn"', 'name = "cnnn"', "encoders.small.encoder: no feature-encoder is named 'cnnn' (did you mean 'cnn'?)"),
        ("widths = [4]", "widht = [4]", "line 16: feature-encoder cnn has no option 'widht'"),
        ('judge = "none"', 'jugde = "none"', "[fusers.mean.train] has no option 'jugde' (did you mean 'judge'?)"),
        ('encoder = "small" }', 'encoder = "smalll" }', "no feature-encoder is named 'smalll'"),
        (SOURCE + "images = 16\nbatch = 8\nsize = 16\njudge", "judge", "fusers.mean.train: there is no source: say which"),
        ('fuser = "mean-image"', 'fuser = "person-cat"', "model person-cat is trained already: name a component to train"),
    ],
)  # fmt: skip
def test_mistakes_in_trainings_are_said_before_anything_starts(
    experiment: Write, old: str, new: str, message: str
) -> None:
    path = experiment(
        (old, new), ('encoder = "cnn"\n[', 'encoder = "robust-lite0"\n['), fusers=ENCODER + FUSER
    )
    with pytest.raises(ChimeraError) as caught:
        check_experiment(path, default_host())
    assert message in str(caught.value), str(caught.value)
    assert str(caught.value).startswith(f"experiment {path} line ")


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_training_that_fails_says_its_last_words(experiment: Write, data: Path, place: Path) -> None:
    path = experiment(
        ("batch = 8", "batch = 4096"),
        ('encoder = "cnn"\n[', 'encoder = "robust-lite0"\n['),
        fusers=ENCODER + '[fusers.m]\nfuser = "faulty"\n',
    )
    with pytest.raises(
        ChimeraError,
        match=r"training encoder 'small' failed: .*a batch of 4096 images is more than there are",
    ) as caught:
        train_first(check_experiment(path, default_host()), place / "run", device="cpu")
    assert caught.value.exit_code == 1
    assert json.dumps(str(caught.value)).count("\\n") == 0


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers", "few_views")
def test_the_estimate_says_what_it_leaves_out_where_something_is_trained_first(
    experiment: Write, data: Path, place: Path, here: Callable[..., tuple[int, str, str]]
) -> None:
    path = experiment(('encoder = "cnn"', 'encoder = "robust-lite0"'), fusers=ENCODER + FUSER)
    code, out, err = here("compare", path, "--dry-run", "--jobs", 1, "--device", "cpu")
    assert code == 0, err
    assert "to train first: encoder small" in out
    assert "without the trainings and the creatures that need them" in " ".join(out.split())
