"""``chimera score``: one table or one document, and one line for every mistake."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimera_core.errors import ConfigError, DataError
from chimera_core.images import write_png
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring import parents as parents_seen
from chimera_core.scoring import pictures as pictures_seen
from chimera_core.scoring.formula import FORMULA
from chimera_core.scoring.pictures import parent_of_class

Here = Callable[..., tuple[int, str, str]]
Picture = Callable[..., Path]


@pytest.fixture
def pictures(tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two parents, a.png and b.png, two chimeras in made/, animals/ as a reference, people/ with classes."""
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    for few in ("_VIEWS", "_WHOLE", "_EXPOSURES", "_GROUND_VIEWS"):  # what is tested here is the command
        monkeypatch.setattr(parents_seen, few, 4)
    picture("a.png")
    picture("b.png", colour=(20, 200, 40))
    (tmp_path / "made").mkdir()
    picture("made/1.png", colour=(110, 140, 30))
    metadata = {"chimera.weights": "[0.75, 0.25]"}
    write_png(tmp_path / "made" / "2.png", np.full((40, 40, 3), 90, np.uint8), text=metadata)
    random = np.random.default_rng(0)
    for k in range(110):
        kind = tmp_path / "animals" / f"kind-{k % 5}"
        kind.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(kind / f"{k}.png")
    for k in range(6):
        for name in ("person", "cat"):
            (tmp_path / "people" / name).mkdir(parents=True, exist_ok=True)
            colour = (200, 150, 100 + k) if name == "person" else (60, 60, 60 + k)
            picture(f"people/{name}/{k}.png", colour=colour)
    monkeypatch.chdir(tmp_path)
    return tmp_path


JUDGE = ("--judge", "robust-lite0", "--size", "32")
ASKED = ("made", "--parents", "a.png", "b.png", *JUDGE)


