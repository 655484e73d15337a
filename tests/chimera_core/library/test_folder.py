"""The library as a folder: what people drop into it, what must never leave it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.library.choosing import pick_picture, rank_pictures
from chimera_core.library.folder import Library
from chimera_core.library.records import PictureRecord, read_record, record_file

Picture = Callable[..., Path]


def test_a_library_that_does_not_exist_is_empty(root: Path) -> None:
    assert Library(root).pictures() == {}
    assert not root.exists()


def test_an_added_picture_is_there_with_its_terms(root: Path, picture: Picture) -> None:
    source = picture("My Bird (1).JPG")
    copy = Library(root).add(
        "Golden Eagle", source, PictureRecord("CC0-1.0", "A. Person", "https://x.test/1")
    )
    assert copy.read_bytes() == source.read_bytes()
    assert copy.parent == root / "golden_eagle" and copy.suffix == ".jpg"
    assert Library(root).pictures() == {"golden_eagle": [copy]}
    record = Library(root).record(copy)
    assert (record.licence, record.attribution, record.source) == ("CC0-1.0", "A. Person", "https://x.test/1")
    assert record.original == "My Bird (1).JPG" and len(record.added) == 10
    assert 'licence = "CC0-1.0"' in record_file(copy).read_text()


def test_the_same_picture_twice_stays_one_with_the_newer_terms(root: Path, picture: Picture) -> None:
    for licence in ("", "CC-BY-4.0"):
        copy = Library(root).add("fox", picture("a.png"), PictureRecord(licence))
    assert Library(root).pictures() == {"fox": [copy]}
    assert read_record(copy).licence == "CC-BY-4.0"


def test_two_pictures_of_one_file_name_are_both_kept(root: Path, picture: Picture) -> None:
    for colour in ((200, 0, 0), (0, 200, 0)):
        Library(root).add("fox", picture("a.png", colour=colour))
    assert len(Library(root).pictures()["fox"]) == 2


def test_pictures_dropped_in_by_hand_count(root: Path, picture: Picture) -> None:
    (root / "Golden Eagle").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "a.b").mkdir()
    (root / "Golden Eagle/one.JPG").write_bytes(picture("one.jpg").read_bytes())
    (root / "Golden Eagle/notes.txt").write_text("seen in May")
    for name in ("fox-2.png", ".hidden.png", "a.b/x.png", ".git/x.png"):
        (root / name).write_bytes(picture("two.png").read_bytes())
    found = Library(root).pictures()
    assert found == {"fox": [root / "fox-2.png"], "golden_eagle": [root / "Golden Eagle/one.JPG"]}
    assert Library(root).record(root / "fox-2.png") == PictureRecord()
    # What is added goes where the user keeps that name already.
    assert Library(root).add("golden-eagle", picture("new.png")).parent == root / "Golden Eagle"


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "..", "nul", "a\0b"])
def test_nothing_is_written_outside_under_a_hostile_name(
    root: Path, tmp_path: Path, picture: Picture, name: str
) -> None:
    source = picture("a.png")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError):
        Library(root).add(name, source)
    with pytest.raises(ConfigError):
        Library(root).remove(name)
    assert sorted(tmp_path.rglob("*")) == before


def test_links_are_neither_followed_nor_written_through(root: Path, tmp_path: Path, picture: Picture) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret.png"
    secret.write_bytes(picture("s.png").read_bytes())
    (root / "cat").mkdir(parents=True)
    (root / "fox").symlink_to(outside)
    (root / "cat/linked.png").symlink_to(secret)
    assert Library(root).pictures() == {}
    with pytest.raises(ConfigError, match="is a link where a folder should be"):
        Library(root).add("fox", picture("a.png"))
    copy = Library(root).add("cat", picture("a.png"))
    record_file(copy).unlink()
    record_file(copy).symlink_to(secret)
    assert Library(root).record(copy) == PictureRecord()
    with pytest.raises(ConfigError, match="is a link or folder in the way"):
        Library(root).add("cat", picture("a.png"))
    assert Library(root).remove("cat") == [copy]
    assert secret.read_bytes() == picture("s.png").read_bytes()
    assert os.listdir(outside) == ["secret.png"]


def test_a_broken_picture_does_not_get_in(root: Path, tmp_path: Path, picture: Picture) -> None:
    whole = picture("a.jpg", size=(200, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    for name in ("cut.jpg", "gone.jpg"):
        with pytest.raises(DataError, match=name):
            Library(root).add("cat", tmp_path / name)
    assert not root.exists()


def test_a_copy_that_fails_leaves_no_picture(
    root: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chimera_core.library.folder.shutil.copyfile", full)
    with pytest.raises(RunError, match="the disk is full"):
        Library(root).add("cat", picture("a.png"))
    assert Library(root).pictures() == {}
    assert [p.suffix for p in (root / "cat").iterdir()] == [".toml"]


def test_a_file_in_the_place_of_the_library_or_of_a_name_is_one_line(root: Path, picture: Picture) -> None:
    root.write_text("no folder")
    with pytest.raises(DataError, match="make it a folder"):
        Library(root).pictures()
    root.unlink()
    root.mkdir()
    (root / "cat").write_text("no folder")
    with pytest.raises(ConfigError, match="is a file where a folder should be"):
        Library(root).add("cat", picture("a.png"))


def test_removing_takes_the_record_along_and_leaves_what_is_not_a_picture(
    root: Path, picture: Picture
) -> None:
    own = Library(root)
    one, two = (own.add("fox", picture("a.png", colour=c)) for c in ((200, 0, 0), (0, 200, 0)))
    with pytest.raises(DataError, match=r"no picture 'x\.png' of fox"):
        own.remove("fox", "x.png")
    with pytest.raises(DataError, match=r"no pictures of 'fxo' \(did you mean 'fox'\?\)"):
        own.remove("fxo")
    assert own.remove("Fox", one.name) == [one]
    assert not one.exists() and not record_file(one).exists()
    (two.parent / "notes.txt").write_text("mine")
    assert own.remove("fox") == [two]
    assert os.listdir(root / "fox") == ["notes.txt"]
    (root / "fox/notes.txt").unlink()
    own.add("fox", picture("a.png"))
    own.remove("fox")
    assert not (root / "fox").exists()


def test_a_folder_is_not_left_through_the_name_of_a_file(root: Path, picture: Picture) -> None:
    Library(root).add("cat", picture("a.png"))
    dog = Library(root).add("dog", picture("b.png"))
    with pytest.raises(DataError, match="no picture"):
        Library(root).remove("cat", f"../dog/{dog.name}")
    assert dog.exists()


@pytest.mark.slow
def test_ten_thousand_names_are_listed_without_opening_a_picture(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(10_000):
        (root / f"animal_{k}").mkdir(parents=True)
        (root / f"animal_{k}/x.jpg").touch()
    monkeypatch.delattr("PIL.Image.open")
    assert len(Library(root).pictures()) == 10_000


def test_cut_outs_go_before_photographs_and_larger_ones_before_smaller(
    tmp_path: Path, picture: Picture
) -> None:
    from PIL import Image

    for name, mode, side in (
        *(("small.png", "RGB", 200), ("large.png", "RGB", 400), ("cut.png", "RGBA", 150)),
        ("tiny.png", "RGBA", 40),
    ):
        Image.new(mode, (side, side)).save(tmp_path / name)
    (tmp_path / "bad.png").write_text("no picture")
    order = [p.name for p in rank_pictures(sorted(tmp_path.glob("*.png")))]
    assert order == ["cut.png", "large.png", "small.png", "tiny.png", "bad.png"]


def test_a_broken_picture_is_passed_over_with_a_line(
    tmp_path: Path, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    whole = picture("a.jpg", size=(300, 300))
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(picture("b.jpg", size=(400, 400)).read_bytes()[:9000])
    assert pick_picture([whole, cut], 0) == whole
    assert "passed over" in caplog.text and "cut.jpg" in caplog.text
    with pytest.raises(DataError, match=r"cut\.jpg"):
        pick_picture([cut], 3)


def test_turns_go_round_all_pictures(picture: Picture) -> None:
    files = [picture(f"{k}.png") for k in range(3)]
    assert [pick_picture(files, turn) for turn in range(4)] == [*files, files[0]]
