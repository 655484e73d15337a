"""What torchvision's own loaders give is what the source gives, image by image and label by label."""

from __future__ import annotations

import csv
import inspect
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chimera_torchvision.checking import write_pets
from chimera_torchvision.classes import find_class, split_values, takes_root
from PIL import Image
from torchvision import datasets

from chimera_core import open_source
from chimera_core.api import ChimeraError, ConfigError, DataError, MissingDataError, PluginError, RunError
from chimera_core.testing import Law, check_component, draw_shape, parametrize_with_laws


@parametrize_with_laws(check_component("torchvision"))
def test_torchvision_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_pets(tmp_path / "data")


def write(path: Path, seed: int, *, size: tuple[int, int] = (20, 24), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_shape(seed, *size)).convert(mode).save(path)


def check_equal(split: Any, theirs: Any, classes: tuple[str, ...], *, names: list[str] | None = None) -> None:
    """Compare a split with torchvision's own object, every image and label."""
    assert len(split) == len(theirs)
    for k in range(len(theirs)):
        image, label = theirs[k]
        ours = split[k]
        assert np.array_equal(ours.image.permute(1, 2, 0).numpy(), np.array(image.convert("RGB")))
        expected = names[int(label)] if names else str(int(label))
        assert classes[ours.label] == expected
        assert split.labels[k] == ours.label


@pytest.mark.parametrize("target", ["", "binary-category"])
def test_pets_are_those_of_torchvision_by_breed_and_by_kind(pets: Path, target: str) -> None:
    source = open_source("torchvision", name="OxfordIIITPet", root=str(pets), target=target)
    assert dict(source.info.splits) == {"trainval": 8, "test": 8}
    names = ["Cat", "Dog"] if target else ["Abyssinian", "American Bulldog"]
    assert list(source.info.classes) == names
    for split in ("trainval", "test"):
        theirs = datasets.OxfordIIITPet(pets, split, target_types=target or "category")
        check_equal(source.open(split), theirs, source.info.classes, names=names)


def test_a_trimap_becomes_the_animals_mask(pets: Path) -> None:
    split = open_source("torchvision", name="oxford-iiit-pet", root=str(pets)).open("test")
    mask = split.mask(3)
    assert mask.shape == (1, 40, 48) and mask.dtype == torch.uint8
    assert mask[0, 20, 20] == 255 and mask[0, 9, 9] == 128 and mask[0, 0, 0] == 0
    (pets / "oxford-iiit-pet" / "annotations" / "trimaps" / "Abyssinian_8.png").unlink()
    assert split.mask(3) is None


def test_drawn_images_are_torchvisions_in_any_thread_and_process() -> None:
    options = {"name": "FakeData", "arguments": ("size=12", "image_size=3,8,10", "num_classes=25")}
    source = open_source("torchvision", **options)
    assert len(source.info.classes) == 25
    theirs = datasets.FakeData(12, (3, 8, 10), 25)
    check_equal(source.open("all"), theirs, source.info.classes)
    again = pickle.loads(pickle.dumps(source.open("all")))
    check_equal(again, theirs, source.info.classes)
    assert source.made_of()


def test_a_split_pickles_small(pets: Path) -> None:
    assert (
        len(pickle.dumps(open_source("torchvision", name="OxfordIIITPet", root=str(pets)).open("test")))
        < 1000
    )


def write_idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        bytes([0, 0, 8, values.ndim])
        + struct.pack(f">{values.ndim}I", *values.shape)
        + values.astype(np.uint8).tobytes()
    )


@pytest.mark.parametrize("name", ["FashionMNIST", "KMNIST"])
def test_grey_arrays_become_rgb_with_torchvisions_class_names(tmp_path: Path, name: str) -> None:
    for start, count in (("train", 12), ("t10k", 5)):
        raw = tmp_path / name / "raw"
        write_idx(raw / f"{start}-images-idx3-ubyte", np.arange(count * 784).reshape(count, 28, 28) % 251)
        write_idx(raw / f"{start}-labels-idx1-ubyte", np.arange(count) % 10)
    source = open_source("torchvision", name=name, root=str(tmp_path))
    kind = getattr(datasets, name)
    assert list(source.info.classes) == list(kind.classes)
    for split in ("train", "test"):
        theirs = kind(tmp_path, train=split == "train")
        check_equal(source.open(split), theirs, source.info.classes, names=kind.classes)
        assert all(path.parent.name == "raw" for path in source.files(split)) and source.files(split)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write CIFAR-10's layout, and let torchvision expect the checksums of what was written."""
    import hashlib

    base = root / "cifar-10-batches-py"
    base.mkdir(parents=True)
    sums: dict[str, str] = {}
    contents: dict[str, Any] = {"batches.meta": {"label_names": [f"kind {k}" for k in range(10)]}}
    for k, name in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        data = np.random.default_rng(k).integers(0, 256, (4, 3072), dtype=np.uint8)
        contents[name] = {"data": data, "labels": [(k + n) % 10 for n in range(4)]}
    for name, value in contents.items():
        (base / name).write_bytes(pickle.dumps(value))
        sums[name] = hashlib.md5((base / name).read_bytes()).hexdigest()
    kind = datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [[n, sums[n]] for n, _ in kind.train_list])
    monkeypatch.setattr(kind, "test_list", [[n, sums[n]] for n, _ in kind.test_list])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums["batches.meta"]})
    return root


