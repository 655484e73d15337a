"""A run with links in it: a training writes, removes and reads nothing outside."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from chimera_core.errors import DataError, RunError
from chimera_core.runs import checkpoints
from chimera_core.training.parts.best import forget_best, take_best, write_best
from chimera_core.training.parts.metrics import MetricsLog, read_metrics

Here = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "key").write_text("precious")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def save(folder: Path, images: int) -> None:
    torch.manual_seed(0)
    checkpoints.save_checkpoint(folder, images, modules={"model": nn.Linear(2, 2)}, optimizers={}, state={})


def test_checkpoints_do_not_go_through_a_folder_that_is_a_link(home: Path, run: Path) -> None:
    save(home / "checkpoints", 10)
    kept = sorted(p.name for p in (home / "checkpoints").iterdir())
    (run / "checkpoints").symlink_to(home / "checkpoints")
    with pytest.raises(RunError, match="leaves its folder"):
        save(run / "checkpoints", 20)
    with pytest.raises(DataError, match="leaves its folder"):
        checkpoints.read_checkpoint(run / "checkpoints", 10)
    found, troubles = checkpoints.newest_checkpoint(run / "checkpoints")
    assert found is None and "leaves its folder" in troubles[0]
    # A finished study drops states: of a stranger's, somebody else's.
    checkpoints.remove_after(run / "checkpoints", -1)
    (home / "checkpoints" / "best-000000010.safetensors").write_text("")
    forget_best(run / "checkpoints", None)
    assert sorted(p.name for p in (home / "checkpoints").iterdir()) == [
        "000000010.json",
        "000000010.safetensors",
        "best-000000010.safetensors",
    ]
    assert kept == ["000000010.json", "000000010.safetensors"]


def test_tensors_behind_a_link_are_neither_read_nor_replaced(home: Path, run: Path) -> None:
    folder = run / "checkpoints"
    save(folder, 10)
    (folder / "000000010.safetensors").rename(home / "secret.safetensors")
    (folder / "000000010.safetensors").symlink_to(home / "secret.safetensors")
    before = (home / "secret.safetensors").read_bytes()
    with pytest.raises(DataError, match="leaves its folder"):
        checkpoints.read_checkpoint(folder, 10)
    with pytest.raises(RunError):
        save(folder, 10)
    (folder / "best-000000010.safetensors").symlink_to(home / "secret.safetensors")
    for work in (lambda: take_best(folder, 10), lambda: write_best(folder, 10, {"a": torch.zeros(1)}, {})):
        with pytest.raises(DataError):
            work()
    (folder / "best.safetensors").symlink_to(home / "secret.safetensors")
    with pytest.raises(RunError):
        write_best(folder, 20, {"a": torch.zeros(1)}, {})
    assert (home / "secret.safetensors").read_bytes() == before


def test_metrics_are_neither_appended_nor_cut_nor_read_through_a_link(home: Path, run: Path) -> None:
    (run / "metrics.jsonl").symlink_to(home / "key")
    with pytest.raises(RunError, match=r"metrics\.jsonl': it is a link"):
        MetricsLog(run, position=0)
    with pytest.raises(DataError):
        read_metrics(run)
    assert (home / "key").read_text() == "precious"
    (run / "metrics.jsonl").unlink()
    log = MetricsLog(run)
    log.log(1, loss=0.5)
    position = log.position
    log.log(2, loss=0.25)
    log.cut(position)
    log.log(3, loss=0.125)
    log.close()
    assert [line["images"] for line in read_metrics(run)] == [1, 3]
    MetricsLog(run, position=position).close()
    assert [line["images"] for line in read_metrics(run)] == [1]


@pytest.fixture
def done(tiny: Path, pictures: Path, here: Here, train_once: Callable[..., Path]) -> Path:
    """Give a run of 16 images."""
    options = ["--source", "folder", "--source.root", pictures, "--encoder", "tiny", "--trainer", "plain"]
    options += ["--size", 16, "--images", 16, "--batch", 8, "--precision", "fp32", "--run", "one"]
    return train_once(tiny, lambda: here("encoder", "train", *options))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["checkpoints", "metrics.jsonl", "config.toml", "run.json"])
def test_a_stranger_s_run_goes_on_in_its_own_folder_alone(
    done: Path, home: Path, here: Here, name: str
) -> None:
    shutil.move(done / name, home / "mine")
    (done / name).symlink_to(home / "mine")
    before = {p: p.read_bytes() for p in home.rglob("*") if p.is_file()}
    code, out, err = here("encoder", "train", "--run", "one", "--resume", "--images", 32)
    assert code in (1, 2) and out == "" and "Traceback" not in err and "link" in err.splitlines()[-1]
    assert {p: p.read_bytes() for p in home.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", ["config.toml", "run.json", "checkpoints/best.safetensors"])
def test_a_stranger_s_run_does_not_name_files_of_mine(done: Path, home: Path, here: Here, name: str) -> None:
    shutil.move(done / name, home / "mine")
    (done / name).symlink_to(home / "mine")
    code, out, err = here("encoder", "export", "one", "-o", "stolen.safetensors")
    assert (code, out) == (2, "") and "is not read: it is or lies behind a link that leaves its folder" in err
    assert not Path("stolen.safetensors").exists()


def test_an_export_does_not_replace_the_run_s_own_weights(done: Path, here: Here) -> None:
    os.link(done / "checkpoints" / "best.safetensors", "mine.safetensors")
    before = (done / "checkpoints" / "best.safetensors").read_bytes()
    for output in (done / "checkpoints" / "best.safetensors", "mine.safetensors"):
        code, out, err = here("encoder", "export", "one", "-o", output)
        assert (code, out) == (2, "") and "is a file of the run, which would be lost: name another" in err
    assert (done / "checkpoints" / "best.safetensors").read_bytes() == before


def test_a_trained_fuser_is_not_read_through_a_link(tiny: Path, home: Path, here: Here) -> None:
    run = tiny / "runs" / "mine"
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"kind": "fuser"}))
    (run / "config.toml").write_text('[source]\nname = "folder"\n[fuser]\nname = "mean-image"\n')
    (run / "checkpoints" / "best.safetensors").symlink_to(home / "key")
    code, _, err = here("fuse", "a", "b", "--fuser", "mine")
    assert code == 2 and "is not read" in err
