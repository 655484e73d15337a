"""What is dropped on the page is taken under its own name, or refused in one line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core.errors import DataError
from chimera_core.plugins.discovery import discover
from chimera_core.plugins.registry import Registry
from chimera_core.plugins.settings import read_settings
from chimera_core.studio.parents import distinct_names, file_name, is_known, take_upload, unknown_name

Picture = Callable[..., Path]


@pytest.fixture
def private(tmp_path: Path) -> Path:
    (tmp_path / "private").mkdir()
    return tmp_path / "private"


def upload(private: Path, content: bytes) -> Path:
    file = private / "upload"
    file.write_bytes(content)
    return file


def test_a_photograph_keeps_its_bytes_and_its_name(private: Path, picture: Picture) -> None:
    content = picture("a.png").read_bytes()
    slot = take_upload(private, upload(private, content), "Löwe (2).png")
    assert (Path(slot.word).name, slot.shown) == ("Löwe (2).png", "Löwe (2).png")
    assert Path(slot.word).read_bytes() == content and not (private / "upload").exists()
    # The same again is the same file: what was found in it is found.
    assert take_upload(private, upload(private, content), "Löwe (2).png") == slot


def test_a_hundred_broken_files_give_a_hundred_lines(private: Path, picture: Picture) -> None:
    whole = picture("a.png").read_bytes()
    chance = random.Random(0)
    for k in range(100):
        cut = bytearray(whole[: chance.randrange(0, 33)] + chance.randbytes(chance.randrange(0, 200)))
        with pytest.raises(DataError) as error:
            take_upload(private, upload(private, bytes(cut)), f"broken {k}.png")
        assert f"broken {k}.png" in str(error.value) and str(private) not in str(error.value)
        assert "\n" not in str(error.value)
    assert not list(private.rglob("*.png"))


def test_a_name_without_a_picture_is_refused_with_an_animal_that_may_be_meant(
    tmp_path: Path, picture: Picture
) -> None:
    (tmp_path / "library/lion").mkdir(parents=True)
    picture("a.png").rename(tmp_path / "library/lion/a.png")
    settings = read_settings({"CHIMERA_LIBRARY": str(tmp_path / "library")}, Path("no-such-file"))
    host = discover(settings, Registry(), ())
    assert is_known(host, "lions") and not is_known(host, "unicorn") and not is_known(host, "a/b")
    assert unknown_name(host, "lyon") == (
        "No picture called 'lyon' on this machine. Did you mean 'lion'? Drop a photograph instead."
    )
    assert "\n" not in unknown_name(host, "a\nb" * 99)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd.png", "passwd.png"),
        ("C:\\Users\\me\\lion.jpg", "lion.jpg"),
        ("a\nb\x00.png", "a_b_.png"),
        ("<b> & co.png", "<b> & co.png"),
        ("...", "picture"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
        ("-rf.png", "-rf.png"),
    ],
)
def test_a_name_is_made_fit_for_any_system(name: str, kept: str) -> None:
    assert file_name(name) == kept


def test_two_files_of_one_name_are_told_apart_in_one_folder() -> None:
    assert distinct_names(["image.png", "Image.PNG", "lion.jpg", "image.png"]) == [
        "image.png",
        "Image-2.PNG",
        "lion.jpg",
        "image-3.png",
    ]
