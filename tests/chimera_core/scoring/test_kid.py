"""Kernel distance: hand-computed values, laws, and torch-fidelity's numbers where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from chimera_core.errors import ChimeraError
from chimera_core.scoring.sets import kid
from chimera_core.scoring.sets.kid import INCEPTION, kernel_distance, squared_mmd


def cloud(n: int, dimensions: int = 12, *, seed: int = 0, shift: float = 0.0) -> Tensor:
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed)) + shift


def test_it_is_what_a_hand_computes() -> None:
    # D = 1: k(0, 1) = k(2, 0) = 1; across 1, 1, 27, 1: 1 + 1 - 2 * 30 / 4.
    assert squared_mmd(torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [0.0]])) == -13
    # D = 2: within (2/2 + 1)^3 = 8 and (6/2 + 1)^3 = 64; across 8, 27, 1, 8: 8 + 64 - 2 * 44 / 4.
    x, y = torch.tensor([[1.0, 1], [2, 0]]), torch.tensor([[0.0, 2], [1, 3]])
    assert squared_mmd(x, y) == 50
    # Sets of different sizes; D = 1: within x k(1,1) = 8, 8, 8; within y k(0,1) = 1; across 1, 8 thrice.
    assert squared_mmd(torch.ones(3, 1), torch.tensor([[0.0], [1.0]])) == pytest.approx(8 + 1 - 9)


def test_blocks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = cloud(50), cloud(40, seed=1)
    whole = squared_mmd(x, y)
    monkeypatch.setattr(kid, "_ROWS", 7)
    assert squared_mmd(x, y) == pytest.approx(whole, rel=1e-12)


def test_order_of_sets_and_images_does_not_matter() -> None:
    x, y = cloud(30), cloud(20, seed=1, shift=0.5)
    assert squared_mmd(x, y) == pytest.approx(squared_mmd(y, x), rel=1e-12)
    assert squared_mmd(x.flip(0), y) == pytest.approx(squared_mmd(x, y), rel=1e-12)


def test_it_is_unbiased_where_the_sets_are_of_one_kind() -> None:
    found = [squared_mmd(cloud(20, seed=2 * k), cloud(20, seed=2 * k + 1)) for k in range(200)]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert min(found) < 0  # a biased estimate never is
    assert squared_mmd(cloud(20), cloud(20, seed=1, shift=0.5)) > 10 * error


def test_sums_are_taken_in_float64() -> None:
    # In float32 the kernel's values near 1e9 have steps of 64.
    x, y = 1000 + cloud(8, 1), 1000 + cloud(8, 1, seed=1)
    a, b = x.double().flatten().tolist(), y.double().flatten().tolist()
    exact = (
        sum((p * q + 1) ** 3 for i, p in enumerate(a) for j, q in enumerate(a) if i != j) / 56
        + sum((p * q + 1) ** 3 for i, p in enumerate(b) for j, q in enumerate(b) if i != j) / 56
        - 2 * sum((p * q + 1) ** 3 for p in a for q in b) / 64
    )
    assert squared_mmd(x, y) == pytest.approx(exact, rel=1e-6)


def test_float32_products_serve_where_features_are_short() -> None:
    x, y = 0.5 * cloud(400, 256), 0.5 * cloud(300, 256, seed=1, shift=0.1)
    assert kid._squared_mmd(x, y)[1] is False and kid._squared_mmd(x.double(), y)[1] is True
    assert squared_mmd(x, y) == pytest.approx(squared_mmd(x.double(), y.double()), abs=1e-6, rel=1e-4)


def test_float32_products_serve_where_the_distance_is_large() -> None:
    x, near, far = 2 * cloud(400, 256), 2 * cloud(300, 256, seed=1), 2 * cloud(300, 256, seed=1, shift=1.0)
    assert kid._squared_mmd(x, far)[1] is False
    assert squared_mmd(x, far) == pytest.approx(squared_mmd(x.double(), far.double()), rel=1e-4)
    assert kid._squared_mmd(x, near)[1] is True  # their error could pass both bounds there
    assert squared_mmd(x, near) == squared_mmd(x.double(), near.double())


def test_subsets_are_seeded_and_summed_up() -> None:
    x, y = cloud(60), cloud(50, seed=1, shift=0.3)
    found = kernel_distance(x, y, extractor="judge", subsets=5, subset_size=20, seed=3)
    draws = np.random.RandomState(3)
    values = []
    for _ in range(5):
        first = draws.choice(60, 20, replace=False)
        values.append(squared_mmd(x[first], y[draws.choice(50, 20, replace=False)]))
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert found.std == pytest.approx(np.std(values), rel=1e-12)
    assert found == kernel_distance(x, y, extractor="judge", subsets=5, subset_size=20, seed=3)
    assert found.mean != kernel_distance(x, y, extractor="judge", subsets=5, subset_size=20, seed=4).mean


def test_only_inception_makes_it_kid() -> None:
    x, y = cloud(4), cloud(4, seed=1)
    named = [
        kernel_distance(x, y, extractor=e, subsets=1, subset_size=2).name for e in (INCEPTION, "timm/lite2")
    ]
    assert named == ["KID", "KID[timm/lite2]"]


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (cloud(5, 3), cloud(5, 4), {}, r"\(5, 3\) and \(5, 4\)"),
        (cloud(5).flatten(), cloud(5), {}, r"pass \(n, D\) and \(m, D\)"),
        (cloud(5), cloud(4), {"subset_size": 5}, r"subset of 5 images is more than there are \(5 and 4\)"),
        (cloud(5), cloud(5), {"subset_size": 1}, "of 2 images or more"),
        (cloud(5), cloud(5), {"subsets": 0, "subset_size": 3}, "draw 1 or more"),
        (cloud(5), cloud(5).log(), {"subset_size": 3}, "of the second set are not finite"),
    ],
)
def test_what_gives_no_distance_is_refused(x: Tensor, y: Tensor, options: dict, message: str) -> None:
    with pytest.raises(ChimeraError, match=message) as caught:
        kernel_distance(x, y, extractor="judge", **options)
    assert "\n" not in str(caught.value)


def test_it_equals_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_kid", reason="torch-fidelity is not installed")
    x, y = cloud(300, 64).relu(), cloud(250, 64, seed=1, shift=0.1).relu()
    for features, tolerance in (
        ((x.double(), y.double()), 1e-10),
        ((x, y), 1e-6),
    ):  # it computes in their dtype
        found = kernel_distance(*features, extractor="judge", subsets=7, subset_size=100)
        theirs_value = theirs.kid_features_to_metric(
            *features,
            kid_subsets=7,
            kid_subset_size=100,
            kid_degree=3,
            kid_gamma=None,
            kid_coef0=1,
            rng_seed=2020,
            verbose=False,
        )
        assert found.mean == pytest.approx(
            theirs_value["kernel_inception_distance_mean"], abs=tolerance, rel=0
        )
        assert found.std == pytest.approx(theirs_value["kernel_inception_distance_std"], abs=tolerance, rel=0)
