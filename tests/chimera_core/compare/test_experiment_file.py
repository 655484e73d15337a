"""An experiment is checked as a whole before anything starts: each mistake is one line with file, line and key."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.compare.experiment.file import read_experiment, variants_of
from chimera_core.compare.experiment.plan import check_experiment
from chimera_core.compare.experiment.trainings import Training
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.plugins.discovery import default_host

Write = Callable[..., Path]
AXES = '[fusers.mix]\nfuser = "faulty"\n[fusers.mix.axes]\n'


@pytest.mark.parametrize(
    ("replaced", "line", "expected"),
    [
        (('fuser = "faulty"', 'fuser = "fualty"'), 10, "fusers.mix.fuser: no run, model or fuser is named 'fualty' (did you mean 'faulty'?)"),
        (('fuser = "faulty"', 'fuser = "faulty"\noptions = { levle = 1 }'), 11, "has no option 'levle' (did you mean 'level'?)"),
        (('fuser = "faulty"', 'fuser = "faulty"\noptions = { level = 7 }'), 11, "option 'level' of fusion-generator faulty: input should be less than or equal to 1, but it is 7"),
        (('fuser = "faulty"', 'fuser = "faulty"\npreset = "brigth"'), 11, "faulty has no preset 'brigth' (did you mean 'bright'?)"),
        (('fuser = "faulty"', 'fusser = "faulty"'), 10, "[fusers.mix] has no option 'fusser' (did you mean 'fuser'?)"),
        (('fuser = "faulty"', "size = 32"), 9, "[fusers.mix] needs the key 'fuser'"),
        (("[0.5, 0.5]", "[0.5, 0.4]"), 4, "weights.1: weights must sum to 1, but 0.5,0.4 sum to 0.9"),
        (("[0.5, 0.5]", "[0.5, 0.25, 0.25]"), 4, "3 weights (0.5,0.25,0.25) for 2 parents"),
        (("[0.5, 0.5]", "[1, 0]"), 4, "weights: [1.0, 0.0] stands there twice"),
        (('"b.png"', '"c.png"'), 6, "parents.tuples.0: there is no file 'c.png'"),
        (('"a.png", "b.png"', '"a.png"'), 6, "parents.tuples.0: a chimera needs two parents or more, but here are 1"),
        (("tuples = ", "tupels = "), 6, "[parents] has no option 'tupels' (did you mean 'tuples'?)"),
        (('tuples = [["a.png", "b.png"]]', "sample = 3"), 6, "parents.sample: sample draws from a source"),
        (("seeds = [0, 1]", "seeds = []"), 3, "seeds: there is none: give one or more"),
        (("seeds = [0, 1]", "seeds = [0, 0]"), 3, "seeds: 0 stands there twice"),
        (("seeds = [0, 1]\n", ""), None, "the experiment needs the key 'seeds'"),
        (('encoder = "cnn"', 'encoder = "cnnn"'), 8, "judge.encoder: there is no judge 'cnnn': it is not a run, model or encoder"),
        (('encoder = "cnn"', 'encoder = "cnn"\noptions = { classes = 1 }'), 9, "option 'classes' of feature-encoder cnn"),
        (('fuser = "faulty"', 'fuser = "faulty"\noptions = { encoder = "cnn" }'), 7, "judge: cnn is the encoder of fuser mix, which would judge itself: name another judge"),
        (('encoder = "cnn"', 'encoder = "cnn"\n[judge2]\nencoder = "cnn"'), 9, "judge2: it is the first judge again"),
        (('encoder = "cnn"', 'encoder = "cnn"\n[reference]\nsource = "foldr"'), 10, "reference.source: no dataset-source is named 'foldr' (did you mean 'folder'?)"),
        (('[fusers.mix]\nfuser = "faulty"\n', AXES + "level = [0.1, 0.1]\n"), 12, "fusers.mix.axes.level: 0.1 stands there twice"),
        (('[fusers.mix]\nfuser = "faulty"\n', AXES + "levle = [0.1, 0.2]\n"), 12, "has no option 'levle'"),
        (('[fusers.mix]\nfuser = "faulty"\n', AXES + "level = [0.1, 2]\n"), 12, "option 'level' of fusion-generator faulty"),
        (('[fusers.mix]\nfuser = "faulty"\n', AXES + "level = []\n"), 12, "an axis needs a value"),
        (('[fusers.mix]\nfuser = "faulty"\n', AXES + '"train.lr" = [0.1]\n'), 12, "there is no [fusers.mix.train] to vary"),
        (('name = "small"', 'name = "../up"'), 1, "cannot name a folder"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(
    experiment: Write, replaced: tuple[str, str], line: int | None, expected: str
) -> None:
    path = experiment(replaced)
    with pytest.raises(ChimeraError) as caught:
        check_experiment(path, default_host())
    message = str(caught.value)
    assert expected in message, message
    assert message.startswith(f"experiment {path}" + (f" line {line}: " if line else ": ")), message
    assert "\n" not in message and caught.value.exit_code == 2


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        (
            ('[fusers.mix]\nfuser = "faulty"\n', AXES + "".join(f"a{n} = {list(range(200))}\n" for n in range(4))),
            "fusers.mix.axes: 200 x 200 x 200 x 200 values are 1,600,000,000 fusers: 1,000 at most",
        ),
        (("seeds = [0, 1]", f"seeds = {list(range(60_000))}"), "seeds: 60,000 seeds: name 10,000 at most"),
        (
            ("seeds = [0, 1]", f"seeds = {list(range(10_000))}", '[fusers.mix]\nfuser = "faulty"\n', AXES + f"level = {[n / 100 for n in range(90)]}\n"),
            "90 fusers, 1 tuples of parents, 2 weights and 10,000 seeds are 1,800,000 creatures: 1,000,000 at most",
        ),
        (("[0.5, 0.5]", "[1" + "0" * 400 + ", 0.5]"), "weights.1.0: a number of 1,329 bits is out of range"),
        (("[0.5, 0.5]", "[1e400, 0.5]"), "weights"),
        (("seeds = [0, 1]", "seeds = [0, 9223372036854775807]"), "seeds: seeds lie between 0 and"),
    ],
    ids=["axes", "seeds", "cells", "weight", "infinity", "seed"],
)  # fmt: skip
def test_numbers_beyond_reason_are_refused_before_anything_is_listed(
    experiment: Write, replaced: tuple[str, ...], expected: str
) -> None:
    path = experiment(*zip(replaced[::2], replaced[1::2], strict=True))
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
        check_experiment(path, default_host())
    assert expected in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) < 500
    assert time.process_time() - start < 5


def test_as_many_seeds_as_are_allowed_are_read_soon(experiment: Write) -> None:
    path = experiment(("seeds = [0, 1]", f"seeds = {list(range(10_000))}"))
    start = time.process_time()
    assert len(read_experiment(path).top.seeds) == 10_000
    assert time.process_time() - start < 3


@pytest.mark.slow
def test_checking_an_experiment_imports_no_torch(experiment: Write) -> None:
    code = (
        "import sys; from pathlib import Path; from chimera_core.plugins.discovery import default_host;"
        "from chimera_core.compare.experiment.plan import check_experiment;"
        f"check_experiment(Path({str(experiment())!r}), default_host()); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


def test_controls_are_added_unless_they_are_named(experiment: Write) -> None:
    path = experiment(fusers='[fusers.mix]\nfuser = "faulty"\n[fusers.mean]\nfuser = "pixel-average"\n')
    found = check_experiment(path, default_host())
    assert [(e.id, e.is_control) for e in found.entries] == [
        ("mix", False),
        ("mean", True),
        ("copy", True),
        ("collage", True),
        ("cut-and-blend", True),
    ]


def test_axes_are_multiplied_out_and_named(experiment: Write) -> None:
    path = experiment(fusers=AXES + "level = [0.0, 0.5]\npause_s = [0, 1]\n")
    entries = [e for e in check_experiment(path, default_host()).entries if not e.is_control]
    assert [e.id for e in entries] == [
        "mix/level=0.0/pause_s=0",
        "mix/level=0.0/pause_s=1",
        "mix/level=0.5/pause_s=0",
        "mix/level=0.5/pause_s=1",
    ]
    options: list[Any] = [e.choice.config for e in entries]
    assert [(o.level, o.pause_s) for o in options] == [(0, 0), (0, 1), (0.5, 0), (0.5, 1)]


def test_files_are_found_beside_the_experiment_too(
    experiment: Write, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = experiment()
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert check_experiment(path, default_host()).named == [(str(place / "a.png"), str(place / "b.png"))]


def test_the_experiment_of_the_documentation_has_the_right_keys(place: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "experiment-file.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (place / "whole.toml").write_text(blocks[0])
    whole = read_experiment(place / "whole.toml")
    assert [v.id for v in variants_of(whole)] == [
        "style",
        *(f"morph/budget={b}/iterations={i}" for b in (10, 40) for i in (30, 60)),
    ]
    trained = blocks[0].partition("[fusers.style]")[0] + blocks[1]
    (place / "trained.toml").write_text(trained)
    found = check_trained(place / "trained.toml")
    assert [t.name for t in found] == ["robust", *(f"creature/train.seed={k}" for k in range(5))]


def check_trained(path: Path) -> list[Training]:
    path.write_text(
        path.read_text()
        .replace(
            'tuples = [["lion.jpg", "zebra.jpg"], ["tabby.jpg", "red_fox.jpg"]]', 'tuples = [["lion", "cat"]]'
        )
        .replace('encoder = "a-run-of-mine"', 'encoder = "robust-lite0"')
    )
    return check_experiment(path, default_host()).trainings
