"""The laws of a fuser, kept by the controls; and what each of them shows, counted by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from chimera_controls.config import CollageConfig, CopyConfig, CutAndBlendConfig, PixelAverageConfig
from chimera_controls.cut_and_blend import CutAndBlend, blend_pyramids, ellipse
from chimera_controls.frame import cover, shared_shape
from chimera_controls.fusers import Collage, Copy, PixelAverage, strip
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from chimera_core.api import ConfigError, FusionGenerator, Parent, resize_shorter
from chimera_core.subjects.outline import Outline
from chimera_core.testing import Law, check_component, parametrize_with_laws

CONTROLS: list[FusionGenerator] = [
    Copy(CopyConfig()),
    PixelAverage(PixelAverageConfig()),
    Collage(CollageConfig()),
    CutAndBlend(CutAndBlendConfig(subject="ellipse")),
]
BLENDING = CONTROLS[1:]


def parent(seed: int, *, shape: tuple[int, int] = (40, 48), masked: bool = True) -> Parent:
    height, width = shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centre = (height * (0.4 + 0.05 * seed), width * (0.6 - 0.05 * seed))
    disc = ((y - centre[0]).square() + (x - centre[1]).square() < (height / 4) ** 2).float()[None]
    colours = torch.rand(2, 3, 1, 1, generator=torch.Generator().manual_seed(seed))
    image = disc * colours[0] + (1 - disc) * colours[1]
    return Parent(f"animal-{seed}", image, mask=disc if masked else None)


def plain(value: float, *, shape: tuple[int, int] = (32, 32)) -> Parent:
    return Parent(f"grey-{value}", torch.full((3, *shape), value))


PARENTS = (parent(1), parent(2, shape=(48, 40)), parent(3, shape=(64, 64)))


def fuse(
    fuser: FusionGenerator, weights: tuple[float, ...], parents: Any = PARENTS, size: int = 32
) -> Tensor:
    return fuser.fuse(parents[: len(weights)], weights, seeds=[0], size=size)[0]


def named(fuser: FusionGenerator) -> str:
    return type(fuser).__name__


@parametrize_with_laws(check_component("copy"))
def test_copy_keeps_the_laws_of_a_fuser(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("pixel-average"))
def test_pixel_average_keeps_the_laws_of_a_fuser(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("collage"))
def test_collage_keeps_the_laws_of_a_fuser(law: Law) -> None:
    law()


@parametrize_with_laws(check_component("cut-and-blend"))
def test_cut_and_blend_keeps_the_laws_of_a_fuser(law: Law) -> None:
    law()


@pytest.mark.parametrize("fuser", CONTROLS, ids=named)
@pytest.mark.parametrize("only", [0, 1, 2])
def test_weight_one_gives_the_very_pixels_of_any_parent(fuser: FusionGenerator, only: int) -> None:
    weights = tuple(float(k == only) for k in range(3))
    assert torch.equal(fuse(fuser, weights), resize_shorter(PARENTS[only].image, 32))


@pytest.mark.parametrize("fuser", CONTROLS, ids=named)
def test_every_seed_gets_the_same_picture_in_a_tensor_of_its_own(fuser: FusionGenerator) -> None:
    made = fuser.fuse(PARENTS, (0.2, 0.5, 0.3), seeds=[3, 9], size=32)
    assert made.shape[:2] == (2, 3) and min(made.shape[2:]) == 32 and made.dtype == torch.float32
    assert torch.equal(made[0], made[1]) and float(made.min()) >= 0 and float(made.max()) <= 1
    made[0] = 0
    assert made[1].any()


@pytest.mark.parametrize("fuser", BLENDING, ids=named)
def test_the_way_is_smooth(fuser: FusionGenerator) -> None:
    parents = (parent(1, shape=(48, 48)), parent(4, shape=(48, 48)))
    frames = [fuse(fuser, (1 - k / 32, k / 32), parents) for k in range(33)]
    # By the mean, which grows with the area that changed.
    steps = [float((b - a).abs().mean()) for a, b in pairwise(frames)]
    assert max(steps) < 0.1 * float((frames[-1] - frames[0]).abs().mean())


@pytest.mark.parametrize("fuser", CONTROLS, ids=named)
def test_a_class_without_a_picture_is_refused(fuser: FusionGenerator) -> None:
    with pytest.raises(ConfigError, match="takes photographs, but lion is a class name"):
        fuse(fuser, (0.5, 0.5), (PARENTS[0], Parent("lion", class_name="lion")))


@given(st.lists(st.integers(0, 9), min_size=2, max_size=4).filter(any))
def test_copy_takes_the_heaviest_parent_and_the_first_of_equals(shares: list[int]) -> None:
    parents = [plain(k / 10) for k in range(len(shares))]
    weights = tuple(s / sum(shares) for s in shares)
    made = fuse(CONTROLS[0], weights, parents, size=16)
    assert float(made[0, 0, 0]) == pytest.approx(shares.index(max(shares)) / 10)


def test_an_average_of_greys_is_their_weighted_mean() -> None:
    made = fuse(CONTROLS[1], (0.5, 0.3, 0.2), (plain(1.0), plain(0.5), plain(0.0)))
    assert torch.allclose(made, torch.full_like(made, 0.65))


def test_a_collage_gives_each_parent_its_share_of_the_width() -> None:
    made = fuse(CONTROLS[2], (0.25, 0.75), (plain(0.0), plain(1.0)))
    assert not made[:, :, :8].any() and (made[:, :, 8:] == 1).all()


def test_a_border_within_a_column_belongs_to_both_sides() -> None:
    assert strip(0.0, 0.25, 10).tolist() == [1, 1, 0.5, *[0] * 7]
    assert strip(0.25, 1.0, 10).tolist() == [0, 0, 0.5, *[1] * 7]


def test_cut_and_blend_shows_both_animals_within_one_box_and_the_first_ones_surroundings() -> None:
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])
    mask = ellipse((64, 64))
    first = Parent("red", mask * red[:, None, None] + (1 - mask) * 0.3, mask=mask)
    second = Parent("blue", mask * blue[:, None, None] + (1 - mask) * 0.8, mask=mask)
    made = fuse(CONTROLS[3], (0.5, 0.5), (first, second), size=64)
    assert torch.allclose(made[:, 32, 18], red, atol=0.12) and torch.allclose(
        made[:, 32, 46], blue, atol=0.12
    )
    assert torch.allclose(made[:, 2, 2], torch.full((3,), 0.3), atol=0.05)
    assert torch.allclose(made[:, 61, 61], torch.full((3,), 0.3), atol=0.05)


def test_animals_of_different_places_are_laid_over_each_other() -> None:
    def animal(left: int, value: float) -> Parent:
        mask = torch.zeros(1, 64, 64)
        mask[:, 24:40, left : left + 16] = 1
        return Parent("square", (mask * value + (1 - mask) * 0.5).expand(3, -1, -1), mask=mask)

    made = fuse(CONTROLS[3], (0.5, 0.5), (animal(8, 0.0), animal(40, 1.0)), size=64)
    # Half-way between columns 8 and 40: the box is 24 to 40, dark on its left side and light on its right one.
    assert float(made[0, 32, 26]) < 0.2 and float(made[0, 32, 37]) > 0.8
    assert float(made[0, 32, 10]) == pytest.approx(0.5, abs=0.1)


def test_a_pyramid_gives_back_a_picture_that_nothing_is_blended_into() -> None:
    first = torch.rand(37, 50, 3).numpy()
    second = torch.rand(37, 50, 3).numpy()
    zero, one = torch.zeros(37, 50).numpy(), torch.ones(37, 50).numpy()
    assert blend_pyramids(first, second, zero) == pytest.approx(first, abs=1e-5)
    assert blend_pyramids(first, second, one) == pytest.approx(second, abs=1e-5)


def test_a_frame_lies_between_the_parents() -> None:
    wide, tall = torch.zeros(3, 50, 100), torch.zeros(3, 100, 50)
    assert shared_shape([wide, tall], (1, 0), size=32) == (32, 64)
    assert shared_shape([wide, tall], (0, 1), size=32) == (64, 32)
    assert shared_shape([wide, tall], (0.5, 0.5), size=32) == (32, 32)
    assert cover(torch.rand(3, 50, 100), (32, 32)).shape == (3, 32, 32)


def test_an_animal_without_a_mask_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Outline(torch.ones(1, 40, 48), 0.9)
    monkeypatch.setattr(
        "chimera_core.subjects.finder.load_encoder", lambda *args, **options: torch.nn.Identity()
    )
    monkeypatch.setattr("chimera_core.subjects.finder.find_outline", lambda encoder, image, quality: found)
    fuser = CutAndBlend(CutAndBlendConfig())
    known = parent(1)
    assert fuser._subject(known).mask is known.mask
    assert fuser._subject(parent(1, masked=False)).mask is found.mask
