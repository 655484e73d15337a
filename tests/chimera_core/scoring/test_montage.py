"""What is laid or pasted together of its parents' pixels is a montage; what is drawn anew is none."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import ShapeError
from chimera_core.scoring.figures.montage import kept_pixels, montage_of

EVEN = torch.tensor([[0.5, 0.5]])


def picture(seed: int) -> Tensor:
    """Draw blobs, (3, 64, 64) in [0, 1]."""
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)[0]


def montage(image: Tensor, parents: Tensor, weights: Tensor = EVEN) -> float:
    return float(montage_of(kept_pixels(image[None], parents, weights), weights))


PARENTS = torch.stack([picture(1), picture(2)])


def test_an_overlay_and_a_collage_are_all_montage() -> None:
    assert montage(PARENTS.mean(0), PARENTS) > 0.95
    pasted = PARENTS[0].clone()
    pasted[:, :, 32:] = PARENTS[1][:, :, 32:]
    assert montage(pasted, PARENTS) > 0.85
    kept = kept_pixels(pasted[None], PARENTS, EVEN)[0]
    assert kept.tolist() == pytest.approx([0.5, 0.5], abs=0.1)


def test_a_copy_and_another_picture_are_none() -> None:
    assert montage(PARENTS[0], PARENTS) < 0.02
    assert montage(picture(3), PARENTS) < 0.02
    assert montage(torch.full((3, 64, 64), 0.5), PARENTS) == 0


def test_a_copy_in_other_colours_is_still_kept_whole() -> None:
    kept = kept_pixels((0.2 + 0.6 * PARENTS[:1]), PARENTS, EVEN)[0]
    assert kept[0] > 0.9 and kept[1] < 0.02


def test_a_montage_of_fewer_parents_than_asked_for_is_none() -> None:
    three = torch.stack([*PARENTS, picture(3)])
    weights = torch.full((1, 3), 1 / 3)
    assert montage(three.mean(0), three, weights) > 0.95
    assert montage(PARENTS.mean(0), three, weights) < 0.02
    without_third = torch.tensor([[0.5, 0.5, 0.0]])
    assert montage(PARENTS.mean(0), three, without_third) > 0.95


def test_where_one_parent_has_all_the_weight_there_is_no_montage() -> None:
    assert montage(PARENTS[0], PARENTS, torch.tensor([[1.0, 0.0]])) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_overlays_by_their_weights_are_montage_whatever_the_weights(seed: int, share: float) -> None:
    parents = torch.stack([picture(seed), picture(seed + 1)])
    weights = torch.tensor([[1 - share, share]])
    overlay = (weights[0, :, None, None, None] * parents).sum(0)
    kept = kept_pixels(overlay[None], parents, weights)
    assert bool(((kept >= 0) & (kept <= 1)).all())
    assert float(montage_of(kept, weights)) > 0.9


def test_pictures_are_told_by_themselves() -> None:
    images = torch.stack([PARENTS.mean(0), picture(3), PARENTS[0]])
    weights = EVEN.expand(3, 2)
    together = kept_pixels(images, PARENTS, weights)
    alone = torch.cat([kept_pixels(images[k : k + 1], PARENTS, EVEN) for k in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="do not fit"):
        kept_pixels(PARENTS[:, :, :32, :32], PARENTS, EVEN.expand(2, 2))
    with pytest.raises(ShapeError, match="do not fit"):
        kept_pixels(PARENTS, PARENTS, EVEN)
    with pytest.raises(ShapeError, match="at least 7 x 7 pixels"):
        kept_pixels(PARENTS[..., :6, :6], PARENTS[..., :6, :6], EVEN.expand(2, 2))
