"""Cuts between head and body, on animals that are drawn here."""

import cv2
import numpy as np
import pytest

from chimera_core.subjects.cut_candidates import Grid, find_candidates
from chimera_core.subjects.cut_features import describe
from chimera_core.subjects.cut_ranker import default_ranker
from chimera_core.subjects.neck import propose_cuts


def _animal(*, flip: bool = False):
    """A body with a neck and a round head on its right; scores that know the head."""
    alpha, scores = np.zeros((240, 320), np.float32), np.zeros((240, 320), np.float32)
    cv2.ellipse(alpha, (130, 150), (90, 50), 0, 0, 360, 1, -1)
    cv2.line(alpha, (200, 130), (250, 75), 1, 26)
    cv2.circle(alpha, (262, 62), 30, 1, -1)
    cv2.circle(scores, (262, 62), 32, 1, -1)
    scores *= alpha
    return (alpha[:, ::-1].copy(), scores[:, ::-1].copy()) if flip else (alpha, scores)


def test_the_best_cut_parts_the_marked_head_from_the_body():
    alpha, scores = _animal()
    best = propose_cuts(alpha, scores)[0]
    truth = scores > 0.5
    assert (best.head & truth).sum() / (best.head | truth).sum() > 0.75
    assert 20 < best.length < 60  # across the neck, not along it
    assert best.toward[0] > 0.3  # the head lies to the right
    assert best.nape[1] < best.throat[1] or best.nape[0] < best.throat[0]


def test_a_mirrored_animal_is_cut_alike():
    right, left = (propose_cuts(*_animal(flip=flip))[0] for flip in (False, True))
    assert left.area == pytest.approx(right.area, rel=0.1)
    assert left.toward[0] == pytest.approx(-right.toward[0], abs=0.25)


def test_cuts_come_by_falling_gain_and_differ():
    cuts = propose_cuts(*_animal(), most=5)
    gains = [cut.gain for cut in cuts]
    assert gains == sorted(gains, reverse=True)
    assert 1 <= len(cuts) <= 5
    for k, one in enumerate(cuts):
        for other in cuts[:k]:
            same = (one.head & other.head).sum() / (one.head | other.head).sum()
            turn = np.arccos(np.clip(one.toward @ other.toward, -1, 1))
            assert same <= 0.95 or turn >= 0.15


def test_the_expected_overlap_is_high_for_a_clear_head_and_low_where_nothing_looks_like_one():
    alpha, scores = _animal()
    clear, vague = propose_cuts(alpha, scores)[0], propose_cuts(alpha, 0.02 * alpha)
    assert 0.6 < clear.quality <= 1 and clear.gain == clear.quality
    assert all(cut.quality < 0.5 for cut in vague)


def test_a_hint_draws_the_cut_to_where_it_is_expected():
    alpha, scores = _animal()
    plain = propose_cuts(alpha, scores)[0]
    low = (np.array([190.0, 105.0]), np.array([220.0, 140.0]))  # across the root of the neck
    hinted = propose_cuts(alpha, scores, near=low)[0]
    middle = (low[0] + low[1]) / 2
    assert np.linalg.norm(hinted.middle - middle) < np.linalg.norm(plain.middle - middle)
    assert hinted.gain < hinted.quality


@pytest.mark.parametrize("x", [135, 185])
def test_the_throat_of_an_upright_animal_lies_on_its_snouts_side(x):
    alpha, head, snout = (np.zeros((240, 320), np.float32) for _ in range(3))
    cv2.ellipse(alpha, (160, 175), (60, 60), 0, 0, 360, 1, -1)
    cv2.line(alpha, (160, 130), (160, 70), 1, 26)
    for drawn in (alpha, head):
        cv2.circle(drawn, (160, 55), 30, 1, -1)
    cv2.circle(snout, (x, 60), 8, 1, -1)
    cuts = propose_cuts(alpha, head, places=np.stack([np.zeros_like(snout), snout]))
    assert (cuts[0].throat - cuts[0].nape)[0] * (x - 160) > 0
    # All cuts of an animal agree on the way it looks.
    turns = [np.cross([*cut.toward, 0], [*(cut.throat - cut.nape), 0])[2] > 0 for cut in cuts]
    assert len(set(turns)) == 1


def test_the_shipped_ranker_reads_every_number_of_a_cut():
    grid = Grid.of(*_animal())
    described = describe(grid, find_candidates(grid))
    assert len(described) == len(default_ranker().mean) == default_ranker().hidden.shape[1]
    known = {name: values for name, values in described.items() if not name.startswith("neck")}
    assert all(np.isfinite(values).all() for values in known.values())


def test_no_animal_gives_no_cut():
    nothing = np.zeros((100, 120), np.float32)
    assert propose_cuts(nothing, nothing) == []


def test_the_way_a_cut_crosses_is_a_unit_vector_at_right_angles_to_it():
    for cut in propose_cuts(*_animal()):
        along = (cut.throat - cut.nape) / cut.length
        assert np.linalg.norm(cut.toward) == pytest.approx(1)
        assert along @ cut.toward == pytest.approx(0, abs=1e-6)


def test_the_cut_that_agrees_with_the_outline_of_the_head_is_best():
    alpha, scores = _animal()
    plain = propose_cuts(alpha, scores)
    other = plain[-1].head.astype(np.float32)
    best = propose_cuts(alpha, scores, head=other)[0]

    def overlap(cut):
        return (cut.head * other).sum() / np.maximum(cut.head, other).sum()

    assert overlap(best) > overlap(plain[0])


def test_a_new_head_keeps_all_of_its_face_whatever_neck_it_brings():
    alpha, scores = _animal()
    face = cv2.circle(np.zeros_like(alpha), (248, 80), 34, 1, -1) * alpha

    def held(cut):
        return (cut.head * face).sum() / face.sum()

    plain = propose_cuts(alpha, scores)[0]
    whole = propose_cuts(alpha, scores, head=face, with_neck=True)[0]
    assert held(whole) > held(plain)
    assert held(whole) > 0.95
    # What a body loses is as much as the outline and no more.
    assert whole.area > propose_cuts(alpha, scores, head=face)[0].area * 0.95
