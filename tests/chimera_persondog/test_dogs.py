from __future__ import annotations

import pickle
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from chimera_core import open_source
from chimera_core.api import ConfigError, DataError, MissingDataError
from chimera_core.testing import Law, check_component, parametrize_with_laws, write_flickr_dog, write_lhi


@parametrize_with_laws(check_component("flickr-dog"))
def test_flickr_dog_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("lhi-animal-faces"))
def test_lhi_animal_faces_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


@pytest.mark.parametrize("by_breed", [False, True])
@pytest.mark.parametrize("inner", ["", "flickr-dog"])
def test_flickr_dog_is_thirty_images_of_six_dogs_in_either_layout(
    tmp_path: Path, by_breed: bool, inner: str
) -> None:
    root = write_flickr_dog(tmp_path, by_breed=by_breed) / inner
    source = open_source("flickr-dog", root=str(root))
    assert source.info.classes == ("dog",)
    assert dict(source.info.splits) == {"all": 30}
    assert source.info.notes[0].startswith("30 images of 6 dogs")
    image, label, _ = pickle.loads(pickle.dumps(source.open("all")))[7]
    assert image.dtype == torch.uint8 and image.shape == (3, 250, 250) and label == 0


def test_flickr_dog_can_be_sorted_by_breed_or_name(tmp_path: Path) -> None:
    root = str(write_flickr_dog(tmp_path, by_breed=True, photos=2))
    breeds = open_source("flickr-dog", root=root, label="breed")
    assert breeds.info.classes == ("husky", "pug")
    assert list(breeds.open("all").labels) == [0] * 6 + [1] * 6
    dogs = open_source("flickr-dog", root=root, label="name")
    assert dogs.info.classes == ("Bailey", "Bandit", "Dakota", "Doris", "Meeshka", "Newton")


def test_breeds_without_their_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs folders named pug and husky"):
        open_source("flickr-dog", root=str(write_flickr_dog(tmp_path)), label="breed")


def test_flickr_dog_is_found_under_other_names_and_loose_images_are_counted(tmp_path: Path) -> None:
    root = write_flickr_dog(tmp_path, by_breed=True)
    (root / "flickr-dog" / "pug").rename(root / "flickr-dog" / "PUGS")
    shutil.copy(root / "flickr-dog" / "husky" / "Bandit" / "0.jpg", root / "flickr-dog" / "readme.jpg")
    (root / "flickr-dog").rename(root / "Flickr_Dog (1)")
    source = open_source("flickr-dog", root=str(root), label="breed")
    assert source.info.classes == ("husky", "pug")
    assert source.info.notes[1] == "1 images lie in no dog's folder, and are left out"


def test_lhi_matches_its_twenty_folders_and_says_what_it_left_out(tmp_path: Path) -> None:
    source = open_source("lhi-animal-faces", root=str(write_lhi(tmp_path, photos=2)))
    info = source.info
    assert len(info.classes) == 20 and {"dog", "human", "pigeon", "pig"} <= set(info.classes)
    assert dict(info.splits) == {"all": 40}
    assert "DogHead as dog (2)" in info.notes[0]
    assert info.notes[1].endswith("Natural (1)")
    split = source.open("all")
    by_folder = {(p.parent.name, info.classes[k]) for p, k in zip(split.paths, split.labels, strict=True)}
    assert all(folder.lower() == f"{animal}head" for folder, animal in by_folder)


