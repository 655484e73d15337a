"""Each figure is measured once for one judge, one code and one picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from chimera_core.compare.experiment.cells import Cell, image_path, read_record, write_record
from chimera_core.compare.experiment.identity import data_identity
from chimera_core.compare.experiment.plan import Comparison, check_experiment, lay_out
from chimera_core.compare.figures import scoring
from chimera_core.errors import DataError
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring import pictures
from chimera_core.scoring.figures.figures import Measurement
from chimera_core.scoring.parents import ParentImages

Write = Callable[..., Path]
TWO = ("mix", "copy")


class Card:
    """Notes what it is asked, and answers with the brightness."""

    def __init__(self) -> None:
        self.parents: list[list[tuple[int, ...]]] = []
        self.pictures, self.sets = 0, 0

    def prepare(self, parents: Sequence[ParentImages]) -> str:
        self.parents.append([tuple(p.images.shape) for p in parents])
        assert all(p.masks is not None and p.masks.shape[2:] == p.images.shape[2:] for p in parents)
        return "prepared"

    def measure(self, prepared: str, images: Tensor, weights: Tensor) -> list[dict[str, Measurement]]:
        assert prepared == "prepared" and images.shape == (len(weights), 3, 16, 16)
        self.pictures += len(images)
        return [
            {
                "score": Measurement(float(i.mean()), 8, "a judge"),
                "novelty": Measurement(float("nan"), 8, "a judge"),
            }
            for i in images
        ]

    def measure_set(
        self, prepared: str, images: Tensor, weights: Tensor, *, same_pictures: bool
    ) -> dict[str, Measurement]:
        self.sets += 1
        assert same_pictures
        assert torch.equal(weights, torch.tensor([[1, 0], [0.5, 0.5]] * 2))
        return {"diversity": Measurement(None, len(images), "a judge", "too few")}


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    made = Card()
    monkeypatch.setattr(scoring, "open_scorecard", lambda comparison, device: made)
    monkeypatch.setattr(pictures, "load_finder", lambda: "a finder")
    monkeypatch.setattr(pictures, "find_subject", lambda finder, image: torch.ones_like(image[:1]))
    return made


@pytest.fixture
def made(experiment: Write, place: Path) -> tuple[Comparison, list[Cell], Path]:
    run = place / "run"
    run.mkdir()
    comparison = lay_out(check_experiment(experiment(), default_host()), run)
    cells = [c for fuser in TWO for c in comparison.cells[fuser]]
    (run / "cells").mkdir()
    for k, cell in enumerate(cells):
        Image.new("RGB", (16, 20), (10 * k, 80, 120)).save(image_path(run, cell.id))
        write_record(run, cell, status="ok", wall_s=0.1, device="cpu")
    return comparison, cells, run


def records(cells: Sequence[Cell], run: Path) -> dict[str, Any]:
    return {c.id: read_record(run, c.id) for c in cells}


def test_figures_are_kept_until_something_they_depend_on_changes(
    made: tuple[Comparison, list[Cell], Path], card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison, cells, run = made
    some = records(cells, run)
    first, measured = scoring.score_cells(comparison, some, run)
    assert measured == 1 and (card.pictures, card.sets) == (8, 2) and card.parents == [[(1, 3, 256, 256)] * 2]
    assert set(first.cells) == set(some) and set(first.sets) == {("mix", 0), ("copy", 0)}
    assert first.figure(cells[0].id, "score") is not None and first.figure(cells[0].id, "novelty") is None
    assert first.sets["mix", 0]["diversity"] == {
        "value": None,
        "n": 4,
        "extractor": "a judge",
        "reason": "too few",
    }

    again, measured = scoring.score_cells(comparison, some, run)
    assert measured == 0 and again == first and card.pictures == 8
    monkeypatch.setattr(scoring, "scoring_code", lambda host: "another code")
    assert scoring.score_cells(comparison, some, run) == (first, 1)
    assert card.pictures == 16


def test_only_pictures_that_are_new_are_measured(
    made: tuple[Comparison, list[Cell], Path], card: Card
) -> None:
    comparison, cells, run = made
    scoring.score_cells(comparison, records(comparison.cells["mix"], run), run)
    assert (card.pictures, card.sets) == (4, 1)
    scoring.score_cells(comparison, records(cells, run), run)
    assert (card.pictures, card.sets) == (8, 2)


def test_parents_that_cannot_be_measured_cost_their_own_figures_only(
    made: tuple[Comparison, list[Cell], Path], card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison, cells, run = made

    def refuse(parents: Any) -> str:
        raise DataError("these parents\nare one and the same")

    monkeypatch.setattr(card, "prepare", refuse)
    scores, _ = scoring.score_cells(comparison, records(cells, run), run)
    assert scores.figure(cells[0].id, "score") is None
    assert scores.cells[cells[0].id]["score"]["reason"] == r"these parents\nare one and the same"


def test_data_that_change_are_other_data(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"one")
    nested = {
        "members": [{"source": {"name": "folder", "options": {"root": str(tmp_path)}}}],
        "frame": "eyes",
    }
    before = data_identity("mixture", nested)
    assert data_identity("mixture", nested) == before
    (tmp_path / "cat" / "2.png").write_bytes(b"two")
    assert data_identity("mixture", nested) != before
