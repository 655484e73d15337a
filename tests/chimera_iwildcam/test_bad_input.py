"""Whatever is wrong with a folder is one line: what, where, and the mend."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from chimera_core import open_source
from chimera_core.api import ChimeraError, ConfigError, DataError, MissingDataError


def complaint(kind: type[ChimeraError], root: Path, **options: object) -> str:
    with pytest.raises(kind) as caught:
        open_source("iwildcam", root=str(root), **options).info  # noqa: B018
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_root_that_is_missing_or_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "nowhere' does not exist" in complaint(MissingDataError, tmp_path / "nowhere")
    assert "file' is a file" in complaint(MissingDataError, tmp_path / "file")
    assert "file/below' does not exist" in complaint(MissingDataError, tmp_path / "file" / "below")
    assert not (tmp_path / "nowhere").exists()  # wilds itself would make it


def test_a_folder_without_the_data_says_what_was_expected_and_found(tmp_path: Path) -> None:
    assert "holds no iwildcam_v2.0 (it is empty): expected iwildcam_v2.0 with" in complaint(
        MissingDataError, tmp_path
    )
    for k in range(7):
        (tmp_path / f"thing{k}").mkdir()
    line = complaint(MissingDataError, tmp_path)
    assert "it holds thing0, thing1, thing2, thing3, thing4 and 2 more" in line
    assert all(part in line for part in ("RELEASE_v2.0.txt", "metadata.csv", "categories.csv", "train"))


def test_the_right_folder_under_a_wrong_name_is_recognised(copy: Path) -> None:
    (copy / "iwildcam_v2.0").rename(copy / "wildcam")
    assert "rename the folder to iwildcam_v2.0" in complaint(MissingDataError, copy / "wildcam")


@pytest.mark.parametrize("part", ["RELEASE_v2.0.txt", "metadata.csv", "categories.csv", "train"])
def test_a_part_that_is_missing_is_named(copy: Path, part: str) -> None:
    path = copy / "iwildcam_v2.0" / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    line = complaint(MissingDataError, copy)
    assert f"lacks {part} (it holds " in line
    assert line.endswith("an empty one will do") == (part == "RELEASE_v2.0.txt")


def test_a_file_in_the_place_of_the_images_is_no_folder_of_them(copy: Path) -> None:
    shutil.rmtree(copy / "iwildcam_v2.0" / "train")
    (copy / "iwildcam_v2.0" / "train").write_text("")
    assert "lacks train" in complaint(MissingDataError, copy)


def test_an_empty_release_file_does_indeed_do(copy: Path) -> None:
    (copy / "iwildcam_v2.0" / "RELEASE_v2.0.txt").write_text("")
    assert len(open_source("iwildcam", root=str(copy)).open("val")) == 12


@pytest.mark.parametrize(
    "column", ["split", "y", "location_remapped", "sequence_remapped", "datetime", "filename"]
)
def test_a_column_that_is_missing_is_named(edit: Callable[..., Path], column: str) -> None:
    root = edit(lambda table: table.drop(columns=column))
    assert f"metadata.csv' lacks the column {column}: expected split, y," in complaint(DataError, root)


def setting(row: int, **values: object) -> Callable[[pandas.DataFrame], None]:
    def change(table: pandas.DataFrame) -> None:
        for column, value in values.items():
            table.loc[row, column] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            setting(3, split="dev"),
            "has split 'dev' in line 5: the splits are train, val, test, id_val, id_test",
        ),
        (setting(0, y="lion"), "has y 'lion' in line 2: expected a whole number from 0"),
        (setting(0, y="-1"), "has y '-1' in line 2"),
        (setting(1, location_remapped="2.0"), "has location_remapped '2.0' in line 3"),
        (setting(2, filename=None), "has no filename in line 4"),
        (setting(0, y="99999"), "has y up to 99999 but never 13: wilds needs every number from 0 on"),
        (setting(0, location_remapped="11"), "has location_remapped up to 11 but never 10"),
        (setting(0, sequence_remapped="5000"), "has sequence_remapped up to 5000 but never"),
        (setting(0, datetime="2013-06-05 05:44:19"), "2013-06-05 05:44:19.000, with the fraction"),
        (setting(0, datetime="dawn"), r"'dawn' does not match"),
        (lambda table: table.head(0), "lists no images"),
        (lambda table: table[table["y"] != "3"], "has y up to 12 but never 3"),
    ],
)
def test_a_table_that_wilds_would_stumble_over_is_refused_with_the_place(
    edit: Callable[..., Path], change: Callable[[pandas.DataFrame], pandas.DataFrame | None], message: str
) -> None:
    assert message in complaint(DataError, edit(change))


@pytest.mark.parametrize("name", ["metadata.csv", "categories.csv"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00y\x93", b'split,y\n"never closed'])
def test_a_table_that_is_none_is_named(copy: Path, name: str, content: bytes) -> None:
    (copy / "iwildcam_v2.0" / name).write_bytes(content)
    assert name in complaint(DataError, copy)


def test_an_unknown_split_names_the_known_ones(root: Path) -> None:
    source = open_source("iwildcam", root=str(root))
    known = r"no split 'dev' \(it has: train, val, test, id_val, id_test\)"
    with pytest.raises(DataError, match=known):
        source.open("dev")
    with pytest.raises(DataError, match=known):
        source.evaluate("dev", [])
    with pytest.raises(DataError, match=r"no split 'val' \(it has: train, test\)"):
        open_source("iwildcam", root=str(root), location=0).open("val")


def test_an_unknown_location_names_the_range(root: Path) -> None:
    assert "no location 10: they are numbered 0 to 9" in complaint(ConfigError, root, location=10)
    with pytest.raises(ConfigError, match="location"):
        open_source("iwildcam", root=str(root), location=-1)


def test_a_location_of_one_image_cannot_be_cut(edit: Callable[..., Path]) -> None:
    def leave_one(table: pandas.DataFrame) -> None:
        table.loc[table.index[table["location_remapped"] == "9"][1:], "location_remapped"] = "0"

    root = edit(leave_one)
    assert "location 9 has 1 image, too few" in complaint(DataError, root, location=9)


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_a_share_that_leaves_a_side_empty_is_refused(root: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="train-share"):
        open_source("iwildcam", root=str(root), location=0, train_share=share)


def test_root_is_required() -> None:
    with pytest.raises(ConfigError, match="needs the option 'root'"):
        open_source("iwildcam")


@pytest.mark.parametrize("name", ["/etc/passwd", "../metadata.csv", "a/../../b.jpg", "C:\\photo.jpg"])
def test_an_image_outside_the_folder_is_no_part_of_the_data(edit: Callable[..., Path], name: str) -> None:
    root = edit(setting(3, filename=name))
    assert "metadata.csv', line 5: " in complaint(DataError, root)
    assert "lies outside the folder that names it" in complaint(DataError, root)
