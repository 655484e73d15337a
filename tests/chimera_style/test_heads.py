"""Heads: the layout's stays, the coat's is no coat."""

from __future__ import annotations

import pytest
import torch
from chimera_style.heads import body_of, head_share, heads_only, kept, tinted, with_head
from torch import Tensor

from chimera_core.api import Subject


def rectangle(height: int, width: int, box: tuple[int, int, int, int]) -> Tensor:
    """A mask (1, height, width) that is 1 in top, bottom, left, right."""
    mask = torch.zeros(1, height, width)
    top, bottom, left, right = box
    mask[:, top:bottom, left:right] = 1
    return mask


MASK = rectangle(80, 160, (20, 60, 10, 150))
HEAD = rectangle(80, 160, (20, 60, 110, 150))


def test_the_face_stays_the_flank_does_not_and_the_neck_is_a_way_between() -> None:
    keep = kept(HEAD, MASK)
    assert float(keep[0, 40, 135]) == 1 and float(keep[0, 40, 60]) == 0
    neck = keep[0, 40, 100:120]
    assert bool((neck.diff() >= -1e-6).all()) and int(((neck > 0.05) & (neck < 0.95)).sum()) >= 1


def test_a_portrait_is_covered_by_the_coat_as_nothing_else_of_it_is_in_sight() -> None:
    assert float(kept(MASK, MASK)[0, 40, 80]) < 0.05
    assert float(kept(HEAD, MASK)[0, 40, 135]) == 1
    assert head_share(MASK, MASK) == pytest.approx(1)
    assert 0 < head_share(HEAD, MASK) < 0.5


def test_a_coats_head_and_its_doubtful_rim_are_no_coat() -> None:
    body = body_of(MASK, HEAD)
    assert body[0, 40, 60] == 1 and not body[0, :, 109:].any()
    assert not body[0, 20].any() and float(body.sum()) > 0.6 * float((MASK - HEAD).sum())


def test_a_coat_that_is_all_head_gives_what_is_least_like_one() -> None:
    score = (torch.linspace(0.5, 1, 160).expand(1, 80, 160) * MASK).contiguous()
    body = body_of(MASK, score)
    assert 0.2 < float(body.sum()) / float(MASK.sum()) < 0.3
    assert not body[0, :, 80:].any()


def test_a_hump_is_no_second_head_but_a_second_head_is() -> None:
    hump = rectangle(80, 160, (20, 30, 50, 60))
    assert not (heads_only(HEAD + hump, MASK) * hump).any()
    other = rectangle(80, 160, (20, 60, 10, 45))
    assert bool((heads_only(HEAD + other, MASK)[other > 0] > 0.9).all())
    assert not heads_only(0.3 * HEAD, MASK).any()


def test_a_kept_head_moves_toward_the_coats_colours_only() -> None:
    canvas = Subject(torch.rand(3, 80, 160), MASK)
    coat = Subject(torch.full((3, 30, 30), 0.8), torch.ones(1, 30, 30))
    colours = tinted(canvas, [coat, coat], [0.25, 0.75])
    drawn = with_head(torch.zeros_like(canvas.image), canvas, HEAD, colours, tint=0.5)
    face = drawn[:, 40, 135]
    assert torch.allclose(face, (canvas.image[:, 40, 135] + colours[:, 40, 135]) / 2)
    assert float(drawn[:, 40, 60].max()) == 0