@pytest.mark.slow
def test_pictures_are_scored_with_the_weights_that_they_tell(here: Here, pictures: Path) -> None:
    code, out, err = here("score", *ASKED, "--reference", "animals", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [row["image"] for row in found["images"]] == ["1.png", "2.png"]
    assert [row["weights"] for row in found["images"]] == [[0.5, 0.5], [0.75, 0.25]]
    assert found["judges"][0]["name"] == "robust-lite0" and "128 px" in found["judges"][0]["resize"]
    assert found["reference"] == {"name": "animals", "n": 110} and found["size"] == 32
    for row in found["images"]:
        for name in ("membership_0", "membership_1", "leakage", "realism", "fused", "score", "novelty"):
            assert 0 <= row["metrics"][name]["value"] <= 1, name
        names = ("score", "fused", "realism", "montage", "unity")
        score, fused, realism, montage, unity = (row["metrics"][name]["value"] for name in names)
        assert score == pytest.approx((fused * realism) ** 0.5 * (1 - montage * (1 - unity)))
    assert found["formula"] == FORMULA
    assert found["set"]["KID[robust-lite0]"]["value"] is None
    assert "fewer than 100" in found["set"]["KID[robust-lite0]"]["reason"]


@pytest.mark.slow
def test_the_table_says_what_is_missing_and_why(here: Here, pictures: Path) -> None:
    code, out, err = here("score", *ASKED)
    assert code == 0, err
    lines = out.splitlines()
    header = next(line for line in lines if "image" in line)
    assert header.split()[:2] == ["image", "weights"] and header.split()[-1] == "score"
    assert any(line.startswith(" 2.png") and "0.75 0.25" in line and "n/a" in line for line in lines)
    small = (
        "the built-in reference serves from 64 px, not at 32: give a reference of your own, or a larger size"
    )
    assert f"n/a: {small}" in lines


@pytest.mark.slow
def test_without_a_reference_the_one_that_comes_along_serves_and_is_named(
    here: Here, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_seen, "load_finder", lambda: None)
    monkeypatch.setattr(pictures_seen, "find_subject", lambda finder, image: (image[:1] > 0.4).float())
    code, out, err = here(
        *("score", "made", "--parents", "a.png", "b.png", "--judge", "robust-small-64", "--json")
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["size"] == 64 and found["reference"] == {"name": "built-in", "n": 1486}
    for row in found["images"]:
        for name in ("leakage", "realism", "fused", "score"):
            assert 0 <= row["metrics"][name]["value"] <= 1, name
    assert "no features of whole pictures" in found["set"]["recall"]["reason"]


@pytest.mark.slow
def test_a_model_of_classes_is_scored_against_real_images_of_a_source(here: Here, pictures: Path) -> None:
    code, out, err = here(
        *("score", "person-cat", "--parents", "person", "cat", "--source", "folder"),
        *("--source.root", "people", "--weights", "1,0", "--weights", ".5,.5", "--weights", "0,1"),
        *("--n", "2", *JUDGE, "--json"),
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["fuser"] == "person-cat" and found["parents"][0] == {"label": "person", "images": 6}
    assert [(row["weights"][0], row["seed"]) for row in found["images"]] == [
        (w, seed) for w in (1.0, 0.5, 0.0) for seed in (0, 1)
    ]
    assert found["set"]["position_step_max"]["n"] == 2
    assert found["set"]["collapsed"]["value"] in (0, 1) and found["set"]["ignores-weights"]["value"] in (0, 1)


def test_classes_are_seen_in_the_split_and_spelling_that_a_source_has(pictures: Path) -> None:
    host, people = default_host(), {"root": "people"}
    for name in ("train", "test"):
        (pictures / "people" / name).mkdir()
    for name in ("person", "cat"):
        os.rename(pictures / "people" / name, pictures / "people" / "train" / name)
    os.rename(pictures / "people" / "train" / "cat", pictures / "people" / "test" / "Tabby_Cat")
    seen = parent_of_class(host, "tabby cat", source="folder", options=people, size=16, split="test")
    assert (seen.label, len(seen.images)) == ("tabby cat", 6)
    with pytest.raises(ConfigError, match="has no image of class 'person' in split 'test'"):
        parent_of_class(host, "person", source="folder", options=people, size=16, split="test")
    with pytest.raises(DataError, match=r"has no split 'tset' \(it has: "):
        parent_of_class(host, "person", source="folder", options=people, size=16, split="tset")


MISTAKES: list[tuple[list[str], str]] = [
    (["made", "--parents", "a.png", "missing.png"], "missing.png"),
    (["nothing.png", "--parents", "a.png", "b.png"], "nothing.png"),
    (["people", "--parents", "a.png", "b.png"], "folder 'people' has no pictures: it holds cat, person"),
    (["made"], "name the parents: --parents A B"),
    (["made", "--parents", "cat", "dog"], "real images of class 'cat': name their data set with --source"),
    (["person-cta", "--parents", "a.png", "b.png"], "did you mean 'person-cat'?"),
    (
        ["made", "--parents", "a.png", "b.png", "--weights", ".5,.2,.3"],
        "3 weights (0.5,0.2,0.3) for 2 parents",
    ),
    (["made", "--parents", "a.png", "b.png", "--weights", "0,0"], "must sum to 1"),
    (["made", "--parents", "a.png", "b.png", "--parent", "a.png"], "weights [0.75, 0.25] for other parents"),
    (
        ["made", "--parents", "a.png", "b.png", "--weights", "1,0", "--weights", "0,1"],
        "pictures have one --weights",
    ),
    (["made", "--parents", "a.png", "b.png", "--preset", "x"], "--preset is for a fuser"),
    (
        ["made", "--parents", "a.png", "b.png", "--split", "test"],
        "--split says which images stand for a class",
    ),
    (["made", "--parents", "a.png", "b.png", "--judge", "robust-lite"], "did you mean 'robust-lite0'?"),
    (
        ["made", "--parents", "a.png", "b.png", *("--judge", "robust-lite0") * 2],
        "judge 'robust-lite0' is named twice",
    ),
    (["made", "--parents", "a.png", "b.png", "--judge", "gone.safetensors"], "no file 'gone.safetensors'"),
    (
        ["made", "--parents", "a.png", "b.png", "--reference", "zoo"],
        "reference 'zoo': there is no such folder",
    ),
    (
        ["style-transfer", "--parents", "a.png", "b.png", "--judge", "tf_efficientnet_lite0"],
        "judge 'tf_efficientnet_lite0' is the encoder that style-transfer uses itself: name another",
    ),
    (
        [
            "feature-morph",
            "--preset",
            "robust-morph",
            "--parents",
            "a.png",
            "b.png",
            "--judge",
            "robust-lite0",
        ],
        "is the encoder that feature-morph uses itself",
    ),
    (["wgan", "--parents", "a.png", "b.png"], "wgan"),
]


@pytest.mark.parametrize(("asked", "message"), MISTAKES, ids=[" ".join(a)[:60] for a, _ in MISTAKES])
def test_a_mistake_is_one_line(here: Here, pictures: Path, asked: list[str], message: str) -> None:
    before = sorted(pictures.rglob("*"))
    code, out, err = here("score", *asked)
    assert (code, out) == (2, "")
    assert message in err and err.startswith("chimera: ") and err.count("\n") == 1
    assert sorted(pictures.rglob("*")) == before


@pytest.mark.slow
def test_a_reference_that_is_too_small_is_said(here: Here, pictures: Path) -> None:
    code, _, err = here("score", *ASKED, "--reference", "people")
    assert code == 2 and "a reference of 12 images is too small: give 100 animals or more" in err


@pytest.mark.slow
def test_a_reference_that_is_too_small_is_said_before_creatures_are_made(
    here: Here, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "chimera_core.scoring.command._made", lambda plan: pytest.fail("creatures were made first")
    )
    code, _, err = here("score", *ASKED, "--reference", "people")
    assert code == 2, err
    assert "a reference of 12 images is too small" in err