def test_cifar_is_read_only_while_its_checksums_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_cifar(tmp_path, monkeypatch)
    source = open_source("torchvision", name="CIFAR10", root=str(root))
    assert dict(source.info.splits) == {"train": 20, "test": 4}
    names = [f"kind {k}" for k in range(10)]
    check_equal(source.open("train"), datasets.CIFAR10(root), source.info.classes, names=names)
    # torchvision unpickles these files: another one must never get that far.
    hostile = root / "cifar-10-batches-py" / "data_batch_1"
    hostile.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(
        MissingDataError,
        match=r"no CIFAR10 in .* \(Dataset not found or corrupted\): `chimera source prepare",
    ):
        open_source("torchvision", name="CIFAR10", root=str(root))


class Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


def write_celeba_lists(root: Path) -> Path:
    base = root / "celeba"
    names = [f"{k:06d}.jpg" for k in range(1, 13)]
    for k, name in enumerate(names):
        write(base / "img_align_celeba" / name, k, size=(218, 178))
    (base / "list_eval_partition.txt").write_text("".join(f"{n} {k // 4}\n" for k, n in enumerate(names)))
    (base / "identity_CelebA.txt").write_text("".join(f"{n} {k % 3}\n" for k, n in enumerate(names)))
    for file, head in (("list_bbox_celeba.txt", "id x y w h"), ("list_landmarks_align_celeba.txt", "a b")):
        rows = "".join(f"{n} 1 2\n" for n in names)
        (base / file).write_text(f"12\n{head}\n{rows}")
    rows = "".join(f"{n} {1 if k % 2 else -1} -1\n" for k, n in enumerate(names))
    (base / "list_attr_celeba.txt").write_text(f"12\nSmiling Big_Nose\n{rows}")
    return root


def test_celebas_attributes_are_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_celeba_lists(tmp_path)
    with pytest.raises(
        MissingDataError, match=r"no CelebA in .*not found or corrupted"
    ):  # lists of other checksums
        open_source("torchvision", name="CelebA", root=str(root), target="Smiling")
    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda path, md5: Path(path).is_file())
    source = open_source("torchvision", name="CelebA", root=str(root), target="smiling")
    assert source.info.classes == ("not-smiling", "smiling")
    assert dict(source.info.splits) == {"train": 4, "valid": 4, "test": 4}
    assert any("split all repeats files" in note for note in source.info.notes)
    theirs = datasets.CelebA(root, "valid")
    split = source.open("valid")
    for k in range(4):
        image, attributes = theirs[k]
        assert np.array_equal(split[k].image.permute(1, 2, 0).numpy(), np.array(image))
        assert split.labels[k] == int(attributes[0])
    with pytest.raises(ConfigError, match="40 attributes and no class: name one with --target"):
        open_source("torchvision", name="CelebA", root=str(root))
    people = open_source("torchvision", name="CelebA", root=str(root), target="identity")
    assert len(people.info.classes) == 3


def test_flowers_have_the_splits_of_their_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    base = tmp_path / "flowers-102"
    for k in range(1, 10):
        write(base / "jpg" / f"image_{k:05d}.jpg", k)
    savemat(base / "imagelabels.mat", {"labels": np.arange(9) % 3 + 1})
    savemat(base / "setid.mat", {"trnid": [1, 2, 3], "valid": [4, 5, 6], "tstid": [7, 8, 9]})
    monkeypatch.setattr("torchvision.datasets.flowers102.check_integrity", lambda path, md5: True)
    source = open_source("torchvision", name="Flowers102", root=str(tmp_path))
    assert dict(source.info.splits) == {"train": 3, "val": 3, "test": 3}
    theirs = datasets.Flowers102(tmp_path, "val")
    names = getattr(theirs, "classes", None)
    check_equal(source.open("val"), theirs, source.info.classes, names=names)


