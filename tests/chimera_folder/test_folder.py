from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from chimera_core import open_source
from chimera_core.api import ConfigError, DataError
from chimera_core.data.checking import checked_info


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
