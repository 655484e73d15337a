"""Views are seeded, do not depend on company, and keep what they should."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.scoring.views import (
    double_exposures,
    ground_of,
    nearly_whole,
    placed,
    scrambled,
    shaken,
    varied,
)

SIZE = 32


def pictures(n: int, *, seed: int = 0) -> Tensor:
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic").clamp(0, 1)


def test_views_of_a_picture_are_the_same_in_any_company() -> None:
    images = pictures(4)
    together = shaken(images, copies=8, seed=3)
    assert together.shape == (32, 3, SIZE, SIZE)
    assert together.min() >= 0 and together.max() <= 1
    assert torch.equal(shaken(images[2:3], copies=8, seed=3), together[16:24])
    assert not torch.equal(shaken(images[2:3], copies=8, seed=4), together[16:24])
    assert len({view.sum().item() for view in together[:8]}) == 8


def test_every_kind_of_view_is_seeded() -> None:
    images = pictures(5)
    for view in (varied, nearly_whole, scrambled):
        assert torch.equal(view(images, seed=1), view(images, seed=1))
        assert not torch.equal(view(images, seed=1), view(images, seed=2))


def test_a_scrambled_picture_keeps_colour_and_spectrum() -> None:
    images = 0.4 + 0.2 * pictures(3)  # far enough from the ends that nothing is clamped much
    mixed = scrambled(images, seed=0)
    assert torch.allclose(mixed.mean((2, 3)), images.mean((2, 3)), atol=0.01)
    assert torch.allclose(mixed.std((2, 3)), images.std((2, 3)), atol=0.02)
    assert (mixed - images).abs().mean() > 0.02


def test_an_animal_is_placed_on_other_grounds_and_painted_over_on_its_own() -> None:
    picture = torch.zeros(3, 64, 64)
    picture[2] = 1  # a red square on blue
    mask = torch.zeros(1, 64, 64)
    mask[:, 24:40, 24:40] = 1
    picture[:, mask[0] > 0] = torch.tensor([1.0, 0, 0])[:, None]
    ground = ground_of(picture, mask, size=SIZE)
    assert ground.shape == (1, 3, SIZE, SIZE) and ground[0, 0].max() < 0.1  # no red is left
    green = torch.tensor([0.0, 1, 0]).view(1, 3, 1, 1).expand(1, 3, SIZE, SIZE)
    views = placed(picture, mask, green, count=12, size=SIZE, seed=0)
    red = (views[:, 0] > views[:, 1]).float().mean((1, 2))
    assert views.shape == (12, 3, SIZE, SIZE)
    assert red.min() > 0.15  # of 1/16 in the picture: the animal fills the view
    assert (views[:, 1] > 0.4).any() and (views[:, 2].mean() < 0.2)  # green around it, and no blue
    empty = placed(picture, 0 * mask, green, count=2, size=SIZE, seed=0)
    assert empty[:, 1].mean() > 0.5


def test_a_double_exposure_shows_both() -> None:
    black, white = torch.zeros(20, 3, 4, 4), torch.ones(20, 3, 4, 4)
    share = double_exposures(white, black, seed=0)[:, 0, 0, 0]
    assert 0.3 <= share.min() < 0.4 and 0.6 < share.max() <= 0.7