def write_dtd(root: Path) -> Path:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        for partition in (1, 2):
            kinds = ("banded", "dotted") if split != "test" else ("dotted",)
            rows = [f"{kind}/{kind}_{number}{partition}.jpg" for kind in kinds]
            (base / "labels" / f"{split}{partition}.txt").write_text("\n".join(rows))
            for k, row in enumerate(rows):
                write(base / "images" / row, 10 * number + k)
    return root


def test_an_argument_of_the_class_chooses_and_a_split_that_lacks_a_class_keeps_its_numbers(
    tmp_path: Path,
) -> None:
    root = write_dtd(tmp_path)
    source = open_source("torchvision", name="DTD", root=str(root), arguments=("partition=2",))
    assert source.info.classes == ("banded", "dotted")
    # Alone, torchvision numbers the one class of test 0.
    assert list(source.open("test").labels) == [1]
    assert [p.name for p in source.open("train").paths] == ["banded_02.jpg", "dotted_02.jpg"]
    only = open_source("torchvision", name="DTD", root=str(root), arguments=("split=val",))
    assert dict(only.info.splits) == {"val": 2}
    with pytest.raises(
        ConfigError, match="is not name=value with an argument of DTD: it has split, partition"
    ):
        open_source("torchvision", name="DTD", root=str(root), arguments=("part=2",))


def test_a_folder_of_classes_and_a_flat_layout_of_eurosat(tmp_path: Path) -> None:
    for k, kind in enumerate(("Forest", "River") * 3):
        write(tmp_path / "eurosat" / "2750" / kind / f"{kind}_{k}.jpg", k)
    source = open_source("torchvision", name="EuroSAT", root=str(tmp_path))
    assert source.info.classes == ("Forest", "River") and dict(source.info.splits) == {"all": 6}
    check_equal(
        source.open("all"), datasets.EuroSAT(tmp_path), source.info.classes, names=["Forest", "River"]
    )
    folder = open_source("torchvision", name="ImageFolder", root=str(tmp_path / "eurosat" / "2750"))
    assert folder.info.classes == source.info.classes


def write_inaturalist(root: Path, *, species: int) -> Path:
    for k in range(species):
        name = f"{k:05d}_Animalia_Chordata_Mammalia_Carnivora_Family{k // 5}_Genus{k}_species"
        for n in range(2):
            write(root / "2021_train" / name / f"{n}.jpg", 2 * k + n, size=(8, 10))
    return root


def test_inaturalists_ranks_are_classes_and_25_of_them_are_none_too_many(tmp_path: Path) -> None:
    root = write_inaturalist(tmp_path, species=25)
    source = open_source("torchvision", name="INaturalist", root=str(root))
    assert len(source.info.classes) == 25 and dict(source.info.splits) == {"all": 50}
    families = open_source("torchvision", name="INaturalist", root=str(root), target="family")
    assert families.info.classes == tuple(f"Family{k}" for k in range(5))
    theirs = datasets.INaturalist(root, target_type="family")
    check_equal(families.open("all"), theirs, families.info.classes, names=list(families.info.classes))
    with pytest.raises(ConfigError, match="cannot open INaturalist: Unknown value 'tribe'"):
        open_source("torchvision", name="INaturalist", root=str(root), target="tribe")


def test_images_without_a_label_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "fer2013"
    base.mkdir()
    for name, columns in (("train.csv", ("emotion", "pixels")), ("test.csv", ("pixels",))):
        with (base / name).open("w", newline="") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            for k in range(3):
                row = {"emotion": k, "pixels": " ".join(["7"] * 48 * 48)}
                table.writerow({c: row[c] for c in columns})
    monkeypatch.setattr(
        "torchvision.datasets.fer2013.check_integrity", lambda path, md5: Path(path).is_file()
    )
    info = open_source("torchvision", name="FER2013", root=str(tmp_path)).info
    assert dict(info.splits) == {"train": 3}
    assert dict(info.left_out) == {"without a label in split test": 3}


