"""Noise goes from what is going to be enlarged, edges stay, and nothing else is touched."""

import numpy as np
import pytest
from chimera_parts.denoising import denoised

_SIDE = 64


@pytest.fixture
def noisy() -> tuple[np.ndarray, np.ndarray]:
    """A dark and a light half, and the same with coloured noise."""
    clean = np.full((_SIDE, _SIDE, 3), 0.15, np.float32)
    clean[:, _SIDE // 2 :] = 0.7
    noise = np.random.default_rng(0).normal(0, 0.04, clean.shape).astype(np.float32)
    return clean, np.clip(clean + noise, 0, 1)


def test_noise_goes_and_edges_stay(noisy):
    clean, image = noisy
    made = denoised(image, np.ones((_SIDE, _SIDE), bool), 2.5)
    flat = np.abs(np.arange(_SIDE) - _SIDE // 2) > 4
    assert np.abs(made - clean)[:, flat].mean() < 0.7 * np.abs(image - clean)[:, flat].mean()
    step = made[:, _SIDE // 2 + 1].mean() - made[:, _SIDE // 2 - 2].mean()
    assert step == pytest.approx(0.55, abs=0.03)


@pytest.mark.parametrize("enlarged", [0.5, 1.0])
def test_what_is_not_enlarged_keeps_its_very_pixels(noisy, enlarged):
    _, image = noisy
    assert denoised(image, np.ones((_SIDE, _SIDE), bool), enlarged) is image


def test_pixels_far_from_what_is_drawn_stay(noisy):
    _, image = noisy
    where = np.zeros((_SIDE, _SIDE), bool)
    where[:10, :10] = True
    made = denoised(image, where, 2)
    assert np.array_equal(made[30:], image[30:]) and np.array_equal(made[:, 30:], image[:, 30:])
    assert np.abs(made[:10, :10] - image[:10, :10]).max() > 0.01
    assert denoised(image, np.zeros_like(where), 2) is image
