"""An experiment whose data do not serve is refused before anything is trained or made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Write = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]
REFERENCE = '[reference]\nsource = "folder"\noptions = { root = "animals" }\n'


@pytest.fixture
def animals(place: Path) -> Path:
    """120 images in train, 24 in dev."""
    for split, count in (("Train", 120), ("dev", 24)):
        for index in range(count):
            path = place / "animals" / split / f"kind-{index % 4}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (index, 0, 0)).save(path)
    return place / "animals"


@pytest.fixture
def nothing_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("run.make_cells", "estimate.make_cells", "run.train_first"):
        fail = lambda *a, **k: pytest.fail("something was made or trained first")  # noqa: E731
        monkeypatch.setattr(f"chimera_core.compare.{name}", fail)
    from chimera_core.compare.experiment.plan import train_first

    # Without trainings it does nothing, and is called.
    monkeypatch.setattr(
        "chimera_core.compare.run.train_first",
        lambda e, *a, **k: train_first(e, *a, **k) if not e.trainings else pytest.fail("trained first"),
    )


@pytest.mark.parametrize("dry", [("--dry-run",), ()])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            'split = "dev"\n',
            "line 9: reference: a reference of 24 images is too small: give 100 animals or more",
        ),
        ('split = "tset"\n', "line 9: reference: source folder has no split 'tset'"),
        (
            "images = 50\n",
            "line 12: option 'images' of [reference]: input should be greater than or equal to 100",
        ),
        ("", "line 9: reference: "),
    ],
)
def test_a_reference_that_does_not_serve_is_named_with_its_line(
    experiment: Write,
    animals: Path,
    here: Here,
    nothing_made: None,
    more: str,
    words: str,
    dry: tuple[str, ...],
) -> None:
    text = REFERENCE + more
    if not more:  # there is no such folder
        text = text.replace("animals", "nowhere")
    path = experiment(("[fusers.mix]", text + "[fusers.mix]"), ('"cnn"', '"robust-lite0"'))
    code, _, err = here("compare", path, "--jobs", 1, *dry)
    assert code == 2, err
    (line,) = err.strip().splitlines()
    assert words in line, line


TRAINED = """[fusers.one]
fuser = "mean-image"
[fusers.one.train]
images = 16
batch = 8
size = 16
judge = "none"
[fusers.one.train.source]
name = "folder"
options = { root = "animals" }
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('root = "animals"', 'root = "animlas"', "animlas' does not exist"),
        ("batch = 8", 'batch = 8\nval_split = "tset"', "there is no split 'tset'"),
    ],
)
def test_data_of_a_training_are_looked_at_before_the_first_training_starts(
    experiment: Write, animals: Path, here: Here, nothing_made: None, old: str, new: str, words: str
) -> None:
    path = experiment((old, new), ('"cnn"', '"robust-lite0"'), fusers=TRAINED)
    code, _, err = here("compare", path, "--jobs", 1)
    assert code == 2, err
    assert "fusers.one.train: " in err and words in err


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers", "few_views")
def test_parents_that_no_judge_can_see_are_said_before_their_creatures_are_made(
    experiment: Write, here: Here, place: Path
) -> None:
    path = experiment(
        ('["a.png", "b.png"]', '["a.png", "b.png"], ["person", "cat"]'), ('"cnn"', '"robust-lite0"')
    )
    code, _, err = here("compare", path, "--jobs", 1, "--dry-run")
    assert code == 0, err
    assert "chimera: there is no image of cat, person to show to a judge" in err
