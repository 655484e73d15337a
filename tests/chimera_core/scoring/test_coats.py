"""What a judge's textures say of an animal's coat."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.records import Level
from chimera_core.scoring.figures.coats import Coats, CoatScale
from chimera_core.scoring.judge.judge import Judge


class Pixels(FeatureEncoder):
    """Gives the pixels themselves as two levels, the second too coarse for coats."""

    levels = (Level("fine", 3, 1), Level("coarse", 3, 32))

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        assert list(levels) == [0]
        return [x]


JUDGE = Judge("pixels", Pixels(), side=32)
LEFT = torch.zeros(1, 1, 32, 32)
LEFT[..., :16] = 1


def striped(*, left: float, right: float) -> Tensor:
    """Draw black and grey stripes in both halves, (1, 3, 32, 32)."""
    image = torch.zeros(1, 3, 32, 32)
    image[..., ::2, :16], image[..., ::2, 16:] = left, right
    return image


def test_textures_are_mean_and_spread_within_the_outline() -> None:
    found = JUDGE.coats(striped(left=0.8, right=0.2), LEFT)
    assert JUDGE.coat_sizes == [6] and found.shape == (1, 6)
    assert found[0].tolist() == pytest.approx([0.4] * 6, abs=2e-3)
    everywhere = JUDGE.coats(striped(left=0.8, right=0.8))
    assert everywhere[0].tolist() == pytest.approx([0.4] * 6, abs=1e-5)


def test_a_coat_is_0_for_the_other_parents_and_1_for_its_own() -> None:
    parents = torch.cat([striped(left=0.9, right=0.5), striped(left=0.1, right=0.5).flip(3)])
    masks = torch.cat([LEFT, LEFT.flip(3)])
    scale = CoatScale(torch.full((6,), 0.2), torch.ones(6))
    coats = Coats.fit(JUDGE, scale, parents, masks)
    own = coats.of(JUDGE, parents, torch.tensor([0, 1]))
    torch.testing.assert_close(own, torch.eye(2), atol=1e-3, rtol=0)
    # The body of the first in the coat of the second; the ground does not matter.
    dressed = striped(left=0.1, right=0.9)
    worn = coats.of(JUDGE, dressed, torch.tensor([0]))[0]
    assert worn.tolist() == pytest.approx([0, 1], abs=1e-3)


def test_a_scale_knows_how_animals_vary() -> None:
    textures = torch.tensor([[0.0, 5.0], [2.0, 5.0]])
    scale = CoatScale.fit(textures)
    assert scale.mean.tolist() == [1, 5]
    (found,) = scale.by_level(torch.tensor([[3.0, 5.0]]), [2])
    assert found[0].tolist() == pytest.approx([1, 0])
