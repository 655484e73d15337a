"""Waves and budgets, by laws and by hand."""

from __future__ import annotations

import pytest
import torch
from chimera_morph.fourier import radius_on, roughness, to_pixels, to_waves, wave_scale, within
from hypothesis import given
from hypothesis import strategies as st

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(16, 24), (17, 23), (1, 8), (32, 32)])
def test_waves_and_pixels_are_two_ways_to_write_one_change(shape: tuple[int, int]) -> None:
    change = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    scale = wave_scale(shape, CPU)
    assert torch.allclose(to_pixels(to_waves(change, scale), scale, shape), change, atol=1e-4)


def test_equal_amplitudes_make_long_waves_of_brightness_stronger_than_short_ones_and_than_colour() -> None:
    brightness, *colours = wave_scale((64, 64), CPU)
    along = brightness[0]  # no wave down, longer to shorter waves across
    assert (along[3:] < along[2:-1]).all()  # the longest two are alike
    for colour in colours:
        assert (colour < brightness).all()
        assert colour[0, -1] / brightness[0, -1] < 0.01 * colour[0, 1] / brightness[0, 1]


@given(st.integers(0, 1000), st.floats(0.01, 10))
def test_a_change_is_shortened_to_the_radius_and_never_lengthened(seed: int, radius: float) -> None:
    change = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(seed))
    short = within(change, radius)
    assert float(short.norm()) == pytest.approx(min(radius, float(change.norm())), rel=1e-5)
    assert torch.allclose(short / short.norm(), change / change.norm(), atol=1e-5)


def test_no_change_stays_none_and_has_a_gradient() -> None:
    change = torch.zeros(3, 4, 4, requires_grad=True)
    within(change, 1.0).sum().backward()
    assert change.grad is not None
    assert torch.isfinite(change.grad).all()


def test_the_budget_is_stated_for_128_pixels_and_grows_with_the_side() -> None:
    assert radius_on(torch.ones(1, 128, 128), 25.0) == pytest.approx(25)
    assert radius_on(torch.ones(1, 256, 256), 25.0) == pytest.approx(50)


def test_roughness_of_a_step_by_hand() -> None:
    change = torch.zeros(3, 2, 4)
    change[..., 2:] = 1
    assert float(roughness(change)) == pytest.approx(1 / 3)  # one of three horizontal steps is 1
