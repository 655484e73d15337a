"""What an axis does to a fuser, over pairs of parents and trainings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chimera_core.compare.figures.axes import axis_effects
from chimera_core.statistics import estimate, estimate_crossed


def entry(table: str, **axes: Any) -> Any:
    name = "/".join([table, *(f"{k}={v}" for k, v in axes.items())])
    return SimpleNamespace(id=name, table=table, axes={k.replace("_", "."): v for k, v in axes.items()})


def test_values_are_compared_over_all_other_axes_and_trainings_are_no_axis() -> None:
    entries = [
        entry("gan", encoder=e, size=s, train_seed=t)
        for e in ("plain", "robust")
        for s in (1, 2)
        for t in (0, 1)
    ]
    rng = np.random.default_rng(0)
    base = {t: float(v) for t, v in enumerate(rng.random(8))}

    def means(fuser: str) -> dict[int, float]:
        step = 0.3 * ("robust" in fuser) + 0.1 * ("train_seed=1" in fuser)
        return {t: v + step for t, v in base.items()}

    encoder, size = axis_effects(entries, means, metric="score")
    assert (encoder.table, encoder.axis, encoder.trainings) == ("gan", "encoder", 2)
    plain, robust = encoder.values
    mean = float(np.mean(list(base.values())))
    assert plain.value == "plain" and plain.difference is None
    assert plain.by_training == pytest.approx([mean, mean + 0.1])
    assert robust.mean == pytest.approx(mean + 0.35)
    # Paired: all differences are alike, so there is no doubt however much the pairs differ.
    assert [robust.difference, robust.difference_low, robust.difference_high] == pytest.approx([0.3] * 3)
    assert robust.p == robust.p_holm == pytest.approx(2 / 2**8)
    assert size.axis == "size" and size.values[1].difference == pytest.approx(0, abs=1e-12)
    assert size.values[1].p == 1


def test_an_axis_without_two_measured_values_and_a_table_without_axes_are_left_out() -> None:
    entries = [entry("a", encoder="x"), entry("a", encoder="y"), entry("b")]
    measured = {"a/encoder=x": {0: 0.5}}
    assert axis_effects(entries, lambda f: measured.get(f, {}), metric="score") == []
    measured["a/encoder=y"] = {1: 0.5}  # other parents: nothing is shared
    (found,) = axis_effects(entries, lambda f: measured.get(f, {}), metric="score")
    assert found.values[1].difference is None and found.values[1].p == 1


def test_an_interval_of_several_trainings_is_wider_than_one_that_knows_only_pairs() -> None:
    rng = np.random.default_rng(1)
    table = rng.normal(0, 0.1, (12, 1)) + rng.normal(0, 1.0, (1, 5))
    crossed, pairs = estimate_crossed(table), estimate(table.mean(1).tolist())
    assert crossed.mean == pytest.approx(pairs.mean)
    assert (
        crossed.low is not None
        and crossed.high is not None
        and pairs.low is not None
        and pairs.high is not None
    )
    assert crossed.high - crossed.low > 3 * (pairs.high - pairs.low)


def test_one_training_is_the_plain_interval_and_gaps_are_left_out() -> None:
    values = np.array([[0.1], [0.4], [0.2], [0.9], [np.nan], [0.5]])
    assert estimate_crossed(values) == estimate([0.1, 0.4, 0.2, 0.9, 0.5])
    assert estimate_crossed(np.hstack([values, np.full((6, 1), np.nan)])) == estimate(
        [0.1, 0.4, 0.2, 0.9, 0.5]
    )
    assert estimate_crossed(np.ones((4, 3))).low is None
    with pytest.raises(ValueError, match="nothing to estimate"):
        estimate_crossed(np.full((5, 2), np.nan))
