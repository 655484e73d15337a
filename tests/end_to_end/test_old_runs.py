"""What an older tree wrote is read on: its runs are resumed and measured, its files fused with, its comparison redone."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.forked_workers import FORKED_WORKERS

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
# As in tests/golden/test_losses.py: how far kernels of another machine lead a training against PGD.
DRIFT = {"enc": 5e-2, "gan": 1e-3}

# Figures that formula 4 of the score gave another meaning; the older tree counted by formula 3.
REDEFINED = {"integrity", "unity", "fused", "score"}

golden = runpy.run_path(str(GOLDEN / "golden.py"))
make = runpy.run_path(str(GOLDEN / "make_old_runs.py"))


# Of a package that was installed later and offers the names that old files give without a plugin.
NAMESAKES = """
from chimera_core.api import ComponentSpec, Config, hookimpl

CHIMERA_API = 1


def specs(*names):
    return [ComponentSpec(name, "a namesake", "namesakes:Nothing", Config) for name in names]


@hookimpl
def chimera_dataset_sources():
    return specs("folder")


@hookimpl
def chimera_feature_encoders():
    return specs("cnn", "timm")


@hookimpl
def chimera_robustness_trainers():
    return specs("pgd", "standard")


@hookimpl
def chimera_fusion_generators():
    return specs("gan")
"""


def install(folder: Path, name: str, module: str) -> None:
    """Put a plugin of one module into a folder, as pip would."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / f"{name}.py").write_text(module)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[chimera.plugins]\n{name} = {name}\n")


class Old:
    """A copy of what the older tree made, with its pictures in a new place, and namesakes of its components installed."""

    def __init__(self, folder: Path, fork_server: Callable[..., Any]) -> None:
        self.folder = folder
        shutil.copytree(GOLDEN / "old_runs", folder, dirs_exist_ok=True)
        golden["draw_pictures"](folder / "pictures", size=28)
        install(folder / "installed", "namesakes", NAMESAKES)
        self._environ = {
            **os.environ,
            "PYTHONPATH": str(folder / "installed"),
            "CHIMERA_CACHE": str(folder / "cache"),
            "CHIMERA_RUNS": str(folder / "runs"),
            "OMP_NUM_THREADS": "1",
        }
        self._server = fork_server(sys.executable, self._environ)

    def __call__(self, *arguments: object) -> str:
        order = {"code": FORKED_WORKERS, "arguments": [str(argument) for argument in arguments]}
        done = self._server.run(order, cwd=self.folder, environ=self._environ)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any]) -> Old:
    return Old(tmp_path_factory.mktemp("old"), fork_server)


def test_the_names_that_old_files_give_have_become_ambiguous(old: Old) -> None:
    listed = json.loads(old("plugins", "list", "--json"))
    offers = [c["plugin"] for c in listed if c["name"] in ("cnn", "folder", "gan")]
    assert sorted(offers) == ["cnn", "folder", "gan", *["namesakes"] * 3]


@pytest.mark.parametrize(("run", "group"), [("enc", "encoder"), ("gan", "fuser")])
def test_an_old_run_is_resumed_as_if_nothing_had_happened(old: Old, run: str, group: str) -> None:
    folder = old.folder / "runs" / run
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    old(group, "train", "--run", run, "--resume", "--source.root", "pictures")
    assert json.loads((folder / "run.json").read_text())["status"] == "done"
    golden["compare"](GOLDEN / f"old-{run}.txt", golden["read_run"](folder), drift=DRIFT[run])


def test_an_old_run_of_an_encoder_is_evaluated(old: Old) -> None:
    found = json.loads(
        old("encoder", "evaluate", "enc", "--source.root", "pictures", "--device", "cpu", "--json")
    )
    assert 0 <= found["accuracy"] <= 1


@pytest.mark.parametrize("fuser", ["gan.safetensors", "gan"])
def test_an_old_fuser_makes_a_creature_of_classes_and_photographs(old: Old, fuser: str) -> None:
    out = old.folder / "creature.png"
    out.unlink(missing_ok=True)
    old("fuse", "cat", "pictures/val/person/00.png", "--fuser", fuser, "--size", 28, "-o", out)
    assert out.stat().st_size > 500


def test_an_old_exported_encoder_is_what_a_fuser_looks_through(old: Old) -> None:
    pictures = ("pictures/val/cat/00.png", "pictures/val/person/00.png")
    more = (
        "--encoder enc.safetensors --texture-levels 1 --subject whole --iterations 2 --size 32 -o morph.png"
    )
    old("fuse", *pictures, "--fuser", "feature-morph", *more.split())
    assert (old.folder / "morph.png").stat().st_size > 500


def test_an_old_comparison_is_reported_and_redone_with_the_same_figures(old: Old) -> None:
    folder = old.folder / "runs" / "cmp"
    old("report", "cmp")
    assert (folder / "report.html").stat().st_size > 40_000
    golden["compare"](GOLDEN / "old-cmp.txt", make["scores_of"](folder), drift=1e-3)
    lines = (GOLDEN / "old-cmp.txt").read_text().splitlines(keepends=True)
    kept = old.folder / "old-cmp.txt"
    kept.write_text("".join(line for line in lines if not any(f",{name}," in line for name in REDEFINED)))
    # The pictures lie elsewhere now; what the code's changes leave valid is kept, and what is made anew is the same.
    for run in ("cmp", "again"):
        old("compare", "cmp.toml", "--run", run, "--jobs", 1, "--device", "cpu")
        rows = [row for row in make["scores_of"](old.folder / "runs" / run) if row["metric"] not in REDEFINED]
        golden["compare"](kept, rows, drift=1e-3)
        assert {row["metric"] for row in make["scores_of"](old.folder / "runs" / run)} >= REDEFINED
