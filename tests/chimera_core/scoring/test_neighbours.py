"""Precision and recall equal a brute-force reference; what they mean at the ends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chimera_core.errors import ChimeraError
from chimera_core.scoring.sets import neighbours
from chimera_core.scoring.sets.neighbours import precision_recall


def cloud(n: int, *, seed: int = 0, shift: float = 0.0) -> Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed)) + shift


def brute_force(real: Tensor, fake: Tensor, k: int) -> tuple[float, float]:
    """The paper's equations, image by image."""

    def covered(points: list[Tensor], centres: list[Tensor]) -> float:
        radii = [sorted(float((c - o).norm()) for o in centres)[k] for c in centres]
        inside = [
            any(float((p - c).norm()) <= r for c, r in zip(centres, radii, strict=True)) for p in points
        ]
        return sum(inside) / len(inside)

    x, y = list(real.double()), list(fake.double())
    return covered(y, x), covered(x, y)


@pytest.mark.parametrize("k", [1, 3])
def test_they_equal_brute_force(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = cloud(70), cloud(50, seed=1, shift=0.8)
    found = precision_recall(real, fake, k=k)
    assert (found.precision, found.recall) == pytest.approx(brute_force(real, fake, k), abs=1e-12)
    assert 0.1 < found.precision < 0.9 and found.recall < 0.9
    monkeypatch.setattr(neighbours, "_ROWS", 9)
    assert precision_recall(real, fake, k=k) == found


def test_far_from_the_origin_nothing_changes() -> None:
    # In float32 |x|^2 + |y|^2 - 2xy would lose everything at 10,000.
    real, fake = cloud(70), cloud(50, seed=1, shift=0.8)
    assert precision_recall(real + 1e4, fake + 1e4).precision == pytest.approx(
        precision_recall(real, fake).precision, abs=0.05
    )


def test_ends() -> None:
    real = cloud(30)
    same, far = precision_recall(real, real.clone()), precision_recall(real, real + 100)
    assert (same.precision, same.recall) == (1, 1)
    assert (far.precision, far.recall) == (0, 0)
    one_point = real[:1] + 0.001 * cloud(30, seed=2)  # a collapsed generator: real, and nothing else
    found = precision_recall(real, one_point)
    assert found.precision == 1 and found.recall <= 1 / 30


def test_twins_are_neighbours() -> None:
    points = torch.tensor([[0.0], [0.0], [3.0], [4.0]])
    assert neighbours.neighbour_radii(points, k=1).tolist() == [0, 0, 1, 1]
    assert neighbours.neighbour_radii(points, k=2).tolist() == [9, 9, 9, 16]


@pytest.mark.parametrize(
    ("real", "k", "message"),
    [
        (cloud(3), 3, "3 images have no 3 neighbours"),
        (cloud(9), 0, "1 or more"),
        (cloud(9)[:, :4], 3, r"\(9, 4\) and \(9, 5\)"),
        (cloud(9).log(), 3, "not finite"),
    ],
)
def test_what_gives_no_shares_is_refused(real: Tensor, k: int, message: str) -> None:
    with pytest.raises(ChimeraError, match=message):
        precision_recall(real, cloud(9), k=k)


def test_they_equal_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_prc", reason="torch-fidelity is not installed")
    real, fake = cloud(200), cloud(150, seed=1, shift=0.5)
    theirs_value = theirs.prc_features_to_metric(fake, real, prc_neighborhood=3, verbose=False)
    found = precision_recall(real, fake, k=3)
    assert found.precision == pytest.approx(theirs_value["precision"], abs=1e-6)
    assert found.recall == pytest.approx(theirs_value["recall"], abs=1e-6)
