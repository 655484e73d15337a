"""Coats at the seam: colours come together there and nowhere else, and strands interleave."""

import numpy as np
import pytest
from chimera_parts.coat_blending import blend_colours, strands


def _sides(body: float, head: float):
    """A cut of 100 pixels in the middle of a field, the head above it; u and beyond in lengths of the cut."""
    rows, columns = np.mgrid[:300, :200].astype(np.float32)
    u, beyond = (columns - 100) / 100, (150 - rows) / 100
    whole = np.ones((300, 200), np.float32)
    grey = [np.full((300, 200, 3), value, np.float32) for value in (body, head)]
    return *grey, whole, u, beyond


@pytest.mark.parametrize(("body", "head"), [(0.2, 0.5), (0.8, 0.3), (0.5, 0.6)])
def test_colours_come_together_at_the_seam_and_stay_far_from_it(body, head):
    below, above, whole, u, beyond = _sides(body, head)
    of_body, of_head = blend_colours(below, above, whole, whole, u, beyond)
    gap = abs(float(of_body[149, 100, 0]) - float(of_head[149, 100, 0]))
    assert gap < 0.4 * abs(body - head)
    assert np.allclose(of_body[299], body, atol=0.01)
    assert np.allclose(of_head[0], head, atol=0.01)


def test_one_end_of_the_seam_may_be_lighter_than_the_other():
    below, above, whole, u, beyond = _sides(0.5, 0.5)
    above = above + 0.2 * np.sign(u)[..., None]
    _, of_head = blend_colours(below, above.astype(np.float32), whole, whole, u, beyond)
    left, right = of_head[148, 60, 0], of_head[148, 140, 0]
    assert left > 0.3 + 0.05
    assert right < 0.7 - 0.05


def test_too_little_to_compare_changes_nothing():
    below, above, whole, u, beyond = _sides(0.2, 0.8)
    of_body, of_head = blend_colours(below, above, whole, np.zeros_like(whole), u, beyond)
    assert of_body is below
    assert of_head is above


def test_strands_cross_the_seam_but_do_not_wander():
    _, _, _, u, beyond = _sides(0, 1)
    share = strands(u, beyond)
    assert np.all(share[beyond > 0.5] == 1)
    assert np.all(share[beyond < -0.5] == 0)
    at_seam = share[(np.abs(beyond) < 0.02) & (np.abs(u) < 0.5)]
    assert at_seam.min() < 0.2
    assert at_seam.max() > 0.8
    assert np.array_equal(share, strands(u, beyond))


def test_the_bodys_colours_run_no_further_over_a_small_head_than_they_may():
    below, above, whole, u, beyond = _sides(0.2, 0.5)
    _, of_head = blend_colours(below, above, whole, whole, u, beyond, most=0.3)
    assert np.allclose(of_head[beyond > 0.3], 0.5, atol=1e-6)
    assert float(of_head[149, 100, 0]) < 0.45
