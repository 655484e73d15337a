"""The mathematics of style transfer, by hand-computed values and laws."""

from __future__ import annotations

import pytest
import torch
from chimera_style.gram import content_loss, gram_loss, masked_gram, mix_grams, total_variation


def test_gram_of_two_pixels_by_hand() -> None:
    features = torch.tensor([[1.0, 3.0], [2.0, 4.0]]).view(1, 2, 1, 2)
    gram = masked_gram(features, torch.ones(1, 1, 2))
    assert gram.tolist() == [[5.0, 7.0], [7.0, 10.0]]  # (1 + 9)/2, (2 + 12)/2, (4 + 16)/2


def test_what_lies_outside_the_mask_does_not_count() -> None:
    features = torch.rand(1, 4, 6, 8)
    mask = torch.zeros(1, 6, 8)
    mask[:, :, :4] = 1
    changed = features.clone()
    changed[..., 4:] = 99.0
    assert torch.equal(masked_gram(features, mask), masked_gram(changed, mask))


def test_gram_does_not_grow_with_the_area() -> None:
    features = torch.rand(1, 4, 6, 8)
    twice = torch.cat([features, features], -1)
    assert torch.allclose(
        masked_gram(features, torch.ones(1, 6, 8)), masked_gram(twice, torch.ones(1, 6, 16))
    )


def test_gram_loss_is_zero_at_the_target_and_one_at_nothing() -> None:
    target = [torch.rand(3, 3), torch.rand(5, 5)]
    assert float(gram_loss(target, target)) == 0
    assert float(gram_loss([torch.zeros(3, 3), torch.zeros(5, 5)], target)) == pytest.approx(1)


def test_mixed_grams_are_the_weighted_mean() -> None:
    (mixed,) = mix_grams([[torch.full((2, 2), 4.0)], [torch.full((2, 2), 8.0)]], [0.25, 0.75])
    assert mixed.tolist() == [[7.0, 7.0], [7.0, 7.0]]


def test_content_loss_is_relative_to_the_layouts_energy() -> None:
    target = torch.rand(1, 4, 6, 8)
    mask = torch.ones(1, 6, 8)
    assert float(content_loss(target, target, mask)) == 0
    assert float(content_loss(3 * target, target, mask)) == pytest.approx(4)


def test_total_variation_of_a_step_by_hand() -> None:
    image = torch.zeros(3, 2, 4)
    image[..., 2:] = 1
    assert float(total_variation(image)) == pytest.approx(1 / 3)  # one of three horizontal steps is 1
