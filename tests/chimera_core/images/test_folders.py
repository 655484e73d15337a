"""Folders are walked once, whatever links lie in them, and never into what a system keeps for itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from PIL import Image

from chimera_core.compare.experiment.identity import folder_stamp
from chimera_core.errors import DataError
from chimera_core.images import folders
from chimera_core.images.folders import is_picture_name, is_system_folder, pictures_below, walk


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b/2.png",
        "a/1.JPG",
        "a/deep/er/3.png",
        "a/notes.txt",
        "@eaDir/4.png",
        ".git/5.png",
        "a/._1.JPG",
    ):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "root"


def test_pictures_are_listed_in_order_by_the_parts_of_their_paths(tree: Path) -> None:
    found = pictures_below(tree)
    assert found.files == (("a", "1.JPG"), ("a", "deep", "er", "3.png"), ("b", "2.png"))
    assert found.passed_over == (tree / "@eaDir",)
    assert pictures_below(tree, deepest=1).files == (("a", "1.JPG"), ("b", "2.png"))


def test_a_link_back_is_passed_over_and_a_link_aside_is_followed(tree: Path) -> None:
    (tree / "a" / "back").symlink_to("../..")
    (tree / "b" / "aside").symlink_to(tree / "a")
    found = pictures_below(tree)
    assert ("b", "aside", "1.JPG") in found.files
    assert {path.name for path in found.passed_over} == {"@eaDir", "back"}


def test_without_a_listener_nothing_is_passed_over_but_circles(tree: Path) -> None:
    (tree / "a" / "back").symlink_to("..")
    assert ("@eaDir",) in [parts for parts, _ in walk(tree)]


def test_a_folder_that_cannot_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:  # the tests run as root, whom no permission bit stops
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", refuse)
    with pytest.raises(DataError, match="b' cannot be read \\(Permission denied\\): change its permissions"):
        pictures_below(tree)
    assert len(list(walk(tree))) > 3


@pytest.mark.parametrize("name", ["@eaDir", "LOST+FOUND", "$Recycle.Bin", "found.001", ".cache"])
def test_names_of_systems_folders_are_known_in_any_case(name: str) -> None:
    assert is_system_folder(name)
    assert not is_system_folder(name.strip("@$.").replace("+", " ").replace("001", "1") + "s")


def test_pictures_are_known_by_their_endings() -> None:
    assert all(map(is_picture_name, ("a.jpg", "b.JFIF", "c.heif", "d.jp2", "e.pgm")))
    assert not any(map(is_picture_name, ("a.txt", "jpg", ".jpg", "._a.jpg")))


def test_the_stamp_of_a_folder_with_circles_takes_no_minute(tree: Path) -> None:
    before = folder_stamp(str(tree))
    for k in range(300):
        (tree / f"link{k}").symlink_to(".")
    start = time.process_time()
    assert folder_stamp(str(tree)) == before
    assert time.process_time() - start < 2


def test_a_library_has_no_animal_of_a_systems_name(tmp_path: Path) -> None:
    from chimera_core.library.folder import Library

    for name in ("lion/1.png", "@eaDir/1.png", "lost+found/1.png", "lion/@eaDir/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert list(Library(tmp_path).pictures()) == ["lion"]
