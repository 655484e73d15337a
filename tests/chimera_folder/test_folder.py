from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from chimera_core import open_source
from chimera_core.api import ConfigError, DataError
from chimera_core.data.checking import checked_info
from chimera_core.testing import Law, check_component, parametrize_with_laws


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Write small pictures under the given relative names; the k-th is filled with grey level k."""

    def write(*names: str) -> Path:
        for level, name in enumerate(names):
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 4), (level, level, level)).save(path)
        return tmp_path / "data"

    return write


@parametrize_with_laws(check_component("folder"))
def test_folder_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


@pytest.mark.parametrize(
    ("names", "layout", "classes", "domains", "splits"),
    [
        (["a.png", "b.jpg"], "flat", ("data",), (), {"all": 2}),
        (["cat/a.png", "dog/b.png", "dog/c.png"], "class", ("cat", "dog"), (), {"all": 3}),
        (["train/cat/a.png", "val/cat/b.png"], "split-class", ("cat",), (), {"train": 1, "val": 1}),
        (["train/a.png", "test/b.png"], "split-class", ("data",), (), {"test": 1, "train": 1}),
        (["photo/cat/a.png", "sketch/cat/b.png"], "domain-class", ("cat",), ("photo", "sketch"), {"all": 2}),
    ],
)
def test_a_layout_is_recognised_and_said(tree, names, layout, classes, domains, splits) -> None:
    info = open_source("folder", root=str(tree(*names))).info
    assert (info.classes, info.domains, dict(info.splits)) == (classes, domains, splits)
    assert any(layout in note for note in info.notes)


def test_a_layout_can_be_asked_for(tree) -> None:
    root = tree("train/cat/a.png", "test/cat/b.png")
    info = open_source("folder", root=str(root), layout="domain-class").info
    assert info.domains == ("test", "train")


def test_examples_are_uint8_rgb_with_label_and_domain(tree) -> None:
    root = tree("photo/cat/a.png", "photo/dog/b.png", "sketch/dog/c.png")
    split = open_source("folder", root=str(root)).open("all")
    assert len(split) == 3
    image, label, domain = split[2]
    assert image.dtype == torch.uint8
    assert image.shape == (3, 4, 6)
    assert (int(image[0, 0, 0]), label, domain) == (2, 1, 1)
    assert list(split.labels) == [0, 1, 1]


def test_a_split_survives_pickling(tree) -> None:
    split = open_source("folder", root=str(tree("cat/a.png"))).open("all")
    assert torch.equal(pickle.loads(pickle.dumps(split))[0].image, split[0].image)


def test_unreadable_files_are_counted_and_listed_never_fatal(tree) -> None:
    root = tree("cat/a.png", "cat/b.png", "dog/c.png")
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "dog" / "text.png").write_text("no picture")
    whole = (root / "cat" / "b.png").read_bytes()
    (root / "cat" / "b.png").write_bytes(whole[:50])
    source = open_source("folder", root=str(root))
    info = checked_info(source)
    assert dict(info.splits) == {"all": 2}
    assert len(info.unreadable) == 3
    split = source.open("all")
    assert len(split) == 5
    with pytest.raises(DataError, match="text"):
        split[4]


def test_hidden_files_and_other_files_are_left_out(tree) -> None:
    root = tree("cat/a.png", "cat/.hidden.png", ".git/x.png")
    (root / "cat" / "notes.txt").write_text("hello")
    assert dict(open_source("folder", root=str(root)).info.splits) == {"all": 1}


def test_images_at_other_depths_are_left_out_and_said(tree) -> None:
    root = tree("cat/a.png", "cat/b.png", "dog/c.png", "stray.png")
    info = open_source("folder", root=str(root)).info
    assert dict(info.splits) == {"all": 3}
    assert any("left out: 1" in note and "stray.png" in note for note in info.notes)


def test_transparent_parts_are_white_whatever_lies_under_them(tree) -> None:
    root = tree("cat/a.png")
    Image.new("RGBA", (6, 4), (10, 200, 90, 0)).save(root / "cat" / "a.png")
    assert bool((open_source("folder", root=str(root)).open("all")[0].image == 255).all())


def test_the_opacity_of_a_cut_out_is_the_mask_of_its_animal(tree) -> None:
    root = tree("cat/a.png", "cat/b.png")
    cutout = Image.new("RGBA", (6, 4), (10, 200, 90, 0))
    cutout.paste((10, 200, 90, 255), (2, 1, 5, 3))
    cutout.save(root / "cat" / "a.png")
    split = open_source("folder", root=str(root)).open("all")
    assert split.mask(0).shape == (1, 4, 6) and split.mask(0)[0].nonzero().min(0).values.tolist() == [1, 2]
    assert int(split.mask(0).sum()) == 6 * 255 and split.mask(1) is None


@pytest.mark.parametrize(
    ("root", "message"),
    [("missing", "does not exist"), ("file.png", "is a file"), ("empty", "holds no images")],
)
def test_a_wrong_root_is_one_clear_line(tmp_path: Path, root: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "file.png")
    with pytest.raises(DataError, match=message):
        open_source("folder", root=str(tmp_path / root))


def test_an_unknown_split_names_the_known_ones(tree) -> None:
    with pytest.raises(DataError, match=r"no split 'test'.*train, val"):
        open_source("folder", root=str(tree("train/cat/a.png", "val/cat/b.png"))).open("test")


def test_root_is_required() -> None:
    with pytest.raises(ConfigError, match="needs the option 'root'"):
        open_source("folder")


def test_real_folders_have_the_counts_that_their_readme_says(test_data: Path) -> None:
    pacs = open_source("folder", root=str(test_data / "pacs")).info
    assert pacs.domains == ("art_painting", "cartoon", "photo")
    assert pacs.classes == ("dog", "elephant", "giraffe", "horse", "person")
    assert sum(pacs.splits.values()) == 4694
    cutouts = open_source("folder", root=str(test_data / "cutouts")).info
    assert sum(cutouts.splits.values()) == 88


# Folders as people have them


@pytest.mark.parametrize(
    "system",
    [
        "@eaDir",
        "#recycle",
        "@Recycle",
        "$RECYCLE.BIN",
        "__MACOSX",
        "lost+found",
        ".thumbnails",
        ".ipynb_checkpoints",
        "found.000",
        "System Volume Information",
    ],
)
def test_what_a_system_keeps_among_pictures_is_passed_over(tree, system: str) -> None:
    thumbs = [f"{system}/a.png/SYNOPHOTO_THUMB_{size}.png" for size in ("M", "S", "XL", "L")]
    flat = open_source("folder", root=str(tree("a.png", "b.png", *thumbs))).info
    assert (flat.classes, dict(flat.splits)) == (("data",), {"all": 2})
    assert any(system in note for note in flat.notes) != system.startswith(".")  # hidden: nobody expects it


def test_a_systems_folder_in_a_class_holds_none_of_its_images(tree) -> None:
    root = tree("cat/a.png", "dog/b.png", "dog/@eaDir/b.png/thumb.png", "dog/._b.png")
    assert dict(open_source("folder", root=str(root)).info.splits) == {"all": 2}


@pytest.mark.parametrize(
    "name", ["val", "valid", "validation", "dev", "eval", "evaluation", "holdout", "test", "DEV", "Test"]
)
def test_a_split_is_known_by_any_of_its_usual_names(tree, name: str) -> None:
    from chimera_core.data.split_names import name_splits

    info = open_source("folder", root=str(tree("Train/cat/a.png", f"{name}/cat/b.png"))).info
    assert (dict(info.splits), info.classes) == ({"Train": 1, name: 1}, ("cat",))
    assert name_splits(info.splits, None, None) == ("Train", name)


def test_dev_is_validated_on_before_test() -> None:
    from chimera_core.data.split_names import name_splits

    assert name_splits({"test": 1, "dev": 1, "training": 1, "train": 1}, None, None) == ("train", "dev")


def test_folders_beside_splits_are_left_out_and_counted(tree) -> None:
    info = open_source("folder", root=str(tree("train/cat/a.png", "dev/cat/b.png", "extra/cat/c.png"))).info
    assert dict(info.splits) == {"train": 1, "dev": 1}
    assert dict(info.left_out) == {"in folders that are not splits": 1}
    assert any("extra" in note for note in info.notes)


def test_a_class_that_is_called_train_stays_a_class_and_the_other_reading_is_said(tree) -> None:
    root = tree("train/a.png", "bus/b.png", "car/c.png")
    info = open_source("folder", root=str(root)).info
    assert info.classes == ("bus", "car", "train")
    assert any("train is taken for a class" in n and "--layout split-class" in n for n in info.notes)
    asked = open_source("folder", root=str(root), layout="split-class").info
    assert dict(asked.splits) == {"train": 1}


def test_classes_take_images_at_any_depth_as_imagefolder_does(tree) -> None:
    names = [f"{kind}/{sub}/{k}.png" for kind in ("dog", "horse") for sub in ("a", "b/c/d") for k in range(2)]
    root = tree(*names, "stray.png")
    auto = open_source("folder", root=str(root)).info
    assert any("--layout class" in note for note in auto.notes)  # dog and horse could be domains
    info = open_source("folder", root=str(root), layout="class").info
    assert (info.classes, dict(info.splits)) == (("dog", "horse"), {"all": 8})
    assert dict(info.left_out) == {"at another depth": 1}


def test_deeper_images_of_some_classes_belong_to_these_classes(tree) -> None:
    root = tree("cat/a.png", "cat/b.png", "dog/c.png", "dog/deeper/d.png")
    info = open_source("folder", root=str(root)).info
    assert (info.classes, dict(info.splits), dict(info.left_out)) == (("cat", "dog"), {"all": 4}, {})
    assert list(open_source("folder", root=str(root)).open("all").labels) == [0, 0, 1, 1]


def test_stray_images_in_a_split_are_no_class_of_their_own(tree) -> None:
    root = tree("train/cat/a.png", "train/dog/b.png", "train/readme.png", "val/cat/c.png")
    info = open_source("folder", root=str(root)).info
    assert (info.classes, dict(info.left_out)) == (("cat", "dog"), {"at another depth": 1})


@pytest.mark.parametrize("between", ["", "_", "-"])
def test_the_folders_of_cyclegans_data_are_splits_of_two_classes(tree, between: str) -> None:
    names = [
        f"{split}{between}{side}/{k}.png" for split in ("train", "test") for side in "AB" for k in range(2)
    ]
    source = open_source("folder", root=str(tree(*names)))
    assert (source.info.classes, dict(source.info.splits)) == (("A", "B"), {"train": 4, "test": 4})
    assert list(source.open("test").labels) == [0, 0, 1, 1]
    assert any("layout cyclegan" in note for note in source.info.notes)


def test_links_that_lead_in_circles_are_noticed(tree) -> None:
    root = tree("cat/a.png", "dog/b.png")
    for k in range(300):
        (root / f"link{k}").symlink_to(".")
        (root / "cat" / f"up{k}").symlink_to("..")
    (root / "self").symlink_to("self")
    start = time.process_time()
    info = open_source("folder", root=str(root)).info
    assert time.process_time() - start < 2
    assert (info.classes, dict(info.splits)) == (("cat", "dog"), {"all": 2})
    assert any("links that lead back, passed over: 600" in note for note in info.notes)


def test_links_to_folders_of_links_end_in_one_line(tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chimera_core.images.folders._MOST_LINKED", 500)
    root = tree("a/a.png")
    for name, below in (("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")):
        (root / name).mkdir()
        for k in range(30):
            (root / name / f"link{k}").symlink_to(root / below)
    with pytest.raises(DataError, match="lead to more than 500 folders"):
        open_source("folder", root=str(root))


def test_classes_may_be_links_to_folders_elsewhere(tree, tmp_path: Path) -> None:
    root = tree("elsewhere/cat/a.png", "elsewhere/dog/b.png")
    (tmp_path / "linked").mkdir()
    for name in ("cat", "dog", "hound"):
        (tmp_path / "linked" / name).symlink_to(root / "elsewhere" / name.replace("hound", "dog"))
    info = open_source("folder", root=str(tmp_path / "linked")).info
    assert (info.classes, dict(info.splits)) == (("cat", "dog", "hound"), {"all": 3})
