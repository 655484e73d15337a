"""What makes a picture a good parent: laws of the figures, and real pictures that differ in one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from chimera_core.api import FeatureEncoder, load_encoder
from chimera_core.errors import DataError
from chimera_core.images import Picture, read_picture
from chimera_core.subjects.visibility import Visibility, measure_visibility

GOOD = Visibility(outline=0.95, head=0.9, head_share=0.2, body_contact=0.0, head_contact=0.0, head_side=120.0)


@pytest.fixture(scope="module")
def encoder() -> FeatureEncoder:
    return load_encoder().requires_grad_(False)


@pytest.mark.parametrize(
    "worse",
    [
        {"outline": 0.5},
        {"head": 0.4},
        {"head_share": 0.7},
        {"head_share": 0.02},
        {"body_contact": 1.0},
        {"head_contact": 0.6},
        {"head_side": 30.0},
    ],
    ids=str,
)
def test_a_picture_that_is_worse_in_one_thing_has_a_lower_score_above_zero(worse: dict[str, float]) -> None:
    assert GOOD.score == 1
    assert 0 < replace(GOOD, **worse).score < 0.9


def test_an_empty_picture_is_the_least(encoder: FeatureEncoder) -> None:
    grey = Picture(np.full((120, 160, 3), 128, np.uint8), None, "grey")
    nothing = measure_visibility(encoder, grey)
    assert nothing.outline < 0.5 and nothing.score < 0.01


@pytest.mark.slow
def test_a_cats_face_goes_before_half_of_it_and_before_its_fur(encoder: FeatureEncoder) -> None:
    cat = data.chelsea()
    face, half, fur = (
        measure_visibility(encoder, Picture(np.ascontiguousarray(part), None, "cat")).score
        for part in (cat, cat[:, :190], cat[150:, 340:])
    )
    assert face > 1.5 * half > 3 * fur


@pytest.mark.slow
def test_a_person_down_to_the_chest_goes_before_the_face_alone(encoder: FeatureEncoder) -> None:
    astronaut = data.astronaut()
    chest, face = (
        measure_visibility(encoder, Picture(np.ascontiguousarray(part), None, "astronaut"))
        for part in (astronaut, astronaut[40:210, 150:310])
    )
    assert chest.head_share < 0.5 < face.head_share
    assert chest.score > face.score


@pytest.mark.slow
def test_a_cut_outs_own_alpha_is_its_outline(encoder: FeatureEncoder) -> None:
    astronaut = data.astronaut()
    alpha = np.zeros(astronaut.shape[:2], np.uint8)
    alpha[:, 60:420] = 255
    shown = measure_visibility(encoder, Picture(astronaut, alpha, "cut-out"))
    assert shown.outline == 1
    # Lower and upper edge cut it over 360 pixels each, wherever its head may be.
    along = shown.body_contact * (360 * 512) ** 0.5 + shown.head_contact * shown.head_side
    assert along == pytest.approx(2 * 360, rel=0.02)
    clear = Picture(astronaut, np.zeros_like(alpha), "clear")
    assert measure_visibility(encoder, clear) == Visibility()


def test_a_picture_too_elongated_for_a_parent_is_refused(encoder: FeatureEncoder) -> None:
    with pytest.raises(DataError, match="too elongated"):
        measure_visibility(encoder, Picture(np.zeros((40, 400, 3), np.uint8), None, "strip"))


@pytest.mark.slow
def test_the_size_of_a_head_is_in_pixels_of_the_picture(encoder: FeatureEncoder) -> None:
    small = data.astronaut()[::2, ::2]
    large = small.repeat(4, 0).repeat(4, 1)
    one, other = (measure_visibility(encoder, Picture(p, None, "p")).head_side for p in (small, large))
    assert other == pytest.approx(4 * one, rel=0.15)


@pytest.mark.slow
def test_real_animals_in_full_view_go_before_portraits_and_herds(
    encoder: FeatureEncoder, photos: Path
) -> None:
    def worth(name: str) -> float:
        return measure_visibility(encoder, read_picture(photos / f"{name}.jpg")).score

    full = min(map(worth, ("tiger", "ice_bear", "golden_retriever", "gazelle")))
    portrait = worth("persian_cat")
    # A face at the frame's edge, and herds far away.
    assert full > 2 * portrait > 4 * max(map(worth, ("cheetah", "african_elephant", "arabian_camel")))
