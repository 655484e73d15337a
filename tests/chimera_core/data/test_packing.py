from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chimera_core.data.duplicates import find_duplicates
from chimera_core.data.packed import FORMAT, open_packed
from chimera_core.data.packing import pack, staleness
from chimera_core.data.preparing import Request, plan_packing, prepare, verify
from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.interfaces.components import DatasetSource
from chimera_core.plugins.discovery import default_host
from chimera_core.records import Example, SourceInfo

Make = Callable[..., Request]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder source of two splits and two classes: 150 noisy images that differ, of several shapes."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 120), ("val", 30)):
        for index in range(count):
            path = tmp_path / "images" / split / ("cat" if index % 3 else "dog") / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (20 + index % 7, 24, 3)
            Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return tmp_path / "images"


@pytest.fixture
def request_of(tmp_path: Path) -> Make:
    def make(root: Path, *, size: int = 16, cache: str = "cache", **rest: Any) -> Request:
        made = plan_packing(default_host(), "folder", {"root": str(root)}, size=size, **rest)
        return Request(made.component, made.config, made.packing, tmp_path / cache)

    return make


@pytest.mark.slow
def test_what_is_packed_is_what_the_source_holds(folder: Path, request_of: Make) -> None:
    packed = prepare(request_of(folder))
    source = request_of(folder).open()
    assert {name: len(split) for name, split in packed.splits.items()} == {"train": 120, "val": 30}
    assert packed.classes == ("cat", "dog")
    train, original = packed.split("train"), source.open("train")
    assert train.labels.tolist() == list(original.labels)
    assert train.origins.tolist() == list(range(120))
    assert [Path(name).name for name in train.names] == [p.name for p in original.paths]
    some = torch.tensor([119, 0, 64, 63, 0])
    images = train.take(some)
    assert images.shape == (5, 3, 16, 16) and images.dtype == torch.uint8
    assert torch.equal(images[1], images[4])
    picture = Image.fromarray(original[64].image.permute(1, 2, 0).numpy())
    width, height = picture.size
    box = ((width - min(width, height)) / 2, (height - min(width, height)) / 2)
    box = (*box, box[0] + min(width, height), box[1] + min(width, height))  # type: ignore[assignment]
    expected = np.array(picture.resize((16, 16), Image.Resampling.BICUBIC, box=box))  # type: ignore[arg-type]
    assert np.array_equal(images[2].permute(1, 2, 0).numpy(), expected)


def test_the_fit_decides_what_becomes_of_a_long_image(tmp_path: Path, request_of: Make) -> None:
    stripes = np.zeros((10, 40, 3), dtype=np.uint8)
    stripes[:, :10] = 255
    (tmp_path / "long").mkdir()
    Image.fromarray(stripes).save(tmp_path / "long" / "a.png")
    means = {}
    for fit in ("crop", "stretch", "pad"):
        packed = prepare(request_of(tmp_path / "long", fit=fit), workers=0)
        means[fit] = packed.split("all").take(torch.tensor([0])).float().mean().item() / 255
    assert means["crop"] == 0  # the middle 10 x 10 is black
    assert means["stretch"] == pytest.approx(0.25, abs=0.02)
    assert 0.1 < means["pad"] < 0.4


