"""What `examples/` holds works as it stands: every file of options, and the folders that stand in for the data."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from chimera_cnn.config import PRESETS, CnnConfig
from chimera_cnn.encoder import CnnEncoder
from chimera_gan.presets import PRESETS as GAN_PRESETS
from torch.nn import functional as F

from chimera_core.compare.experiment.plan import check_experiment
from chimera_core.files.toml import write_toml
from chimera_core.plugins.discovery import default_host
from chimera_core.training.parts.memory import estimate_memory

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EXPERIMENTS = [
    path for path in sorted(EXAMPLES.rglob("*.toml")) if "fusers" in tomllib.loads(path.read_text())
]
CONFIGS = sorted(
    file for file in set(EXAMPLES.rglob("*.toml")) - set(EXPERIMENTS) if file.name != "pyproject.toml"
)
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def stand_in(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of examples/ are run: the data they name, and the folder that the reports' scripts write."""
    place = tmp_path_factory.mktemp("place")
    (place / "data").symlink_to(test_data)
    for script in ("report-1/write_iwildcam.py", "report-2/write_data.py"):
        subprocess.run(
            [sys.executable, str(EXAMPLES / script), *("data", "stand-in", "--limit", "12")],
            cwd=place,
            check=True,
            timeout=60,
        )
    return place / "stand-in"


def need_wilds() -> None:
    """Skip without wilds; not by importing it, which asks the network for a newer one."""
    if importlib.util.find_spec("wilds") is None:
        pytest.skip("needs wilds: pip install '.[iwildcam]'")


