"""Faces brought to where a network expects their eyes."""

import math

import numpy as np
import pytest
import torch

from chimera_core.api import ConfigError, Face, ShapeError, aligned_face


def _face(left: tuple[float, float], right: tuple[float, float]) -> Face:
    points = np.array([left, right, (0, 0), (0, 0), (0, 0)], float)
    return Face(points, 0.9, (0, 1, 0, 1))


def _picture(left: tuple[float, float], right: tuple[float, float]) -> torch.Tensor:
    """Grey, with a red left and a green right eye."""
    rows, columns = np.mgrid[:200, :300]
    image = np.full((3, 200, 300), 0.5, np.float32)
    for channel, (x, y) in enumerate((left, right)):
        image[channel] += 0.5 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 30)
    return torch.from_numpy(image)


@pytest.mark.parametrize("slant", [0, 25, -40])
@pytest.mark.parametrize("distance", [20, 90])
def test_eyes_come_to_where_they_are_wanted(slant, distance):
    half = distance / 2 * np.array([math.cos(math.radians(slant)), math.sin(math.radians(slant))])
    left, right = (150 - half[0], 90 - half[1]), (150 + half[0], 90 + half[1])
    view = aligned_face(_picture(left, right), _face(left, right), (0.3, 0.4, 0.7, 0.4))
    assert view.shape == (3, 224, 224)
    for channel, x in ((0, 0.3), (1, 0.7)):
        weights = (view[channel] - 0.5).clamp_min(0.05) - 0.05
        rows, columns = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
        place = torch.stack([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
        np.testing.assert_allclose((place + 0.5) / 224, (x, 0.4), atol=0.012)


def test_what_cannot_be_aligned_is_refused():
    image, face = torch.zeros(3, 9, 9), _face((2, 2), (6, 2))
    with pytest.raises(ShapeError, match=r"image is \(9, 9\)"):
        aligned_face(image[0], face, (0.3, 0.4, 0.7, 0.4))
    with pytest.raises(ConfigError, match="not two points"):
        aligned_face(image, face, (0.7, 0.4, 0.3, 0.4))
    with pytest.raises(ConfigError, match="one of them is hidden"):
        aligned_face(image, _face((2, 2), (math.nan, math.nan)), (0.3, 0.4, 0.7, 0.4))
