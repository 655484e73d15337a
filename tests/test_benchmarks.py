"""The benchmark of training runs, and measures what it says."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.mark.slow
def test_the_benchmark_of_training_measures_loops_attack_and_checkpoint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    benchmark = runpy.run_path(str(BENCHMARKS / "training.py"))
    benchmark["main"](["--quick", "--only", "small-64", "--json"])
    found = json.loads(capsys.readouterr().out)
    (race,) = found["loops"]
    assert race["network"] == "small-64" and len(race["plain_s"]) == len(race["ours_s"]) == 2
    assert 2_000_000 < race["parameters"] < 4_000_000
    attack = found["pgd"]
    assert "error" in attack or attack["largest_difference"] <= 1e-6
    (saved,) = found["checkpoints"]
    # Network, average and two moments, in fp32; little else.
    assert saved["bytes"] == pytest.approx(4 * 4 * race["parameters"], rel=0.02)
    assert found["machine"]["precision"] in ("fp32", "bf16")
    assert benchmark["as_markdown"](found).count("| small-64 |") == 2


def test_the_benchmark_of_the_report_writes_a_page_and_says_how_large(
    capsys: pytest.CaptureFixture[str],
) -> None:
    benchmark = runpy.run_path(str(BENCHMARKS / "report.py"))
    sizes = []
    for pairs in (1, 3):
        benchmark["main"](["--fusers", "2", "--pairs", str(pairs), "--size", "16", "--opens", "0"])
        sizes.append(json.loads(capsys.readouterr().out)["page_bytes"])
    assert 40_000 < sizes[0] < sizes[1]