def rows_of(stand_in: Path) -> list[dict[str, str]]:
    with open(stand_in / "iwildcam_v2.0" / "metadata.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_stand_in_is_an_iwildcam_folder(stand_in: Path, here: Here) -> None:
    need_wilds()
    code, out, err = here("source", "info", "iwildcam", "--root", stand_in, "--json")
    assert code == 0, err
    info = json.loads(out)
    assert info["domains"] == [str(k) for k in range(16)]
    assert info["classes"][0] == "empty" and {"elephant", "zebra", "macaca nemestrina"} <= {*info["classes"]}
    assert {*info["splits"]} == {"train", "val", "test", "id_val", "id_test"}
    assert sum(info["splits"].values()) == len(rows_of(stand_in))
    assert info["unreadable"] == []


def test_its_first_ten_locations_show_what_a_study_meets(stand_in: Path) -> None:
    classes: defaultdict[int, set[str]] = defaultdict(set)
    count: defaultdict[int, int] = defaultdict(int)
    for row in rows_of(stand_in):
        classes[int(row["location_remapped"])].add(row["y"])
        count[int(row["location_remapped"])] += 1
    assert len(classes[4]) == 1, "one animal only"
    assert (count[7], len(classes[7])) == (2, 2), "too few pictures"
    assert "0" in classes[9], "nearly always empty"
    assert all(len(classes[k]) >= 4 for k in (3, 5, 6, 8)), "rich ones"


def test_a_burst_lies_in_one_split_and_unseen_cameras_stay_unseen(stand_in: Path) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    cameras: defaultdict[str, set[str]] = defaultdict(set)
    sizes: defaultdict[str, int] = defaultdict(int)
    for row in rows_of(stand_in):
        splits[row["sequence_remapped"]].add(row["split"])
        sizes[row["sequence_remapped"]] += 1
        cameras[row["split"]].add(row["location_remapped"])
    assert max(sizes.values()) > 1 and all(len(found) == 1 for found in splits.values())
    assert not cameras["test"] & (cameras["train"] | cameras["val"])
    assert cameras["id_test"] <= cameras["train"]
    shown = {row["y"] for row in rows_of(stand_in)}
    assert {row["y"] for row in rows_of(stand_in) if row["split"] == "train"} == shown


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_file_of_options_passes_a_dry_run(
    config: Path, stand_in: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "report-1" in config.parts:
        need_wilds()
    monkeypatch.chdir(stand_in.parent)
    # The batch decides nothing but how long three steps last.
    options = tomllib.loads(config.read_text())
    command = "fuser" if "fuser" in options else "encoder"
    # The stand-in is so small that nothing is left to judge by.
    judged = ("--judge", "none") if command == "fuser" else ()
    # Small pictures for the network that only looks.
    looked = ("--encoder-size", 32) if options.get("fuser", {}).get("preset") == "modern-64" else ()
    quick = ("--batch", 2, *judged, *looked)
    code, out, err = here(command, "train", "--config", config, *quick, "--dry-run", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["images"] >= options["images"]
    assert document["images_per_s"] > 0


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_is_right_but_for_the_runs_that_it_names(
    path: Path, tmp_path: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(test_data)
    monkeypatch.chdir(tmp_path)
    host = default_host()
    table = tomllib.loads(path.read_text())
    known = {c.spec.name for c in host.components("fusion-generator")} | set(host.registry.models)
    untrained = [name for name, fuser in table["fusers"].items() if fuser["fuser"] not in known]
    for name in untrained:
        del table["fusers"][name]
    for fuser in table["fusers"].values():
        if fuser.get("axes", {}).pop("encoder", None) is not None and not fuser["axes"]:
            del fuser["axes"]  # runs of encoders
    write_toml(tmp_path / path.name, table)
    found = check_experiment(tmp_path / path.name, host)
    assert list(dict.fromkeys(e.table for e in found.entries if e.table)) == list(table["fusers"]) != []
    waiting = sum(
        len(fuser.get("axes", {}).get("train.seed", [0]))
        for fuser in table["fusers"].values()
        if "train" in fuser
    )
    assert len(found.trainings) == waiting


@pytest.mark.parametrize(
    ("name", "preset"),
    [("attempt-1", "report"), ("attempt-1-fgsm", "report"), ("attempt-2", "report-enhanced")],
)
def test_the_networks_of_report_1_are_the_presets(name: str, preset: str) -> None:
    named: dict[str, Any] = next(dict(p.options) for p in PRESETS if p.name == preset)
    options = tomllib.loads((EXAMPLES / "report-1" / f"{name}.toml").read_text())["encoder"]["options"]
    lists = {key: list(v) if isinstance(v, tuple) else v for key, v in named.items()}
    assert options == {key: value for key, value in lists.items() if key not in ("size", "classes")}


@pytest.mark.parametrize("name", ["mnist", "celeba", "persondog"])
def test_the_networks_of_report_2_are_the_presets(name: str) -> None:
    preset = next(p for p in GAN_PRESETS if p.name == f"report-{name}")
    written = tomllib.loads((EXAMPLES / "report-2" / f"{name}.toml").read_text())
    assert written["fuser"]["options"] == preset.options
    assert {key: written[key] for key in preset.training} == preset.training


def test_the_stand_ins_of_report_2_are_found_in_one_folder(stand_in: Path, here: Here) -> None:
    found = {}
    for name in ("mnist", "celeba", "persondog"):
        code, out, err = here("source", "info", name, "--root", stand_in, "--json")
        assert code == 0, err
        found[name] = json.loads(out)
    assert found["mnist"]["splits"] == {"train": 11, "test": 1}
    assert {"train", "val", "test"} == {*found["celeba"]["splits"]}
    assert found["persondog"]["classes"] == ["person", "dog"]
    persons = found["celeba"]["splits"]["train"]
    assert found["persondog"]["splits"]["train"] == persons + 5 * 12


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_report_s_network_trains_at_448_pixels_within_24_gib(precision: str) -> None:
    named = next(dict(p.options) for p in PRESETS if p.name == "report")
    with torch.device("meta"):
        encoder = CnnEncoder(CnnConfig(**named))

    def step(batch: int) -> torch.Tensor:
        x = torch.zeros(batch, 3, 448, 448, device="meta")
        return F.cross_entropy(encoder(x), torch.zeros(batch, dtype=torch.int64, device="meta"))

    memory = estimate_memory(encoder, step, optimizer="adam", has_ema=False, precision=precision)
    assert memory.parameters == 822_083_584 + 1024 + 182 * 1025 + sum(
        9 * a * b + 3 * b for a, b in ((3, 64), (64, 128), (128, 256))
    )
    assert memory.fitting_batch(24 << 30) >= 16
    assert memory.fitting_batch(12 << 30) == 0, "weights, gradients and moments alone take 12.3 GiB"
