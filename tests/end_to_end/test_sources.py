"""``chimera source`` on every data set, and on real faces, cats and a mixture of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chimera_huggingface.checking import write_saved
from chimera_torchvision.checking import write_pets
from PIL import Image

from chimera_core.data.batches import TrainingBatches
from chimera_core.data.preparing import plan_packing, prepare
from chimera_core.plugins.discovery import default_host
from chimera_core.testing import (
    write_celeba,
    write_flickr_dog,
    write_inaturalist,
    write_iwildcam,
    write_lhi,
    write_mnist,
)

Here = Callable[..., tuple[int, str, str]]
NAMES = {
    *("celeba", "flickr-dog", "folder", "huggingface", "inaturalist", "iwildcam"),
    *("lhi-animal-faces", "mixture", "mnist", "persondog", "torchvision"),
}
FACE_EYES = "43.5,62,134.5,62"
CAT_EYES = "47.1,62.5,80.9,62.5"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> Path:
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path / "assets"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Every data set in its true layout, and the options that open it."""
    root = tmp_path_factory.mktemp("collections")
    for write in (write_celeba, write_flickr_dog, write_lhi, write_mnist, write_iwildcam):
        write(root)  # type: ignore[operator]
    own = ["--root", str(root)]
    return {
        "celeba": own,
        "flickr-dog": own,
        "folder": ["--root", str(root / "lhi-animal-faces")],
        "huggingface": ["--path", str(write_saved(root / "saved", images=30))],
        "inaturalist": ["--root", str(write_inaturalist(root / "inaturalist"))],
        "iwildcam": own,
        "lhi-animal-faces": own,
        "mixture": ["--member", f"person=celeba,root={root}", "--member", f"dog=flickr-dog,root={root}"],
        "mnist": own,
        "persondog": own,
        "torchvision": ["--source.name", "OxfordIIITPet", "--root", str(write_pets(root, images=13))],
    }


