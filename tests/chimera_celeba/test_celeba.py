from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from chimera_core import open_source
from chimera_core.api import ConfigError, DataError, MissingDataError, eyes_box
from chimera_core.testing import Law, check_component, parametrize_with_laws, write_celeba


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_celeba(tmp_path, count=20)


@parametrize_with_laws(check_component("celeba"))
def test_celeba_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


@pytest.mark.parametrize("inner", ["", "celeba", "celeba/img_align_celeba"])
def test_a_written_folder_has_the_official_splits_and_one_class(faces: Path, inner: str) -> None:
    info = open_source("celeba", root=str(faces / inner)).info
    assert dict(info.splits) == {"train": 16, "val": 2, "test": 2}
    assert info.classes == ("person",)
    assert info.notes == ()


def test_faces_are_cropped_to_the_reports_square_and_whole_when_asked(faces: Path) -> None:
    whole = open_source("celeba", root=str(faces), crop="").open("val")[0].image
    cropped = open_source("celeba", root=str(faces)).open("val")[0].image
    assert whole.dtype == torch.uint8 and whole.shape == (3, 218, 178)
    assert torch.equal(cropped, whole[:, 55:163, 35:143])


def test_a_split_pickles_small_and_lists_its_files(tmp_path: Path) -> None:
    split = open_source("celeba", root=str(write_celeba(tmp_path, count=40))).open("train")
    assert [p.name for p in split.paths[:3]] == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert all(p.is_file() for p in split.paths)
    again = pickle.loads(pickle.dumps(split))
    assert torch.equal(again[3].image, split[3].image)
    assert len(pickle.dumps(split)) < 2000


def test_an_attribute_makes_two_classes(tmp_path: Path) -> None:
    smiling = [k % 3 == 0 for k in range(20)]
    root = write_celeba(tmp_path, count=20, attributes={"Young": [True] * 20, "5_o_Clock_Shadow": smiling})
    source = open_source("celeba", root=str(root), label="5-o-clock-shadow")
    assert source.info.classes == ("not-5-o-clock-shadow", "5-o-clock-shadow")
    # Images 0 to 7 and 10 to 17 are for training.
    assert list(source.open("train").labels) == [int(smiling[k]) for k in [*range(8), *range(10, 18)]]
    with pytest.raises(ConfigError, match=r"no attribute 'Yonug' \(did you mean 'Young'\?\)"):
        open_source("celeba", root=str(root), label="Yonug")


def test_an_attribute_without_its_file_says_so(faces: Path) -> None:
    with pytest.raises(MissingDataError, match=r"--label Smiling needs list_attr_celeba.txt.*it holds"):
        open_source("celeba", root=str(faces), label="Smiling")


def test_kaggles_tables_and_doubled_folder_are_read_too(tmp_path: Path) -> None:
    folder = write_celeba(tmp_path, count=10, attributes={"Smiling": [True] * 10}) / "celeba"
    rows = (folder / "list_eval_partition.txt").read_text().replace(" ", ",")
    (folder / "list_eval_partition.csv").write_text("image_id,partition\n" + rows)
    rows = "".join(f"{k + 1:06d}.jpg,{1 if k < 4 else -1}\n" for k in range(10))
    (folder / "list_attr_celeba.csv").write_text("image_id,Smiling\n" + rows)
    for name in ("list_eval_partition.txt", "list_attr_celeba.txt"):
        (folder / name).unlink()
    (folder / "img_align_celeba").rename(folder / "inner")
    (folder / "img_align_celeba").mkdir()
    (folder / "inner").rename(folder / "img_align_celeba" / "img_align_celeba")
    source = open_source("celeba", root=str(tmp_path), label="smiling")
    assert dict(source.info.splits) == {"train": 8, "val": 1, "test": 1}
    assert list(source.open("train").labels) == [1] * 4 + [0] * 4


def test_images_that_either_side_lacks_are_counted_in_notes(faces: Path) -> None:
    images = faces / "celeba" / "img_align_celeba"
    for k in range(1, 6):
        (images / f"{k:06d}.jpg").unlink()
    shutil.copy(images / "000006.jpg", images / "stranger.jpg")
    info = open_source("celeba", root=str(faces)).info
    assert dict(info.splits) == {"train": 11, "val": 2, "test": 2}
    assert info.notes == (
        "1 images are not in the partition file, and are left out",
        "5 images of the partition file are not in the folder",
    )


def test_a_partition_file_of_other_images_is_refused(faces: Path) -> None:
    lines = "".join(f"face{k}.jpg 0\n" for k in range(20))
    (faces / "celeba" / "list_eval_partition.txt").write_text(lines)
    with pytest.raises(DataError, match=r"20 of 20 images .* not in the partition file, such as 000001.jpg"):
        open_source("celeba", root=str(faces))


def test_an_attribute_file_of_other_images_is_refused(tmp_path: Path) -> None:
    root = write_celeba(tmp_path, count=20, attributes={"Smiling": [True] * 20})
    path = root / "celeba" / "list_attr_celeba.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:7]))
    with pytest.raises(DataError, match=r"15 of 20 images .* not in the attribute file"):
        open_source("celeba", root=str(root), label="Smiling")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"000001.jpg 0\n000002.jpg 7\n", "line 2 of .* '000002.jpg 7'"),
        (b"000001.jpg\n", "line 1 of"),
        (b"\xff\xd8\xff\xe0\x00", "it is not text"),
        (b"", "20 of 20 images"),
    ],
)
def test_a_damaged_partition_file_is_one_clear_line(faces: Path, content: bytes, message: str) -> None:
    (faces / "celeba" / "list_eval_partition.txt").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_source("celeba", root=str(faces))
    assert "\n" not in str(caught.value)