@pytest.mark.parametrize(
    "folder", ["DogHead", "doghead", "dog", "Dogs", "Dog-Heads", "dog face", "Image/DogHead", "a/b/Dog_Head"]
)
def test_lhi_folders_are_matched_loosely(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "1.jpg"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(path)
    assert open_source("lhi-animal-faces", root=str(tmp_path)).info.classes == ("dog",)


def test_the_folder_of_one_animal_will_do(tmp_path: Path) -> None:
    root = write_lhi(tmp_path, photos=3) / "lhi-animal-faces" / "WolfHead"
    info = open_source("lhi-animal-faces", root=str(root)).info
    assert info.classes == ("wolf",) and dict(info.splits) == {"all": 3}


def test_two_folders_of_one_animal_are_one_class(tmp_path: Path) -> None:
    root = write_lhi(tmp_path, animals=["Dog"], photos=2) / "lhi-animal-faces"
    shutil.copytree(root / "DogHead", root / "dogs")
    info = open_source("lhi-animal-faces", root=str(root)).info
    assert dict(info.splits) == {"all": 4}
    assert "DogHead + dogs as dog (4)" in info.notes[0]


def only_others(root: Path) -> Path:
    (root / "Tables").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(root / "Tables" / "1.jpg")
    return root


def a_file(root: Path) -> Path:
    root.parent.mkdir(parents=True, exist_ok=True)
    root.touch()
    return root


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("flickr-dog", lambda root: root, "there is no such folder.*expected folders of single dogs"),
        ("flickr-dog", a_file, "it is a file"),
        ("flickr-dog", lambda root: a_file(root) / "x", "a part of the path is a file"),
        ("lhi-animal-faces", lambda root: root, "there is no such folder.*expected folders like DogHead"),
        ("lhi-animal-faces", only_others, "it holds Tables.*found folders with images: Tables"),
        ("lhi-animal-faces", lambda root: a_file(root) / "x", "a part of the path is a file"),
    ],
)
def test_no_data_is_one_line_with_expected_found_and_where_to_get_it(
    tmp_path: Path, name: str, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(MissingDataError, match=message) as caught:
        open_source(name, root=str(make(tmp_path / "data")))
    assert "get it from http" in str(caught.value) and "\n" not in str(caught.value)


def test_loose_images_alone_are_no_flickr_dog(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "1.jpg")
    with pytest.raises(MissingDataError, match=r"it holds 1\.jpg\): expected folders of single dogs"):
        open_source("flickr-dog", root=str(tmp_path))


def test_an_unknown_split_names_the_one_there_is(tmp_path: Path) -> None:
    for source in (
        open_source("flickr-dog", root=str(write_flickr_dog(tmp_path))),
        open_source("lhi-animal-faces", root=str(write_lhi(tmp_path, photos=1))),
    ):
        with pytest.raises(DataError, match=r"no split 'train' \(it has: all\)"):
            source.open("train")


def test_an_unreadable_image_is_an_error_at_its_index_only(tmp_path: Path) -> None:
    root = write_flickr_dog(tmp_path, photos=1)
    (root / "flickr-dog" / "Bandit" / "0.jpg").write_bytes(b"")
    split = open_source("flickr-dog", root=str(root)).open("all")
    bad = []
    for k in range(len(split)):
        try:
            split[k]
        except DataError:
            bad.append(split.paths[k].parent.name)
    assert bad == ["Bandit"]


def test_download_says_where_to_get_them_and_where_to_put_them(tmp_path: Path) -> None:
    from chimera_persondog.config import FlickrDogConfig, LhiConfig
    from chimera_persondog.flickr_dog import FlickrDogSource
    from chimera_persondog.lhi import LhiSource

    with pytest.raises(ConfigError, match=r"recod.*put it into '.*here'"):
        FlickrDogSource.download(FlickrDogConfig(root="here"), progress=lambda done, total: None)
    with pytest.raises(ConfigError, match=r"vcla.*put it into '.*here'"):
        LhiSource.download(LhiConfig(root="here"), progress=lambda done, total: None)


def test_given_images_fill_the_layouts(tmp_path: Path, test_data: Path) -> None:
    dogs = sorted((test_data / "pacs" / "photo" / "dog").iterdir())[:12]
    root = write_flickr_dog(tmp_path, dogs, photos=2)
    sizes = Counter(example.image.shape for example in open_source("flickr-dog", root=str(root)).open("all"))
    assert sizes == {(3, 250, 250): 12}
