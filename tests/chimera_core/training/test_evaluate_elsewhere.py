"""``chimera encoder evaluate RUN --source``: data that the run never saw, classes matched by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core.statistics import wilson_interval

Make = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]
TINY_WORDS = "--encoder tiny --trainer plain --size 16 --batch 8 --precision fp32 --lr 0.03 --device cpu"
TINY = TINY_WORDS.split()
EVALUATE = ("encoder", "evaluate", "one", "--device", "cpu")


@pytest.fixture
def run(tiny: Path, pictures: Path, here: Here, train_once: Callable[..., Path]) -> Path:
    line = ["encoder", "train", "--source", "folder", "--source.root", pictures, *TINY]
    return train_once(tiny, lambda: here(*line, "--images", 144, "--run", "one"))


@pytest.fixture
def elsewhere(tiny: Path, make_pictures: Make) -> Path:
    """Write a data set whose classes are spelled in another way and order, one of which nobody learned."""
    root = make_pictures(tiny / "elsewhere", classes=3, train=2, val=6)
    (root / "val").rename(root / "test")
    for old, new in (("class-2", "A class that is new"), ("class-1", "CLASS 1"), ("class-0", "class_0")):
        for split in ("train", "test"):
            (root / split / old).rename(root / split / new)
    return root


def test_other_data_are_measured_by_the_names_of_their_classes(
    run: Path, elsewhere: Path, here: Here, tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code, out, err = here(*EVALUATE, "--json")
    assert code == 0, err
    own = json.loads(out)
    line = [*EVALUATE, "--source", "folder", "--source.root", elsewhere, "--split", "test"]
    code, out, err = here(*line, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["split"], found["n"], found["left_out"]) == ("test", 12, 6)
    assert found["unknown_classes"] == ["A class that is new"]
    assert [record.message for record in caplog.records] == [
        "source folder, split test: 6 of 18 images are left out, because run one did not learn class A class that is "
        "new; no image of class class-2, which it learned"
    ]
    low, high = wilson_interval(round(found["accuracy"] * 12), 12)
    assert (found["accuracy_low"], found["accuracy_high"]) == (low, high)
    # The same pictures under the names that were learned give the same figures.
    renamed = tiny / "renamed"
    shutil.copytree(elsewhere / "test", renamed / "test")
    shutil.rmtree(renamed / "test" / "A class that is new")
    for old, new in (("CLASS 1", "class-1"), ("class_0", "class-0")):
        (renamed / "test" / old).rename(renamed / "test" / new)
    code, out, _ = here(*EVALUATE, "--source", "folder", "--source.root", renamed, "--json")
    again = json.loads(out)
    assert [again[k] for k in ("accuracy", "macro_f1", "n")] == [
        found[k] for k in ("accuracy", "macro_f1", "n")
    ]
    # Nothing takes the place of what was found on the run's own data.
    kept = [json.loads(text) for text in (run / "evaluations.jsonl").read_text().splitlines()]
    assert [entry["key"] for entry in kept] == [own["key"], found["key"], again["key"]]
    assert own["key"].endswith("/val") and found["key"].endswith("/test")
    assert len({entry["key"] for entry in kept}) == 3 and kept[0]["accuracy"] == own["accuracy"]


def test_without_a_split_it_is_the_one_to_test_on_and_attacks_are_told(
    run: Path, elsewhere: Path, here: Here
) -> None:
    line = [*EVALUATE, "--source", "folder", "--source.root", elsewhere, "--attack", "fgsm"]
    code, out, err = here(*line)
    assert code == 0, err
    rows = [" ".join(text.split()) for text in out.splitlines()]
    assert "split test images accuracy 95 % macro F1" in rows
    assert any(row.startswith("all 12 ") and "% to " in row for row in rows) and "fgsm" in out


def test_a_file_is_measured_on_any_source_at_the_size_that_it_learned(
    run: Path, elsewhere: Path, here: Here, tiny: Path
) -> None:
    file = tiny / "one.safetensors"
    assert here("encoder", "export", "one", "-o", file, "--dtype", "fp32")[0] == 0
    rest = ["--source", "folder", "--source.root", elsewhere, "--device", "cpu", "--json"]
    code, out, err = here("encoder", "evaluate", file, *rest)
    assert code == 0, err
    assert json.loads(out) == json.loads(here("encoder", "evaluate", "one", *rest)[1])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "tset"], "there is no split 'tset' with images (did you mean 'test'?)"),
        (["--source.root", "strange"], "has no image of a class that run one learned in split 'test'"),
        (["--source.rot", "x"], "No such option '--source.rot'"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    run: Path, elsewhere: Path, here: Here, tiny: Path, more: list[str], message: str
) -> None:
    shutil.copytree(elsewhere / "test" / "CLASS 1", tiny / "strange" / "test" / "walrus")
    shutil.copytree(elsewhere / "test" / "CLASS 1", tiny / "strange" / "test" / "seal")
    code, out, err = here(*EVALUATE, "--source", "folder", "--source.root", elsewhere, *more)
    assert code == 2 and not out and message in err and "Traceback" not in err


def test_a_run_whose_folder_cannot_be_written_is_measured_all_the_same(
    run: Path, here: Here, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run / "evaluations.jsonl").symlink_to(tmp_path / "somewhere.jsonl")
    code, out, _ = here(*EVALUATE)
    assert code == 0 and "all" in out and "what was found is not kept in the run" in caplog.text
    assert not (tmp_path / "somewhere.jsonl").exists()
