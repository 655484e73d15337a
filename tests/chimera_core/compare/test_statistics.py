"""What may be said of fusers: intervals over pairs of parents, paired tests, corrected p values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_core.statistics import (
    compare_paired,
    estimate,
    holm,
    kendall_tau,
    means_by_tuple,
    tied_with,
    wilcoxon_p,
    wilson_interval,
)


def test_each_tuple_counts_once_however_many_creatures_it_has() -> None:
    means = means_by_tuple([(0, 1.0), (0, 3.0), (1, 10.0)])
    assert means == {0: 2.0, 1: 10.0}
    assert estimate(means).mean == 6.0 and estimate(means).pairs == 2


def test_a_few_tuples_have_a_mean_and_no_interval() -> None:
    found = estimate([0.1, 0.2, 0.3, 0.6])
    assert (found.mean, found.low, found.high) == (pytest.approx(0.3), None, None)
    assert estimate([0.1, 0.2, 0.3, 0.6, 0.8]).low is not None


def test_tuples_that_agree_leave_no_doubt() -> None:
    found = estimate([0.25] * 5)
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("values", [[1e-300] * 12 + [0.0], [1.0] * 11 + [1 - 1e-16], [0.0] * 11 + [1e-200]])
def test_values_that_differ_by_rounding_alone_leave_no_doubt_either(values: list[float]) -> None:
    found = estimate(values)
    assert found.low == found.high == found.mean == pytest.approx(np.mean(values), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-300, 1e-40, 1e-13, 1e-9, 0.1, 0.5, 1.0]), min_size=5, max_size=12))
def test_an_interval_is_always_a_number(values: list[float]) -> None:
    found = estimate(values)
    assert found.low is not None and found.high is not None
    assert np.isfinite([found.low, found.high]).all() and found.low <= found.high


def test_an_interval_of_many_means_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = estimate(values.tolist())
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_holm_multiplies_by_what_is_left_and_never_goes_down() -> None:
    # Ordered 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.5.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_a_corrected_p_is_never_below_the_plain_one_nor_above_bonferroni(ps: list[float]) -> None:
    for plain, corrected in zip(ps, holm(ps), strict=True):
        assert plain <= corrected + 1e-12 and corrected <= min(1.0, len(ps) * max(plain, *ps))


def test_the_signed_rank_test_counts_signs_of_five_equal_ways() -> None:
    # All five differences positive: 2 of the 32 patterns of signs are as extreme.
    assert wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 / 32)
    # Ranks 1 to 4 positive, rank 5 negative: W = 5; patterns of rank sum <= 5 are 10 of 32, twice that is 20 / 32.
    assert wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4, -0.5])) == pytest.approx(20 / 32)


def test_fusers_that_do_the_same_do_not_differ() -> None:
    assert wilcoxon_p(np.zeros(6)) == 1.0
    same = {t: t / 10 for t in range(5)}
    (test,) = compare_paired({"a": same, "b": dict(same)})
    assert (test.difference, test.low, test.high, test.p_holm) == (0.0, 0.0, 0.0, 1.0)
    assert tied_with("a", [test]) == ["b"]


def test_fusers_are_compared_on_the_parents_that_both_have() -> None:
    (test,) = compare_paired({"a": {0: 0.5, 1: 0.7, 2: 100.0}, "b": {0: 0.4, 1: 0.4, 3: -100.0}})
    assert test.pairs == 2 and test.difference == pytest.approx(0.2)


def test_parents_that_differ_much_hide_no_difference_that_is_the_same_for_all() -> None:
    hard = {t: t / 10 for t in range(10)}
    easier = {t: v + 0.01 + 0.001 * (t % 3) for t, v in hard.items()}
    (test,) = compare_paired({"a": easier, "b": hard})
    assert test.low is not None and test.low > 0
    assert tied_with("a", [test]) == [] and test.p < 0.01


def test_a_few_pairs_tell_nothing_apart() -> None:
    (test,) = compare_paired({"a": dict.fromkeys(range(4), 1.0), "b": dict.fromkeys(range(4), 0.0)})
    assert tied_with("b", [test]) == ["a"]


def test_kendall_tau_counts_pairs_in_and_out_of_order() -> None:
    # Of the three pairs of (1, 2, 3) and (1, 3, 2), two agree and one does not.
    assert kendall_tau([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    assert kendall_tau([1], [2]) is None and kendall_tau([1, 1], [1, 2]) is None


# Wilson's interval by hand: centre (p + z²/2n) / (1 + z²/n), half z / (1 + z²/n) · sqrt(p(1 - p)/n + z²/4n²).
@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (5, 10, 0.2366, 0.7634), (0, 5, 0.0, 0.4345), (5, 5, 0.5655, 1.0)],
)
def test_the_interval_is_wilsons(correct: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)


def test_no_images_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(0, 0)
