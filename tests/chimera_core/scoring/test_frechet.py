"""Fréchet distance: hand-computed values, streaming, and torch-fidelity's numbers where it is installed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chimera_core.errors import ChimeraError
from chimera_core.scoring.sets import frechet
from chimera_core.scoring.sets.frechet import FeatureStatistics, frechet_distance
from chimera_core.scoring.sets.kid import INCEPTION


def cloud(n: int, dimensions: int = 12, *, seed: int = 0, shift: float = 0.0) -> Tensor:
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed)) + shift


def distance(x: Tensor, y: Tensor) -> float:
    return frechet_distance(FeatureStatistics(x), FeatureStatistics(y), extractor="judge").value


def test_it_is_what_a_hand_computes() -> None:
    # D = 1: means 1 and 5, standard deviations sqrt(2) and sqrt(8) = 2 sqrt(2): 16 + (sqrt(2))^2.
    assert distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]])) == pytest.approx(18)
    # Independent axes add up: variances 2, 8 and 32, 2 at the same mean: (sqrt 32 - sqrt 2)^2 + (sqrt 2 - sqrt 8)^2.
    x = torch.tensor([[1.0, 2.0], [-1, -2], [1, -2], [-1, 2]]) * (3 / 2) ** 0.5
    y = torch.tensor([[4.0, 1.0], [-4, -1], [4, -1], [-4, 1]]) * (3 / 2) ** 0.5
    assert distance(x, y) == pytest.approx(18 + 2, rel=1e-6)


def test_a_set_is_at_zero_from_itself_and_order_does_not_matter() -> None:
    x, y = cloud(60), cloud(40, seed=1, shift=0.5)
    assert distance(x, x.flip(0)) == pytest.approx(0, abs=1e-9)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-9)


def test_a_turn_of_both_sets_changes_nothing() -> None:
    turn, _ = torch.linalg.qr(cloud(12, seed=5).double())
    x, y = cloud(60).double(), cloud(50, seed=1, shift=0.3).double()
    assert distance(x @ turn, y @ turn) == pytest.approx(distance(x, y), rel=1e-9)


def test_statistics_stream() -> None:
    features = cloud(1300, shift=1000.0).double()
    whole, streamed = FeatureStatistics(features), FeatureStatistics(features.split(7))
    assert streamed.n == whole.n == 1300
    assert torch.allclose(streamed.mean, features.mean(0), rtol=1e-12)
    assert torch.allclose(streamed.covariance, features.T.cov(), rtol=1e-8)
    assert torch.allclose(streamed.covariance, whole.covariance, rtol=1e-10)


def test_fewer_images_than_features_still_give_a_distance() -> None:
    # Covariances without full rank; brute force by the eigenvalues of the product.
    x, y = cloud(8).double(), cloud(9, seed=1, shift=0.5).double()
    product = torch.linalg.eigvals(x.T.cov() @ y.T.cov()).real.clamp(min=0)
    expected = (x.mean(0) - y.mean(0)).square().sum() + x.T.cov().trace() + y.T.cov().trace()
    assert distance(x, y) == pytest.approx(float(expected - 2 * product.sqrt().sum()), rel=1e-6)


def test_only_inception_makes_it_fid() -> None:
    sides = FeatureStatistics(cloud(4)), FeatureStatistics(cloud(4, seed=1))
    named = [frechet_distance(*sides, extractor=e).name for e in (INCEPTION, "lite2")]
    assert named == ["FID", "FD[lite2]"]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (cloud(5, 3), cloud(5, 4), "3 and 4 features"),
        (cloud(1), cloud(5), "1 images have no covariance"),
        (cloud(0), cloud(5), "0 images have no covariance"),
        (cloud(5).flatten(), cloud(5), r"pass \(n, D\)"),
        (cloud(5).log(), cloud(5), "not finite"),
    ],
)
def test_what_gives_no_distance_is_refused(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ChimeraError, match=message) as caught:
        distance(x, y)
    assert "\n" not in str(caught.value)


def test_it_equals_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_fid", reason="torch-fidelity is not installed")
    x, y = cloud(300, 64).relu(), cloud(250, 64, seed=1, shift=0.1).relu()
    sides = (theirs.fid_features_to_statistics(features.double()) for features in (x, y))
    (theirs_value,) = theirs.fid_statistics_to_metric(*sides, verbose=False).values()
    assert distance(x, y) == pytest.approx(theirs_value, rel=1e-7)
    assert frechet._ROWS > 300  # in one block; several are tested above
