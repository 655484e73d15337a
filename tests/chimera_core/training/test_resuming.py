"""A run goes on by the very line that began it, and wherever its data lie by then."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core.runs.config import read_config

Make = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]

COMMON = [
    "--source",
    "folder",
    "--source.root",
    "data",
    "--precision",
    "fp32",
    "--device",
    "cpu",
    "--run",
    "one",
]
FILE = 'lr = "3/100"\n[encoder]\nname = "tiny"\n[encoder.options]\ndropout = "1/4"\n'
LINES = {
    "encoder": [
        *("encoder", "train", "--config", "mine.toml", "--preset", "wide", "--encoder", "tiny:tiny"),
        *("--trainer", "plain", "--size", 16, "--batch", 8, "--images", 72, "--augment", "flip"),
    ],
    "fuser": ["fuser", "train", "mean-image", "--preset", "quick", "--judge", "none", "--images", 40],
    "study": [
        *(
            "encoder",
            "study",
            "--encoder",
            "tiny",
            "--encoder-preset",
            "wide",
            "--trainer",
            "plain",
            "--size",
            16,
        ),
        *("--batch", 8, "--epochs", 1, "--domains-first", 2),
    ],
}


@pytest.fixture
def data(tiny: Path, make_pictures: Make, request: pytest.FixtureRequest) -> Path:
    """Write pictures into the working folder: of two domains, for a study."""
    root = tiny / "data"
    if getattr(request, "param", "") == "study":
        for name in ("cam 1", "cam 2"):
            make_pictures(root / name, classes=2, train=12, val=0, flat=True)
    else:
        make_pictures(root, train=12, val=4)
    (tiny / "mine.toml").write_text(FILE)
    return root


def begin(kind: str, here: Here) -> list[object]:
    """Train to the end, and give the line that did."""
    line = [*LINES[kind], *COMMON]
    code, _, err = here(*line)
    assert code == 0, err
    return line


CASES = pytest.mark.parametrize(("kind", "data"), [(kind, kind) for kind in LINES], indirect=["data"])


@pytest.mark.slow
@CASES
def test_the_very_line_that_began_a_run_goes_on_with_it(
    kind: str, data: Path, tiny: Path, here: Here
) -> None:
    line = begin(kind, here)
    before = (tiny / "runs" / "one" / "config.toml").read_text()
    code, _, err = here(*line, "--resume")
    assert code == 0, err
    assert (tiny / "runs" / "one" / "config.toml").read_text() == before
    if kind != "study":
        again = ["--images", 144 if kind == "encoder" else 80]
        code, _, err = here(*line, "--resume", *again)
        assert code == 0, err
        assert json.loads((tiny / "runs" / "one" / "run.json").read_text())["images"] == again[1]


@pytest.mark.slow
@CASES
def test_every_option_that_differs_is_refused_by_name_with_both_values_and_no_other(
    kind: str, data: Path, here: Here
) -> None:
    line = begin(kind, here)
    more, expected = {
        "encoder": (
            ["--lr", 0.5, "--encoder.width", 3, "--trainer", "robust:standard"],
            "encoder.width 6, not 3, lr 0.03, not 0.5, trainer tiny:plain, not robust:standard",
        ),
        "fuser": (["--fuser.lr", 0.3, "--batch", 4], "batch 8, not 4, fuser.lr 0.2, not 0.3"),
        "study": (["--epochs", 2, "--encoder.width", 3], "encoder.width 6, not 3, epochs 1.0, not 2.0"),
    }[kind]
    code, out, err = here(*line, "--resume", *more)
    assert code == 2 and out == ""
    assert (
        err
        == f"chimera: the run was started with {expected}: leave those out of --resume, or start another run\n"
    )


@pytest.mark.slow
def test_a_file_and_a_preset_that_say_something_else_are_refused_too(
    data: Path, tiny: Path, here: Here
) -> None:
    line = begin("encoder", here)
    (tiny / "mine.toml").write_text(FILE.replace("3/100", "1/10"))
    code, _, err = here(*line, "--resume")
    assert code == 2 and "the run was started with lr 0.03, not 0.1: leave that out" in err


@pytest.mark.slow
@CASES
def test_a_run_goes_on_where_its_data_lie_now(kind: str, data: Path, tiny: Path, here: Here) -> None:
    line = begin(kind, here)
    run = tiny / "runs" / "one"
    before = {p: p.read_bytes() for p in (run / "checkpoints").glob("*.safetensors")}
    shutil.copytree(data, tiny / "elsewhere", copy_function=shutil.copyfile)  # other times, other inodes
    shutil.rmtree(data)
    code, _, err = here(*line, "--resume")
    assert code == 2 and "name a folder of images with --source.root" in err
    resume = [*line[:2], "--run", "one", "--resume", "--source.root"]
    code, _, err = here(*resume, "elsewhere")
    assert code == 0, err
    assert read_config(run / "config.toml")["source"]["options"]["root"] == str(tiny / "elsewhere")
    assert {p: p.read_bytes() for p in before} == before
    # Through a link in the old place, and one folder of links to the classes.
    (tiny / "data").symlink_to(tiny / "elsewhere")
    code, _, err = here(*line, "--resume")
    assert code == 0, err
    for place in sorted((tiny / "elsewhere").iterdir()):
        (tiny / "links").mkdir(exist_ok=True)
        (tiny / "links" / place.name).symlink_to(place)
    code, _, err = here(*resume, "links")
    assert code == 0, err


@pytest.mark.slow
@CASES
def test_other_data_in_another_place_are_refused(kind: str, data: Path, tiny: Path, here: Here) -> None:
    line = begin(kind, here)
    shutil.copytree(data, tiny / "other")
    next((tiny / "other").rglob("3.png")).unlink()
    code, _, err = here(*line, "--resume", "--source.root", "other")
    assert code == 2 and "the data of source folder have changed since the run began" in err
    classes = [p for p in (tiny / "other").rglob("class-1") if p.is_dir()]
    shutil.rmtree(tiny / "other")
    shutil.copytree(data, tiny / "other")
    for folder in classes:
        os.rename(
            folder, folder.with_name("class-1b")
        )  # the same files and labels under another class's name
    code, _, err = here(*line, "--resume", "--source.root", "other")
    assert code == 2 and ("have changed since the run began" in err or "class" in err)


@pytest.mark.slow
def test_a_run_is_evaluated_where_its_data_lie_now(data: Path, tiny: Path, here: Here) -> None:
    begin("encoder", here)
    line = ("encoder", "evaluate", "one", "--device", "cpu", "--json")
    before = here(*line)[1]
    os.rename(data, tiny / "elsewhere")
    code, _, err = here(*line)
    assert code == 2 and "name a folder of images with --source.root" in err
    code, out, err = here(*line, "--source.root", "elsewhere")
    assert code == 0, err
    assert out == before
    assert "--source.root" in here("encoder", "evaluate", "one", "--help")[1]
    exported = tiny / "small.safetensors"
    assert here("encoder", "export", "one", "-o", exported)[0] == 0
    file = tiny / "runs" / "one" / "config.toml"
    code, out, err = here(*line[:2], exported, *line[3:], "--config", file, "--source.root", "elsewhere")
    assert code == 0, err
    assert json.loads(out)["accuracy"] == json.loads(before)["accuracy"]


@pytest.mark.slow
def test_a_run_and_a_cache_of_an_older_version_go_on_in_place_and_say_why_not_elsewhere(
    data: Path, tiny: Path, here: Here
) -> None:
    line = begin("encoder", here)
    record = tiny / "runs" / "one" / "run.json"
    facts = json.loads(record.read_text())
    del facts["data"]
    for index in (tiny / "cache").glob("*/index.json"):
        known = json.loads(index.read_text())
        for entry in known["splits"].values():
            del entry["data"]
        index.write_text(json.dumps(known))
    record.write_text(json.dumps(facts))
    code, _, err = here(*line, "--resume")
    assert code == 0, err
    assert json.loads(record.read_text())["data"]
    record.write_text(json.dumps(facts))
    os.rename(data, tiny / "elsewhere")
    code, _, err = here(*line, "--resume", "--source.root", "elsewhere")
    assert code == 2 and "or lie elsewhere, which a run of this older version does not allow for" in err