def no_partitions(root: Path) -> Path:
    (root / "celeba" / "list_eval_partition.txt").unlink()
    return root


def no_images(root: Path) -> Path:
    for path in (root / "celeba" / "img_align_celeba").iterdir():
        path.unlink()
    return root


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: root / "missing", "there is no such folder.*expected celeba/img_align_celeba.*Kaggle"),
        (lambda root: root / "celeba" / "list_eval_partition.txt", "it is a file"),
        (lambda root: root / "celeba" / "list_eval_partition.txt" / "x", "a part of the path is a file"),
        (no_partitions, r"no list_eval_partition.txt in .*it holds img_align_celeba"),
        (no_images, "no images in .*it is empty"),
    ],
)
def test_no_data_is_one_line_with_expected_found_and_where_to_get_it(
    faces: Path, spoil: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(MissingDataError, match=message) as caught:
        open_source("celeba", root=str(spoil(faces)))
    assert "\n" not in str(caught.value) and not caught.value.downloadable


def test_an_unknown_split_or_crop_or_eyes_is_one_line(faces: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'valid' \(it has: train, val, test\)"):
        open_source("celeba", root=str(faces)).open("valid")
    with pytest.raises(ConfigError, match="is not a box"):
        open_source("celeba", root=str(faces), crop="big")
    for eyes in ("1,2,3", "a,b,c,d", "5,1,5,1", "nan,1,nan,1"):
        with pytest.raises(ConfigError, match="not two points"):
            open_source("celeba", root=str(faces), eyes=eyes)


def test_download_names_the_places_and_the_folder(tmp_path: Path) -> None:
    from chimera_celeba.config import CelebaConfig
    from chimera_celeba.source import CelebaSource

    with pytest.raises(ConfigError, match=r"mmlab.*Kaggle.*torchvision.*put them into '.*faces' as celeba/"):
        CelebaSource.download(CelebaConfig(root=str(tmp_path / "faces")), progress=lambda done, total: None)


@pytest.mark.parametrize(
    ("crop", "eyes"),
    [
        ("", (69, 111, 108, 111)),
        ("108", (34, 56, 73, 56)),
        ("30,60,130,160", (39, 51, 78, 51)),
        ("-10,0,190,200", (79, 111, 118, 111)),
    ],
)
def test_eyes_are_said_in_pixels_of_the_crop(
    faces: Path, crop: str, eyes: tuple[float, float, float, float]
) -> None:
    assert open_source("celeba", root=str(faces), crop=crop).info.eyes == eyes


def test_a_mark_on_an_eye_is_where_info_says_in_the_cropped_image(tmp_path: Path) -> None:
    face = np.zeros((218, 178, 3), np.uint8)
    face[59:66, 41:48] = 255  # centred on 44.5, 62.5: pixel centres lie half a pixel in
    root = write_celeba(tmp_path, [face], count=1)
    source = open_source("celeba", root=str(root), crop="-20,0,200,220", eyes="44.5,62.5,134.5,62.5")
    image = source.open("train")[0].image[0].float()
    rows, columns = (image > 128).nonzero(as_tuple=True)
    x, y, *_ = source.info.eyes
    assert columns.float().mean() + 0.5 == pytest.approx(x, abs=0.3)
    assert rows.float().mean() + 0.5 == pytest.approx(y, abs=0.3)


def test_eyes_are_unknown_in_images_of_another_size_unless_given(faces: Path) -> None:
    from PIL import Image

    for path in (faces / "celeba" / "img_align_celeba").iterdir():
        Image.new("RGB", (64, 64)).save(path)
    assert open_source("celeba", root=str(faces), crop="").info.eyes is None
    given = open_source("celeba", root=str(faces), crop="", eyes="20,30,44,30")
    assert given.info.eyes == (20, 30, 44, 30)
    assert open_source("celeba", root=str(faces), eyes="none").info.eyes is None


def test_the_reports_crop_is_near_the_common_frame_of_the_eyes() -> None:
    left, _, right, _ = eyes_box((69, 111, 108, 111))
    assert right - left == pytest.approx(108, abs=1)
    assert (left, right) == pytest.approx((35, 143), abs=1)


def test_the_stand_in_of_the_test_data_has_its_eight_thousand_faces(test_data: Path) -> None:
    source = open_source("celeba", root=str(test_data / "faces"), crop="178", eyes="43.5,62,134.5,62")
    assert dict(source.info.splits) == {"train": 6400, "val": 800, "test": 800}
    assert source.info.notes == ()
    assert source.open("test")[799].image.shape == (3, 178, 178)
    assert source.info.eyes == (43.5, 42, 134.5, 42)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_faces_place_is_waited_for_by_nobody(faces: Path) -> None:
    first = next((faces / "celeba" / "img_align_celeba").iterdir()).with_name("000001.jpg")
    first.unlink()
    os.mkfifo(first)
    source = open_source("celeba", root=str(faces))
    assert source.info.eyes is None  # which images' size would tell
    with pytest.raises(DataError, match="is a device or pipe"):
        source.open("train")[0]


def test_what_a_mac_leaves_beside_the_faces_is_no_face(faces: Path) -> None:
    images = faces / "celeba" / "img_align_celeba"
    for path in list(images.iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    info = open_source("celeba", root=str(faces)).info
    assert (dict(info.splits), info.notes, dict(info.left_out)) == (
        {"train": 16, "val": 2, "test": 2},
        (),
        {},
    )
