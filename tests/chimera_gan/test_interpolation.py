"""Mixing conditions: values by hand and laws of the sphere; principal components."""

from __future__ import annotations

import math

import pytest
import torch
from chimera_gan.interpolation import Principal, linear_mix, spherical_mix
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import DataError, ShapeError

MIXES = [linear_mix, spherical_mix]


def tensor(*rows: list[float]) -> Tensor:
    """Parents of one image: (P, 1, C)."""
    return torch.tensor(rows, dtype=torch.float64)[:, None]


def shares(*weights: float) -> Tensor:
    return torch.tensor(weights, dtype=torch.float64)


def at_angle(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


# Two parents


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("degrees", [1e-4, 30, 90, 150, 179.99])
def test_two_parents_share_the_angle(degrees: float, share: float) -> None:
    mixed = spherical_mix(tensor(at_angle(0), at_angle(degrees)), shares(1 - share, share))
    assert mixed[0].tolist() == pytest.approx(at_angle(degrees * share), abs=1e-9)


def test_two_parents_are_mixed_by_the_formula_of_slerp() -> None:
    torch.manual_seed(0)
    a, b = F.normalize(torch.randn(2, 5, 16, dtype=torch.float64), dim=2)
    angle = (a * b).sum(1).acos()[:, None]
    expected = ((0.7 * angle).sin() * a + (0.3 * angle).sin() * b) / angle.sin()
    torch.testing.assert_close(spherical_mix(torch.stack([a, b]), shares(0.7, 0.3)), expected)


def test_lengths_mix_linearly() -> None:
    mixed = spherical_mix(tensor([2.0, 0], [0, 4.0]), torch.tensor([0.5, 0.5]))
    assert mixed[0].tolist() == pytest.approx([3 / math.sqrt(2)] * 2)


def test_linear_mix_is_the_weighted_sum() -> None:
    mixed = linear_mix(tensor([2.0, 0], [0, 4.0]), torch.tensor([0.25, 0.75]))
    assert mixed[0].tolist() == [0.5, 3.0]


def test_mixed_noise_is_as_long_as_noise_and_the_straight_line_is_not() -> None:
    torch.manual_seed(0)
    noise = torch.randn(2, 200, 128)
    half = torch.tensor([0.5, 0.5])
    assert spherical_mix(noise, half).norm(dim=1).mean() == pytest.approx(math.sqrt(128), rel=0.02)
    assert linear_mix(noise, half).norm(dim=1).mean() == pytest.approx(math.sqrt(64), rel=0.02)


# What has no direction between


def test_a_zero_has_no_say_in_the_direction() -> None:
    mixed = spherical_mix(tensor([0.0, 0], [0, 4.0]), torch.tensor([0.25, 0.75]))
    assert mixed[0].tolist() == pytest.approx([0, 3])
    nothing = spherical_mix(tensor([0.0, 0], [0, 0], [3, 0]), torch.tensor([0.5, 0.5, 0]))
    assert nothing[0].tolist() == [0, 0]


def test_the_way_between_opposite_vectors_is_half_a_circle() -> None:
    for vector in ([1.0, 0, 0], [0.6, 0.0, -0.8], [1e-3, 2e-3, -1e-3]):
        ends = tensor(vector, [-x for x in vector])
        way = torch.stack([spherical_mix(ends, shares(1 - t, t))[0] for t in torch.linspace(0, 1, 13)])
        length = ends[0].norm().item()
        assert way.norm(dim=1).tolist() == pytest.approx([length] * 13)
        steps = (F.normalize(way, dim=1)[1:] * F.normalize(way, dim=1)[:-1]).sum(1).acos().rad2deg()
        assert steps.tolist() == pytest.approx([15] * 12, abs=1e-4)
        back = spherical_mix(ends.flip(0), shares(0.75, 0.25))
        torch.testing.assert_close(back, spherical_mix(ends, shares(0.25, 0.75)))


def test_balanced_parents_give_no_nan() -> None:
    thirds = tensor(at_angle(0), at_angle(120), at_angle(240))
    mixed = spherical_mix(thirds, torch.tensor([1 / 3] * 3))
    assert mixed.norm().item() == pytest.approx(1)
    cross = tensor(at_angle(0), at_angle(90), at_angle(180), at_angle(270))
    assert spherical_mix(cross, torch.tensor([0.25] * 4)).norm().item() == pytest.approx(1)


# More than two


def test_three_axes_have_their_diagonal_as_mean() -> None:
    mixed = spherical_mix(torch.eye(3, dtype=torch.float64)[:, None], torch.tensor([1, 1, 1]) / 3)
    assert mixed[0].tolist() == pytest.approx([1 / math.sqrt(3)] * 3, abs=1e-7)


def test_three_on_a_circle_share_the_angle() -> None:
    parents = tensor(at_angle(10), at_angle(40), at_angle(100))
    mixed = spherical_mix(parents, shares(0.5, 0.3, 0.2))
    assert mixed[0].tolist() == pytest.approx(at_angle(37), abs=1e-9)


def test_arrows_to_the_parents_balance_at_their_mean() -> None:
    torch.manual_seed(0)
    parents = F.normalize(torch.randn(4, 6, 32, dtype=torch.float64), dim=2)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    mean = spherical_mix(parents, weights)
    cosine = (parents * mean).sum(2, keepdim=True)
    across = parents - cosine * mean
    arrows = F.normalize(across, dim=2) * cosine.acos()
    assert (arrows * weights[:, None, None]).sum(0).norm(dim=1).max() < 1e-9


def test_a_third_parent_of_no_weight_changes_nothing() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(3, 5, 8)
    two = spherical_mix(vectors[:2], torch.tensor([0.4, 0.6]))
    torch.testing.assert_close(spherical_mix(vectors, torch.tensor([0.4, 0.6, 0])), two)


# Laws

Parents = tuple[Tensor, Tensor]


@st.composite
def parents(draw: st.DrawFn) -> Parents:
    """Random, and now and then awkward: equal, opposite, zero, of many lengths."""
    count, length = draw(st.integers(2, 5)), draw(st.sampled_from([2, 3, 8, 64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    vectors = torch.randn(count, 2, length, generator=generator)
    vectors = vectors * draw(st.sampled_from([1e-3, 1.0, 100.0]))
    kind = draw(st.sampled_from(["plain", "plain", "equal", "opposite", "zero"]))
    vectors[-1] = {"equal": vectors[0], "opposite": -vectors[0], "zero": 0 * vectors[0]}.get(
        kind, vectors[-1]
    )
    weights = torch.tensor(
        draw(st.lists(st.integers(0, 8), min_size=count, max_size=count)), dtype=torch.float32
    )
    weights[draw(st.integers(0, count - 1))] += 1
    return vectors, weights / weights.sum()


@settings(max_examples=30, deadline=None)
@given(parents(), st.randoms(use_true_random=False))
def test_order_has_no_influence(case: Parents, random: object) -> None:
    vectors, weights = case
    order = list(range(len(weights)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for mix in MIXES:
        scale = vectors.norm(dim=2).max().item()
        difference = mix(vectors[order], weights[order]) - mix(vectors, weights)
        assert difference.abs().max().item() <= 1e-6 * scale


@settings(max_examples=20, deadline=None)
@given(parents())
def test_ends_are_the_parents_bit_for_bit(case: Parents) -> None:
    vectors, _ = case
    for k, vector in enumerate(vectors):
        for mix in MIXES:
            assert torch.equal(mix(vectors, F.one_hot(torch.tensor(k), len(vectors)).float()), vector)


@settings(max_examples=30, deadline=None)
@given(parents())
def test_lengths_are_the_mean_and_nothing_is_nan(case: Parents) -> None:
    vectors, weights = case
    mixed = spherical_mix(vectors, weights)
    lengths = (vectors.norm(dim=2) * weights[:, None]).sum(0)
    direction = (vectors.norm(dim=2) * weights[:, None]).amax(0) > 0
    assert mixed.isfinite().all()
    torch.testing.assert_close(mixed.norm(dim=1)[direction], lengths[direction], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_a_small_change_of_weights_is_a_small_change(count: int) -> None:
    """Along a way between two mixtures no step of 100 is over three times the mean one."""
    torch.manual_seed(1)
    vectors = F.normalize(torch.randn(count, 20, 16, dtype=torch.float64), dim=2)
    start, end = torch.eye(count).double()[0], torch.tensor([0.1, 0.9, 0.0][:count]).double()
    way = torch.stack(
        [spherical_mix(vectors, start + (end - start) * t) for t in torch.linspace(0, 1, 101).double()]
    )
    steps = (way[1:] - way[:-1]).norm(dim=2)
    assert (steps.amax(0) < 3 * steps.mean(0)).all()


def test_every_image_may_have_its_own_weights() -> None:
    torch.manual_seed(0)
    vectors, weights = torch.randn(3, 4, 8), torch.softmax(torch.randn(3, 4), 0)
    for mix in MIXES:
        together = mix(vectors, weights)
        for k in range(4):
            torch.testing.assert_close(together[k : k + 1], mix(vectors[:, k : k + 1], weights[:, k]))


@pytest.mark.parametrize("mix", MIXES)
def test_weights_that_do_not_fit_are_one_line(mix: object) -> None:
    with pytest.raises(ShapeError, match=r"vectors are \(2, 3, 4\) and weights \(3,\)"):
        mix(torch.zeros(2, 3, 4), torch.ones(3))  # type: ignore[operator]


# Principal components


def test_components_by_hand() -> None:
    """Points on a cross: variance 18 along (1, 1), 2 along (1, -1); the mean is (5, 7)."""
    features = torch.tensor([[3.0, 3], [-3, -3], [1, -1], [-1, 1]]) + torch.tensor([5.0, 7.0])
    fitted = Principal.fit(features, 2)
    assert fitted.mean.tolist() == pytest.approx([5, 7])
    root = math.sqrt(0.5)
    assert fitted.directions[0].tolist() == pytest.approx([root, root])
    assert fitted.directions.abs()[1].tolist() == pytest.approx([root, root])
    # Scores are (6 root, 0) and (0, 2 root) with signs: mean square (36 + 36 + 4 + 4) / 2 / 8 = 5.
    assert fitted.scale.item() == pytest.approx(math.sqrt(5))
    assert fitted.scores(features)[0].tolist() == pytest.approx([6 * root / math.sqrt(5), 0], abs=1e-6)
    assert fitted(features)[0].tolist() == pytest.approx([math.sqrt(2), 0], abs=1e-6)


def test_directions_are_orthonormal_sorted_and_of_one_sign() -> None:
    torch.manual_seed(0)
    features = torch.randn(200, 6) * torch.tensor([1.0, 5, 2, 4, 3, 0.5]) + 10
    fitted = Principal.fit(features, 4)
    torch.testing.assert_close(fitted.directions @ fitted.directions.T, torch.eye(4))
    spread = fitted.scores(features).std(0)
    assert (spread[:-1] > spread[1:]).all()
    assert fitted.directions.abs().argmax(1).tolist() == [1, 3, 4, 2]
    assert (fitted.directions.gather(1, torch.tensor([[1], [3], [4], [2]])) > 0).all()
    mirrored = Principal.fit(20 - features, 4)
    torch.testing.assert_close(mirrored.directions, fitted.directions, atol=1e-5, rtol=1e-5)


def test_conditions_lie_on_the_sphere_and_the_mean_is_no_nan() -> None:
    torch.manual_seed(0)
    features = torch.randn(50, 10)
    fitted = Principal.fit(features, 4)
    assert fitted(features).norm(dim=1).tolist() == pytest.approx([2.0] * 50, rel=1e-5)
    assert fitted.scores(features).square().mean().item() == pytest.approx(1, rel=1e-5)
    assert not fitted(fitted.mean[None]).any()


def test_a_fitted_table_travels_as_a_state() -> None:
    torch.manual_seed(0)
    features = torch.randn(50, 10)
    fitted, other = Principal.fit(features, 4), Principal(10, 4)
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(features), fitted(features))


def test_too_few_images_are_one_line() -> None:
    with pytest.raises(DataError, match="4 images with 10 features have 1 to 3 components: 4"):
        Principal.fit(torch.randn(4, 10), 4)
    with pytest.raises(DataError, match="NaN"):
        Principal.fit(torch.full((9, 3), math.nan), 2)
