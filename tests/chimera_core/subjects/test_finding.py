"""Finding the animal: on made-up pictures for the laws, on real ones for the sense."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chimera_core import load_encoder
from chimera_core.api import read_picture
from chimera_core.pixels import from_uint8
from chimera_core.subjects.finding import find_subject


@pytest.fixture(scope="module")
def lite0():
    return load_encoder("timm").requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (8, 200), (300, 10)])
def test_any_size_gives_a_mask_of_that_size(lite0, shape: tuple[int, int]) -> None:
    mask = find_subject(lite0, torch.rand(3, *shape, generator=torch.Generator().manual_seed(0)))
    assert mask.shape == (1, *shape)
    assert float(mask.min()) >= 0
    assert float(mask.max()) <= 1


def test_the_same_picture_gives_the_same_mask(lite0, photos: Path) -> None:
    image = from_uint8(read_picture(photos / "koala.jpg").rgb)
    assert torch.equal(find_subject(lite0, image), find_subject(lite0, image))


# (left, top, right, bottom) in shares of the picture, read off the photographs by eye.
BOXES = {
    "bald_eagle": (0.10, 0.32, 0.75, 0.90),
    "goldfish": (0.07, 0.15, 0.84, 0.72),
    "great_grey_owl": (0.32, 0.12, 0.66, 0.99),
    "red_fox": (0.37, 0.36, 0.66, 0.72),
    "white_stork": (0.10, 0.05, 0.95, 0.95),
}


@pytest.mark.parametrize("name", BOXES)
def test_the_animal_in_a_photograph_is_found(lite0, photos: Path, name: str) -> None:
    mask = find_subject(lite0, from_uint8(read_picture(photos / f"{name}.jpg").rgb))[0]
    height, width = mask.shape
    left, top, right, bottom = BOXES[name]
    box = torch.zeros_like(mask)
    box[int(top * height) : int(bottom * height), int(left * width) : int(right * width)] = 1
    assert float((mask * box).sum() / mask.sum()) > 0.9  # what is masked lies on the animal
    assert float((mask * box).sum() / box.sum()) > 0.15  # and it is not a crumb of it


def test_a_real_alpha_channel_is_found_again(lite0, test_data: Path) -> None:
    """On cut-outs laid on a plain ground the mask must agree with the alpha channel."""
    agreement = []
    for name in ("tiger", "koala", "owl", "rabbit", "penguin"):
        picture = read_picture(test_data / "cutouts" / f"{name}.png")
        image, alpha = from_uint8(picture.rgb), from_uint8(picture.alpha)
        image = alpha * image + (1 - alpha) * torch.tensor([0.55, 0.7, 0.5]).view(3, 1, 1)
        pad = (image.shape[-1] // 3, image.shape[-1] // 3, image.shape[-2] // 3, image.shape[-2] // 3)
        image = torch.nn.functional.pad(image[None], pad, mode="replicate")[0]
        alpha = torch.nn.functional.pad(alpha, pad)
        found = find_subject(lite0, image) > 0.5
        truth = alpha > 0.5
        agreement.append(float((found & truth).sum() / (found | truth).sum()))
    assert sorted(agreement)[1] > 0.7, agreement  # intersection over union; one failure of five is allowed
