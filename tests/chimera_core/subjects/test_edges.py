"""Following edges: on pictures whose outline is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from chimera_core import load_encoder
from chimera_core.subjects.edges import follow_edges, one_animal, scaled


@pytest.fixture(scope="module")
def lite0():
    return load_encoder("timm").requires_grad_(False)


def _disc(radius: float) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(160.0), indexing="ij")
    return ((rows - 64).square() + (columns - 80).square()).sqrt() < radius


def test_a_sloppy_guess_snaps_to_the_edge_of_colour(lite0) -> None:
    noise = 0.05 * torch.rand(3, 128, 160, generator=torch.Generator().manual_seed(0))
    true = _disc(40)
    image = torch.where(
        true, torch.tensor([0.8, 0.4, 0.2])[:, None, None], torch.tensor([0.2, 0.5, 0.3])[:, None, None]
    )
    prior = torch.where(_disc(32), 0.9, torch.where(_disc(48), 0.4, 0.02))
    found = follow_edges(lite0, (image + noise).clamp(0, 1), prior)[0] > 0.5
    guessed = prior > 0.5
    assert float((guessed & true).sum() / (guessed | true).sum()) < 0.7
    assert float((found & true).sum() / (found | true).sum()) > 0.95


def test_nothing_in_gives_nothing_out(lite0) -> None:
    found = follow_edges(lite0, torch.full((3, 64, 64), 0.5), torch.zeros(64, 64))
    assert found.shape == (1, 64, 64)
    assert not bool((found > 0.5).any())


def test_crumbs_go_and_pinholes_close_but_large_holes_stay() -> None:
    subject = np.zeros((60, 80), bool)
    subject[10:50, 10:50] = True
    subject[20, 20] = False  # a pinhole
    subject[30:42, 30:42] = False  # a hole
    subject[5:9, 70:74] = True  # a crumb
    subject[0, 79] = True  # a speck
    tidy = one_animal(subject, subject.astype(np.float32))
    assert tidy[20, 20]
    assert not tidy[36, 36]
    assert not tidy[:, 60:].any()


def test_of_two_animals_the_surer_one_is_kept_unless_it_is_a_crumb() -> None:
    subject = np.zeros((60, 120), bool)
    subject[10:50, 5:45] = True
    subject[10:50, 75:110] = True  # a little smaller
    subject[2:6, 60:64] = True  # a crumb
    chances = np.where(np.arange(120) < 55, 0.7, 0.95) * np.ones((60, 1))
    chances[:, 55:70] = 1.0
    kept = one_animal(subject, chances.astype(np.float32))
    assert kept[12:48, 77:108].all()
    assert not kept[:, :70].any()
    assert not one_animal(subject, np.full((60, 120), 0.9, np.float32))[:, 55:].any()  # as sure: the larger


def test_a_leg_behind_a_twig_stays() -> None:
    subject = np.zeros((80, 80), bool)
    subject[10:40, 10:60] = True
    subject[42:70, 20:30] = True
    assert one_animal(subject, subject.astype(np.float32))[60, 25]


def test_grabcut_does_not_grow_into_what_is_surely_ground(lite0) -> None:
    """A twin of the animal stands beside it, alike to the pixel; the guess has it for ground."""
    image = torch.full((3, 128, 160), 0.3) + 0.05 * torch.rand(
        3, 128, 160, generator=torch.Generator().manual_seed(0)
    )
    image[:, 30:100, 20:75] += 0.5
    image[:, 30:100, 75:140] += 0.5
    prior = torch.full((128, 160), 0.02)
    prior[30:100, 20:75] = 0.9
    prior[30:100, 75:140] = 0.09
    found = follow_edges(lite0, image.clamp(0, 1), prior)[0] > 0.5
    assert float(found[30:100, 82:140].float().mean()) < 0.05
    assert float(found[30:100, 20:70].float().mean()) > 0.95


def test_views_have_sides_that_strides_divide() -> None:
    view = scaled(torch.rand(1, 3, 100, 333), 256)
    assert view.shape == (1, 3, 64, 256)
