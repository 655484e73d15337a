from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from chimera_core import open_source
from chimera_core.api import ChimeraError, DataError, MissingDataError, RunError
from chimera_core.testing import Law, check_component, parametrize_with_laws, write_mnist


@parametrize_with_laws(check_component("mnist"))
def test_mnist_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("inner", ["", "MNIST", "MNIST/raw"])
def test_a_written_folder_has_its_splits_and_grey_digits(tmp_path: Path, gzipped: bool, inner: str) -> None:
    source = open_source("mnist", root=str(write_mnist(tmp_path, gzipped=gzipped) / inner))
    assert dict(source.info.splits) == {"train": 40, "test": 20}
    assert source.info.classes == tuple("0123456789")
    split = source.open("train")
    assert list(split.labels) == [k % 10 for k in range(40)]
    image, label, _ = split[13]
    assert image.dtype == torch.uint8 and image.shape == (3, 28, 28) and label == 3
    assert torch.equal(image[0], image[1]) and torch.equal(image[0], image[2])


def test_plain_and_gzipped_files_hold_the_same_images(tmp_path: Path) -> None:
    plain = open_source("mnist", root=str(write_mnist(tmp_path / "a"))).open("test")
    packed = open_source("mnist", root=str(write_mnist(tmp_path / "b", gzipped=True))).open("test")
    assert all(torch.equal(plain[k].image, packed[k].image) for k in range(20))


@pytest.mark.slow
def test_a_split_names_its_files_and_pickles_without_its_pixels(tmp_path: Path) -> None:
    source = open_source("mnist", root=str(write_mnist(tmp_path, counts={"train": 2000, "test": 10})))
    assert [p.name for p in source.files("train")] == ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    split = source.open("train")
    split[0]
    pickled = pickle.dumps(split)
    assert len(pickled) < 10_000
    assert torch.equal(pickle.loads(pickled)[7].image, split[7].image)
    with pytest.raises(IndexError):
        split[2000]


def test_a_missing_split_says_what_it_needs_and_the_rest_works(tmp_path: Path) -> None:
    root = write_mnist(tmp_path, counts={"test": 20})
    source = open_source("mnist", root=str(root))
    assert dict(source.info.splits) == {"test": 20}
    assert "split train needs data: train-images-idx3-ubyte and train-labels" in source.info.notes[0]
    with pytest.raises(MissingDataError, match=r"split 'train' of mnist needs data.*--download") as caught:
        source.open("train")
    assert caught.value.downloadable
    with pytest.raises(DataError, match=r"no split 'val' \(it has: train, test\)"):
        source.open("val")


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("missing", "no such folder"),
        ("other", "it holds a.txt"),
        ("file", "it is a file"),
        ("file/x", "not a folder"),
    ],
)
def test_no_data_is_one_line_that_says_what_was_expected_and_found(
    tmp_path: Path, place: str, found: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").touch()
    (tmp_path / "file").touch()
    with pytest.raises(MissingDataError, match=f"{found}.*expected MNIST/raw/") as caught:
        open_source("mnist", root=str(tmp_path / place))
    assert caught.value.downloadable and "\n" not in str(caught.value)


def test_without_root_the_data_lie_among_the_assets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None
) -> None:
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path))
    write_mnist(tmp_path / "mnist")
    assert open_source("mnist").info.splits["train"] == 40


