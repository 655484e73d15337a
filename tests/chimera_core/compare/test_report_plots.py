"""Where points, labels and curves of a report lie, and how its numbers are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_core.report.formatting import (
    compact,
    counted,
    escape_markdown,
    fenced,
    listed,
    show,
    show_seconds,
)
from chimera_core.report.plots import positions, score_by_cost, scores_by_share
from chimera_core.report.record import ComparisonRecord
from chimera_core.report.words import headline


def comparison(*scored: tuple[str, float | None, float | None], **more: Any) -> ComparisonRecord:
    """Fusers as (name, mean score, seconds per image), each with an interval of 0.1 around its score."""
    ranking = [
        {"fuser": name, "rank": rank, "mean": mean, "low": mean and mean - 0.1, "high": mean and mean + 0.1}
        for rank, (name, mean, _) in enumerate(scored, 1)
    ]
    fusers = [
        {
            "id": name,
            "label": name,
            "fuser": name,
            "cost": {"seconds_per_image": cost},
            "is_control": name == "copy",
        }
        for name, _, cost in scored
    ]
    parents = [{"id": 0, "labels": ["a", "b"]}]
    base = {"name": "n", "size": 8, "seeds": [0], "weights": [], "cells": [], "tuples": parents}
    return ComparisonRecord.model_validate({**base, "fusers": fusers, "ranking": ranking, **more})


def test_score_by_cost_has_a_decade_as_wide_as_any_other_and_dear_to_the_right() -> None:
    plot = score_by_cost(
        comparison(("a", 0.5, 10.0), ("b", 0.4, 1.0), ("c", 0.3, 0.1)), width=400, height=300
    )
    assert plot is not None
    xs = [point.spot.x for point in plot.points]
    assert xs[0] - xs[1] == pytest.approx(xs[1] - xs[2]) and xs[0] > xs[2]
    assert [tick.text for tick in plot.x_ticks] == ["100 ms", "1 s", "10 s"]
    assert [tick.at for tick in plot.x_ticks] == pytest.approx([xs[2], xs[1], xs[0]])
    ys = [point.spot.y for point in plot.points]
    # 0 to 0.6 in steps of 0.1 on 300 - 16 - 44 = 240 units: 40 units a step, from the bottom at 256.
    assert ys == pytest.approx([256 - 200, 256 - 160, 256 - 120])
    assert plot.points[0].spot.top == pytest.approx(256 - 240) and plot.points[
        0
    ].spot.bottom == pytest.approx(256 - 160)


def test_costs_that_are_alike_are_drawn_from_zero() -> None:
    plot = score_by_cost(comparison(("a", 0.5, 2.0), ("b", 0.4, 1.0)), width=400, height=300)
    assert plot is not None
    a, b = (point.spot.x - plot.left for point in plot.points)
    assert a == pytest.approx(2 * b)
    assert plot.x_ticks[0].text == "0 s"


def test_a_fuser_without_cost_is_named_and_one_without_score_is_left_out() -> None:
    plot = score_by_cost(
        comparison(("a", 0.5, 2.0), ("b", 0.4, None), ("c", None, 1.0)), width=400, height=300
    )
    assert plot is not None
    assert [point.description for point in plot.points] == ["a: 0.500 at 2.0 s per image"]
    assert plot.untimed == ["b"]
    assert score_by_cost(comparison(("b", 0.4, None)), width=400, height=300) is None


def test_what_takes_no_time_at_all_has_a_place() -> None:
    plot = score_by_cost(comparison(("a", 0.5, 3.0), ("copy", 0.0, 0.0)), width=400, height=300)
    assert plot is not None
    assert plot.left <= plot.points[1].spot.x < plot.points[0].spot.x <= plot.right
    assert plot.points[1].is_control and not plot.points[0].is_control


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-4, 1e4)), min_size=1, max_size=20),
    st.sampled_from([358, 1000]),
)
def test_points_stay_in_the_field_and_no_label_covers_another(
    scored: list[tuple[float, float]], width: int
) -> None:
    fusers = [(f"fuser number {i}", score, cost) for i, (score, cost) in enumerate(scored)]
    plot = score_by_cost(comparison(*fusers), width=width, height=400)
    assert plot is not None
    for point in plot.points:
        assert plot.left - 1e-6 <= point.spot.x <= plot.right + 1e-6
        assert plot.top - 1e-6 <= point.spot.y <= plot.bottom + 1e-6
    labels = [point.label for point in plot.points if point.label]
    for i, one in enumerate(labels):
        for other in labels[:i]:
            # Two lines of 12 units, and texts of 6.6 units a letter: apart in one direction at least.
            left, right = sorted((start(one), start(other)))
            assert abs(one.y - other.y) >= 12 or right - left >= 6.6 * len("fuser number 0") - 1e-6


def start(label: Any) -> float:
    wide = 6.6 * len(label.text)
    return float(label.x - {"start": 0, "middle": wide / 2, "end": wide}[label.anchor])


def test_a_perfect_sweep_lies_on_the_dashed_line() -> None:
    sweep = {
        "fuser": "a",
        "share": [0, 0.5, 1],
        "position": [0, 0.5, 1],
        "low": [0, 0.4, 1],
        "high": [0, 0.6, 1],
    }
    curves = positions(comparison(("a", 0.5, 1.0), sweeps=[sweep]))
    assert curves is not None
    (curve,) = curves.each
    ends = curves.ideal.removeprefix("M").split("L")
    assert curve.line.removeprefix("M").split("L") == [ends[0], "113 63", ends[1]]
    assert curve.band.count("L") == 5 and curve.band.endswith("Z")
    assert curve.description == "a: position 0.000 at 0 %, 0.500 at 50 %, 1.000 at 100 %"


def test_a_sweep_with_gaps_is_drawn_where_it_was_measured() -> None:
    sweep = {"fuser": "a", "share": [0, 0.5, 1], "position": [0, None, 1]}
    curves = positions(comparison(("a", 0.5, 1.0), sweeps=[sweep]))
    assert curves is not None
    assert len(curves.each[0].dots) == 2 and curves.each[0].band == ""
    nothing = {"fuser": "a", "share": [0, 1], "position": [None, None]}
    assert positions(comparison(("a", 0.5, 1.0), sweeps=[nothing])) is None


def test_scores_along_the_sweep_are_means_over_pairs_and_seeds() -> None:
    def cell(seed: int, share: float, score: float | None) -> dict[str, Any]:
        metrics = {"score": {"value": score, "reason": "none" if score is None else None}}
        known = {
            "id": f"{seed}{share}",
            "fuser": "a",
            "tuple": 0,
            "weights": [1 - share, share],
            "seed": seed,
        }
        return {**known, "status": "ok", "metrics": metrics}

    cells = [cell(0, 0, 0.2), cell(1, 0, 0.4), cell(0, 1, 0.6), cell(1, 1, None)]
    curves = scores_by_share(comparison(("a", 0.5, 1.0), cells=cells))
    assert curves is not None
    assert curves.each[0].description == "a: score 0.300 at 0 %, 0.600 at 100 %"


def test_the_headline_names_a_winner_only_where_there_is_one() -> None:
    won = comparison(("a", 0.5, 1.0), ("copy", 0.1, 1.0))
    assert headline(won) == "a ranks first, with a score of 0.500 (0.400 to 0.600)."
    control = comparison(("copy", 0.5, 1.0), ("a", 0.1, 1.0))
    assert headline(control).endswith("It is a control: no fuser has beaten it.")
    tied = won.model_copy(
        update={"ranking": [won.ranking[0].model_copy(update={"tied_with": ["copy"]}), won.ranking[1]]}
    )
    assert headline(tied).startswith("No winner: a has the best mean score")
    assert headline(tied).endswith("copy is a control.")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (0.0, "0.000"),
        (0.41249, "0.412"),
        (-0.5, "\N{MINUS SIGN}0.500"),
        (12.34, "12.3"),
        (123.4, "123"),
        (0.00012, "<0.001"),
        (-0.00012, ">\N{MINUS SIGN}0.001"),
        (-8.9e-17, "0.000"),
        (43210.0, "4.3e+04"),
    ],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0002, "under 1 ms"),
        (0.0042, "4 ms"),
        (0.9996, "1.0 s"),
        (5.44, "5.4 s"),
        (38.0, "38 s"),
        (119.6, "2 min"),
        (5400.0, "90 min"),
        (9000.0, "2.5 h"),
    ],
)
def test_times_have_the_unit_that_people_use(value: float, text: str) -> None:
    assert show_seconds(value) == text


def test_counts_and_lists_read_as_people_write_them() -> None:
    assert [counted(1, "pair"), counted(1200, "pair")] == ["1 pair", "1,200 pairs"]
    assert [compact(950), compact(3_400_000), compact(25_000_000)] == ["950", "3.4 M", "25 M"]
    assert [listed([]), listed("a"), listed("ab"), listed("abc")] == ["", "a", "a and b", "a, b and c"]
    assert listed("abcdefgh", most=3) == "a, b and 6 more"


def test_markdown_is_text_whatever_a_file_is_called() -> None:
    assert escape_markdown("[a](b)|<i>*`_\n# x") == r"\[a\](b)\|&lt;i&gt;\*\`\_\\n\# x"
    assert escape_markdown("- 3") == r"\- 3"
    block = fenced("a\n```\nb", "sh")
    assert block.splitlines()[0] == "````sh" and block.splitlines()[-1] == "````"
    assert escape_markdown(block) == block
