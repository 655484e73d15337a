"""Targeted augmentation: animals of one camera's pictures on the backgrounds of others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from chimera_core.api import ConfigError, Draw, ShapeError, open_source
from chimera_core.data.batches import TensorSplit
from chimera_core.data.blocks import square
from chimera_core.data.fingerprint import packing_of
from chimera_core.data.packed import PackedSource
from chimera_core.data.packing import pack
from chimera_core.data.subsets import JoinedSplit, SubsetSplit
from chimera_core.plugins.discovery import default_host
from chimera_core.subjects.outline import Outline
from chimera_core.training.augmentation import masks as finding
from chimera_core.training.augmentation.animals import Animals, _packed_rows, find_animals
from chimera_core.training.augmentation.copy_paste import Backgrounds, CopyPaste, paste
from chimera_core.training.augmentation.masks import paint_out, square_mask

Here = Callable[..., tuple[int, str, str]]

CPU = torch.device("cpu")


def test_an_animal_is_pasted_where_it_stands() -> None:
    images, backgrounds = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    masks = torch.zeros(2, 1, 4, 4)
    masks[0, :, 1:3, 2] = 1.0
    masks[0, :, 0, 0] = 0.5
    made = paste(images, masks, backgrounds)
    assert torch.equal(made[0], masks[0].expand(3, 4, 4))


def test_shapes_that_do_not_fit_are_refused() -> None:
    images = torch.rand(1, 3, 4, 4)
    with pytest.raises(ShapeError, match=r"masks \(1, 3, 4, 4\)"):
        paste(images, images, images)
    with pytest.raises(ShapeError, match=r"backgrounds \(2, 3, 4, 4\)"):
        paste(images, images[:, :1], images.repeat(2, 1, 1, 1))


def test_backgrounds_come_from_cameras_that_saw_the_class() -> None:
    # Class 0 was seen by cameras 5 and 6, class 1 by 6, class 2 by 7, which has no background.
    labels = torch.tensor([0, 0, 1, 2, 3, 3, 3])
    domains = torch.tensor([5, 6, 6, 7, 6, 5, 6])
    backgrounds = Backgrounds(labels, domains, torch.tensor([4, 5, 6]))
    lots = torch.linspace(0, 1, 3001)[:-1]
    chosen = {
        label: backgrounds.choose(torch.full((3000,), label), lots).unique(return_counts=True)
        for label in (0, 1, 2)
    }
    assert {label: found.tolist() for label, (found, _) in chosen.items()} == {
        0: [4, 5, 6],
        1: [4, 6],
        2: [-1],
    }
    assert all(int(counts.max() - counts.min()) <= 1 for _, counts in chosen.values()), "each as likely"


def varied(share: float = 1.0) -> tuple[CopyPaste, Tensor]:
    """Six images: animals in 0 and 1, none seen in 2, empty ones of two cameras; and their pixels."""
    shades = torch.arange(10, 250, 40, dtype=torch.uint8)
    images = shades.view(-1, 1, 1, 1).expand(6, 3, 8, 8).clone()
    labels, domains = torch.tensor([1, 1, 1, 0, 0, 0]), torch.tensor([0, 1, 0, 0, 0, 1])
    mask = np.zeros((1, 8, 8, 1), np.uint8)
    mask[:, 2:4, 2:6] = 255
    places = torch.tensor([[0, 0]] * 3 + [[-1, -1]] * 3)
    is_found = torch.tensor([True, True, False, False, False, False])
    animals = Animals([mask], places, is_found, torch.zeros(6, dtype=torch.bool), is_painted=False)
    train = TensorSplit(images, labels, domains)
    pool = torch.tensor([3, 4, 5])
    return CopyPaste(train, animals, Backgrounds(labels, domains, pool), share=share), images.float() / 255


def test_an_image_is_pasted_alike_in_any_batch_and_otherwise_in_another_epoch() -> None:
    augment, x = varied()
    kept = x.clone()
    whole = augment(x, Draw(0, 0, torch.arange(6)))
    picked = torch.tensor([5, 1, 0])
    assert torch.equal(augment(x[picked], Draw(0, 0, picked)), whole[picked])
    assert torch.equal(x, kept), "the images themselves stay"
    assert torch.equal(whole[2:], x[2:]), "without an animal an image stays"
    assert (whole[:2, :, 2:4, 2:6] == x[:2, :, 2:4, 2:6]).all()
    behind = {
        round(float(augment(x, Draw(0, epoch, torch.arange(6)))[0, 0, 0, 0]) * 255) for epoch in range(40)
    }
    assert behind == {130, 170, 210}


def test_so_many_images_are_pasted_as_the_share_says() -> None:
    augment, x = varied(share=0.25)
    pasted = sum(
        bool(augment(x, Draw(0, epoch, torch.arange(6)))[0, 0, 0, 0] != x[0, 0, 0, 0]) for epoch in range(400)
    )
    assert 70 < pasted < 130


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (48, 48)])
def test_a_mask_becomes_a_square_as_its_image_does(fit: str, shape: tuple[int, int]) -> None:
    mask = torch.zeros(1, *shape, dtype=torch.uint8)
    mask[:, 14:30, 10:34] = 255
    image = mask.expand(3, -1, -1).contiguous()
    assert np.abs(square_mask(mask, 32, fit).astype(int) - square(image, 32, fit)[..., 0]).max() <= 8  # type: ignore[arg-type]


def test_around_a_picture_that_was_padded_is_no_animal() -> None:
    filled = square_mask(torch.full((1, 32, 64), 255, dtype=torch.uint8), 32, "pad")
    assert (filled[9:23] == 255).all() and (filled[:7] == 0).all() and (filled[25:] == 0).all()


def test_what_is_painted_out_is_continued_from_around() -> None:
    pixels = np.full((48, 48, 3), (90, 120, 150), np.uint8)
    mask = np.zeros((48, 48), np.uint8)
    mask[20:30, 15:35] = 255
    pixels[mask > 0] = (250, 10, 10)
    assert (np.abs(paint_out(pixels, mask).astype(int) - (90, 120, 150)) <= 4).all()


def write_cutouts(root: Path, *, cameras: int = 2, animals: int = 8, empty: int = 4, size: int = 40) -> Path:
    """Write CAMERA/CLASS/images: animals with transparency of their own, and empty pictures."""
    generator = np.random.default_rng(0)
    for camera in range(cameras):
        for label, name in enumerate(("cat", "dog", "empty")):
            folder = root / f"camera-{camera}" / name
            folder.mkdir(parents=True)
            for k in range(empty if name == "empty" else animals):
                pixels = generator.integers(0, 60, (size, size, 4), dtype=np.uint8)
                pixels[..., label] += 120
                pixels[..., 3] = 255
                if name != "empty":
                    pixels[..., 3] = 0
                    pixels[8:24, 10 + k : 26 + k, 3] = 255
                Image.fromarray(pixels).save(folder / f"{k}.png")
    return root


@pytest.fixture
def packed(tmp_path: Path) -> tuple[object, PackedSource]:
    """Cut-outs as a source, and packed."""
    component = default_host().find("dataset-source", "folder")
    options = component.spec.config(root=str(write_cutouts(tmp_path / "data")))
    source = open_source("folder", root=options.root)
    packing = packing_of(component, options, size=32, fit="crop")
    return source, pack(source, packing, tmp_path / "cache", workers=0)


def test_masks_of_the_source_are_taken_and_kept_and_only_new_images_are_looked_at(
    packed: tuple[object, PackedSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, images = packed
    whole = images.split("all")
    seen: list[int] = []
    look = finding.MaskFinder.__call__

    def counted(self: object, split: object, row: int) -> object:
        seen.append(row)
        return look(self, split, row)  # type: ignore[arg-type]

    monkeypatch.setattr(finding.MaskFinder, "__call__", counted)

    def animals_of(rows: Tensor) -> Animals:
        train = JoinedSplit([SubsetSplit(whole, rows)])
        wanted = train.labels != images.classes.index("empty")
        return find_animals(train, source, images, wanted, painted=False, device=CPU)  # type: ignore[arg-type]

    some, every = torch.tensor([30, 3, 19, 0]), torch.arange(len(whole))
    first = animals_of(some)
    assert first.is_found.tolist() == (whole.labels[some] != 2).tolist() and sorted(seen) == [0, 3, 30]
    again = animals_of(every)
    assert sorted(seen) == (whole.labels != 2).nonzero()[:, 0].tolist(), "each looked at once"
    assert torch.equal(again.masks(torch.tensor([3])), first.masks(torch.tensor([1])))
    # The animal of image 3 covers rows 8 to 23 and columns 13 to 28 of 40 pixels.
    mask = again.masks(torch.tensor([3]))[0, 0]
    assert mask[8:18, 12:22].min() == 255 and mask[:5].max() == 0 and mask[:, 25:].max() == 0


def test_damaged_masks_and_those_of_other_images_are_found_anew(packed: tuple[object, PackedSource]) -> None:
    source, images = packed
    train = images.split("all")
    wanted = train.labels != 2

    def masks() -> Tensor:
        animals = find_animals(train, source, images, wanted, painted=False, device=CPU)  # type: ignore[arg-type]
        return animals.masks(animals.is_found.nonzero()[:, 0])

    expected = masks()
    (folder,) = images.folder.parent.glob("*-animals")
    (folder / "all-00000.npy").write_bytes(b"\x93NUMPY")
    assert torch.equal(masks(), expected)
    (folder / "all-00000.json").write_text("[" * 9)
    assert torch.equal(masks(), expected)
    (folder / "index.json").write_text("{}")
    assert torch.equal(masks(), expected)


def test_of_a_source_without_masks_they_are_found_and_a_herd_is_no_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    for k in range(4):
        (root / "deer").mkdir(parents=True, exist_ok=True)
        pixels = np.full((40, 40, 3), 60 + 10 * k, np.uint8)
        pixels[10:20, 10:20] = (250, 0, 0)
        if k == 3:
            pixels[26:36, 26:36] = (250, 0, 0)
        Image.fromarray(pixels).save(root / "deer" / f"{k}.png")

    def red(encoder: object, image: Tensor, *, quality: str) -> Outline:
        """See one red square, the upper one of two."""
        found = (image[:1] > 0.9).float()
        if found[:, :23].any():
            found[:, 23:] = 0
        return Outline(found, float(found.any()))

    monkeypatch.setattr(finding, "find_outline", red)
    monkeypatch.setattr(finding, "load_outline_encoder", lambda device: None)
    component = default_host().find("dataset-source", "folder")
    source = open_source("folder", root=str(root))
    options = component.spec.config(root=str(root))
    images = pack(source, packing_of(component, options, size=40, fit="crop"), tmp_path / "cache", workers=0)
    train = images.split("all")
    animals = find_animals(train, source, images, torch.ones(4, dtype=torch.bool), painted=True, device=CPU)
    assert animals.is_found.tolist() == [True] * 4
    assert animals.is_ground.tolist() == [True, True, True, False]
    grounds = animals.grounds(torch.arange(4)).float()
    assert (grounds[:3].flatten(1) - torch.tensor([60.0, 70, 80])[:, None]).abs().max() <= 4
    assert grounds[3, 0, 30, 30] == 250


def arguments(root: Path, *more: object) -> list[object]:
    return [
        *("encoder", "train", "--source", "folder", "--source.root", root, "--encoder", "tiny"),
        *("--trainer", "plain", "--batch", 8, "--precision", "fp32", "--device", "cpu"),
        *("--augment", "copy-paste", *(() if "--size" in more else ("--size", 32)), *more),
    ]


@pytest.mark.slow
def test_a_training_pastes_says_so_and_goes_on_to_the_same_bytes(tiny: Path, here: Here) -> None:
    root = write_cutouts(tiny / "data")
    for run, length in (("whole", 64), ("parts", 32)):
        code, _, err = here(*arguments(root, "--images", length, "--schedule", "constant", "--run", run))
        assert code == 0, err
    cache = tiny / "cache"
    (animals,) = cache.glob("folder-32px-*-animals")
    code, _, err = here(
        *arguments(root, "--images", 64, "--schedule", "constant", "--run", "parts", "--resume")
    )
    assert code == 0, err
    runs = tiny / "runs"
    name = "checkpoints/000000064.safetensors"
    assert (runs / "whole" / name).read_bytes() == (runs / "parts" / name).read_bytes()
    record = json.loads((runs / "whole" / "run.json").read_text())
    pasted = record["copy_paste"]
    assert pasted["animals"] == pasted["images"] > 20 and pasted["backgrounds"] >= 6 and not pasted["painted"]
    # Masks that were lost are found again, the same.
    before = {file.name: file.read_bytes() for file in animals.iterdir()}
    shutil.rmtree(animals)
    code, _, err = here(*arguments(root, "--images", 64, "--schedule", "constant", "--run", "again"))
    assert code == 0, err
    assert {file.name: file.read_bytes() for file in animals.iterdir()} == before
    assert (runs / "again" / name).read_bytes() == (runs / "whole" / name).read_bytes()


@pytest.mark.slow
def test_it_changes_what_is_learned(tiny: Path, here: Here) -> None:
    root = write_cutouts(tiny / "data")
    for run, more in (("pasted", ()), ("plain", ("--augment", "flip"))):
        code, _, err = here(*arguments(root, "--images", 16, "--run", run, *more))
        assert code == 0, err
    one, two = (tiny / "runs" / run / "checkpoints/best.safetensors" for run in ("pasted", "plain"))
    assert one.read_bytes() != two.read_bytes()


def test_a_dry_run_looks_for_no_animals(tiny: Path, here: Here) -> None:
    root = write_cutouts(tiny / "data")
    code, _, err = here(*arguments(root, "--dry-run"))
    assert code == 0, err
    assert not list((tiny / "cache").glob("*animals*"))


@pytest.mark.parametrize(
    ("made", "more", "message"),
    [
        ({}, ("--size", 16), "images of 16 pixels are too small for an outline: take --size 32 or more"),
        ({"size": 28}, (), "a picture of folder is 28 x 28 pixels, too small to see an outline"),
    ],
    ids=["images", "photographs"],
)
def test_images_without_an_outline_are_refused_with_the_reason(
    tiny: Path, here: Here, made: dict[str, int], more: tuple[object, ...], message: str
) -> None:
    root = write_cutouts(tiny / "data", **made)
    code, _, err = here(*arguments(root, "--run", "one", *more))
    assert code == 2 and err.count("\n") == 1 and message in err
    assert not (tiny / "runs" / "one").exists()


@pytest.mark.parametrize(
    ("area", "message"),
    [(0.0, "none was found in the"), (0.9, "has no class of empty pictures (empty, blank, background)")],
    ids=["animals", "backgrounds"],
)
def test_a_source_without_animals_or_backgrounds_is_refused_with_the_reason(
    tiny: Path, here: Here, monkeypatch: pytest.MonkeyPatch, area: float, message: str
) -> None:
    root = write_cutouts(tiny / "data", empty=0)
    for camera in (0, 1):
        (root / f"camera-{camera}" / "empty").rmdir()
    monkeypatch.setattr(
        finding, "own_mask", lambda split, k: torch.full((1, 40, 40), round(255 * area), dtype=torch.uint8)
    )
    monkeypatch.setattr(finding.MaskFinder, "is_empty", lambda self, pixels: True)
    code, _, err = here(*arguments(root, "--run", "one"))
    assert code == 2 and err.count("\n") == 1 and message in err


def test_a_split_that_is_not_packed_is_refused() -> None:
    augment, _ = varied()
    with pytest.raises(ConfigError, match="needs packed images"):
        _packed_rows(augment._train)
