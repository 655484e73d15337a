"""Following edges: on pictures whose outline is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from chimera_core import load_encoder
from chimera_core.subjects.edges import follow_edges, scaled, tidied


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
    tidy = tidied(subject, subject.astype(np.float32))
    assert tidy[20, 20]
    assert not tidy[36, 36]
    assert not tidy[:, 60:].any()


def test_views_have_sides_that_strides_divide() -> None:
    view = scaled(torch.rand(3, 100, 333), 256)
    assert view.shape == (1, 3, 64, 256)
