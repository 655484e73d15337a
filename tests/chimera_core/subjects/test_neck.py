"""Cuts between head and body, on animals that are drawn here."""

import cv2
import numpy as np
import pytest

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


def test_no_animal_gives_no_cut():
    nothing = np.zeros((100, 120), np.float32)
    assert propose_cuts(nothing, nothing) == []


def test_the_way_a_cut_crosses_is_a_unit_vector_at_right_angles_to_it():
    for cut in propose_cuts(*_animal()):
        along = (cut.throat - cut.nape) / cut.length
        assert np.linalg.norm(cut.toward) == pytest.approx(1)
        assert along @ cut.toward == pytest.approx(0, abs=1e-6)
