"""Strengths out of viewers' rankings, and tables of the documentation that are drawn, not typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

RESEARCH = Path(__file__).parents[2] / "research"


def test_strengths_are_found_again() -> None:
    from ranking.strengths import intervals_of, strengths_of

    true = np.array([1.5, 0.5, -0.5, -1.5])
    chance = 1 / (1 + np.exp(true[None, :] - true[:, None]))
    wins = np.random.default_rng(0).binomial(30, np.broadcast_to(chance, (60, 4, 4))).astype(float)
    for wins_of_pair in wins:
        lower = np.tril_indices(4, -1)
        wins_of_pair[lower] = 30 - wins_of_pair.T[lower]
        np.fill_diagonal(wins_of_pair, 0)
    found = strengths_of(wins.sum(0))
    low, high = intervals_of(wins)
    assert np.abs(found - true).max() < 0.15
    assert ((low < found) & (found < high)).all()


def test_a_fuser_that_made_nothing_is_last_and_two_of_them_tie() -> None:
    from ranking.strengths import wins_of

    (wins,) = wins_of([[["a", "b"], ["b", "a"]]], ["a", "b", "none", "nothing"])
    assert wins[0, 1] == wins[1, 0] == 1
    assert wins[0, 2] == wins[1, 3] == 2 and wins[2, 0] == 0
    assert wins[2, 3] == wins[3, 2] == 1
    assert not wins.diagonal().any()


def test_a_difference_shows_only_where_most_pairs_of_parents_agree() -> None:
    from ranking.strengths import differences_of, wins_of

    orders = [[["a", "b", "c"], ["b", "a", "c"]]] * 20
    scores = np.random.default_rng(0).uniform(size=(20, 1)) + np.array([[0.1, 0.1, 0.0]])
    a_b, a_c, b_c = differences_of(["a", "b", "c"], wins_of(orders, ["a", "b", "c"]), scores)
    assert (a_b.choices, a_b.p_choices, a_b.p_score) == (0.5, 1, 1)
    assert a_c.choices == b_c.choices == 1 and max(a_c.p_choices, b_c.p_choices) < 0.001
    assert a_c.score == pytest.approx(0.1) and a_c.p_score < 0.001


def test_what_stands_between_the_marks_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import redraw

    (tmp_path / "ranking").mkdir()
    tables = tmp_path / "ranking" / "tables.py"
    tables.write_text("TABLES = {'one': lambda: '| 1 |'}\n")
    monkeypatch.setattr(redraw, "RESEARCH", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- drawn: ranking/one -->\n| typed |\n<!-- /drawn -->\nafter\n")
    ((path, text),) = redraw.redrawn(tmp_path)
    assert path == page
    assert text == "before\n<!-- drawn: ranking/one -->\n\n| 1 |\n\n<!-- /drawn -->\nafter\n"
    page.write_text(text)
    assert list(redraw.redrawn(tmp_path)) == []


def test_no_table_of_the_documentation_was_typed_over() -> None:
    import redraw

    assert [str(path) for path, _ in redraw.redrawn(redraw.DOCS)] == []


def test_an_order_says_which_of_each_two_creatures_is_better(tmp_path: Path) -> None:
    from ranking.viewers import write_choices

    cells = [{"tuple": "p", "fuser": name, "id": f"cell-{name}"} for name in ("parts", "coat", "copy")]
    (tmp_path / "comparison.json").write_text(json.dumps({"tuples": [{"id": "p"}], "cells": cells}))
    (tmp_path / "key.json").write_text(json.dumps({"1": {"A": "copy", "B": "parts"}}))  # the coat was refused
    (tmp_path / "viewer-1.json").write_text(json.dumps({"1": "BA"}))
    (tmp_path / "viewer-2.json").write_text(json.dumps({"1": "AB"}))
    write_choices(tmp_path, tmp_path, tmp_path / "choices.csv")
    (row,) = csv.DictReader((tmp_path / "choices.csv").open())
    assert row == {
        "parents": "0", "x": "copy", "y": "parts", "cell_x": "cell-copy", "cell_y": "cell-parts", "viewer-1": "Y", "viewer-2": "X",
    }  # fmt: skip


def test_agreement_counts_choices_for_the_higher_score_and_half_of_ties() -> None:
    from ranking.formulas import agreement_of

    wins = np.array([[[0, 2, 3], [1, 0, 3], [0, 0, 0]]], float)
    assert agreement_of(wins, np.array([[0.5, 0.4, 0.1]])).tolist() == [[8, 9]]
    assert agreement_of(wins, np.array([[0.1, 0.4, 0.1]])).tolist() == [[1 + 3 + 1.5, 9]]
