"""Windows around animals, and masks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from chimera_core.api import Window, or_whole, shrink_mask


def square_mask(height: int, width: int, box: tuple[int, int, int, int]) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    top, bottom, left, right = box
    mask[:, top:bottom, left:right] = 1
    return mask


def test_a_drawing_changes_only_what_the_mask_covers() -> None:
    mask = square_mask(60, 80, (20, 40, 30, 60))
    layout = torch.rand(3, 60, 80)
    window = Window.around(mask, (60, 80))
    height, width = window.canvases(side=288, coarsest=150, magnification=2.0)[-1]
    pasted = window.paste(torch.ones(3, height, width), mask, layout)
    outside = (mask == 0).expand(3, -1, -1)
    assert torch.equal(pasted[outside], layout[outside])
    assert (pasted[:, 25:35, 35:55] == 1).all()


def test_a_small_animal_is_drawn_larger_than_it_will_be_shown() -> None:
    window = Window.around(square_mask(400, 400, (190, 210, 190, 210)), (256, 256))
    shown = (window.box[1] - window.box[0]) * 256 / 400
    assert window.canvases(side=288, coarsest=150, magnification=2.0)[-1][0] == pytest.approx(
        2 * shown, abs=2
    )


def test_canvases_go_from_coarse_to_fine() -> None:
    shapes = Window.around(torch.ones(1, 384, 512), (768, 1024)).canvases(
        side=288, coarsest=150, magnification=2.0
    )
    assert len(shapes) >= 3
    assert all(2 * a[0] == pytest.approx(b[0], abs=2) for a, b in pairwise(shapes))


def test_a_mask_shrinks_to_covered_shares() -> None:
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])[None]
    assert shrink_mask(mask, (1, 2)).tolist() == [[[0.75, 0.0]]]


def test_an_empty_mask_means_the_whole_frame() -> None:
    assert (or_whole(torch.zeros(1, 4, 4)) == 1).all()
    half = square_mask(4, 4, (0, 2, 0, 4))
    assert or_whole(half) is half