LABELS, IMAGES = "t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (LABELS, struct.pack(">2I", 2049, 19) + bytes(19), "20 images but .* 19 labels"),
        (LABELS, struct.pack(">2I", 2049, 20) + bytes([11] * 20), "label 0 of .* is 11, no digit"),
        (LABELS, struct.pack(">2I", 2049, 20) + bytes(7), "should hold 20 = 20 bytes .* holds 7"),
        (IMAGES, b"", "not an IDX file .*begins with nothing"),
        (IMAGES, b"<html>not found</html>", "not an IDX file"),
        (IMAGES, struct.pack(">4I", 2051, 20, 28, 28) + bytes(99), "holds 99"),
        (IMAGES, struct.pack(">4I", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1), "claims"),
        (IMAGES, struct.pack(">4I", 2051, 0, 28, 28), "claims 0"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (write_mnist(tmp_path) / "MNIST" / "raw" / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        open_source("mnist", root=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_damage_inside_a_gzipped_file_shows_when_its_pixels_are_read(tmp_path: Path) -> None:
    path = write_mnist(tmp_path, gzipped=True) / "MNIST" / "raw" / f"{IMAGES}.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    split = open_source("mnist", root=str(tmp_path)).open("test")
    with pytest.raises(DataError, match="cannot be read"):
        split[0]
    # More than the header says, as a bomb would have: 40 MB of zeros.
    path.write_bytes(gzip.compress(struct.pack(">4I", 2051, 20, 28, 28) + bytes(40_000_000)))
    with pytest.raises(DataError, match="but holds more"):
        open_source("mnist", root=str(tmp_path)).open("test")[0]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> Path:
    """A folder that stands for the mirrors: the registry's assets point to its files."""
    raw = write_mnist(tmp_path / "mirror", gzipped=True) / "MNIST" / "raw"
    lines = []
    for split, prefix in (("train", "train"), ("test", "t10k")):
        for kind, dims in (("images", 3), ("labels", 1)):
            file = raw / f"{prefix}-{kind}-idx{dims}-ubyte.gz"
            data = file.read_bytes()
            lines.append(
                f"[assets.mnist-{split}-{kind}]\nurl = '{file.as_uri()}'\nsize = {len(data)}\n"
                f"sha256 = '{hashlib.sha256(data).hexdigest()}'\n"
            )
    registry = tmp_path / "registry.toml"
    registry.write_text("\n".join(lines))
    monkeypatch.setenv("CHIMERA_REGISTRY", str(registry))
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path / "assets"))
    return raw


def download(root: Path | str) -> list[tuple[float, float]]:
    from chimera_mnist.config import MnistConfig
    from chimera_mnist.source import MnistSource

    calls: list[tuple[float, float]] = []
    MnistSource.download(MnistConfig(root=str(root)), progress=lambda d, t: calls.append((d, t)))
    return calls


def test_download_puts_plain_files_where_the_source_looks(mirror: Path, tmp_path: Path) -> None:
    calls = download("")
    assert calls[-1][0] == calls[-1][1]
    assert [d for d, _ in calls] == sorted(d for d, _ in calls)
    source = open_source("mnist")
    assert dict(source.info.splits) == {"train": 40, "test": 20}
    raw = tmp_path / "assets" / "mnist" / "MNIST" / "raw"
    assert sorted(p.name for p in raw.iterdir())[0] == IMAGES


def test_download_brings_only_what_is_missing_or_damaged(mirror: Path, tmp_path: Path) -> None:
    raw = write_mnist(tmp_path / "mine", counts={"test": 20}) / "MNIST" / "raw"
    kept = (raw / LABELS).stat().st_mtime_ns
    (raw / IMAGES).write_bytes(b"half")
    download(tmp_path / "mine")
    assert dict(open_source("mnist", root=str(raw)).info.splits) == {"train": 40, "test": 20}
    assert (raw / LABELS).stat().st_mtime_ns == kept


def test_download_below_a_file_is_one_line(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot make the folder .*--root"):
        download(tmp_path / "file" / "x")


def test_a_refused_download_says_how_to_do_it_by_hand(mirror: Path, tmp_path: Path) -> None:
    (mirror / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ChimeraError, match=r"cannot download mnist-train-images.* get it from file:"):
        download(tmp_path / "mine")


def test_real_mnist_has_ten_thousand_test_images(test_data: Path) -> None:
    source = open_source("mnist", root=str(test_data / "mnist"))
    assert dict(source.info.splits) == {"test": 10_000}
    split = source.open("test")
    # Counts by digit, and the first five digits, as the data set's users know them.
    assert np.bincount(split.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert list(split.labels[:5]) == [7, 2, 1, 0, 4]


def test_torchvision_reads_the_written_folder_and_agrees(tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    write_mnist(tmp_path)
    theirs = MNIST(str(tmp_path), train=True, download=False)
    ours = open_source("mnist", root=str(tmp_path)).open("train")
    assert theirs.targets.tolist() == list(ours.labels)
    assert torch.equal(theirs.data, torch.stack([ours[k].image[0] for k in range(len(ours))]))
