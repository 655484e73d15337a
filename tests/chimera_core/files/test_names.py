"""Names that every system takes, and names compared as people read them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimera_core.errors import ConfigError, DataError
from chimera_core.files import names as file_names
from chimera_core.files.names import (
    is_device,
    match_names,
    name_trouble,
    nfc,
    path_trouble,
    same_file,
    spelled_in,
)
from chimera_core.files.own_folders import check_file_part, check_file_parts
from chimera_core.images import check_output
from chimera_core.library.folder import Library
from chimera_core.models.export import check_name
from chimera_core.runs.record import RECORD, find_run, place_run
from chimera_core.training.study.domains import name_folders

COMPOSED = "Épagneul"
PARTED = unicodedata.normalize("NFD", COMPOSED)
STRANGE = ["con", "NUL", "com1", "lpt9.png", "Aux.tar.gz", "com¹", "con .png", "CONIN$", "a.", "a ", "a:b", "a*", "a?", 'a"', "a<b",
    "a|b", "a\\b", "a/b", "a\nb", "", ".", "..", "é" * 128]  # fmt: skip


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_names, "on_windows", lambda: True)


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_that_some_system_refuses_or_changes_is_trouble(name: str) -> None:
    assert name_trouble(name)


@pytest.mark.parametrize(
    "name", ["cone", "com", "com10", "a.con", "nul-1.png", "St. Bernard", COMPOSED, PARTED, "नीलगाय"]
)
def test_a_name_that_every_system_takes_is_none(name: str) -> None:
    assert not name_trouble(name)
    assert not is_device(name)


@pytest.mark.parametrize("name", ["aux.2", "a:b", "a\\b", ".hidden", "", "a" * 101])
def test_a_split_whose_files_some_system_refuses_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="cannot be part of a file's name"):
        check_file_part(name, what="split")


def test_what_follows_a_part_makes_a_device_a_plain_name() -> None:
    assert check_file_part("aux", what="split") == "aux"  # aux-files.json


@pytest.mark.parametrize("other", ["TRAIN " + COMPOSED, "train " + PARTED])
def test_two_splits_that_would_be_one_file_are_refused(other: str) -> None:
    with pytest.raises(DataError, match="would be one file"):
        check_file_parts(["val", "train " + COMPOSED, other], what="split")
    assert same_file(["train", "val"]) is None


@pytest.mark.parametrize("name", ["con", "runs/nul", "ab:c", "C:\\runs\\com1.old", "a.", "a /b", "x?"])
@pytest.mark.usefixtures("windows")
def test_windows_refuses_a_run_or_output_that_would_be_another_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot name a run here"):
        place_run(name, tmp_path)
    with pytest.raises(ConfigError, match="cannot be written here"):
        check_output(f"{name}/a.png" if name != "con" else "con.png")
    with pytest.raises(ConfigError, match="cannot be written here"):
        check_name(Path(f"{name}/a.safetensors"))


@pytest.mark.parametrize(
    "path",
    [
        "C:\\Users\\me\\a.png",
        "..\\a.png",
        "D:a.png",
        "\\\\nas\\share\\a.png",
        "./a/b.png",
        "\\\\?\\C:\\a.png",
    ],
)
@pytest.mark.usefixtures("windows")
def test_windows_takes_its_own_paths(path: str) -> None:
    assert not path_trouble(path)


def test_other_systems_take_a_user_s_own_names(tmp_path: Path) -> None:
    assert place_run("2026-11-28T12:30", tmp_path) == tmp_path / "2026-11-28T12:30"
    assert check_output(tmp_path / "con.png") == tmp_path / "con.png"


@pytest.mark.parametrize(("made", "asked"), [(PARTED, COMPOSED), (COMPOSED, PARTED)])
def test_a_run_is_found_by_either_spelling_of_its_accents(made: str, asked: str, tmp_path: Path) -> None:
    (tmp_path / made).mkdir()
    (tmp_path / made / RECORD).write_text("{}", encoding="utf-8")
    found = find_run(asked, tmp_path)
    assert found is not None and found.samefile(tmp_path / made)
    assert place_run(asked, tmp_path).samefile(tmp_path / made)


def test_the_very_same_spelling_comes_first() -> None:
    assert spelled_in([COMPOSED, PARTED], PARTED) == PARTED
    assert spelled_in([PARTED], COMPOSED) == PARTED
    assert spelled_in(["cat"], "Cat") is None
    assert nfc(PARTED) == COMPOSED


@pytest.mark.parametrize(
    "written", ["sea lion", "Sea Lion", "sea_lion", "SEA-LION", "sealion", " sea  lion "]
)
def test_names_match_whatever_their_capitals_and_what_joins_their_words(written: str) -> None:
    assert match_names([written, "walrus"], ["Sea_lion", "seal"]) == {written: "Sea_lion"}


def test_of_names_that_differ_in_spelling_alone_only_the_very_same_one_is_meant() -> None:
    known = ["sea lion", "sealion", COMPOSED, "cat"]
    assert match_names(["sea lion", "Sea_Lion", PARTED, "CAT"], known) == {
        "sea lion": "sea lion",
        PARTED: COMPOSED,
        "CAT": "cat",
    }


def test_folders_of_domains_are_distinct_and_no_device() -> None:
    folders = name_folders(["con", "%63on", "CON.x", "nul", "a", "A", COMPOSED, PARTED, "plain"])
    assert same_file(folders.values()) is None
    assert not any(map(name_trouble, folders.values()))
    assert folders["plain"] == "plain"


def test_a_picture_of_the_library_is_removed_by_either_spelling(tmp_path: Path) -> None:
    folder = tmp_path / "lion"
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / f"{PARTED}.png")
    assert Library(tmp_path).remove("lion", f"{COMPOSED}.png")
    assert not folder.exists()


@pytest.mark.parametrize(("known", "asked"), [(PARTED, COMPOSED), (COMPOSED, PARTED)])
def test_classes_and_domains_are_found_by_either_spelling(known: str, asked: str) -> None:
    from chimera_mixture.source import _find_class

    from chimera_core.data.subsets import check_domains

    assert check_domains([asked], ["x", known]) == (known,)
    assert _find_class(asked, ["x", known], "member") == 1


@pytest.mark.parametrize(("known", "asked"), [(PARTED, COMPOSED), (COMPOSED, PARTED)])
def test_a_trained_fuser_knows_its_classes_by_either_spelling(known: str, asked: str, tmp_path: Path) -> None:
    from types import SimpleNamespace
    from typing import Any

    from chimera_core.models.fusers import TrainedFuser, choose_model

    header: Any = SimpleNamespace(
        accepts=("class",), classes=(known, "x"), max_parents=None, kind="fusion-generator"
    )
    fuser = TrainedFuser(header, header, header, tmp_path)
    assert fuser.knows(fuser.spelled(asked), None)
    assert fuser.spelled("y") == "y"
    host: Any = SimpleNamespace(registry=SimpleNamespace(models={"m": header}))
    assert choose_model(host, [asked, "x"]) == "m"


@pytest.mark.parametrize(("known", "asked"), [(PARTED, COMPOSED), (COMPOSED, PARTED)])
def test_splits_are_found_by_either_spelling(known: str, asked: str) -> None:
    from chimera_core.compare.experiment.parents import choose_split
    from chimera_core.data.split_names import name_splits

    assert name_splits({"train": 1, known: 1}, None, asked) == ("train", known)
    assert choose_split({"train": 1, known: 1}, asked) == known
