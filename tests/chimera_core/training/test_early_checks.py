"""What is wrong with data that are only listed is said before they are packed, which may take an hour."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail as soon as anything is packed."""
    monkeypatch.setattr(
        "chimera_core.training.data.pack", lambda *a, **k: pytest.fail("images were packed first")
    )


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
    return [*line, "--precision", "fp32", "--device", "cpu", *more]


@pytest.mark.parametrize(
    ("line", "more", "words"),
    [
        (encoder_line, ("--batch", 4096), "a batch of 4096 images is more than there are"),
        (encoder_line, ("--train-split", "tarin"), "there is no split 'tarin'"),
        (encoder_line, ("--val-split", "dev"), "there is no split 'dev'"),
        (encoder_line, ("--augment", "flipp"), "flipp"),
        (fuser_line, ("--judge", "none", "--batch", 4096), "a batch of 4096 images is more than there are"),
        (fuser_line, ("--judge", "none", "--val-split", "dev"), "there is no split 'dev'"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_images_are_packed(
    tiny: Path,
    pictures: Path,
    here: Here,
    unpacked: None,
    line: Callable[..., list[object]],
    more: tuple[object, ...],
    words: str,
) -> None:
    code, _, err = here(*line(pictures, *more))
    assert code == 2 and words in err, err
    assert len(err.strip().splitlines()) == 1


def test_an_encoder_of_one_class_is_refused_before_images_are_packed(
    tiny: Path, pictures: Path, here: Here, unpacked: None, tmp_path: Path
) -> None:
    first = sorted(p for p in pictures.rglob("*") if p.is_dir())[-1]
    shutil.copytree(first, tmp_path / "one" / "cat")
    code, _, err = here(*encoder_line(tmp_path / "one"))
    assert code == 2 and "has one class only (cat)" in err


@pytest.mark.slow
def test_an_evaluation_of_a_split_that_is_not_there_packs_nothing(
    tiny: Path, pictures: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here(*encoder_line(pictures, "--run", "one"))[0] == 0
    shutil.rmtree(tiny / "cache")
    monkeypatch.setattr(
        "chimera_core.training.data.pack", lambda *a, **k: pytest.fail("images were packed first")
    )
    code, _, err = here("encoder", "evaluate", "one", "--split", "tset", "--device", "cpu")
    assert code == 2 and "there is no split 'tset'" in err
