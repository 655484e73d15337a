"""Jittered views, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from chimera_morph.views import _PADDING, Jitter, _padded, _phases, _shear, _Turning, views_of

STILL = Jitter(rotation=0, zoom=1, shift=0, mirror=False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(20, 24), (27, 23)])
def test_without_jitter_a_view_is_the_canvas_reflected_at_its_border(shape: tuple[int, int]) -> None:
    canvas = torch.rand(3, *shape, generator=generator())
    borders = [_padded(side) - side for side in shape[::-1]]
    around = [width for border in borders for width in (border // 2, border - border // 2)]
    expected = torch.nn.functional.pad(canvas[None], around, mode="reflect")
    assert torch.allclose(views_of(canvas, 2, STILL, generator()), expected.expand(2, -1, -1, -1), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (8, 40)])
def test_a_canvas_smaller_than_the_border_is_reflected_again_and_again(shape: tuple[int, int]) -> None:
    views = views_of(torch.rand(3, *shape), 2, Jitter(10, 1.2, 0.1), generator())
    assert views.shape == (2, 3, _padded(shape[0]), _padded(shape[1]))
    assert torch.isfinite(views).all()


@pytest.mark.parametrize("side", [1, 175, 224, 350, 485])
def test_sides_of_views_are_quick_to_transform_and_little_larger_than_the_canvas_and_its_border(
    side: int,
) -> None:
    padded = _padded(side)
    assert side + 2 * _PADDING <= padded <= 1.06 * (side + 2 * _PADDING) + 3
    rest = padded // 4
    assert 4 * rest == padded
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    assert rest == 1


def test_mirrored_views_are_mirrored() -> None:
    canvas = torch.rand(1, 20, 24, generator=generator())
    still = views_of(canvas, 1, STILL, generator())[0]
    views = views_of(canvas, 16, Jitter(0, 1, 0), generator())
    mirrored = [torch.allclose(view, still.flip(-1), atol=1e-5) for view in views]
    assert 0 < sum(mirrored) < 16
    assert all(m or torch.allclose(view, still, atol=1e-5) for m, view in zip(mirrored, views, strict=True))


def test_a_zoomed_view_shows_a_disc_larger_or_smaller() -> None:
    y, x = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(64) - 31.5, indexing="ij")
    disc = (y.square() + x.square() < 10**2).float()[None]
    areas = views_of(disc, 32, Jitter(0, 1.25, 0), generator()).sum((1, 2, 3)) / disc.sum()
    assert 1 / 1.25**2 - 0.05 < float(areas.min()) < 0.9
    assert 1.2 < float(areas.max()) < 1.25**2 + 0.05


def test_three_shears_turn_by_the_angle() -> None:
    y, x = torch.meshgrid(torch.arange(65) - 32.0, torch.arange(65) - 32.0, indexing="ij")
    blob = torch.exp(-((x - 15).square() + y.square()) / 18)[None, None]  # right of the middle
    turned = _Turning(torch.tensor([math.radians(30)]), (65, 65))(blob)[0, 0]
    row, column = divmod(int(turned.argmax()), 65)
    assert math.hypot(row - 32, column - 32) == pytest.approx(15, abs=1)
    assert abs(math.degrees(math.atan2(row - 32, column - 32))) == pytest.approx(30, abs=3)


def test_the_same_seed_gives_the_same_views_and_each_view_its_own() -> None:
    canvas, jitter = torch.rand(3, 16, 16), Jitter(10, 1.2, 0.1)
    one, two = (views_of(canvas, 2, jitter, generator(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.allclose(one[0], one[1], atol=1e-2)


def test_channels_beside_are_seen_from_the_same_positions_and_take_no_gradient() -> None:
    canvas, beside = torch.rand(4, 20, 24, generator=generator()).split([3, 1])
    canvas, beside = canvas.clone().requires_grad_(), beside.clone().requires_grad_()
    jitter = Jitter(10, 1.2, 0.1)
    views = views_of(canvas, 3, jitter, generator(5), beside=beside)
    assert torch.allclose(views, views_of(torch.cat([canvas, beside]), 3, jitter, generator(5)), atol=1e-5)
    views.sum().backward()
    assert canvas.grad is not None
    assert beside.grad is None


@pytest.mark.parametrize("width", [6, 7])
def test_the_gradient_of_a_shear_is_the_true_one(width: int) -> None:
    views = torch.rand(2, 1, 5, width, generator=generator(), dtype=torch.float64).requires_grad_()
    phases = _phases(torch.tensor([0.3, -0.2], dtype=torch.float64), 5, width)
    assert torch.autograd.gradcheck(lambda v: _shear(v, phases), views)
