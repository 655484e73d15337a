from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from chimera_mixture.members import Member
from PIL import Image

from chimera_core import open_source
from chimera_core.api import (
    ConfigError,
    DataError,
    MissingDataError,
    PluginError,
    cut,
    eyes_box,
)
from chimera_core.data.checking import checked_info
from chimera_core.testing import (
    Law,
    check_component,
    draw_shape,
    parametrize_with_laws,
    write_celeba,
    write_mnist,
)

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write drawn pictures of 40 x 30 under the given relative names; gives the folder."""

    def write(root: str, *names: str) -> Path:
        for k, name in enumerate(names):
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_shape(k, 30, 40)).save(path)
        return tmp_path / root

    return write


def mix(*members: object, **options: object):
    return open_source("mixture", members=list(members), **options)


@parametrize_with_laws(check_component("mixture"))
def test_mixture_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


def test_members_become_classes_and_domains_one_after_the_other(tree: Tree) -> None:
    a, b = tree("a", "x.png", "y.png"), tree("b", "z.png")
    source = mix(f"lion=folder,root={a}", f"zebra=folder,root={b}")
    info = source.info
    assert info.classes == ("lion", "zebra")
    assert info.domains == ("folder lion", "folder zebra")
    assert dict(info.splits) == {"train": 3}
    split = source.open("train")
    assert list(split.labels) == [0, 0, 1] and list(split.domains) == [0, 0, 1]
    assert [p.name for p in split.paths] == ["x.png", "y.png", "z.png"]
    assert list(source.files("train")) == list(split.paths)
    theirs = open_source("folder", root=str(b)).open("all")[0]
    assert torch.equal(split[2].image, theirs.image)
    assert (split[2].label, split[2].domain) == (1, 1)
    with pytest.raises(IndexError):
        split[3]


def test_members_of_one_class_name_are_one_class_and_two_domains(tree: Tree) -> None:
    a, b, c = tree("a", "x.png"), tree("b", "y.png"), tree("c", "z.png")
    source = mix(f"dog=folder,root={a}", f"cat=folder,root={b}", f"dog=folder,root={c}")
    assert source.info.classes == ("dog", "cat")
    assert source.info.domains == ("folder dog", "folder cat", "folder dog 2")
    assert list(source.open("train").labels) == [0, 1, 0]


def test_only_takes_some_classes_of_a_source(tree: Tree) -> None:
    root = tree("a", "cat/1.png", "dog/2.png", "fox/3.png", "cat/4.png")
    source = mix(f"pet=folder,root={root},only=cat,dog", f"wild=folder,root={root},only=fox")
    split = source.open("train")
    assert list(split.labels) == [0, 0, 0, 1]
    assert [p.parent.name for p in split.paths] == ["cat", "cat", "dog", "fox"]
    assert dict(source.info.splits) == {"train": 4}
    assert source.info.notes[0] == "pet: cat, dog of folder pet (train 3)"
    with pytest.raises(
        ConfigError, match=r"member 'pet' \(folder\) has no class 'cats' \(did you mean 'cat'"
    ):
        mix(f"pet=folder,root={root},only=cats")


def test_a_split_that_a_class_lacks_is_left_out_and_said(tree: Tree) -> None:
    a, b = tree("a", "train/c/1.png", "val/c/2.png"), tree("b", "1.png")
    source = mix(f"cat=folder,root={a}", f"dog=folder,root={b}")
    assert dict(source.info.splits) == {"train": 2}
    assert "split val is left out: no images of dog" in source.info.notes
    with pytest.raises(DataError, match=r"no split 'val': no images of dog \(it has: train\)"):
        source.open("val")
    with pytest.raises(DataError, match=r"no split 'tset' \(it has: train\)"):
        source.open("tset")


def test_a_member_may_serve_a_split_from_another_of_its_own(tree: Tree) -> None:
    a, b = tree("a", "train/c/1.png", "val/c/2.png"), tree("b", "training/c/1.png", "testing/c/2.png")
    source = mix(f"cat=folder,root={a}", f"dog=folder,root={b},split=train:training,val:testing")
    assert dict(source.info.splits) == {"train": 2, "val": 2}
    with pytest.raises(
        ConfigError, match=r"has no split 'eval' to serve as val \(it has: testing, training\)"
    ):
        mix(f"dog=folder,root={b},split=val:eval")


def test_a_class_with_the_split_is_enough_and_the_member_without_is_named(tree: Tree) -> None:
    a, b = tree("a", "train/c/1.png", "val/c/2.png"), tree("b", "1.png")
    source = mix(f"cat=folder,root={a}", f"cat=folder,root={b}")
    assert dict(source.info.splits) == {"train": 2, "val": 1}
    assert "folder cat 2 has no split val and brings nothing to it" in source.info.notes


def test_a_table_says_the_same_as_a_word(tree: Tree) -> None:
    root = tree("a", "cat/1.png")
    table = {
        "class_name": "pet",
        "source": {"name": "folder", "options": {"root": str(root)}},
        "only": ["cat"],
        "split": "train:all",
        "crop": "20",
        "eyes": [1.5, 2, 9, 2],
    }
    word = f"pet=folder,root={root},only=cat,split=train:all,crop=20,eyes=1.5,2,9,2"
    assert Member.model_validate(table) == Member.model_validate(word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("folder", "write a member as CLASS=SOURCE"),
        ("=folder", "write a member as CLASS=SOURCE"),
        ("a=folder,root=x,root=y", "each option of a member once"),
        ("a=folder,split=train", "train:all,val:test"),
        ("a=folder,eyes=1,2,3", "left x,left y"),
        ("a=folder,eyes=5,1,5,1", "left x,left y"),
        ("a=folder,eyes=nan,1,nan,1", "left x,left y"),
    ],
)
def test_a_wrong_word_says_how_to_write_it(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        mix(word)
    assert "\n" not in str(caught.value)


def test_a_mixture_pickles_and_gives_the_same_images(tree: Tree, tmp_path: Path) -> None:
    a = tree("a", "1.png")
    faces = write_celeba(tmp_path / "faces", count=10)
    split = mix(f"cat=folder,root={a},crop=10", f"person=celeba,root={faces}").open("train")
    again = pickle.loads(pickle.dumps(split))
    assert len(again) == 9
    for k in range(9):
        assert torch.equal(again[k].image, split[k].image)


def test_images_without_paths_mix_too_and_their_files_are_named(tree: Tree, tmp_path: Path) -> None:
    a = tree("a", "1.png")
    digits = write_mnist(tmp_path / "digits", counts={"train": 30})
    source = mix(f"seven=mnist,root={digits},only=7", f"cat=folder,root={a}")
    split = source.open("train")
    assert list(split.labels) == [0, 0, 0, 1]
    assert not hasattr(split, "paths")
    assert [p.name for p in source.files("train")] == [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "1.png",
    ]


def test_a_crop_is_cut_from_a_source_that_has_none_of_its_own(tree: Tree) -> None:
    root = tree("a", "1.png")
    whole = open_source("folder", root=str(root)).open("all")[0].image
    assert torch.equal(mix(f"a=folder,root={root},crop=20").open("train")[0].image, whole[:, 5:25, 10:30])
    assert torch.equal(mix(f"a=folder,root={root},crop=").open("train")[0].image, whole)


def test_a_crop_goes_to_a_source_that_crops_itself(tmp_path: Path) -> None:
    faces = write_celeba(tmp_path, count=10)
    whole = open_source("celeba", root=str(faces), crop="").open("train")[0].image
    assert mix(f"p=celeba,root={faces}").open("train")[0].image.shape == (3, 108, 108)
    wide = mix(f"p=celeba,root={faces},crop=178").open("train")[0].image
    assert torch.equal(wide, whole[:, 20:198, :])


def test_the_frame_of_the_eyes_is_cut_from_whole_images(tree: Tree, tmp_path: Path) -> None:
    faces = write_celeba(tmp_path / "faces", count=10)
    cats = tree("a", "1.png")
    whole = open_source("celeba", root=str(faces), crop="").open("train")[0].image
    split = mix(f"person=celeba,root={faces}", f"cat=folder,root={cats},eyes=15,12,25,12", frame="eyes").open(
        "train"
    )
    assert torch.equal(split[0].image, cut(whole, eyes_box((69, 111, 108, 111))))
    cat = open_source("folder", root=str(cats)).open("all")[0].image
    assert torch.equal(split[8].image, cut(cat, eyes_box((15, 12, 25, 12))))


def test_a_members_eyes_go_over_those_of_its_source(tmp_path: Path) -> None:
    faces = write_celeba(tmp_path, count=10)
    whole = open_source("celeba", root=str(faces), crop="").open("train")[0].image
    framed = mix(f"person=celeba,root={faces},eyes=43.5,62,134.5,62", frame="eyes").open("train")[0].image
    assert torch.equal(framed, cut(whole, eyes_box((43.5, 62, 134.5, 62))))


def test_a_member_without_eyes_cannot_be_framed_by_them(tree: Tree) -> None:
    root = tree("a", "1.png")
    with pytest.raises(ConfigError, match=r"member 'cat' \(folder\) does not say where its eyes are"):
        mix(f"cat=folder,root={root}", frame="eyes")
    with pytest.raises(ConfigError, match="leave the crop out"):
        mix(f"cat=folder,root={root},crop=20,eyes=1,1,9,1", frame="eyes")


def test_an_unreadable_file_is_an_error_at_its_index_only(tree: Tree) -> None:
    a, b = tree("a", "1.png", "2.png"), tree("b", "3.png")
    (a / "2.png").write_text("no picture")
    source = mix(f"x=folder,root={a},crop=20", f"y=folder,root={b}")
    split = source.open("train")
    split[0], split[2]
    with pytest.raises(DataError, match=r"2\.png"):
        split[1]
    info = checked_info(source)
    assert dict(info.splits) == {"train": 2} and len(info.unreadable) == 1


def test_a_crop_that_misses_an_image_names_it(tree: Tree) -> None:
    split = mix(f"x=folder,root={tree('a', '1.png')},crop=100,100,120,120").open("train")
    with pytest.raises(DataError, match=r"1\.png: the box .* lies outside"):
        split[0]


@pytest.mark.parametrize(
    ("balance", "shares"),
    [
        ("natural", None),
        ("equal", {"a": 0.5, "b": 0.5}),
        ("b=0.25,a=0.75", {"a": 0.75, "b": 0.25}),
        (".9,.1", {"a": 0.9, "b": 0.1}),
    ],
)
def test_balance_sets_the_shares_and_no_image(tree: Tree, balance: str, shares: object) -> None:
    root = tree("t", "1.png", "2.png")
    source = mix(f"a=folder,root={root}", f"b=folder,root={root}", balance=balance)
    assert source.info.shares == shares
    assert list(source.open("train").labels) == [0, 0, 1, 1]
    assert "balance" in _config().NOT_PACKED


def _config():
    from chimera_mixture.config import MixtureConfig

    return MixtureConfig


@pytest.mark.parametrize("balance", ["half", "1", ".9,.2", "a=.5,c=.5", "-1,2", "nan,1", "a=.5,.5"])
def test_a_wrong_balance_is_one_clear_line(tree: Tree, balance: str) -> None:
    root = tree("t", "1.png")
    with pytest.raises(ConfigError, match=r"--balance .* of mixture: write") as caught:
        mix(f"a=folder,root={root}", f"b=folder,root={root}", balance=balance)
    assert "\n" not in str(caught.value)


def test_a_members_trouble_names_the_member(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"member 'cat' \(folder\): the folder .* does not exist"):
        mix(f"cat=folder,root={tmp_path / 'missing'}")
    with pytest.raises(ConfigError, match=r"folder has no option 'rot' \(did you mean 'root'"):
        mix(f"cat=folder,root={tmp_path},rot=3")
    with pytest.raises(PluginError, match="foldr"):
        mix("cat=foldr")
    with pytest.raises(ConfigError, match="has no members"):
        mix()


def test_real_faces_and_cats_mix_with_their_eyes_in_one_place(test_data: Path) -> None:
    source = mix(
        f"person=celeba,root={test_data / 'faces'},eyes=43.5,62,134.5,62",
        f"cat=folder,root={test_data / 'afhq'},eyes=47.1,62.5,80.9,62.5",
        frame="eyes",
        balance="equal",
    )
    assert dict(source.info.splits) == {"train": 6400 + 4638, "val": 800 + 515}
    split = source.open("train")
    for index in (0, 7000):
        _, height, width = split[index].image.shape
        assert height == width
    assert split[0].image.shape[1] == 253 and split[7000].image.shape[1] == 94


def test_a_mixture_packs_with_its_classes_and_members_and_balance_does_not_pack_it_anew(
    tree: Tree, tmp_path: Path
) -> None:
    from chimera_core.data.fingerprint import packing_of
    from chimera_core.data.packing import pack
    from chimera_core.plugins.discovery import default_host

    cats = tree("a", "1.png", "2.png")
    (cats / "2.png").write_bytes(b"")
    members = [
        f"person=celeba,root={write_celeba(tmp_path / 'faces', count=10)}",
        f"cat=folder,root={cats},eyes=15,12,25,12",
        f"seven=mnist,root={write_mnist(tmp_path / 'digits')},only=7,eyes=9,9,19,9",
    ]
    folders = set()
    for balance in ("natural", "equal"):
        component = default_host().find("dataset-source", "mixture")
        config = component.spec.config(members=members, frame="eyes", balance=balance)
        packing = packing_of(component, config, size=16, fit="crop")
        packed = pack(component.load_class()(config), packing, tmp_path / "cache", workers=1)
        folders |= set((tmp_path / "cache").glob("mixture-*"))
        assert packed.classes == ("person", "cat", "seven")
        train = packed.split("train")
        assert train.labels.tolist() == [0] * 8 + [1] + [2] * 4 == train.domains.tolist()
    assert len(folders) == 1


def test_a_split_that_serves_another_is_not_offered_twice(tree: Tree) -> None:
    root = tree("train/cat/a.png", "train/cat/b.png", "val/cat/c.png")
    source = mix(f"cat=folder,root={root},split=train:val", f"dog=folder,root={root},split=train:val")
    assert dict(source.info.splits) == {"train": 2}
    assert {path.name for path in source.open("train").paths} == {"c.png"}


def test_a_member_whose_images_are_no_files_of_their_own_leaves_the_mixture_without_paths(
    tmp_path: Path,
) -> None:
    from chimera_torchvision.checking import write_pets

    members = [
        {
            "class_name": "noise",
            "split": "test:all",
            "source": {"name": "torchvision", "options": {"name": "FakeData", "arguments": "size=3"}},
        },
        {
            "class_name": "pet",
            "source": {
                "name": "torchvision",
                "options": {"name": "OxfordIIITPet", "root": str(write_pets(tmp_path))},
            },
        },
    ]
    mixture = open_source("mixture", members=members)
    split = mixture.open("test")
    assert len(split) == 11 and not hasattr(split, "paths")
    assert {p.suffix for p in mixture.files("test")} == {".jpg", ".txt"}
