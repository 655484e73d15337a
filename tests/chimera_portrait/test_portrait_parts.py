"""The pieces of ``portrait``: maps of the plane, warps, seams, masks and shares."""

from dataclasses import replace

import numpy as np
import pytest
from chimera_portrait.frames import FaceFrame, Similarity, anchors, mirrored, turn
from chimera_portrait.framing import framed_canvas, presence
from chimera_portrait.heads import eye_detail, heads
from chimera_portrait.mixing import Pair
from chimera_portrait.placed import Placed, laid_on
from chimera_portrait.regions import Regions
from chimera_portrait.seam import Outline, cheapest
from chimera_portrait.shares import Shares, surroundings, variants
from chimera_portrait.warping import bent, reflected, window_around
from hypothesis import given
from hypothesis import strategies as st

FACE = np.array([[40.0, 50.0], [80.0, 50.0], [60.0, 75.0], [60.0, 92.0], [60.0, 112.0]])
_COMPLEX = st.complex_numbers(min_magnitude=0.2, max_magnitude=5, allow_nan=False, allow_infinity=False)


@given(_COMPLEX, _COMPLEX)
def test_a_similarity_is_undone_by_its_inverse(factor, shift):
    there = Similarity(factor, shift)
    np.testing.assert_allclose(there.inverse()(there(FACE)), FACE, atol=1e-8)
    np.testing.assert_allclose(there.inverse().after(there)(FACE), FACE, atol=1e-8)


@given(_COMPLEX, _COMPLEX)
def test_the_similarity_between_a_face_and_its_image_is_found(factor, shift):
    there = Similarity(factor, shift)
    found = Similarity.between(FACE, there(FACE))
    np.testing.assert_allclose(found(FACE), there(FACE), atol=1e-6)


def test_the_way_between_two_maps_starts_and_ends_at_them_and_moves_evenly():
    start, end = Similarity(2 + 0j, 5 + 1j), Similarity(0.5 + 0.2j, -3 + 2j)
    for t, expected in ((0, start), (1, end)):
        found = Similarity.on_the_way(start, end, t, about=FACE)
        np.testing.assert_allclose(found(FACE), expected(FACE), atol=1e-9)
    middle = FACE.mean(0, keepdims=True)
    places = [Similarity.on_the_way(start, end, t, about=FACE).inverse()(middle) for t in (0, 0.5, 1)]
    np.testing.assert_allclose(places[1], (places[0] + places[2]) / 2, atol=1e-9)


def test_resizing_keeps_pixel_centres():
    # The centre of a picture of 4 pixels is at 1.5; of 8 pixels, at 3.5.
    np.testing.assert_allclose(Similarity.resizing(2)(np.array([[1.5, 1.5]])), [[3.5, 3.5]])


def test_a_mirror_image_mirrors_back_and_turns_to_the_other_side():
    face = np.add(FACE, [[0, 0], [0, 0], [9, 0], [4, 0], [0, 0]])
    np.testing.assert_allclose(mirrored(mirrored(face, 121), 121), face)
    assert turn(face) > 0.1 and turn(mirrored(face, 121)) == pytest.approx(-turn(face))


def test_anchors_move_with_the_face():
    there = Similarity(1.5 * np.exp(0.3j), 7 - 2j)
    np.testing.assert_allclose(anchors(there(FACE)), there(anchors(FACE)), atol=1e-8)


def test_a_face_that_keeps_its_shape_is_read_where_it_is():
    window = window_around(FACE, (160, 120))
    x, y = bent(FACE, FACE, Similarity(), window, still=True)
    columns, rows = np.meshgrid(np.arange(window[0], window[2]), np.arange(window[1], window[3]))
    np.testing.assert_allclose(x, columns, atol=1e-3)
    np.testing.assert_allclose(y, rows, atol=1e-3)


def test_a_new_shape_reads_the_points_where_they_were():
    shape = np.add(FACE, [[-4, 0], [4, 0], [0, 5], [0, 6], [0, 4]])
    x, y = bent(shape, FACE, Similarity(), (0, 0, 120, 160), still=True)
    for new, old in zip(shape, FACE, strict=True):
        column, row = np.round(new).astype(int)
        np.testing.assert_allclose((x[row, column], y[row, column]), old, atol=1.0)