def test_a_hostile_picture_is_refused_before_torchvision_decodes_it(pets: Path) -> None:
    bomb = Image.new("1", (9000, 9000))
    file = pets / "oxford-iiit-pet" / "images" / "Abyssinian_1.jpg"
    bomb.save(file, "PNG")
    split = open_source("torchvision", name="OxfordIIITPet", root=str(pets)).open("trainval")
    with pytest.raises(DataError, match=r"Abyssinian_1.jpg.* 9000 x 9000"):
        split[0]
    file.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"Abyssinian_1.jpg.*text, not an image"):
        split[0]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": "OxfordPet"}, ConfigError, r"no data set 'OxfordPet' \(did you mean 'OxfordIIITPet'\?\)"),
        ({"name": "CIFAR10"}, MissingDataError, "no CIFAR10 in .*prepare torchvision --name CIFAR10 --root .* --download` brings it"),
        ({"name": "EMNIST"}, ConfigError, "needs --argument split=byclass: it is one of byclass, bymerge"),
        ({"name": "Kinetics"}, ConfigError, "Kinetics needs --argument frames_per_clip"),
        ({"name": "FER2013"}, MissingDataError, "no FER2013 in .*: get it as "),
        ({"name": "FakeData", "target": "colour"}, ConfigError, "no target 'colour'"),
        ({"name": "FakeData", "arguments": ("size=many",)}, ConfigError, "FakeData cannot be looked into"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_the_mend(
    tmp_path: Path, options: dict[str, Any], error: type[ChimeraError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        open_source("torchvision", **{"root": str(tmp_path), **options})
    assert "\n" not in str(caught.value)


def test_another_label_than_the_lists_gave_is_noticed(pets: Path) -> None:
    split = open_source("torchvision", name="OxfordIIITPet", root=str(pets)).open("trainval")
    split.dataset._labels = list(reversed(split.dataset._labels))
    with pytest.raises(PluginError, match="has label 1, and 0 was read"):
        split[0]


def test_data_for_another_task_are_refused(tmp_path: Path) -> None:
    for part in ("training", "testing"):
        write(tmp_path / "Kitti" / "raw" / part / "image_2" / "0.png", 0)
    (tmp_path / "Kitti" / "raw" / "training" / "label_2").mkdir()
    (tmp_path / "Kitti" / "raw" / "training" / "label_2" / "0.txt").write_text("")
    with pytest.raises(DataError, match="Kitti has no class for each image: it is made for another task"):
        open_source("torchvision", name="Kitti", root=str(tmp_path))


def test_downloads_are_torchvisions_and_only_on_request(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = datasets.OxfordIIITPet._download

    def bring(self: Any) -> None:
        asked.append(self._split)
        shutil.copytree(pets, self.root, dirs_exist_ok=True)

    monkeypatch.setattr(datasets.OxfordIIITPet, "_download", bring)
    kind = find_class_of("torchvision")
    config = config_of(name="OxfordIIITPet", root=str(pets.parent / "copy"))
    with pytest.raises(MissingDataError):
        kind(config)
    assert not asked
    kind.download(config, progress=lambda done, total: None)
    assert asked == ["trainval", "test"]
    assert len(kind(config).open("test")) == 8

    def fail(self: Any) -> None:
        raise OSError("the line is dead")

    monkeypatch.setattr(datasets.OxfordIIITPet, "_download", fail)
    with pytest.raises(RunError, match=r"cannot download OxfordIIITPet .*the line is dead.*try again"):
        kind.download(config, progress=lambda done, total: None)
    monkeypatch.setattr(datasets.OxfordIIITPet, "_download", original)
    with pytest.raises(ConfigError, match="cannot download FER2013: get it as"):
        kind.download(config_of(name="FER2013", root=str(pets)), progress=lambda done, total: None)


def find_class_of(name: str) -> Any:
    from chimera_torchvision.source import TorchvisionSource

    return TorchvisionSource


def config_of(**options: Any) -> Any:
    from chimera_torchvision.config import TorchvisionConfig

    return TorchvisionConfig(**options)


def test_every_class_of_torchvision_names_its_splits_without_its_data(tmp_path: Path) -> None:
    told = {}
    for name in datasets.__all__:
        kind = getattr(datasets, name)
        if (
            inspect.isclass(kind)
            and name not in ("VisionDataset", "LSUNClass")
            and takes_root(find_class(name))
        ):
            told[name] = list(split_values(kind, {}, root=str(tmp_path)))
    assert told["OxfordIIITPet"] == ["trainval", "test"]
    assert told["Flowers102"] == told["DTD"] == ["train", "val", "test"]
    assert told["STL10"] == ["train", "unlabeled", "test"] or set(told["STL10"]) == {
        "train",
        "unlabeled",
        "test",
    }
    assert told["MNIST"] == told["EMNIST"] == ["train", "test"]
    assert told["Omniglot"] == ["background", "evaluation"]
    assert told["EuroSAT"] == ["all"]
