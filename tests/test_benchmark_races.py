"""The race of GANs: its clock, its checkpoints, what it sums up and what it hides."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chimera_core import load_encoder
from chimera_core.data.batches import TensorSplit
from chimera_core.scoring.judge.features import QualityJudge

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SIZE, BATCH = 28, 4
TINY = {"noise": 6, "channels": 4, "condition": "none", "probe_samples": 16}
TIMINGS = {"wall_s", "cpu_s"}


@pytest.fixture
def racing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import racing  # type: ignore[import-not-found]

    yield racing
    for name in set(sys.modules) - before:
        if name in ("racing", "person_cat", "training"):
            del sys.modules[name]


@pytest.mark.slow
def test_a_race_that_is_cut_short_goes_on_as_if_it_had_not_been(racing: ModuleType, tmp_path: Path) -> None:
    whole = train(racing, tmp_path / "whole", stop=32)
    first = train(racing, tmp_path / "cut", stop=16)
    assert [point["images"] for point in first["points"]] == [8, 16]
    rest = train(racing, tmp_path / "cut", stop=32)
    assert [point["images"] for point in rest["points"]] == [8, 16, 24, 32]
    for mine, theirs in zip(rest["points"], whole["points"], strict=True):
        assert {k: v for k, v in mine.items() if k not in TIMINGS} == {
            k: v for k, v in theirs.items() if k not in TIMINGS
        }
    name = f"checkpoints/{32:09d}.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (tmp_path / "cut" / "samples" / f"{32:09d}.png").exists()


@pytest.mark.slow
def test_the_clock_runs_in_training_alone_and_goes_on(racing: ModuleType, tmp_path: Path) -> None:
    first = train(racing, tmp_path / "run", stop=16)["points"][-1]
    then = train(racing, tmp_path / "run", stop=32)["points"]
    assert 0 < first["cpu_s"] < then[-1]["cpu_s"] and 0 < first["wall_s"] < then[-1]["wall_s"]
    assert then[1]["cpu_s"] == first["cpu_s"]


def test_the_summary_names_means_and_the_key_names_letters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = runpy.run_path(str(BENCHMARKS / "critic_race.py"))
    for name, kid in (("own", 0.5), ("both", 0.25)):
        for seed in (0, 1):
            folder = tmp_path / f"{name}-{seed}"
            (folder / "samples").mkdir(parents=True)
            Image.fromarray(np.full((4, 4, 3), 99, np.uint8)).save(folder / "samples" / "000000064.png")
            last = {"images": 6400, "cpu_s": 120.0, "wall_s": 130.0, "kid_averaged": kid + seed / 10}
            last["variety_averaged"] = 0.5 + seed / 4
            record = {
                "contestant": name,
                "seed": seed,
                "size": 64,
                "clock": "cpu_s",
                "judge": "j",
                "judge_size": 64,
            }
            record |= {"samples": 10, "precision": "fp32", "points": [last]}
            (folder / "result.json").write_text(json.dumps(record))
    benchmark["main"]([str(tmp_path), "--summary", "-o", str(tmp_path / "race.png")])
    out = capsys.readouterr().out
    assert (
        "| `both` | 6,400, 6,400 | 0.2500, 0.3500 | 0.3000 | 0.50, 0.75 |" in out
        and "2.0 minutes of cpu each" in out
    )
    assert (tmp_path / "race.png").exists()
    benchmark["main"]([str(tmp_path), "--blind", str(tmp_path / "blind")])
    key = json.loads((tmp_path / "blind-key.json").read_text())
    assert sorted(key) == ["0-A", "0-B", "1-A", "1-B"] and {key["0-A"], key["0-B"]} == {"own", "both"}
    assert all((tmp_path / "blind" / f"{name}.png").exists() for name in key)


def train(racing: ModuleType, folder: Path, *, stop: int) -> dict[str, Any]:
    images = torch.randint(
        0, 256, (24, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    split = TensorSplit(images, torch.zeros(24, dtype=torch.int64))
    judge = QualityJudge(
        load_encoder("timm", model="test_efficientnet", weights="none"), "small", split, images=8, size=32
    )
    race = racing.Race(
        TINY, BATCH, 0, 1_000, "images", [8, 16, 24, 32], lambda now: now["images"] >= stop, folder, 1e9
    )
    found: dict[str, Any] = racing.run(
        race,
        racing.Images(split, split, ("cat",), SIZE),
        judge,
        device=torch.device("cpu"),
        precision="fp32",
        label="tiny",
    )
    return found
