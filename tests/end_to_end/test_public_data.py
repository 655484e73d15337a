"""Training on data sets of torchvision and of the `datasets` library, alone and mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from chimera_huggingface.checking import write_parquet, write_saved
from chimera_torchvision.checking import write_pets

Here = Callable[..., tuple[int, str, str]]
SMALL = ("--encoder", "cnn", "--size", 16, "--batch", 8, "--images", 32, "--device", "cpu")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> None:
    for name in ("CACHE", "ASSETS", "RUNS"):
        monkeypatch.setenv(f"CHIMERA_{name}", str(tmp_path / name.lower()))


def test_a_set_of_25_classes_trains(here: Here, tmp_path: Path) -> None:
    saved = write_saved(tmp_path / "saved", classes=[f"kind-{k:02d}" for k in range(25)], images=50)
    run = tmp_path / "run"
    code, _, err = here(
        "encoder", "train", "--source", "huggingface", "--source.path", saved, "--run", run, *SMALL
    )  # fmt: skip
    assert code == 0, err
    assert len(json.loads((run / "run.json").read_text())["classes"]) == 25


def test_both_are_members_of_a_mixture(here: Here, tmp_path: Path) -> None:
    pets = write_pets(tmp_path / "pets", images=10)
    parquet = write_parquet(tmp_path / "parquet", images=20)
    run = tmp_path / "run"
    members = [
        *("--source.member", f"pet=torchvision,name=OxfordIIITPet,root={pets},split=train:trainval,target=binary-category"),
        *("--source.member", f"drawn=huggingface,path={parquet}"),
    ]  # fmt: skip
    code, _, err = here("encoder", "train", "--source", "mixture", *members, "--run", run, *SMALL)
    assert code == 0, err
    assert json.loads((run / "run.json").read_text())["classes"] == ["pet", "drawn"]
