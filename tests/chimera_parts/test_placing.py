"""How a head is placed: cut on cut, the right way round, at the right size."""

from dataclasses import replace

import numpy as np
import pytest
from chimera_parts.arrays import grow
from chimera_parts.canvas import Canvas
from chimera_parts.joining import _spikes
from chimera_parts.pairing import rank_pairs
from chimera_parts.placing import Placement, handedness, times_as_large, turn_between

from chimera_core.subjects.neck import NeckCut


def _cut(nape, throat, toward, *, area=900, gain=1.0) -> NeckCut:
    head = np.zeros((100, 100), bool)
    head.ravel()[:area] = True
    toward = np.asarray(toward, float) / np.linalg.norm(toward)
    return NeckCut(np.asarray(nape, float), np.asarray(throat, float), toward, head, gain, np.zeros(2))


# Two animals that look to the right, and one that looks to the left.
_RIGHT = _cut((60, 40), (60, 60), (1, 0))
_SMALL = _cut((30, 20), (30, 30), (1, 0), area=225)
_LEFT = _cut((40, 40), (40, 60), (-1, 0))


def _placed(head: NeckCut, *, side: float = 80, size: float = 1.0) -> Placement:
    return Placement.of(_RIGHT, head, side=side, size=size)


def test_the_cuts_meet_end_to_end():
    placement = _placed(_SMALL)
    ends = np.array([_RIGHT.nape, _RIGHT.throat])
    fields = placement.fields(ends[:, :1].astype(np.float32), ends[:, 1:].astype(np.float32))
    middle = (_SMALL.nape + _SMALL.throat) / 2
    x, y = fields.head_x.ravel(), fields.head_y.ravel()
    # The neck may be narrower than the cut, but lies in its middle and the same way round.
    assert np.allclose([x.mean(), y.mean()], middle, atol=0.5)
    assert y[0] < y[1]


def test_an_animal_that_looks_the_other_way_is_mirrored():
    assert handedness(_RIGHT) == -handedness(_LEFT)
    assert _placed(_LEFT).mirrored
    assert not _placed(_SMALL).mirrored
    assert turn_between(_RIGHT, _LEFT) == pytest.approx(0, abs=1e-6)


def test_a_head_becomes_about_as_large_as_the_old_one():
    placement = _placed(_SMALL)
    made = placement.head_scale**2 * _SMALL.area
    assert 0.8 < made / _RIGHT.area < 2
    assert _placed(_SMALL, size=1.5).head_scale > placement.head_scale


def test_a_head_on_a_thin_neck_is_as_large_as_its_body_asks_for():
    goose = _cut((60, 46), (60, 54), (1, 0), area=64)
    head = Placement.of(goose, _RIGHT, side=100)
    assert (head.head_scale**2 * _RIGHT.area) ** 0.5 > 0.2 * 100
    assert head.head_scale > Placement.of(goose, _RIGHT, side=40).head_scale


def test_a_head_of_few_pixels_is_not_blown_up():
    huge = Placement.of(_cut((60, 0), (60, 90), (1, 0), area=9000), _SMALL, side=60)
    assert huge.head_scale <= 2.4


def test_points_of_the_body_stay_straight_behind_the_cut():
    placement = _placed(_cut((50, 50), (60, 50), (0, -1)))
    fields = placement.fields(np.array([[20.0]], np.float32), np.array([[50.0]], np.float32))
    assert fields.beyond[0, 0] == pytest.approx(-40)
    assert fields.across[0, 0] == pytest.approx(0)


def test_a_pair_that_need_not_turn_goes_before_one_upside_down():
    upright, hanging = _cut((60, 40), (60, 60), (1, 0)), _cut((60, 60), (60, 40), (1, 0.0))
    hanging = _cut((40, 60), (40, 40), (-1, 0))
    best = rank_pairs([_RIGHT], [hanging, upright], side=80)[0]
    assert best.placement.head is upright


@pytest.mark.parametrize(("toward", "found"), [((1, 0), False), ((0.35, -1), True)])
def test_what_a_bent_neck_packs_into_a_line_is_a_spike(toward, found):
    """On the bend's outer side a fan of the head's picture falls into a narrow strip beside the cut."""
    head = _cut((60, 40), (60, 60), toward)
    placement = _placed(head)
    assert (abs(placement.bend) > 0.5) == found
    canvas = Canvas((100, 200), 1.0)
    fields = placement.fields(*canvas.grid)
    lines = np.zeros(canvas.shape, bool)
    lines[::8] = lines[:, ::8] = True
    lines &= fields.beyond > 0
    assert _spikes(lines, placement, fields, 1.0).any() == found
    assert not _spikes(np.ones(canvas.shape, bool), placement, fields, 1.0).any()  # it is thick


def test_a_face_is_neither_bent_nor_tapered():
    """Its map is the similarity of what lies beyond the neck, down to the cut and over the shoulder."""
    placement = _placed(_cut((60, 40), (60, 60), (0.6, -1)))
    assert abs(placement.bend) > 0.5
    canvas = Canvas((200, 200), 1.0)
    x, y = canvas.grid
    face = np.zeros((100, 100), np.float32)
    face[:55, 40:95] = 1
    bent, stiff = placement.fields(x, y), placement.fields(x, y, face=face)
    far = (bent.along > 20) & (bent.along < 60) & (bent.aside < 15)
    known = np.stack([x[far], y[far], np.ones_like(x[far])], 1)
    wanted = np.stack([bent.head_x[far], bent.head_y[far]], 1)
    rigid = np.stack([x, y, np.ones_like(x)], 2) @ np.linalg.lstsq(known, wanted, rcond=None)[0]
    assert np.allclose(rigid[far], wanted, atol=0.1)
    inside = (rigid[..., 0] > 45) & (rigid[..., 0] < 90) & (rigid[..., 1] > 5) & (rigid[..., 1] < 50)

    def off(fields):
        return np.hypot(fields.head_x - rigid[..., 0], fields.head_y - rigid[..., 1])

    assert off(bent)[inside].max() > 5
    assert np.quantile(off(stiff)[inside], 0.95) < 1
    assert (stiff.beyond[inside] > 0).all() and (bent.beyond[inside] < 0).any()
    # Where no face is near, the neck is bent as before.
    away = ~grow(inside, 60)
    assert np.allclose(stiff.head_x[away], bent.head_x[away], atol=0.05)


def test_heads_are_compared_by_their_faces_where_both_are_known():
    assert times_as_large(_RIGHT, _SMALL) == 4
    assert times_as_large(replace(_RIGHT, face=300.0), replace(_SMALL, face=150.0)) == 2
    assert times_as_large(replace(_RIGHT, face=300.0), _SMALL) == 4
