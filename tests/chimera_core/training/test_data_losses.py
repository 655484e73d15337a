"""What data lost on their way to a training is one line, stays in run.json, and can be refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimera_core.data.losses import DataLosses, count_losses
from chimera_core.records import SourceInfo

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rotten(tmp_path: Path) -> Path:
    """Two splits: 3 of 24 images cut short, 2 too high, 2 copied across, a class on either side that the other lacks."""
    dice, root = np.random.default_rng(0), tmp_path / "rotten"
    for split, kinds in (("train", ("cat", "dog", "horse")), ("val", ("cat", "dog", "giraffe"))):
        for kind in kinds:
            for index in range(4):
                path = root / split / kind / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(dice.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    for index in range(3):
        bad = root / "train" / "dog" / f"{index}.png"
        bad.write_bytes(bad.read_bytes()[:200])
    for index in range(2):
        shutil.copy(root / "train" / "cat" / f"{index}.png", root / "val" / "cat" / f"copy{index}.png")
        shutil.copy(root / "train" / "horse" / "0.png", root / "train" / f"stray{index}.png")
    return root


def encoder_line(root: Path, *more: object) -> list[object]:
    line = [
        "encoder",
        "train",
        "--encoder",
        "tiny",
        "--trainer",
        "plain",
        "--source",
        "folder",
        "--source.root",
        root,
    ]
    return [
        *line,
        "--size",
        16,
        "--batch",
        8,
        "--images",
        16,
        "--precision",
        "fp32",
        "--device",
        "cpu",
        *more,
    ]


def fuser_line(root: Path, *more: object) -> list[object]:
    line = ["fuser", "train", "mean-image", "--source", "folder", "--source.root", root, "--preset", "quick"]
    return [*line, "--judge", "none", "--precision", "fp32", "--device", "cpu", *more]


LINE = (
    "chimera: WARNING: 3 of 26 images cannot be read; 2 lie at another depth; 2 pairs of equal images lie in two "
    "splits; class horse has images to learn from only; class giraffe has images to validate on only: "
    "`chimera source info folder ...` lists the files, `chimera source prepare folder ...` lists the pairs"
)


@pytest.mark.slow
@pytest.mark.parametrize("line", [encoder_line, fuser_line])
def test_a_training_says_in_one_line_what_its_data_lost_and_keeps_the_counts(
    tiny: Path, rotten: Path, here: Here, line: Callable[..., list[object]]
) -> None:
    code, _, err = here(*line(rotten, "--run", "one"))
    assert code == 0, err
    assert [text for text in err.splitlines() if "WARNING" in text] == [LINE]
    assert json.loads((tiny / "runs" / "one" / "run.json").read_text())["lost"] == {
        "listed": 26,
        "unreadable": 3,
        "left_out": {"at another depth": 2},
        "across_splits": 2,
        "only_train": ["horse"],
        "only_val": ["giraffe"],
    }


@pytest.mark.parametrize("line", [encoder_line, fuser_line])
def test_strict_data_refuse_before_a_run_is_made(
    tiny: Path, rotten: Path, here: Here, line: Callable[..., list[object]]
) -> None:
    # What a list tells is refused before anything is packed; what only packing tells, after it.
    for begin in ("2 lie at another depth; class horse", "3 of 18 images cannot be read; 2 pairs of equal"):
        code, _, err = here(*line(rotten, "--strict-data", "--run", "one"))
        assert code == 2 and not (tiny / "runs" / "one").exists()
        message = err.strip().splitlines()[-1]
        assert message.startswith(f"chimera: --strict-data: {begin}"), err
        assert message.endswith(": mend the data, or leave --strict-data out")
        for path in (
            *rotten.glob("train/*.png"),
            *rotten.glob("train/horse/*"),
            *rotten.glob("val/giraffe/*"),
        ):
            path.unlink()


@pytest.mark.parametrize("line", [encoder_line, fuser_line])
def test_a_dry_run_says_what_can_be_known_without_decoding(
    tiny: Path, rotten: Path, here: Here, line: Callable[..., list[object]]
) -> None:
    code, _, err = here(*line(rotten, "--dry-run"))
    assert code == 0 and "WARNING: 2 lie at another depth; class horse has" in err
    code, out, _ = here(*line(rotten, "--dry-run", "--json"))
    assert code == 0 and json.loads(out)["lost"]["left_out"] == {"at another depth": 2}
    code, _, err = here(*line(rotten, "--dry-run", "--strict-data"))
    assert code == 2 and "--strict-data: 2 lie at another depth" in err


@pytest.mark.slow
def test_sound_data_say_nothing_and_pass(tiny: Path, pictures: Path, here: Here) -> None:
    code, _, err = here(*encoder_line(pictures, "--strict-data", "--run", "one"))
    assert code == 0 and "WARNING" not in err
    record = json.loads((tiny / "runs" / "one" / "run.json").read_text())
    assert record["lost"]["unreadable"] == 0 and record["lost"]["only_val"] == []
    code, _, err = here(
        *encoder_line(pictures, "--no-strict-data", "--run", "one", "--resume", "--images", 24)
    )
    assert code == 0, err  # whether losses are refused may change: it decides nothing


@pytest.mark.slow
def test_an_evaluation_says_it_too(
    tiny: Path, rotten: Path, here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    assert here(*encoder_line(rotten, "--run", "one"))[0] == 0
    caplog.clear()
    assert here("encoder", "evaluate", "one", "--device", "cpu")[0] == 0
    assert "source folder: 3 of 26 images cannot be read; 2 lie at another depth" in caplog.text


@pytest.mark.slow
def test_copies_on_both_sides_of_what_is_held_out_are_counted(tiny: Path, rotten: Path, here: Here) -> None:
    shutil.rmtree(rotten / "val")
    for index in range(12):
        shutil.copy(rotten / "train" / "cat" / "0.png", rotten / "train" / "cat" / f"again{index}.png")
    code, _, err = here(*encoder_line(rotten, "--run", "one"))
    assert code == 0, err
    held = json.loads((tiny / "runs" / "one" / "run.json").read_text())["val_images"]
    pairs = json.loads((tiny / "runs" / "one" / "run.json").read_text())["lost"]["across_splits"]
    # 13 of 16 cats are one picture; what is held out of them, 3, has 10 to 12 of its kind on the other side.
    assert held == 4 and 20 <= pairs <= 36 and f"{pairs} pairs of equal images lie in two splits" in err


def test_what_is_held_out_of_the_same_images_lacks_no_class() -> None:
    class Images:
        splits, classes = {"all": [0] * 5}, ("a", "b")

    info = SourceInfo("x", ("a", "b"), {"all": 5})
    assert not count_losses(info, Images(), train=[0, 0, 1], val=[0])
    lost = count_losses(info, Images(), train=[0, 0, 1], val=[0], val_name="test")
    assert str(lost) == "class b has images to learn from only"


def test_many_classes_are_counted_not_listed() -> None:
    lost = DataLosses(9, only_val=tuple(f"c{k}" for k in range(70)), across_splits=1)
    assert str(lost) == (
        "1 pair of equal images lies in two splits; classes c0, c1, c2 and 67 more have images to validate on only"
    )
