"""Sliders mean weights; runs are shown and served without a way out of their folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chimera_core.studio.trainings import cards_html, file_of_run, list_runs
from chimera_core.studio.weights import STEP, balanced, near_first, weights_of_line, weights_of_three


def test_weights_are_hundredths_that_sum_to_one() -> None:
    assert [weights_of_line(s) for s in (0, 35, 100, 120)] == [(1, 0), (0.65, 0.35), (0, 1), (0, 1)]
    for shares in ((33, 33, 34), (0, 0, 0), (100, 0, 0), (1, 1, 1), (17, 18, 65)):
        weights = weights_of_three(shares)
        assert sum(weights) == pytest.approx(1) and all(round(w, 2) == w for w in weights)


def test_moving_one_of_three_keeps_the_others_ratio() -> None:
    assert balanced((40, 40, 50), 2) == (25, 25, 50)
    assert balanced((100, 0, 0), 0) == (100, 0, 0)
    assert balanced((0, 0, 40), 2) == (30, 30, 40)
    assert all(sum(balanced((a, 30, 20), 0)) == 100 for a in range(101))


def test_each_step_of_the_slider_is_drawn_ahead_the_nearest_first() -> None:
    assert near_first(50)[:3] == [50, 50 - STEP, 50 - 2 * STEP]
    assert near_first(80)[:3] == [80, 80 - STEP, 80 + STEP]
    assert all(sorted(near_first(share)) == list(range(0, 101, STEP)) for share in (0, 30, 80))


def test_what_the_other_half_may_prepare_keeps_no_step_of_this_half_waiting() -> None:
    assert set(near_first(40)[:11]) == set(range(0, 51, STEP))
    assert set(near_first(60)[:11]) == set(range(50, 101, STEP))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    below = tmp_path / "runs"
    (below / "wolf & <b>fox" / "samples").mkdir(parents=True)
    run = below / "wolf & <b>fox"
    (run / "run.json").write_text(
        json.dumps({"status": "done", "kind": "fuser", "images": 1200, "source": "<i>me</i>"})
    )
    for name in ("progress.png", "samples/1.png", "samples/2.png", "report.html", "state.safetensors"):
        (run / name).write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run / "link.png").symlink_to(tmp_path / "secret.png")
    (below / "out").symlink_to(tmp_path)
    return below


def test_runs_are_cards_whose_names_stay_text(runs: Path) -> None:
    (card,) = [c for c in list_runs(runs) if c.status == "done"]
    assert card.pictures == ("progress.png", "samples/2.png") and card.report == "report.html"
    page = cards_html([card], runs)
    assert "wolf &amp; &lt;b&gt;fox" in page and "&lt;i&gt;me" in page and "<b>" not in page
    assert "/runs/wolf%20%26%20%3Cb%3Efox/progress.png" in page


def test_pictures_and_reports_of_runs_are_served_and_nothing_else(runs: Path) -> None:
    run = "wolf & <b>fox"
    assert file_of_run(runs, f"{run}/progress.png") == (runs / run / "progress.png", "image/png")
    assert file_of_run(runs, f"{run}/report.html") is not None
    for name in (
        f"{run}/link.png",
        f"{run}/state.safetensors",
        f"{run}/run.json",
        f"{run}/../../secret.png",
        "../secret.png",
        "out/secret.png",
        "/etc/passwd",
        "",
        f"{run}/samples",
        "a\0.png",
    ):
        assert file_of_run(runs, name) is None, name