@pytest.mark.slow
def test_preparing_again_decodes_nothing(folder: Path, request_of: Make) -> None:
    first = prepare(request_of(folder))
    before = {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()}
    steps: list[float] = []
    prepare(request_of(folder), progress=lambda done, total: steps.append(done))
    assert not steps
    assert {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()} == before


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(folder: Path, request_of: Make) -> None:
    caches = [prepare(request_of(folder, cache=f"cache{w}"), workers=w).folder for w in (0, 1, 3)]
    assert contents(caches[0]) == contents(caches[1]) == contents(caches[2])


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_are_no_orphans_however_processes_begin(folder: Path, request_of: Make, method: str) -> None:
    """What a fork server starts has that server for a parent, and hands its way of starting on to its workers."""
    process = multiprocessing.get_context(method).Process(
        target=prepare, args=(request_of(folder),), kwargs={"workers": 1}
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert len(prepare(request_of(folder), workers=0).split("train")) == 120


@pytest.mark.slow
def test_a_touched_file_is_not_decoded_again_but_a_changed_one_is(folder: Path, request_of: Make) -> None:
    packed = prepare(request_of(folder))
    victim = folder / "train" / "cat" / "001.png"
    os.utime(victim, (1, 1))
    steps: list[float] = []
    assert prepare(request_of(folder), progress=lambda d, t: steps.append(d)).content == packed.content
    assert not steps
    Image.new("RGB", (20, 20), (9, 9, 9)).save(victim)
    assert verify(request_of(folder))[1] == ["files or labels of split 'train' have changed"]
    changed = prepare(request_of(folder), progress=lambda d, t: steps.append(d))
    assert steps and changed.content != packed.content
    assert verify(request_of(folder))[1] == []


def test_new_times_of_equal_files_are_noted_so_that_they_are_compared_once(
    folder: Path, request_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(request_of(folder))
    os.utime(folder / "train" / "cat" / "001.png", (1, 1))
    prepare(request_of(folder))
    monkeypatch.setattr(
        "chimera_core.data.packing.hash_file", lambda path: pytest.fail(f"hashed {path} again")
    )
    prepare(request_of(folder))


@pytest.mark.slow
def test_a_file_that_can_be_read_by_now_is_taken_in(folder: Path, request_of: Make) -> None:
    late = folder / "val" / "cat" / "late.png"
    Image.new("RGB", (9, 9)).save(late)
    whole = late.read_bytes()
    late.write_bytes(b"\0" * len(whole))
    assert len(prepare(request_of(folder)).split("val").unreadable) == 1
    stamp = late.stat()
    late.write_bytes(whole)  # neither size nor time tell, as when rights or a missing decoder are mended
    os.utime(late, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
    packed = prepare(request_of(folder))
    assert (len(packed.split("val")), packed.split("val").unreadable) == (31, ())


class OneIsGrey(DatasetSource):
    """Decodes two images, one of which is no RGB image and so can never be packed."""

    labels = (0, 0)
    info = SourceInfo("one-is-grey", ("cat",), {"all": 2})

    def open(self, split: str) -> OneIsGrey:
        return self

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Example:
        return Example(torch.zeros(3 - 2 * index, 9, 9, dtype=torch.uint8), 0)


def test_what_decodes_but_can_never_be_packed_is_not_tried_for_ever(tmp_path: Path) -> None:
    packing = {
        "format": FORMAT,
        "source": "one-is-grey",
        "plugin": "",
        "version": "",
        "size": 8,
        "fit": "crop",
    }
    packed = pack(OneIsGrey(), packing, tmp_path, workers=0)
    assert (len(packed.split("all")), len(packed.split("all").unreadable)) == (1, 1)
    steps: list[float] = []
    pack(OneIsGrey(), packing, tmp_path, workers=0, progress=lambda done, total: steps.append(done))
    assert not steps


def test_links_to_nowhere_and_pipes_are_listed_and_the_root_may_be_a_link(
    folder: Path, request_of: Make, tmp_path: Path
) -> None:
    (folder / "val" / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "val" / "cat" / "loop.png").symlink_to(folder / "val" / "cat" / "loop.png")
    os.mkfifo(folder / "val" / "cat" / "pipe.png")
    packed = prepare(request_of(folder))
    assert len(packed.split("val")) == 30 and len(packed.split("val").unreadable) == 3
    (tmp_path / "link").symlink_to(folder)
    steps: list[float] = []
    again = prepare(request_of(tmp_path / "link"), progress=lambda done, total: steps.append(done))
    assert again.folder == packed.folder and not steps


def test_a_thousand_equal_images_are_counted_without_listing_their_pairs() -> None:
    hashes = {"train": ["x"] * 30_000, "val": ["x"] * 10}
    names = {split: [str(k) for k in range(len(found))] for split, found in hashes.items()}
    found = find_duplicates(hashes, names)
    assert (found["pairs"], found["across"]) == (30_010 * 30_009 // 2, 300_000)
    assert len(found["examples"]) == len(found["across_examples"]) == 20
    assert found["across_examples"][0] == ["train: 0", "val: 0"]


def test_a_member_with_other_options_makes_a_mixture_stale(folder: Path, tmp_path: Path) -> None:
    members = [f"cat=folder,root={folder},only=cat", f"dog=folder,root={folder},only=dog"]
    made = plan_packing(default_host(), "mixture", {"members": members}, size=16)
    request = Request(made.component, made.config, made.packing, tmp_path / "mixed")
    before = prepare(request)
    source = request.open()
    source._members[0].source.config = source._members[0].source.config.model_copy(update={"layout": "class"})
    assert (
        staleness(before.folder, request.packing, source) == "files or labels of split 'train' have changed"
    )


def test_other_options_make_another_cache(folder: Path, request_of: Make) -> None:
    assert request_of(folder).folder != request_of(folder, size=24).folder
    assert request_of(folder).folder != request_of(folder / "train").folder
    assert request_of(folder).folder == request_of(folder.parent / "." / "images").folder


@pytest.mark.slow
def test_bad_files_are_listed_and_the_rest_is_intact(folder: Path, request_of: Make) -> None:
    sound = prepare(request_of(folder, cache="sound"))
    bad = folder / "train" / "cat"
    (bad / "000-empty.jpg").write_bytes(b"")
    (bad / "000-text.png").write_text("no picture")
    (bad / "050-cut.png").write_bytes((bad / "001.png").read_bytes()[:60])
    header = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 4
    )
    (bad / "060-huge.png").write_bytes(header)
    packed = prepare(request_of(folder))
    assert len(packed.split("train")) == 120
    assert len(packed.split("train").unreadable) == 4
    for name in ("000-empty.jpg", "000-text.png", "050-cut.png", "060-huge.png"):
        assert sum(name in line for line in packed.split("train").unreadable) == 1
    everything = torch.arange(120)
    assert torch.equal(packed.split("train").take(everything), sound.split("train").take(everything))
    assert torch.equal(packed.split("train").labels, sound.split("train").labels)
    assert len(set(packed.split("train").origins.tolist())) == 120


def test_equal_images_are_found_and_those_across_splits_apart(folder: Path, request_of: Make) -> None:
    original = (folder / "train" / "cat" / "001.png").read_bytes()
    (folder / "train" / "dog" / "copy.png").write_bytes(original)
    (folder / "val" / "dog" / "copy.png").write_bytes(original)
    duplicates = prepare(request_of(folder)).index["duplicates"]
    assert (duplicates["pairs"], duplicates["across"]) == (3, 2)
    assert any(
        "val" in name and "copy.png" in name for pair in duplicates["across_examples"] for name in pair
    )


def test_a_source_with_no_readable_image_is_refused_and_leaves_no_cache(
    tmp_path: Path, request_of: Make
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_text("no")
    request = request_of(tmp_path / "bad")
    with pytest.raises(DataError, match="not one image"):
        prepare(request)
    assert not request.folder.exists()


def test_too_large_is_refused_with_a_size_that_fits(folder: Path, request_of: Make) -> None:
    with pytest.raises(ConfigError, match=r"take --size 40, .* --max-gb") as caught:
        prepare(request_of(folder, size=512), max_gb=0.0008)
    assert "0.1 GB" in str(caught.value)
    prepare(request_of(folder, size=40), max_gb=0.0008)


@pytest.mark.slow
def test_a_damaged_or_old_cache_is_one_clear_line(folder: Path, request_of: Make) -> None:
    request = request_of(folder)
    packed = prepare(request)
    shard = packed.folder / packed.index["splits"]["val"]["shards"][0]["file"]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert len(verify(request)[1]) == 1
    packed = prepare(request)
    shard.write_bytes(whole[:200])
    with pytest.raises(DataError, match="is damaged"):
        open_packed(packed.folder)
    index = json.loads((packed.folder / "index.json").read_text())
    (packed.folder / "index.json").write_text(json.dumps({**index, "format": FORMAT + 1}))
    with pytest.raises(DataError, match=f"version {FORMAT + 1}, this is version {FORMAT}"):
        open_packed(packed.folder)
    (packed.folder / "index.json").write_text(json.dumps({"format": FORMAT}))
    with pytest.raises(DataError, match="is damaged"):
        open_packed(packed.folder)
    (packed.folder / "index.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        open_packed(packed.folder)
    prepare(request)  # and preparing again mends it
    assert verify(request)[1] == []


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_index_of_wrong_types_and_an_array_that_is_a_pipe_are_one_clear_line(
    folder: Path, request_of: Make
) -> None:
    request = request_of(folder)
    packed = prepare(request)
    path = packed.folder / "index.json"
    index = json.loads(path.read_text())

    def with_split(**changed: object) -> dict[str, object]:
        return {**index, "splits": {"val": {**index["splits"]["val"], **changed}}}

    shard = index["splits"]["val"]["shards"][0]
    for changed, message in [
        ({**index, "splits": {"val": {}}}, "splits.val.shards is missing"),
        ({**index, "splits": ["val"]}, "splits is missing, or no dict"),
        ({**index, "splits": {"val": None}}, "splits.val.shards is missing"),
        ({**index, "size": 10**12}, "size 1000000000000"),
        ({**index, "size": "64"}, "size is missing, or no int"),
        ({**index, "classes": [["cat"]]}, "a name is not text"),
        ({**index, "packing": []}, "packing is missing"),
        (with_split(shards=[{**shard, "images": 10**15}]), "splits.val.shards: "),
        (with_split(shards=[7]), "splits.val.shards: 7"),
        (with_split(stamps=None), "splits.val.stamps is missing"),
        ([index], "it is not a table"),
    ]:
        path.write_text(json.dumps(changed))
        with pytest.raises(DataError, match="is damaged") as caught:
            open_packed(packed.folder)
        assert message in str(caught.value) and "run `chimera source prepare` again" in str(caught.value)
    path.write_text(json.dumps(index))
    labels = packed.folder / "val-labels.npy"
    header = labels.read_bytes()[:128]
    labels.write_bytes(
        header.replace(b"(", b"(99999999999, ").replace(b" " * 13, b"", 1)
    )  # 800 GB by its word
    with pytest.raises(DataError, match=r"val-labels\.npy' is damaged"):
        open_packed(packed.folder)
    for name in ("val-labels.npy", shard["file"]):
        (packed.folder / name).unlink()
        os.mkfifo(packed.folder / name)
        with pytest.raises(DataError, match="it is a folder, pipe or device"):
            open_packed(packed.folder)
        (packed.folder / name).unlink()
        prepare(request)
    assert verify(request)[1] == []


def test_a_cache_under_a_file_is_one_clear_line(folder: Path, request_of: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="CHIMERA_CACHE"):
        prepare(request_of(folder, cache="file/cache"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_clear_line_and_nothing_half_made_counts(
    folder: Path, request_of: Make, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(folder, size=48, cache="disk/cache")  # 1 MB of pixels
    with pytest.raises(RunError, match="free some space"):
        prepare(request)
    # Even where the free space was wrong, or another process takes it meanwhile.
    monkeypatch.setattr("chimera_core.data.blocks._check_space", lambda *args: None)
    with pytest.raises(RunError, match="the disk is full"):
        prepare(request)
    assert not request.folder.exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_cache_of_pictures_that_were_read_otherwise_is_made_again(
    folder: Path, request_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prepare(old := request_of(folder), workers=0)
    monkeypatch.setattr("chimera_core.data.fingerprint.READING", 99)
    new = request_of(folder)
    assert new.folder == old.folder  # the stale one is replaced, not left beside
    why = staleness(new.folder, new.packing, new.open())
    assert why == "it was made when image files were read in another way"
    assert prepare(new, workers=0).content != before.content
    assert staleness(new.folder, new.packing, new.open()) is None


@pytest.mark.parametrize("name", ["../pwn", "{outside}/pwn", ".hidden", "a*b"])
def test_a_split_whose_name_leads_elsewhere_writes_nothing(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").mkdir()
    split = name.format(outside=tmp_path / "outside")
    source = {"name": "folder", "options": {"root": str(folder)}}
    members = [{"class_name": c, "source": source, "split": f"{split}:train"} for c in ("cat", "dog")]
    request = plan_packing(default_host(), "mixture", {"members": members}, size=16)
    request = Request(request.component, request.config, request.packing, tmp_path / "cache")
    before = sorted(p for p in tmp_path.rglob("*") if "images" not in p.parts)
    with pytest.raises(DataError, match=r"split '.*' cannot be part of a file's name"):
        prepare(request, workers=0)
    assert sorted(p for p in tmp_path.rglob("*") if "images" not in p.parts) == before


def test_an_index_or_shard_that_leads_out_of_the_cache_is_refused(
    folder: Path, request_of: Make, tmp_path: Path
) -> None:
    packed = prepare(request_of(folder), workers=0)
    index = packed.folder / "index.json"
    text = index.read_text()
    secret = tmp_path / "secret.npy"
    (packed.folder / "val-00000.npy").rename(secret)
    for file in (str(secret), f"../../{secret.name}"):
        index.write_text(text.replace('"val-00000.npy"', json.dumps(file)))
        with pytest.raises(DataError, match="lies outside the folder"):
            open_packed(packed.folder)
    index.write_text(text)
    (packed.folder / "val-00000.npy").symlink_to(secret)
    with pytest.raises(DataError, match="leaves its folder"):
        open_packed(packed.folder)
    index.rename(tmp_path / "index.json")
    index.symlink_to(tmp_path / "index.json")
    with pytest.raises(DataError, match="leaves its folder"):
        open_packed(packed.folder)


def test_a_cache_of_links_is_made_anew_and_what_they_lead_to_stays(
    folder: Path, request_of: Make, tmp_path: Path
) -> None:
    request = request_of(folder)
    home = tmp_path / "home"
    home.mkdir()
    (home / "index.json").write_text("{}")
    request.cache.mkdir()
    request.folder.symlink_to(home)
    (request.cache / f".{request.folder.name}.old").symlink_to(home)
    (request.cache / f".{request.folder.name}.0.partial").symlink_to(home)
    assert len(prepare(request, workers=0).split("val")) == 30
    assert not request.folder.is_symlink() and [p.name for p in home.iterdir()] == ["index.json"]
