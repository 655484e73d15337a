from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chimera_iwildcam.config import IWildCamConfig
from chimera_iwildcam.source import IWildCamSource
from chimera_iwildcam.wilds_package import open_dataset, score
from PIL import Image

from chimera_core import load_encoder, open_source
from chimera_core.api import ConfigError, DataError
from chimera_core.data.checking import checked_info
from chimera_core.data.preparing import plan_packing, prepare
from chimera_core.plugins.discovery import default_host
from chimera_core.testing.fixtures.iwildcam import write_iwildcam

SPLITS = ("train", "val", "test", "id_val", "id_test")


def test_the_fixture_covers_all_that_is_compared(root: Path, wilds: Any) -> None:
    assert wilds.n_classes == 13
    assert set(wilds.metadata_array[:, 0].tolist()) == set(range(10))
    assert set(wilds.split_array.tolist()) == set(range(5))


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_has_wilds_own_images_labels_and_locations_in_its_order(
    root: Path, wilds: Any, split: str
) -> None:
    ours = open_source("iwildcam", root=str(root)).open(split)
    theirs = wilds.get_subset(split)
    fields = wilds.metadata_fields
    assert len(ours) == len(theirs) > 0
    for k in range(len(ours)):
        image, y, metadata = theirs[k]
        example = ours[k]
        assert np.array_equal(example.image.permute(1, 2, 0).numpy(), np.array(image.convert("RGB")))
        assert (example.label, ours.labels[k]) == (int(y), int(y))
        assert example.domain == ours.domains[k] == int(metadata[fields.index("location")])
        assert ours.metadata["sequence"][k] == int(metadata[fields.index("sequence")])
        when = "-".join(f"{int(metadata[fields.index(part)]):02d}" for part in ("year", "month", "day"))
        assert ours.metadata["datetime"][k].startswith(when)
        assert ours.paths[k] == Path(wilds.data_dir) / "train" / wilds._input_array[theirs.indices[k]]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_wilds_own_to_1e_9(root: Path, wilds: Any, split: str, seed: int) -> None:
    theirs = wilds.get_subset(split)
    # Right more and more often, from a guess to almost always.
    generator = torch.Generator().manual_seed(seed)
    guesses = torch.randint(13, (len(theirs),), generator=generator)
    right = torch.rand(len(theirs), generator=generator) < seed / 3.5
    predictions = torch.where(right, theirs.y_array, guesses)
    expected, _ = theirs.eval(predictions, theirs.y_array, theirs.metadata_array)
    found = open_source("iwildcam", root=str(root)).evaluate(split, predictions.tolist())
    assert {"F1-macro_all", "recall-macro_all", "acc_avg"} == expected.keys()
    assert found == pytest.approx({**expected, "acc_wg": found["acc_wg"]}, abs=1e-9, rel=0)


def test_macro_f1_counts_only_classes_that_occur(root: Path, wilds: Any) -> None:
    labels = open_source("iwildcam", root=str(root)).open("val").labels
    present = sorted(set(labels))
    assert len(present) < 13
    predictions = [present[0]] * len(labels)
    share = labels.count(present[0]) / len(labels)
    by_hand = 2 * share / (1 + share) / len(present)  # precision = share, recall = 1, the others 0
    found = open_source("iwildcam", root=str(root)).evaluate("val", predictions)
    assert found["F1-macro_all"] == pytest.approx(by_hand, abs=1e-6)


