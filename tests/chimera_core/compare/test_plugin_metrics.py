"""Metrics of plugins stand in scores, tables and reports beside ours."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chimera_core.errors import PluginError
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring.plugin_metrics import choose_metrics, measure_with

Write = Callable[..., Path]
Here = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers", "few_views")
def test_a_metric_of_a_plugin_is_in_the_tables_and_in_the_report(
    experiment: Write, place: Path, here: Here
) -> None:
    path = experiment(
        ('encoder = "cnn"', 'encoder = "robust-small-64"'),
        ("seeds = [0, 1]", 'seeds = [0]\nmetrics = ["brightness"]'),
        ("size = 16", "size = 32"),
    )
    code, _, err = here("compare", path, "--jobs", 1, "--device", "cpu")
    assert code == 0, err
    run = place / "runs" / "small"
    with open(run / "results.csv", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["metric"] == "fakes:brightness" and r["status"] == "ok"]
    average = [float(r["value"]) for r in rows if r["fuser"] == "pixel-average"]
    assert len(average) == 2 and all(abs(value) < 0.03 for value in average)
    for page in ("report.html", "report.md"):
        text = (run / page).read_text()
        assert "fakes:brightness" in text and "0 for a pixel average" in text
    code, out, err = here("score", run / "cells", "--parents", place / "a.png", place / "b.png", "--size", 32,
                          "--judge", "robust-small-64", "--metric", "brightness", "--json")  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert found["plugin_metrics"]["fakes:brightness"]["distribution"] == "fake-toys"
    assert all(abs(row["metrics"]["fakes:brightness"]["value"]) < 1 for row in found["images"])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("brightnes", "there is no metric 'brightnes' (did you mean 'brightness'?)"),
        ("other:brightness", "no metric is named 'other:brightness'"),
        ('brightness", "fakes:brightness', "metric 'fakes:brightness' is named twice: leave one out"),
    ],
)
def test_an_unknown_metric_is_named_with_its_line(
    experiment: Write, place: Path, here: Here, named: str, message: str
) -> None:
    path = experiment(
        ('encoder = "cnn"', 'encoder = "robust-lite0"'),
        ("seeds = [0, 1]", f'seeds = [0]\nmetrics = ["{named}"]'),
    )
    code, _, err = here("compare", path, "--dry-run")
    assert code == 2 and f"small.toml line 4: metrics: {message}" in err


def test_what_is_no_figure_for_each_creature_is_refused(place: Path) -> None:
    class Wrong:
        def measure(self, images: torch.Tensor, parents: object, weights: object) -> torch.Tensor:
            return images.mean()

    images, weights = torch.rand(3, 3, 8, 8), torch.full((3, 2), 0.5)
    with pytest.raises(
        PluginError, match=r"metric a:b gave \(\) for 3 creatures: it must give a tensor \(3,\)"
    ):
        measure_with(Wrong(), "a:b", images, [images, images], weights)  # type: ignore[arg-type]
    metric = choose_metrics(default_host(), ["brightness"])["fakes:brightness"].load()
    images[1] = torch.nan
    found = measure_with(metric, "a:b", images, [images[:1], images[:1]], weights)
    assert found[1] is None and found[0] == pytest.approx(0)
