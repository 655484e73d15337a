"""Photographs brought to where a generator draws its faces, and its faces put back: on the astronaut of scikit-image."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from chimera_gan.faces import FacesOfGenerator
from torch.nn import functional as F

from chimera_core.api import Parent, aligned_face, find_face, load_encoder

_EYES = (0.32, 0.41, 0.68, 0.41)


@pytest.fixture(scope="module")
def astronaut() -> torch.Tensor:
    return torch.from_numpy(skimage.data.astronaut().copy()).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="module")
def samples(astronaut) -> torch.Tensor:
    """What a generator of 64 px would draw that had learned nothing but her face."""
    face = find_face(load_encoder("timm:timm").requires_grad_(False), astronaut)
    square = aligned_face(astronaut, face, _EYES)
    return F.interpolate(square[None], (64, 64), mode="area").repeat(4, 1, 1, 1)


@pytest.fixture(scope="module")
def faces(samples) -> FacesOfGenerator:
    return FacesOfGenerator(lambda: samples, device=torch.device("cpu"))


@pytest.mark.slow
def test_a_generator_shows_where_its_faces_have_their_eyes(faces):
    np.testing.assert_allclose(faces.eyes, _EYES, atol=0.02)


@pytest.mark.slow
def test_a_photograph_is_turned_and_cropped_to_the_frame(faces, astronaut):
    pixels = np.ascontiguousarray(astronaut.permute(1, 2, 0).numpy())
    tilt = cv2.getRotationMatrix2D((256, 256), 20, 0.8)
    tilted = cv2.warpAffine(pixels, tilt, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    aligned = faces.aligned(Parent("she", torch.from_numpy(tilted).permute(2, 0, 1)))
    assert aligned.image.shape == (3, 224, 224) and aligned.name == "she"
    found = find_face(load_encoder("timm:timm").requires_grad_(False), aligned.image)
    np.testing.assert_allclose((found.points[:2].ravel() + 0.5) / 224, _EYES, atol=0.04)


@pytest.mark.slow
def test_a_creature_takes_the_place_of_the_face_and_of_nothing_else(faces, astronaut, samples):
    # Her own face with red and blue exchanged: same place, other colours.
    made = faces.pasted(samples[:1].flip(1), Parent("she", astronaut), size=256)
    was = F.interpolate(astronaut[None], (256, 256), mode="area")
    change = (made - was).abs().mean(1)[0]
    assert made.shape == (1, 3, 256, 256)
    assert change[35:75, 100:128].mean() > 0.05
    assert change[150:].mean() < 0.02 and change[:, 200:].mean() < 0.02


@pytest.mark.slow
def test_each_creature_is_put_by_itself_and_all_have_the_shape_of_the_photograph(faces, astronaut, samples):
    tall = Parent("she", astronaut[:, :, 40:400])
    blank = torch.full_like(samples[:1], 0.5)
    alone = faces.pasted(samples[:1], tall, size=48)
    both = faces.pasted(torch.cat([samples[:1], blank]), tall, size=48)
    assert both.shape == (2, 3, 68, 48)
    assert torch.equal(both[:1], alone)
    assert (both[1] - 0.5).abs().max() < 0.01


@pytest.mark.slow
def test_what_shows_no_face_stays_as_it_is(faces, samples):
    meadow = Parent("meadow", torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0)))
    assert faces.aligned(meadow) is meadow
    assert faces.pasted(samples[:1], meadow, size=64) is None
    named = Parent("cat", class_name="cat")
    assert faces.aligned(named) is named


@pytest.mark.slow
def test_a_generator_of_other_things_has_no_frame(astronaut):
    digits = FacesOfGenerator(lambda: torch.zeros(4, 3, 32, 32), device=torch.device("cpu"))
    assert digits.eyes is None
    she = Parent("she", astronaut)
    assert digits.aligned(she) is she