def test_positions_beyond_a_picture_fold_back_into_it():
    assert reflected(np.float32([-1, 0, 3, 4, 5, 7]), 5).tolist() == [1, 0, 3, 4, 3, 1]
    assert reflected(np.float32([-1, 2]), 1).tolist() == [0, 0]


def test_the_seam_takes_the_ring_that_costs_nothing():
    outline = Outline.expected(FACE)
    ring = np.abs(outline.stretched(1.1).depth((160, 120))) < 2
    shares = cheapest(outline, np.where(ring, 0, 3).astype(np.float32))
    # A step along the ring of 30 radii is 1.6 % of a radius.
    assert np.abs(shares - 1.1).mean() < 0.04


def test_depth_is_positive_inside_and_negative_outside():
    depth = Outline.expected(FACE).depth((160, 120))
    assert depth[75, 60] > 20 and depth[2, 2] < -10


def test_masks_lie_on_their_features():
    regions = Regions(FACE, (160, 120))
    for mask, inside, outside in (
        (regions.irises, FACE[0], FACE[2]),
        (regions.eyes, FACE[1], FACE[3]),
        (regions.nose, FACE[2], FACE[0]),
        (regions.mouth, FACE[3], FACE[0]),
        (regions.lips, FACE[3], FACE[2]),
    ):
        (x, y), (u, v) = inside.astype(int), outside.astype(int)
        assert mask[y, x] > 0.95 and mask[v, u] < 0.05
    np.testing.assert_allclose(regions.distance[50, 60], 0, atol=1e-5)
    np.testing.assert_allclose(regions.distance[50, 100], 1, atol=1e-3)


@pytest.mark.parametrize("meeting", ["alike", "person on animal", "animal on person"])
@pytest.mark.parametrize("variant", range(variants()))
def test_a_guest_of_no_weight_gives_nothing_and_more_weight_never_gives_less(meeting, variant):
    nothing = Shares.at(0, meeting, variant=variant)
    assert all(
        getattr(nothing, part) == pytest.approx(0, abs=1e-6)
        for part in ("light", "chroma", "eyes", "clear_eyes", "nose", "mouth", "coat")
    )
    way = [Shares.at(w, meeting, variant=variant) for w in np.linspace(0, 1, 33)]
    for part in ("light", "chroma", "eyes", "nose", "mouth", "coat", "coat_bias"):
        values = [getattr(shares, part) for shares in way]
        assert np.all(np.diff(values) >= -1e-9), part
        assert part == "coat_bias" or values[-1] > 0.99


def test_a_blurred_guest_lends_its_detail_evenly():
    assert Shares.at(0.5, "alike").nose > 0.9
    assert Shares.at(0.3, "alike", guest_is_blurred=True).nose == pytest.approx(0.3)


def test_the_firsts_surroundings_come_back_as_its_weight_nears_one():
    assert surroundings(0.4) == 0 and surroundings(1) == 1 and 0.2 < surroundings(0.75) < 0.8


def _placed(colour: float, points: np.ndarray = FACE) -> Placed:
    noise = np.random.default_rng(1).random((160, 120, 3), np.float32) * 0.2
    return Placed(
        noise + np.float32(colour), np.ones((160, 120), np.float32), points, Similarity(), is_fur=True
    )


def test_a_guest_is_laid_eyes_on_eyes_and_mirrored_if_it_looks_away():
    aside = np.add(FACE, [[0, 0], [0, 0], [10, 0], [5, 0], [2, 0]])
    canvas, guest = _placed(0.1, aside), _placed(0.6, mirrored(aside, 120))
    laid = laid_on(guest, canvas)
    np.testing.assert_allclose(laid.seen, canvas.points, atol=1e-6)


def test_a_larger_guest_is_made_smaller_before_it_is_read():
    guest = Placed(
        np.zeros((640, 480, 3), np.float32),
        np.ones((640, 480), np.float32),
        Similarity.resizing(4)(FACE),
        Similarity(),
        is_fur=True,
    )
    laid = laid_on(guest, _placed(0.5))
    assert laid.alpha.shape == (160, 120)
    np.testing.assert_allclose(laid.seen, FACE, atol=0.05)


