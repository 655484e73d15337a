"""``chimera encoder study``: which domains, how they are parted, the table, resuming, bad input."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core.data.batches import TensorSplit
from chimera_core.errors import ConfigError
from chimera_core.options.training import lay
from chimera_core.runs.config import read_config
from chimera_core.statistics import wilson_interval
from chimera_core.training.data import ListedData
from chimera_core.training.study.domains import choose_domains, count_domains, name_folders
from chimera_core.training.study.options import EncoderStudy
from chimera_core.training.study.table import summarise

Make = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]


def study(**options: Any) -> EncoderStudy:
    return EncoderStudy(source="s", encoder="e", **options)


@pytest.fixture(scope="session")
def cameras(tmp_path_factory: pytest.TempPathFactory, make_pictures: Make) -> Path:
    """Write a source of domains, two of which can be studied."""
    root = tmp_path_factory.mktemp("cameras") / "root"
    for name, classes, each in (("cam 10", 3, 12), ("cam 2", 2, 8), ("few", 2, 3), ("single", 1, 12)):
        make_pictures(root / name, classes=classes, train=each, val=0, flat=True)
    return root


def arguments(cameras: Path, *more: object) -> list[object]:
    words = "encoder study --by domain --source folder --encoder tiny --trainer plain --size 16 --batch 8 --lr 0.03"
    rest = ["--precision", "fp32", "--device", "cpu", "--source.root", cameras]
    return [*words.split(), *rest, *([] if "--images" in more else ["--epochs", 2]), *more]


def without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_timings(v) for k, v in value.items() if k not in ("wall_s", "run")}
    return [without_timings(v) for v in value] if isinstance(value, list) else value


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_first_domains_are_counted_as_people_do_unless_the_source_orders_them() -> None:
    alphabetical = ("cam1", "cam10", "cam2", "den")
    assert choose_domains(study(), alphabetical) == ("cam1", "cam2", "cam10", "den")
    assert choose_domains(study(domains_first=2), alphabetical) == ("cam1", "cam2")
    numbers = tuple(map(str, range(12)))
    assert choose_domains(study(domains_first=11), numbers) == numbers[:11]
    assert choose_domains(study(), ("photo", "art")) == ("photo", "art")


def test_domains_are_named_singly_or_with_commas() -> None:
    known = ("0", "1", "5", "a,b")
    assert choose_domains(study(domains=("5,0", "a,b", "0")), known) == ("5", "0", "a,b")
    with pytest.raises(ConfigError, match="no domain '7'"):
        choose_domains(study(domains=("0,7",)), known)


def test_folders_of_domains_are_safe_and_all_different() -> None:
    names = ["photo", "..", ".", "a/b", "a%2Fb", "Ä b", "cam", "Cam", "x" * 300, "", "a~b"]
    folders = name_folders(names)
    assert folders["photo"] == "photo" and folders["a/b"] == "a%2Fb"
    assert len({folder.lower() for folder in folders.values()}) == len(names)
    for folder in folders.values():
        assert "/" not in folder and folder not in ("", ".", "..") and len(folder) < 120 and folder.isascii()


def test_of_two_options_that_exclude_each_other_the_upper_layer_wins() -> None:
    assert lay({"epochs": 5.0, "domains_first": 10}, {"images": "1k"}) == {
        "domains_first": 10,
        "images": "1k",
    }
    assert lay({"domains_first": 10}, {"domains": ("a",)}) == {"domains": ("a",)}
    assert lay({"epochs": 5.0}, {"images": None}) == {"epochs": 5.0, "images": None}


def listed(labels: list[int], domains: list[int]) -> ListedData:
    """Two splits, so that joining them counts."""
    half = len(labels) // 2
    splits = {
        name: TensorSplit(
            torch.empty(len(labels[part]), 0, dtype=torch.uint8),
            torch.tensor(labels[part]),
            torch.tensor(domains[part]),
        )
        for name, part in (("train", slice(half)), ("val", slice(half, None)))
    }
    return ListedData(("x", "y", "z"), ("a", "b", "c"), splits)


def test_a_domain_is_parted_over_all_splits_and_its_baseline_counted() -> None:
    data = listed([0] * 15 + [1] * 5 + [0] * 4, [0] * 20 + [1] * 4)
    (domain,) = count_domains(study(), data, ["a"])
    assert (domain.n, domain.n_classes, domain.n_train, domain.n_test) == (20, 2, 16, 4)
    assert domain.reason is None and domain.majority is not None
    # At most 4 of 15 are tested, so class 0 is the commonest to learn from.
    assert domain.majority * 4 == round(domain.majority * 4)
    (only,) = count_domains(study(train_split="train"), data, ["a"])
    assert only.n == 12 and only.reason == "one class only (x)"


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        ([0, 1] * 4, {}, "8 images, fewer than --min-images 10"),
        ([2] * 20, {}, "one class only (z)"),
        ([0, 1] * 5, {"held_out_share": 0.04}, "empty test set: too few images to hold 4% out"),
        ([0, 1] * 5, {"held_out_share": 0.9}, "one class only (y) to learn from, when 90% are held out"),
    ],
)
def test_what_cannot_be_studied_says_why(labels: list[int], options: dict[str, Any], reason: str) -> None:
    (domain,) = count_domains(study(**options), listed(labels, [0] * len(labels)), ["a"])
    assert domain.reason is not None
    assert domain.reason.replace("(x)", "(y)") == reason
    (empty,) = count_domains(study(), listed(labels, [0] * len(labels)), ["b"])
    assert empty.reason == "no images" and empty.n == 0


def test_test_classes_that_are_not_learned_are_counted() -> None:
    found = [
        count_domains(study(seed=seed), listed([0] * 5 + [1] * 4 + [2], [0] * 10), ["a"])[0]
        for seed in range(20)
    ]
    assert {domain.n_unseen for domain in found} == {0, 1}
    assert all(domain.reason is None for domain in found)


@pytest.fixture
def run(tiny: Path, cameras: Path, here: Here, train_once: Callable[..., Path]) -> Path:
    def train() -> tuple[int, str, str]:
        code, out, err = here(*arguments(cameras, "--run", "one"))
        assert "n/a: one class only (class-0)" in out, err
        return code, out, err

    return train_once(tiny, train)


@pytest.mark.slow
def test_a_study_trains_what_it_can_and_says_why_not_of_the_rest(run: Path, here: Here) -> None:
    document = read_json(run / "study.json")
    rows = {row["domain"]: row for row in document["rows"]}
    assert list(rows) == ["cam 2", "cam 10", "few", "single"]
    assert rows["few"]["reason"] == "6 images, fewer than --min-images 10"
    assert rows["single"]["reason"] == "one class only (class-0)"
    for name in ("few", "single"):
        assert rows[name]["status"] == "n/a" and rows[name]["accuracy"] is None and rows[name]["loss"] is None
    ten = rows["cam 10"]
    assert (ten["n"], ten["n_classes"], ten["n_train"], ten["n_test"]) == (36, 3, 29, 7)
    assert ten["accuracy"] == ten["correct"] / 7 and ten["chance"] == pytest.approx(1 / 3)
    assert (ten["accuracy_low"], ten["accuracy_high"]) == wilson_interval(ten["correct"], 7)
    assert document["summary"]["ok"] == document["summary"]["n/a"] == 2
    assert document["classes"] == 3  # of the source, though cam 2 has two
    assert read_json(run / "run.json")["status"] == "done"
    assert (run / "study.png").read_bytes().startswith(b"\x89PNG")
    table = list(csv.DictReader((run / "study.csv").open()))
    assert [line["status"] for line in table] == ["ok", "ok", "n/a", "n/a"]
    assert float(table[1]["accuracy"]) == ten["accuracy"] and table[2]["accuracy"] == ""
    assert not (run / "domains" / "few").exists()


@pytest.mark.slow
def test_a_domain_is_a_run_like_any_other_with_the_weights_of_the_table(run: Path, here: Here) -> None:
    ten = read_json(run / "study.json")["rows"][1]
    assert ten["folder"] == "domains/cam%2010"
    code, out, err = here("encoder", "evaluate", run / ten["folder"], "--json", "--device", "cpu")
    assert code == 0, err
    found = json.loads(out)
    assert found["n"] == 7 and found["accuracy"] == pytest.approx(ten["accuracy"], abs=1e-6)
    assert found["macro_f1"] == pytest.approx(ten["macro_f1"], abs=1e-6)
    # Nothing goes on from a finished domain, so only its weights stay.
    kept = sorted(path.name for path in (run / ten["folder"] / "checkpoints").iterdir())
    assert kept == ["best.safetensors"]


@pytest.mark.slow
def test_only_the_images_of_the_domains_are_packed(tiny: Path, cameras: Path, here: Here) -> None:
    code, _, err = here(*arguments(cameras, "--run", "two", "--domains", "cam 2"))
    assert code == 0, err
    run = tiny / "runs" / "two" / "domains" / "cam%202"
    for more, images in (((), 16), (("--split", "all"), 70)):
        code, out, err = here("encoder", "evaluate", run, "--device", "cpu", "--json", *more)
        assert code == 0, err
        found = json.loads(out)
        assert found["n"] == (3 if not more else images)
        packed = [read_json(file)["splits"] for file in (tiny / "cache").rglob("index.json")]
        assert max(sum(split["images"] for split in splits.values()) for splits in packed) == images


@pytest.mark.slow
def test_config_runs_the_same_again(run: Path, tiny: Path, here: Here) -> None:
    code, out, err = here("encoder", "study", "--config", run / "config.toml", "--run", "two", "--json")
    assert code == 0, err
    other = tiny / "runs" / "two"
    assert (other / "config.toml").read_bytes() == (run / "config.toml").read_bytes()
    assert without_timings(read_json(other / "study.json")) == without_timings(read_json(run / "study.json"))
    document = json.loads(out)
    assert document["status"] == "done" and document["rows"] == read_json(other / "study.json")["rows"]


@pytest.mark.slow
def test_resuming_a_finished_study_trains_nothing_and_other_options_are_refused(
    run: Path, here: Here
) -> None:
    before = {p: p.read_bytes() for p in (run / "domains").rglob("*") if p.is_file()}
    document = read_json(run / "study.json")
    code, _, err = here("encoder", "study", "--run", "one", "--resume")
    assert code == 0, err
    assert read_json(run / "study.json") == document
    assert {p: p.read_bytes() for p in (run / "domains").rglob("*") if p.is_file()} == before
    for more, expected in (
        (("--epochs", 3), "the run was started with epochs 2.0, not 3.0"),
        (("--domains", "few"), "the run was started with domains"),
        (("--preset", "report"), "encoder tiny:tiny, not cnn:cnn"),
    ):
        code, _, err = here("encoder", "study", "--run", "one", "--resume", *more)
        assert code == 2 and expected in err


@pytest.mark.slow
def test_a_domain_that_fails_is_a_row_and_the_others_go_on(
    run: Path, tiny: Path, cameras: Path, here: Here
) -> None:
    # cam 10 has 2 x 3 steps, cam 2 has 2 x 1: only the first comes to step 4.
    code, out, err = here(*arguments(cameras, "--run", "torn", "--trainer.explode-at", 4))
    assert code == 1 and err.splitlines()[-1] == "chimera: 1 of 4 domains failed: cam 10"
    rows = {row["domain"]: row for row in read_json(tiny / "runs" / "torn" / "study.json")["rows"]}
    assert rows["cam 2"]["status"] == "ok" and rows["cam 10"]["status"] == "failed"
    assert "not finite" in rows["cam 10"]["reason"] and "failed: " in out
    assert read_json(tiny / "runs" / "torn" / "run.json")["status"] == "failed"
    whole = {row["domain"]: row for row in read_json(run / "study.json")["rows"]}
    assert without_timings(rows["cam 2"]) == without_timings(whole["cam 2"])
    # What is too short for the options fails before it has a run.
    code, _, err = here(*arguments(cameras, "--run", "short", "--warmup-images", 30))
    assert code == 1 and "cam 2: failed:" in err and "longer than the training" in err


def test_a_dry_run_counts_and_writes_nothing(tiny: Path, cameras: Path, here: Here) -> None:
    code, out, err = here(*arguments(cameras, "--dry-run", "--json"))
    assert code == 0, err
    found = json.loads(out)
    assert [(d["name"], d["n"], d["n_classes"]) for d in found["domains"]] == [
        ("cam 2", 16, 2),
        ("cam 10", 36, 3),
        ("few", 6, 2),
        ("single", 12, 1),
    ]
    assert found["domains"][2]["reason"] and found["domains"][0]["reason"] is None
    assert found["images"] == 2 * 8 + 2 * 3 * 8
    code, out, _ = here(*arguments(cameras, "--dry-run", "--domains-first", 1))
    assert code == 0 and "1 of 1 domains can be studied: 16 images" in out and "cam 10" not in out
    assert not (tiny / "runs").exists() and not (tiny / "cache").exists()


@pytest.mark.slow
def test_preset_report_is_the_reports_and_flags_lie_over_it(tiny: Path, cameras: Path, here: Here) -> None:
    common = ["encoder", "study", "--source", "folder", "--source.root", cameras, "--preset", "report"]
    common += ["--size", 16, "--precision", "fp32", "--device", "cpu", "--domains", "cam 2"]
    code, _, err = here(*common, "--run", "r")
    assert code == 0, err
    config = read_config(tiny / "runs" / "r" / "config.toml")
    wanted = {"epochs": 5.0, "optimizer": "adam", "schedule": "constant", "weight_decay": 0.0, "batch": 16}
    assert {key: config[key] for key in wanted} == wanted and config["domains"] == ["cam 2"]
    network = config["encoder"]["options"]
    assert config["encoder"]["name"] == "cnn:cnn" and network["widths"] == [64, 128, 256]
    assert (network["blocks"], network["hidden"], network["size"], network["classes"]) == (
        "plain",
        1024,
        16,
        3,
    )
    code, _, err = here(*common, "--encoder", "tiny", "--images", 8, "--run", "t")
    assert code == 0, err
    config = read_config(tiny / "runs" / "t" / "config.toml")
    assert config["encoder"]["options"]["width"] == 4 and config["images"] == 8 and "epochs" not in config
    code, out, _ = here("encoder", "study", "--preset", "report", "--help")
    assert code == 0 and "default: 64, 128, 256, from preset report" in " ".join(out.split())


def test_preset_report_takes_the_first_ten_at_448_px(tiny: Path, make_pictures: Make, here: Here) -> None:
    root = tiny / "many"
    for number in range(12):
        make_pictures(root / str(number), classes=2, train=5, val=0, flat=True)
    code, out, err = here(
        *["encoder", "study", "--preset", "report", "--source", "folder", "--source.root", root],
        *["--dry-run", "--json"],
    )
    assert code == 0, err
    found = json.loads(out)
    assert [domain["name"] for domain in found["domains"]] == list(map(str, range(10)))
    assert found["size"] == 448 and found["encoder"] == "cnn:cnn" and found["images"] == 10 * 5 * 8


BAD: dict[str, tuple[list[object], str]] = {
    "by something else": (["--by", "domian"], "Invalid value for '--by': 'domian' is not 'domain'."),
    "unknown domain": (["--domains", "cam 3"], "there is no domain 'cam 3' (did you mean 'cam 2'?)"),
    "two choices": (
        ["--domains", "few", "--domains-first", 2],
        "give --domains or --domains-first, not both",
    ),
    "unknown preset": (
        ["--preset", "reprot"],
        "there is no preset 'reprot' of studies (did you mean 'report'?)",
    ),
    "encoder's preset": (["--encoder-preset", "wid"], "tiny has no preset 'wid' (did you mean 'wide'?)"),
    "validation split": (["--val-split", "val"], "No such option"),
    "no encoder's option": (["--encoder.widht", 3], "--encoder.width"),
    "unknown augmentation": (["--augment", "flp"], "there is no augmentation 'flp' (did you mean 'flip'?)"),
    "too few to ask for": (["--min-images", 2], "2 is not in the range x>=3"),
    "nothing to resume": (["--resume", "--run", "none"], "there is no run 'none' to resume"),
    "decided in a file": (["--config", "own.toml"], "a study decides val-split itself: leave it out"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_exit_2_and_leaves_nothing(
    what: str, tiny: Path, cameras: Path, here: Here
) -> None:
    more, expected = BAD[what]
    (tiny / "own.toml").write_text('val_split = "val"\n')
    code, out, err = here(*arguments(cameras, *more))
    assert code == 2 and out == ""
    messages = [line for line in err.splitlines() if line.startswith("chimera: ")]
    assert len(messages) == 1 and messages[0] == err.splitlines()[-1] and expected in messages[0]
    assert not (tiny / "runs").exists()


def test_a_source_without_domains_and_a_run_that_is_there_are_refused(
    run: Path, pictures: Path, cameras: Path, here: Here
) -> None:
    code, _, err = here(*arguments(pictures, "--run", "two"))
    assert code == 2 and err.splitlines()[-1].startswith("chimera: source folder has no domains: ")
    before = (run / "study.json").read_bytes()
    code, _, err = here(*arguments(cameras, "--run", "one"))
    assert code == 2 and "is there already: go on with --resume" in err
    assert (run / "study.json").read_bytes() == before
    code, _, err = here("encoder", "train", "--run", "one", "--resume")
    assert code == 2 and "is not a training of an encoder" in err


def test_a_summary_weighs_domains_and_images() -> None:
    from chimera_core.training.study.table import Row

    counts = {"n": 10, "n_classes": 2, "n_train": 8, "n_test_classes": 2}
    rows = [
        Row("a", "ok", **counts, n_test=2, correct=1, accuracy=0.5, majority=0.5),
        Row("b", "ok", **counts, n_test=6, correct=6, accuracy=1.0, majority=0.0),
        Row("c", "n/a", **counts, n_test=9, reason="one class only (x)"),
    ]
    found = summarise(rows)
    assert found["mean_accuracy"] == 0.75 and found["pooled_accuracy"] == 7 / 8 and found["n_test"] == 8
    assert found["mean_majority"] == 0.25 and found["pooled_majority"] == 1 / 8
    assert (found["ok"], found["n/a"], found["failed"]) == (2, 1, 0)
    assert summarise([])["mean_accuracy"] is None and summarise([])["pooled_low"] is None