def test_the_worst_location_is_scored_without_torch_scatter(root: Path) -> None:
    split = open_source("iwildcam", root=str(root)).open("test")
    before = {name for name in sys.modules if name.startswith("torch_scatter")}
    predictions = [label if k % 3 else (label + 1) % 13 for k, label in enumerate(split.labels)]
    by_location: dict[int, list[bool]] = {}
    for label, guess, location in zip(split.labels, predictions, split.domains, strict=True):
        by_location.setdefault(location, []).append(label == guess)
    assert len(by_location) > 1
    found = open_source("iwildcam", root=str(root)).evaluate("test", predictions)
    assert found["acc_wg"] == pytest.approx(min(sum(v) / len(v) for v in by_location.values()), abs=1e-6)
    assert {name for name in sys.modules if name.startswith("torch_scatter")} == before


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([0] * 3, r"\(3,\): pass one class index for each of 12 images"),
        ([0.5] * 12, "float32"),
        ([13] * 12, "prediction 13 is not a class: they are numbered 0 to 12"),
        ([-1] * 12, "prediction -1"),
    ],
)
def test_predictions_that_are_no_classes_are_refused(root: Path, predictions: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source("iwildcam", root=str(root)).evaluate("val", predictions)


def test_info_names_classes_locations_and_counts(root: Path) -> None:
    info = checked_info(open_source("iwildcam", root=str(root)))
    assert info.classes[:2] == ("empty", "tayassu pecari")
    assert len(info.classes) == 13
    assert info.domains == tuple(map(str, range(10)))
    assert dict(info.splits) == {"train": 40, "val": 12, "test": 16, "id_val": 12, "id_test": 12}
    assert info.licence == "CDLA-Permissive-1.0"
    assert not info.unreadable


def test_images_that_are_grey_on_disk_become_rgb(root: Path, wilds: Any) -> None:
    grey = [k for k in range(len(wilds)) if wilds.get_input(k).mode != "RGB"]
    assert grey
    split = open_source("iwildcam", root=str(root)).open("train")
    assert all(split[k].image.shape[0] == 3 for k in range(len(split)))


def test_a_split_travels_to_a_worker_without_the_tables(root: Path) -> None:
    split = open_source("iwildcam", root=str(root)).open("test")
    packed = pickle.dumps(split)
    assert b"pandas" not in packed and b"wilds." not in packed and b"Dataset" not in packed
    again = pickle.loads(packed)
    assert torch.equal(again[3].image, split[3].image)
    assert again == split


def test_the_folder_itself_may_be_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = root / "iwildcam_v2.0"
    assert len(open_source("iwildcam", root=str(inside)).open("val")) == 12
    monkeypatch.chdir(inside)
    assert len(open_source("iwildcam", root=".").open("val")) == 12


def test_the_tables_count_among_the_files_of_a_split(root: Path) -> None:
    source = open_source("iwildcam", root=str(root))
    files = source.files("val")
    assert {f.name for f in files} >= {"metadata.csv", "categories.csv"}
    assert set(files) >= set(source.open("val").paths)
    assert all(f.is_file() for f in files)


def test_a_class_without_a_name_is_called_by_its_number_and_noted(copy: Path) -> None:
    (copy / "iwildcam_v2.0" / "categories.csv").write_text("y,category_id,name\n0,0,empty\n2,9,\n3,1,empty\n")
    info = open_source("iwildcam", root=str(copy)).info
    assert info.classes[:5] == ("empty (0)", "class 1", "class 2", "empty (3)", "class 4")
    assert any("no name for 11 classes: 1, 2, 4" in note for note in info.notes)


def test_missing_and_damaged_images_are_listed_and_raise_at_their_index(copy: Path) -> None:
    source = open_source("iwildcam", root=str(copy))
    split = source.open("train")
    split.paths[4].unlink()
    split.paths[7].write_bytes(b"")
    with pytest.raises(DataError, match=f"there is no file .*{split.names[4]}"):
        split[4]
    with pytest.raises(DataError, match="empty"):
        split[7]
    info = checked_info(open_source("iwildcam", root=str(copy)))
    assert info.splits["train"] == 38
    assert [split.names[4] in line or split.names[7] in line for line in info.unreadable] == [True, True]
    assert any(f"1 of these images are not in the folder train: {split.names[4]}" in n for n in info.notes)


def test_a_split_that_the_table_lacks_is_not_offered(tmp_path: Path) -> None:
    write_iwildcam(tmp_path, locations=5, classes=4, height=8, per_split={"train": 9, "val": 3, "test": 3})
    source = open_source("iwildcam", root=str(tmp_path))
    assert list(source.info.splits) == ["train", "val", "test"]
    with pytest.raises(DataError, match=r"no split 'id_val' \(it has: train, val, test\)"):
        source.open("id_val")


def test_one_location_is_cut_80_to_20_seeded_and_disjoint(tmp_path: Path) -> None:
    counts = {"train": 120, "val": 20, "test": 20, "id_val": 60, "id_test": 60}
    write_iwildcam(tmp_path, locations=4, classes=6, height=8, per_split=counts)
    whole = open_source("iwildcam", root=str(tmp_path))
    official = [whole.open(name) for name in counts]
    for location in range(4):
        mine = {
            p for split in official for p, d in zip(split.paths, split.domains, strict=True) if d == location
        }
        source = open_source("iwildcam", root=str(tmp_path), location=location)
        train, test = source.open("train"), source.open("test")
        assert set(train.paths) | set(test.paths) == mine
        assert not set(train.paths) & set(test.paths)
        assert len(train) == round(0.8 * len(mine)) == len(mine) - len(test)
        assert set(train.domains) | set(test.domains) == {location}
        assert source.info.classes == whole.info.classes and source.info.domains == whole.info.domains
        again = open_source("iwildcam", root=str(tmp_path), location=location).open("train")
        other = open_source("iwildcam", root=str(tmp_path), location=location, split_seed=1).open("train")
        assert again.paths == train.paths != other.paths
        half = open_source("iwildcam", root=str(tmp_path), location=location, train_share=0.5)
        assert half.info.splits["train"] == round(0.5 * len(mine))


def test_one_location_is_scored_on_its_own_test_images(root: Path) -> None:
    source = open_source("iwildcam", root=str(root), location=2)
    labels = source.open("test").labels
    assert source.evaluate("test", labels) == {
        "acc_avg": 1, "recall-macro_all": 1, "F1-macro_all": 1, "acc_wg": 1
    }  # fmt: skip


def test_download_says_why_not_and_where_to_look() -> None:
    with pytest.raises(ConfigError) as caught:
        IWildCamSource.download(IWildCamConfig(root="here"), progress=lambda done, total: None)
    line = str(caught.value)
    for part in ("171, 174, 175", "here/iwildcam_v2.0", "wilds.stanford.edu", "lila.science", "Kaggle"):
        assert part in line
    assert "\n" not in line


def test_masks_beside_the_images_are_those_of_their_animals(tmp_path: Path) -> None:
    write_iwildcam(tmp_path)
    split = open_source("iwildcam", root=str(tmp_path)).open("train")
    masks = tmp_path / "iwildcam_v2.0" / "instance_masks"
    masks.mkdir()
    instances = np.zeros((6, 8), np.uint8)
    instances[1:3, 2:5], instances[4:, 6:] = 1, 2
    Image.fromarray(instances).save(masks / f"{Path(split.names[1]).stem}.png")
    assert split.mask(0) is None
    assert torch.equal(
        split.mask(1), torch.from_numpy(instances > 0)[None] * torch.tensor(255, dtype=torch.uint8)
    )


@pytest.mark.slow
def test_macro_f1_of_an_encoder_on_cameras_that_it_never_saw_is_wilds_own(
    root: Path,
    tmp_path: Path,
    here: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    settings_read_anew: None,
) -> None:
    """Of data with the classes in another order and spelling, one of which nobody learned."""
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    learned = open_source("iwildcam", root=str(root)).info.classes
    known = [learned[0], *(name.replace(" ", "_").title() for name in learned[:0:-1])]
    counts = {"train": 40, "val": 12, "test": 60, "id_val": 12, "id_test": 12}
    there = write_iwildcam(
        tmp_path / "there", classes=[*known, "bee", "wasp", "ant"], height=24, seed=7, per_split=counts
    )
    train = "encoder train --source iwildcam --encoder cnn --encoder.widths 8 --encoder.widths 16 --size 16 --batch 8"
    rest = "--lr 0.01 --images 240 --precision fp32 --device cpu --run one"
    code, _, err = here(*train.split(), "--source.root", root, *rest.split())
    assert code == 0, err
    evaluate = "encoder evaluate one --source iwildcam --split test --device cpu --json --source.root"
    code, out, err = here(*evaluate.split(), there)
    assert code == 0, err
    found = json.loads(out)
    packed = prepare(plan_packing(default_host(), "iwildcam", {"root": str(there)}, size=16)).split("test")
    with torch.no_grad():
        said = load_encoder("one")(packed.take(torch.arange(len(packed))).float() / 255).argmax(1).tolist()
    predictions = [0 if k == 0 else len(learned) - k for k in said]  # label 1 there is the last one here
    kept = [k for k, label in enumerate(packed.labels.tolist()) if label < len(learned)]
    source = open_source("iwildcam", root=str(there))
    assert isinstance(source, IWildCamSource)
    rows = [source._rows_of("test")[k] for k in kept]
    official = score(open_dataset(there / "iwildcam_v2.0"), rows, [predictions[k] for k in kept])
    assert found["macro_f1"] == pytest.approx(official["F1-macro_all"], abs=1e-6)
    assert found["accuracy"] == pytest.approx(official["acc_avg"], abs=1e-6)
    assert len({*said}) > 1 and found["n"] == len(kept)
    assert {*found["unknown_classes"]} and {*found["unknown_classes"]} <= {"bee", "wasp", "ant"}
    assert found["left_out"] == len(packed) - len(kept) > 0
    assert sum(row["n"] for row in found["domains"]) == found["n"]
