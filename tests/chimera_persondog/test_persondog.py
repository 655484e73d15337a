from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core import open_source
from chimera_core.api import ConfigError, MissingDataError
from chimera_core.testing import (
    Law,
    check_component,
    parametrize_with_laws,
    write_celeba,
    write_flickr_dog,
    write_lhi,
)


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    """All three in one folder: 16 + 2 + 2 persons, 30 dogs of Flickr, 3 dogs among 9 animals."""
    write_celeba(tmp_path, count=20)
    write_flickr_dog(tmp_path)
    return write_lhi(tmp_path, animals=["Cat", "Dog", "Human"], photos=3)


@parametrize_with_laws(check_component("persondog"))
def test_persondog_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


def test_persons_and_dogs_are_counted_by_class_and_source(collections: Path) -> None:
    source = open_source("persondog", root=str(collections))
    info = source.info
    assert info.classes == ("person", "dog")
    assert info.domains == ("celeba", "flickr-dog", "lhi-animal-faces")
    assert dict(info.splits) == {"train": 16 + 30 + 3}
    assert "person: all of celeba (train 16)" in info.notes
    assert "dog: all of flickr-dog (train 30)" in info.notes
    assert "dog: dog of lhi-animal-faces (train 3)" in info.notes
    split = source.open("train")
    assert list(split.labels) == [0] * 16 + [1] * 33
    assert list(split.domains) == [0] * 16 + [1] * 30 + [2] * 3
    assert {p.parent.name for p in split.paths[-3:]} == {"DogHead"}


def test_what_it_is_made_of_does_not_depend_on_how_its_folder_is_written(
    collections: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_source("persondog", root=str(collections))
    monkeypatch.chdir(collections.parent)
    assert open_source("persondog", root=collections.name).made_of() == whole.made_of()


def test_images_are_cropped_as_in_the_report_and_dogs_stay_whole(collections: Path) -> None:
    split = open_source("persondog", root=str(collections)).open("train")
    assert split[0].image.shape == (3, 108, 108)
    assert split[16].image.shape == (3, 250, 250)
    wide = open_source("persondog", root=str(collections), celeba_crop="178", flickr_dog_crop="200")
    assert wide.open("train")[0].image.shape == (3, 178, 178)
    assert wide.open("train")[16].image.shape == (3, 200, 200)


def test_folders_are_found_under_other_names(collections: Path) -> None:
    for old, new in (
        ("celeba", "CelebA"),
        ("flickr-dog", "Flickr_Dog"),
        ("lhi-animal-faces", "LHI Animal Faces"),
    ):
        (collections / old).rename(collections / new)
    assert dict(open_source("persondog", root=str(collections)).info.splits) == {"train": 49}


def test_each_collection_may_have_a_root_of_its_own(tmp_path: Path) -> None:
    source = open_source(
        "persondog",
        root=str(tmp_path),
        celeba_root=str(write_celeba(tmp_path / "a", count=10)),
        lhi_root=str(write_lhi(tmp_path / "b", animals=["Dog"], photos=2)),
    )
    assert dict(source.info.splits) == {"train": 10}


def test_without_a_root_everything_is_looked_for_among_the_assets(
    collections: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None
) -> None:
    monkeypatch.setenv("CHIMERA_ASSETS", str(collections))
    assert dict(open_source("persondog").info.splits) == {"train": 49}


@pytest.mark.parametrize(
    ("balance", "shares"),
    [
        ("natural", None),
        ("equal", {"person": 0.5, "dog": 0.5}),
        ("0.3", {"person": pytest.approx(0.7), "dog": 0.3}),
        ("1", {"person": 0, "dog": 1}),
    ],
)
def test_balance_is_the_share_of_dogs(collections: Path, balance: str, shares: object) -> None:
    source = open_source("persondog", root=str(collections), balance=balance)
    assert source.info.shares == shares
    assert len(source.open("train")) == 49


@pytest.mark.parametrize("balance", ["half", "1.5", "-0.1", "nan", ""])
def test_a_wrong_balance_is_one_clear_line(collections: Path, balance: str) -> None:
    with pytest.raises(ConfigError, match="write natural, equal, or the dogs' share from 0 to 1"):
        open_source("persondog", root=str(collections), balance=balance)


def without(*names: str) -> Callable[[Path], Path]:
    def remove(root: Path) -> Path:
        for name in names:
            shutil.rmtree(root / name)
        return root

    return remove


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("celeba"), r"no CelebA \(--celeba-root\) in .*it holds flickr-dog, lhi-animal-faces"),
        (without("flickr-dog", "lhi-animal-faces"), r"neither Flickr-Dog .* nor LHI.*it holds celeba"),
        (lambda root: root / "missing", "no CelebA .* and neither .*there is no such folder"),
        (lambda root: root / "celeba" / "list_eval_partition.txt", "it is a file"),
        (lambda root: root / "celeba" / "list_eval_partition.txt" / "x", "a part of the path is a file"),
    ],
)
def test_what_is_lacking_is_one_line_with_expected_and_found(
    collections: Path, spoil: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(MissingDataError, match=message) as caught:
        open_source("persondog", root=str(spoil(collections)))
    assert "expected folders celeba" in str(caught.value) and "\n" not in str(caught.value)


def test_one_collection_of_dogs_is_enough(collections: Path) -> None:
    without("lhi-animal-faces")(collections)
    assert dict(open_source("persondog", root=str(collections)).info.splits) == {"train": 46}


def test_the_frame_of_the_eyes_needs_those_of_the_dogs(collections: Path) -> None:
    with pytest.raises(ConfigError, match=r"member 'dog' \(flickr-dog\) does not say where its eyes are"):
        open_source("persondog", root=str(collections), frame="eyes")
    source = open_source(
        "persondog",
        root=str(collections),
        frame="eyes",
        flickr_dog_eyes="80,100,170,100",
        lhi_eyes="30,40,70,40",
    )
    shapes = {example.image.shape[1:] for example in (source.open("train")[k] for k in (0, 16, 46))}
    assert shapes == {(108, 108), (250, 250), (111, 111)}
    with pytest.raises(ConfigError, match="write left x,left y,right x,right y"):
        open_source("persondog", root=str(collections), lhi_eyes="1,2")