def test_colours_come_together_no_further_than_a_mask_may_be_trusted():
    canvas, guest = _placed(0.0), _placed(0.8)
    pair = Pair.carried(canvas, laid_on(guest, canvas), FACE, window_around(FACE, (160, 120)))
    shift = pair.colour_shift(Shares.at(0.5, "alike"))
    np.testing.assert_allclose(shift, 0.2, atol=1e-6)
    assert not pair.colour_shift(Shares.at(0, "alike")).any()


def test_the_axes_of_a_face_turn_with_it():
    frame = FaceFrame.of(Similarity(np.exp(0.5j))(FACE))
    np.testing.assert_allclose(frame.across, [np.cos(0.5), np.sin(0.5)], atol=1e-9)
    np.testing.assert_allclose(frame.at(0, 1) - frame.origin, 40 * frame.down, atol=1e-6)


def _with_eyes(strength: float, *, is_fur: bool, aside: float = 0.0, size: float = 1.0) -> Placed:
    """A grey face whose eyes are chequered so strongly; ``size`` scales the picture."""
    shape = (round(160 * size), round(120 * size))
    points = Similarity.resizing(size)(FACE + np.outer([0, 0, 1, 0, 0], [40 * aside, 0]))
    image = np.full((*shape, 3), 0.5, np.float32)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for x, y in points[:2]:
        near = np.hypot(columns - x, rows - y) < 6 * size
        image[near] += strength * (((rows + columns) % 2)[near, None] - 0.5)
    return Placed(image, np.ones(shape, np.float32), points, Similarity(), is_fur=is_fur)


def test_of_a_person_and_an_animal_the_one_whose_own_eyes_show_less_keeps_its_head():
    person, animal = _with_eyes(0.2, is_fur=False), _with_eyes(0.6, is_fur=True)
    assert heads([person, animal]) == (0, 1)
    assert heads([animal, person]) == (1, 0)
    assert heads([person, _with_eyes(0.2, is_fur=True)]) == (1, 0)


def test_an_animal_that_is_turned_or_small_keeps_its_head():
    person = _with_eyes(0.05, is_fur=False, size=2.0)
    assert heads([person, _with_eyes(0.9, is_fur=True)]) == (0, 1)
    assert heads([person, _with_eyes(0.9, is_fur=True, aside=0.5)]) == (1, 0)
    assert heads([person, _with_eyes(0.9, is_fur=True, size=0.6)]) == (1, 0)


def test_among_their_like_the_first_keeps_its_head():
    assert heads([_with_eyes(0.2, is_fur=True), _with_eyes(0.6, is_fur=True)]) == (0,)
    assert heads([_with_eyes(0.2, is_fur=False), _with_eyes(0.6, is_fur=False)]) == (0,)
    three = [_with_eyes(0.2, is_fur=True), _with_eyes(0.6, is_fur=True), _with_eyes(0.6, is_fur=False)]
    assert heads(three) == (0, 2)


def test_detail_of_eyes_at_the_rim_of_a_picture_is_read():
    face = _with_eyes(0.4, is_fur=True)
    beyond = Placed(face.image, face.alpha, face.points - [300, 300], face.view, is_fur=True)
    assert eye_detail(face) > 0.005
    assert eye_detail(beyond) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 1.0])
def test_while_the_frame_moves_both_faces_stay_on_each_other(share):
    canvas, first = _with_eyes(0.5, is_fur=True, size=2.0), _with_eyes(0.5, is_fur=False)
    first = replace(first, points=Similarity(0.8 * np.exp(0.2j), 9 + 4j)(FACE))
    moved, around = framed_canvas(canvas, first, share=share)
    np.testing.assert_allclose(moved.seen, around.seen, atol=1e-6)
    if share == 1:
        np.testing.assert_allclose(around.seen, first.points, atol=1e-6)
        np.testing.assert_allclose(presence(around, (160, 120)), 1)


def test_a_picture_fades_beyond_its_rim():
    picture = replace(_with_eyes(0.5, is_fur=True), view=Similarity(2 + 0j, -60 - 80j))
    seen = presence(picture, (160, 120))
    assert seen[80, 60] == 1 and seen[0, 0] == 0
    # The rim is at column 30 of the frame; 0.4 units are about 8 of its pixels.
    assert seen[80, 31] == 1 and 0 < seen[80, 27] < 1 and seen[80, 10] == 0
