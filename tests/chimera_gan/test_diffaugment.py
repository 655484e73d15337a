"""DiffAugment: values by hand, gradients, and numbers that belong to the image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from chimera_gan.diffaugment import KINDS, Augmentation, augment, draw_augmentation
from torch import Tensor

from chimera_core.api import Draw


def images(count: int = 4, size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, size, size, generator=generator, dtype=torch.float64) * 2 - 1


def draw(count: int = 4) -> Draw:
    return Draw(0, 0, torch.arange(count))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_images_and_none_does_not(kind: str) -> None:
    x = images()
    assert not torch.equal(augment(x, draw_augmentation(draw(), "d", kinds=(kind,))), x)
    assert torch.equal(augment(x, draw_augmentation(draw(), "d", kinds=())), x)


def test_middle_numbers_change_no_colour() -> None:
    """Brightness +0, saturation 1, contrast 1."""
    x = images()
    torch.testing.assert_close(augment(x, Augmentation(colour=torch.full((4, 3), 0.5))), x)


def test_colours_by_hand() -> None:
    x = torch.tensor([0.2, 0.4, 0.9], dtype=torch.float64).view(1, 3, 1, 1).repeat(1, 1, 2, 2)
    x[:, :, 0] = -0.1

    def changed(*numbers: float) -> list[float]:
        out: list[float] = augment(x, Augmentation(colour=torch.tensor([numbers])))[0, :, 1, 1].tolist()
        return out

    assert changed(1.0, 0.5, 0.5) == pytest.approx([0.7, 0.9, 1.4])  # brightness: + 0.5
    assert changed(0.0, 0.5, 0.5) == pytest.approx([-0.3, -0.1, 0.4])
    assert changed(0.5, 0.0, 0.5) == pytest.approx([0.5, 0.5, 0.5])  # saturation: grey
    assert changed(0.5, 1.0, 0.5) == pytest.approx([-0.1, 0.3, 1.3])  # twice as far from grey
    assert changed(0.5, 0.5, 0.0) == pytest.approx([0.2, 0.3, 0.55])  # contrast: half as far from 0.2
    assert changed(0.5, 0.5, 1.0) == pytest.approx([0.2, 0.5, 1.25])


@pytest.mark.parametrize(
    ("numbers", "shift"),
    [((0.0, 0.5), (-2, 0)), ((0.999, 0.5), (2, 0)), ((0.5, 0.0), (0, -2)), ((0.7, 0.3), (1, -1))],
)
def test_translation_moves_at_most_an_eighth_and_fills_with_grey(
    numbers: tuple[float, float], shift: tuple[int, int]
) -> None:
    x = images(1)
    expected = torch.zeros_like(x)
    down, right = shift
    for row in range(16):
        for column in range(16):
            if 0 <= row - down < 16 and 0 <= column - right < 16:
                expected[..., row, column] = x[..., row - down, column - right]
    assert torch.equal(augment(x, Augmentation(translation=torch.tensor([numbers]))), expected)


@pytest.mark.parametrize(
    ("numbers", "rows", "columns"),
    [
        ((0.5, 0.5), (4, 12), (4, 12)),
        ((0.0, 0.999), (0, 4), (12, 16)),
        ((0.3, 0.6), (1, 9), (6, 14)),
    ],
)
def test_cutout_is_half_the_side_around_its_centre(
    numbers: tuple[float, float], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    x = images(1)
    expected = x.clone()
    expected[..., slice(*rows), slice(*columns)] = 0
    assert torch.equal(augment(x, Augmentation(cutout=torch.tensor([numbers]))), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_match_finite_differences(kind: str) -> None:
    x = images(2, 4).requires_grad_(True)
    numbers = draw_augmentation(draw(2), "d", kinds=(kind,))
    assert torch.autograd.gradcheck(lambda x: augment(x, numbers), (x,))
    assert torch.autograd.gradgradcheck(lambda x: augment(x, numbers).square(), (x,))


def test_gradient_flows_to_every_pixel_that_is_still_seen() -> None:
    x = images().requires_grad_(True)
    numbers = replace(draw_augmentation(draw(), "d"), cutout=None, translation=None)
    augment(x, numbers).square().sum().backward()
    assert x.grad is not None and (x.grad != 0).all()


def test_the_same_numbers_do_the_same_to_real_and_fake() -> None:
    """A change is affine in the image, and equal for both: differences of two images change alike."""
    real, fake = images(), images().flip(0)
    numbers = draw_augmentation(draw(), "shared")
    both = augment(torch.cat([real, fake]), twice(numbers))
    assert torch.equal(both, torch.cat([augment(real, numbers), augment(fake, numbers)]))
    ground = augment(torch.zeros_like(real), numbers)
    torch.testing.assert_close(
        augment(real + fake, numbers) - ground, augment(real, numbers) + augment(fake, numbers) - 2 * ground
    )
    again, other = draw_augmentation(draw(), "shared"), draw_augmentation(draw(), "other")
    assert torch.equal(augment(real, again), augment(real, numbers))
    assert not torch.equal(augment(real, other), augment(real, numbers))


def test_numbers_belong_to_the_example() -> None:
    x = images()
    whole = augment(x, draw_augmentation(draw(), "d"))
    halves = [
        augment(x[half], draw_augmentation(draw().of(half), "d"))
        for half in (torch.arange(2), torch.arange(2, 4))
    ]
    assert torch.equal(whole, torch.cat(halves))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_stays(dtype: torch.dtype) -> None:
    assert augment(images().to(dtype), draw_augmentation(draw(), "d")).dtype == dtype


def twice(numbers: Augmentation) -> Augmentation:
    assert numbers.colour is not None and numbers.translation is not None and numbers.cutout is not None
    return Augmentation(
        numbers.colour.repeat(2, 1), numbers.translation.repeat(2, 1), numbers.cutout.repeat(2, 1)
    )
