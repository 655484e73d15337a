from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimera_core import open_source
from chimera_core.testing.fixtures.iwildcam import write_iwildcam


def test_equal_seeds_write_equal_folders(tmp_path: Path) -> None:
    first, again, other = (
        write_iwildcam(tmp_path / name, height=8, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    def contents(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    assert contents(first) == contents(again) != contents(other)


def test_cameras_of_val_and_test_are_unseen_in_training_and_bursts_stay_together(tmp_path: Path) -> None:
    source = open_source("iwildcam", root=str(write_iwildcam(tmp_path, height=8)))
    splits = {name: source.open(name) for name in source.info.splits}
    cameras = {name: set(split.domains) for name, split in splits.items()}
    assert cameras["train"] >= cameras["id_val"] | cameras["id_test"]
    assert not cameras["train"] & cameras["val"] and not cameras["train"] & cameras["test"]
    assert not cameras["val"] & cameras["test"]
    for split in splits.values():
        bursts: dict[int, set[tuple[int, int]]] = {}
        for burst, label, camera in zip(split.metadata["sequence"], split.labels, split.domains, strict=True):
            bursts.setdefault(burst, set()).add((label, camera))
        assert all(len(of_one) == 1 for of_one in bursts.values())


def test_given_images_keep_their_class_and_aspect_ratio(tmp_path: Path) -> None:
    white, black = np.full((30, 60, 3), 255, np.uint8), np.zeros((30, 30, 3), np.uint8)
    Image.fromarray(black).save(tmp_path / "black.png")
    given = {"swan": [white], "raven": [tmp_path / "black.png"]}
    root = write_iwildcam(tmp_path, given, classes=["empty", "swan", "raven"], height=16)
    split = open_source("iwildcam", root=str(root)).open("train")
    shapes = {(split[k].label, *split[k].image.shape[1:]) for k in range(len(split)) if split[k].label}
    assert shapes == {(1, 16, 32), (2, 16, 16)}
    assert all(split[k].image.min() > 250 for k in range(len(split)) if split.labels[k] == 1)


def test_categories_hold_animals_that_no_picture_shows(tmp_path: Path) -> None:
    write_iwildcam(tmp_path, height=8)
    with open(tmp_path / "iwildcam_v2.0" / "categories.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["y"] for row in rows] == [*map(str, range(12)), "99999", "99999", "99999"]


@pytest.mark.parametrize(
    "wanted", [{"locations": 2}, {"classes": 41}, {"per_split": {"train": 3}}, {"per_split": {"val": 30}}]
)
def test_too_few_images_or_cameras_are_refused(tmp_path: Path, wanted: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="too few"):
        write_iwildcam(tmp_path, **wanted)  # type: ignore[arg-type]


def test_photographs_of_camera_traps_fill_it(tmp_path: Path, test_data: Path) -> None:
    with open(test_data / "cameratrap" / "manifest.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "serengeti"]
    given: dict[str, list[str | Path]] = {}
    for row in rows:
        given.setdefault(row["species"], []).append(test_data / "cameratrap" / "images" / row["filename"])
    names = ["empty", *sorted(given)[:14]]
    root = write_iwildcam(tmp_path, given, classes=names, height=96)
    info = open_source("iwildcam", root=str(root)).info
    assert info.classes == tuple(names)
    assert sum(info.splits.values()) == 92
