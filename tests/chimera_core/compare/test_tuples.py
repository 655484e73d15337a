"""Parents are drawn once, the same for every fuser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimera_core.compare.experiment.parents import ANY_SEED, ParentTuple, make_tuples
from chimera_core.compare.experiment.plan import Experiment, check_experiment
from chimera_core.errors import ChimeraError
from chimera_core.plugins.discovery import default_host

Write = Callable[..., Path]
NAMED = 'tuples = [["a.png", "b.png"]]'


@pytest.fixture
def source(place: Path) -> Path:
    for k, name in enumerate(("cat", "dog", "pig")):
        folder = place / "data" / name
        folder.mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((18, 20, 3), 60 * k + 10 * number, np.uint8)).save(
                folder / f"{number}.png"
            )
    return place / "data"


def drawn(path: Path, folder: Path) -> tuple[Experiment, list[ParentTuple]]:
    found = check_experiment(path, default_host())
    return found, make_tuples(found.file, found.host, found.named, folder)


def sampled(extra: str = "sample = 6") -> tuple[str, str]:
    return NAMED, f'source = "folder"\noptions = {{ root = "data" }}\n{extra}'


def test_pairs_of_images_are_drawn_of_two_classes_each(experiment: Write, source: Path, place: Path) -> None:
    _, tuples = drawn(experiment(sampled()), place / "run")
    assert Counter(tuple(sorted(t.labels)) for t in tuples) == {
        ("cat", "dog"): 2,
        ("cat", "pig"): 2,
        ("dog", "pig"): 2,
    }
    files = [slot.file(seed) for t in tuples for slot in t.slots for seed in (0, 5)]
    assert len(set(files)) == 12 and all(f is not None and f.is_file() for f in files)
    # No image comes twice as long as there are others.
    greys = [int(np.asarray(Image.open(f))[0, 0, 0]) for f in files[::2] if f is not None]
    assert len(set(greys)) == 12
    for t in tuples:
        for slot in t.slots:
            grey = int(np.asarray(Image.open(slot.files[ANY_SEED]))[0, 0, 0])
            assert grey // 60 == ("cat", "dog", "pig").index(str(slot.class_name))


def test_what_was_drawn_stays_until_the_question_or_the_data_change(
    experiment: Write, source: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = drawn(experiment(sampled()), place / "run")
    with monkeypatch.context() as patch:
        patch.setattr(
            "chimera_core.compare.experiment.parents._Deck",
            lambda *given: pytest.fail("the source was opened again"),
        )
        assert drawn(experiment(sampled()), place / "run")[1] == before
    _, others = drawn(experiment(sampled("sample = 6\nseed = 1")), place / "other")
    assert [t.labels for t in others] != [t.labels for t in before] or others != before
    for file in source.rglob("*.png"):
        Image.new("RGB", (18, 20), "white").save(file)
    _, anew = drawn(experiment(sampled()), place / "run")
    assert {int(np.asarray(Image.open(s.files[ANY_SEED])).min()) for t in anew for s in t.slots} == {255}


def test_a_class_that_is_named_is_another_image_for_each_seed(
    experiment: Write, source: Path, place: Path
) -> None:
    replaced = (NAMED, 'tuples = [["cat", "a.png"]]\nsource = "folder"\noptions = { root = "data" }')
    _, (only,) = drawn(experiment(replaced), place / "run")
    cat, photograph = only.slots
    assert cat.file(0) != cat.file(1) and cat.class_name == "cat"
    assert photograph.file(0) == photograph.file(1) == place / "a.png" and photograph.class_name is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            'sample = 2\nclasses = ["cat", "dgo"]',
            r"source folder has no class 'dgo' \(did you mean 'dog'\?\)",
        ),
        ('sample = 2\nclasses = ["cat"]', "pairs need two classes or more, but there is 1"),
        ('sample = 2\nsplit = "tset"', r"there is no split 'tset' \(known: all\)"),
    ],
)
def test_what_cannot_be_drawn_is_said_with_its_place(
    experiment: Write, source: Path, place: Path, extra: str, message: str
) -> None:
    with pytest.raises(ChimeraError, match=rf"small.toml line 5: parents: {message}"):
        drawn(experiment(sampled(extra)), place / "run")
