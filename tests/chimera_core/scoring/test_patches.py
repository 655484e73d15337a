"""A distance between single pictures, by their patches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.records import Level
from chimera_core.scoring.figures.patches import patch_distances
from chimera_core.scoring.judge.judge import Judge


class Pixels(FeatureEncoder):
    """Gives every fourth pixel as its only level."""

    levels: Sequence[Level] = (Level("every fourth", 3, 4),)

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        return [x[:, :, ::4, ::4]]


class Blind(Pixels):
    levels = ()


def noise(seed: int, *, mean: float, spread: float, side: int = 256) -> Tensor:
    drawn = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return mean + spread * drawn


def test_it_is_the_distance_of_two_gaussians() -> None:
    judge = Judge("pixels", Pixels(), side=256)
    found = patch_distances(judge, noise(0, mean=0.4, spread=0.05), noise(1, mean=0.6, spread=0.15))
    assert found is not None
    # Independent channels: 3 (0.2^2 + (0.15 - 0.05)^2).
    assert float(found[0, 0]) == pytest.approx(3 * (0.04 + 0.01), rel=0.03)


def test_a_picture_is_at_0_from_itself_and_places_do_not_matter() -> None:
    judge = Judge("pixels", Pixels(), side=64)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    found = patch_distances(judge, image, torch.cat([image, image.roll(16, 3), 1 - image / 2]))
    assert found is not None and found.shape == (1, 3)
    assert float(found[0, :2].max()) < 1e-6 < float(found[0, 2])


def test_a_judge_without_a_level_or_with_too_few_places_says_nothing() -> None:
    image = torch.rand(1, 3, 64, 64)
    assert patch_distances(Judge("blind", Blind()), image, image) is None
    assert patch_distances(Judge("pixels", Pixels(), side=8), image, image) is None
