"""Looks and targets, with an encoder that can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from chimera_morph.features import (
    class_distance,
    embedding_distance,
    extract_features,
    mix_targets,
    target_of,
    texture_distance,
)
from torch import Tensor

from chimera_core.api import FeatureEncoder, Level


class Colours(FeatureEncoder):
    """Its maps are the pixels and their halves; its logits the mean colours, ten times."""

    levels = (Level("pixels", 3, 1), Level("halves", 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return 10 * x.mean((2, 3))

    def embed(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        return [x if level == 0 else torch.nn.functional.avg_pool2d(x, 2) for level in levels]

    def logits_and_maps(self, x: Tensor, levels: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        return self(x), self.feature_maps(x, levels)


def half_masked(left: float, right: float) -> tuple[Tensor, Tensor]:
    views, masks = torch.full((1, 3, 4, 8), left), torch.zeros(1, 1, 4, 8)
    views[..., 4:] = right
    masks[..., :4] = 1
    return views, masks


def test_only_what_lies_under_the_mask_counts_for_embedding_and_textures() -> None:
    one, two = (extract_features(Colours(), *half_masked(0.25, right), levels=(0,)) for right in (0.0, 1.0))
    assert torch.allclose(one.embedding, torch.full((1, 3), 0.25))
    assert torch.allclose(one.textures[0][:, :3], torch.full((1, 3), 0.25))
    assert torch.equal(one.embedding, two.embedding)
    assert torch.equal(one.textures[0], two.textures[0])


def test_a_look_is_at_its_own_target() -> None:
    views = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    look = extract_features(Colours(), views, torch.ones(1, 1, 8, 8), levels=(0,))
    target = target_of(look)
    assert float(embedding_distance(look, target)) == pytest.approx(0, abs=1e-6)
    assert float(texture_distance(look, target)) == pytest.approx(0, abs=1e-6)
    entropy = -(target.classes * target.classes.log()).sum()
    assert float(class_distance(look, target)) == pytest.approx(float(target.confidence * entropy), rel=1e-5)


def test_classes_count_as_far_as_the_encoder_is_sure() -> None:
    grey = extract_features(Colours(), torch.full((1, 3, 4, 4), 0.5), torch.ones(1, 1, 4, 4), levels=())
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    sure, unsure = (
        target_of(extract_features(Colours(), red, torch.ones(1, 1, 4, 4), levels=())),
        target_of(grey),
    )
    assert sure.confidence > 0.99
    assert unsure.confidence == pytest.approx(1 / 3)
    assert float(texture_distance(grey, unsure)) == 0  # no level was asked for


def test_targets_are_mixed_by_their_shares() -> None:
    looks = [extract_features(Colours(), *half_masked(value, 0.0), levels=(0,)) for value in (0.2, 0.6)]
    one, two = map(target_of, looks)
    mixed = mix_targets([one, two], [0.25, 0.75])
    assert torch.allclose(mixed.textures[0], 0.25 * one.textures[0] + 0.75 * two.textures[0])
    assert torch.allclose(mixed.classes, 0.25 * one.classes + 0.75 * two.classes)
    assert float(mixed.classes.sum()) == pytest.approx(1)