def test_the_list_names_every_source_with_licence_and_state(here: Here, cache: Path) -> None:
    code, out, _ = here("source", "list", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows.keys() == NAMES
    assert all(row["licence"] and row["state"] in ("needs data", "needs download") for row in rows.values())
    assert rows["mnist"]["state"] == "needs download"
    assert rows["mnist"]["mend"] == "chimera source prepare mnist --download"
    write_mnist(cache.parent / "assets" / "mnist")
    assert (
        next(r for r in json.loads(here("source", "list", "--json")[1]) if r["name"] == "mnist")["state"]
        == "ready"
    )
    code, out, _ = here("source", "list")
    assert code == 0 and all(name in out for name in NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_source_is_described_previewed_packed_and_verified(
    name: str, collections: dict[str, list[str]], here: Here, cache: Path, tmp_path: Path
) -> None:
    code, out, err = here("source", "info", name, *collections[name], "--json")
    assert code == 0, err
    info = json.loads(out)
    assert set(info) == {"name", "classes", "domains", "splits", "licence", "home_page", "unreadable"}
    assert info["name"] == name and info["splits"] and not info["unreadable"]
    code, _, err = here("source", "preview", name, *collections[name], "-o", tmp_path / "grid.png")
    assert code == 0, err
    assert min(Image.open(tmp_path / "grid.png").size) > 5 * 112
    code, out, err = here("source", "prepare", name, *collections[name], "--size", 32, "--json")
    assert code == 0, err
    packed = json.loads(out)
    assert packed["splits"] == info["splits"] and not packed["unreadable"]
    code, out, err = here("source", "verify", name, *collections[name], "--size", 32)
    assert code == 0 and out.startswith(f"sound: {sum(info['splits'].values()):,} images"), err


def test_a_damaged_cache_fails_verification_and_preparing_mends_it(
    collections: dict[str, list[str]], here: Here, cache: Path
) -> None:
    command = ("mnist", *collections["mnist"], "--size", 16)
    here("source", "prepare", *command)
    shard = next(cache.glob("mnist-*/*-00000.npy"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x55")
    code, out, err = here("source", "verify", *command)
    assert code == 1 and shard.name in out and "prepare mnist` again" in err
    assert here("source", "prepare", *command)[0] == here("source", "verify", *command)[0] == 0
    labels = next(cache.glob("mnist-*/*-labels.npy"))
    labels.write_bytes(labels.read_bytes()[:-8] + b"\7" + b"\0" * 7)
    assert here("source", "verify", *command)[0] == 1
    here("source", "prepare", *command)
    shard = next(cache.glob("mnist-*/*-00000.npy"))
    shard.write_bytes(shard.read_bytes()[:200])
    assert here("source", "verify", *command)[0] == 1
    assert here("source", "prepare", *command)[0] == here("source", "verify", *command)[0] == 0


def test_balanced_persondog_draws_half_dogs_in_an_order_that_workers_do_not_change(
    tmp_path: Path, cache: Path
) -> None:
    write_celeba(tmp_path, count=60)
    write_flickr_dog(tmp_path, photos=2)
    write_lhi(tmp_path)
    made = plan_packing(default_host(), "persondog", {"root": str(tmp_path), "balance": "equal"}, size=16)
    shares = made.open().info.shares
    assert shares == {"person": 0.5, "dog": 0.5}
    orders = []
    for workers in (0, 2):
        packed = prepare(replace(made, cache=cache / str(workers)), workers=workers)
        assert packed.classes == ("person", "dog")
        train = packed.split("train")
        by_label = {label: shares[name] for label, name in enumerate(packed.classes)}
        batches = TrainingBatches(train, batch=8, seed=3, sampling=by_label)
        drawn = torch.cat([batches.indices(step)[1] for step in range(10_000 // 8)])
        assert (train.labels[drawn] == 1).float().mean().item() == pytest.approx(0.5, abs=0.01)
        assert (train.labels == 1).float().mean() < 0.4  # there are fewer dogs than that
        orders.append(drawn.tolist())
    assert orders[0] == orders[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("prepare", "folder", "--root", "missing"), "'missing' does not exist"),
        (("prepare", "celeba", "--root", "file.txt/x"), "no CelebA in"),
        (("preview", "mnist", "--root", "digits", "--split", "tset"), "no split 'tset'"),
        (("prepare", "mnist", "--root", "digits", "--size", 4), "between 8 and 1024 pixels"),
        (("prepare", "mnist", "--root", "digits", "--size", 900, "--max-gb", 0.01), "--max-gb"),
        (("prepare", "mnst"), "did you mean 'mnist'"),
        (("verify", "mnist", "--root", "digits", "--size", 40), "there is no packed cache"),
        (("prepare", "mnist", "--root", "cut"), "holds 40 images but"),
        (("prepare", "celeba", "--root", "faces", "--download"), "mmlab.ie.cuhk.edu.hk"),
        (("prepare", "mixture", "--member", "cat"), "write a member as"),
        (("prepare", "mixture", "--member", "a=folder,root=digits", "--frame", "eyes"), "eyes"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    args: tuple[Any, ...],
    message: str,
    here: Here,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("x")
    write_mnist(tmp_path / "digits")
    write_mnist(tmp_path / "cut")
    labels = tmp_path / "cut" / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:4] + (5).to_bytes(4, "big") + b"\1" * 5)
    for image in range(3):
        Image.new("RGB", (9, 9), (image, 0, 0)).save(tmp_path / "digits" / f"{image}.png")
    code, out, err = here("source", *args)
    assert (code, out) == (2, "")
    assert message in err and len(err.splitlines()) == 1, err
    assert not list(cache.glob("*")) and not (tmp_path / "preview.png").exists()


def test_real_faces_are_all_there_and_their_duplicates_found(
    test_data: Path, here: Here, cache: Path
) -> None:
    code, out, err = here(
        "source", "prepare", "celeba", "--root", test_data / "faces", "--crop", 178, "--json"
    )
    assert code == 0, err
    packed = json.loads(out)
    files = list((test_data / "faces" / "celeba" / "img_align_celeba").glob("*.jpg"))
    assert sum(packed["splits"].values()) == len(files) == 8000
    assert (packed["duplicates"]["pairs"], packed["duplicates"]["across"]) == (45, 16)
    assert "WARNING: 16 pairs of equal images lie in two splits" in err


def test_a_real_aligned_mixture_survives_planted_rubbish(
    test_data: Path, here: Here, cache: Path, tmp_path: Path
) -> None:
    cats = tmp_path / "cats" / "cat"
    cats.mkdir(parents=True)
    originals = sorted((test_data / "afhq" / "val" / "cat").iterdir())
    for original in originals:
        (cats / original.name).symlink_to(original)
    (cats / "000-corrupt.jpg").write_bytes(originals[0].read_bytes()[:700])
    (cats / "000-empty.jpg").write_bytes(b"")
    (cats / "000-text.jpg").write_text("a text named .jpg")
    header = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 4
    )
    (cats / "zzz-huge.png").write_bytes(header)
    members = (
        *("--member", f"person=celeba,root={test_data / 'faces'},eyes={FACE_EYES},split=train:val"),
        *("--member", f"cat=folder,root={cats.parent},eyes={CAT_EYES}"),
    )
    code, out, err = here("source", "prepare", "mixture", *members, "--frame", "eyes", "--json")
    assert code == 0, err
    packed = json.loads(out)
    assert packed["splits"]["train"] == 800 + len(originals)
    assert len(packed["unreadable"]) == 4
    for name in ("000-corrupt.jpg", "000-empty.jpg", "000-text.jpg", "zzz-huge.png"):
        assert sum(name in line for line in packed["unreadable"]) == 1
    options = {
        "members": (members[1], members[3]),
        "frame": "eyes",
    }
    train = prepare(plan_packing(default_host(), "mixture", options, size=64)).split("train")
    # Eyes are darker than cheeks: in the mean face of each class, at the very place that the frame promises.
    for label in (0, 1):
        mean = train.take(torch.nonzero(train.labels == label)[:400, 0]).float().mean((0, 1)).numpy()
        for x in (0.32, 0.68):
            eye = mean[int(0.41 * 64) - 2 : int(0.41 * 64) + 3, int(x * 64) - 3 : int(x * 64) + 4].mean()
            cheek = mean[int(0.58 * 64) - 2 : int(0.58 * 64) + 3, int(x * 64) - 3 : int(x * 64) + 4].mean()
            assert eye < cheek - 5, (label, x, eye, cheek)
    assert np.array_equal(np.unique(train.domains.numpy()), [0, 1])


def test_the_options_of_the_data_set_may_be_dotted_as_in_other_commands(
    collections: dict[str, list[str]], here: Here, cache: Path
) -> None:
    plain = here("source", "info", "folder", *collections["folder"], "--layout", "class", "--json")
    _, root = collections["folder"]
    dotted = here("source", "info", "folder", "--source.root", root, "--source.layout", "class", "--json")
    assert plain == dotted and plain[0] == 0
    assert "--source." not in here("source", "info", "folder", "--help")[1]
