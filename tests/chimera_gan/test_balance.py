"""Equal weights meet the middle of what is seen; ends, order and absent parents are left as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from chimera_gan.balance import Turns, bend_weights, find_turns
from chimera_gan.interpolation import linear_mix
from torch import Tensor

CENTRES = torch.tensor([[0.0], [1.0]])
PAIR = torch.tensor([[[0.0]], [[1.0]]])  # two parents, one image, one number


def turning_at(place: float) -> Callable[[Tensor, Tensor], Tensor]:
    """See nothing of the second parent until 1/16 before a place, and nothing of the first from 1/16 behind it."""
    return lambda conditions, rows: ((conditions - place) * 8 + 0.5).clamp(0, 1)


def straight(conditions: Tensor, rows: Tensor) -> Tensor:
    return conditions


@pytest.mark.parametrize("place", [0.1875, 0.3125, 0.5, 0.8125])
def test_equal_weights_meet_the_place_where_the_picture_turns(place: float) -> None:
    turns = find_turns(PAIR, mix=linear_mix, look=turning_at(place), centres=CENTRES)
    shares = bend_weights(torch.tensor([0.5, 0.5]), turns)
    assert shares[1, 0] == pytest.approx(place, abs=1e-5)
    assert turns.shift[1, 0] == -turns.shift[0, 1] and turns.shift[0, 0] == 0


def test_an_even_way_is_left_as_it_is() -> None:
    turns = find_turns(PAIR, mix=linear_mix, look=straight, centres=CENTRES)
    for weight in (0.1, 0.25, 0.8):
        shares = bend_weights(torch.tensor([1 - weight, weight]), turns)
        assert shares[1, 0] == pytest.approx(weight, abs=1e-5)


def test_every_image_has_its_own_middle() -> None:
    pairs = PAIR.expand(2, 3, 1)
    places = torch.tensor([[0.25], [0.5], [0.75]])
    turns = find_turns(
        pairs,
        mix=linear_mix,
        look=lambda c, rows: ((c - places[rows]) * 8 + 0.5).clamp(0, 1),
        centres=CENTRES,
    )
    assert torch.allclose(bend_weights(torch.tensor([0.5, 0.5]), turns)[1], places[:, 0], atol=1e-5)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0)])
def test_a_parent_of_weight_1_is_alone(weights: tuple[float, float]) -> None:
    turns = find_turns(PAIR, mix=linear_mix, look=turning_at(0.8), centres=CENTRES)
    assert bend_weights(torch.tensor(weights), turns)[:, 0].tolist() == list(weights)


def test_shares_rise_with_their_weights() -> None:
    turns = find_turns(PAIR, mix=linear_mix, look=turning_at(0.2), centres=CENTRES)
    shares = [float(bend_weights(torch.tensor([1 - w, w]), turns)[1, 0]) for w in torch.linspace(0, 1, 21)]
    assert shares == sorted(shares) and len(set(shares)) == 21


def test_what_cannot_be_told_apart_is_not_shifted() -> None:
    blind = find_turns(PAIR, mix=linear_mix, look=lambda c, rows: torch.zeros_like(c), centres=CENTRES)
    assert blind.shift.abs().max() < 1e-6 and torch.allclose(blind.slope, torch.ones(1, dtype=torch.float64))


def test_a_way_that_turns_back_has_a_middle_all_the_same() -> None:
    def wavy(conditions: Tensor, rows: Tensor) -> Tensor:
        return conditions + 0.4 * (2 * torch.pi * conditions).sin()

    share = bend_weights(
        torch.tensor([0.5, 0.5]), find_turns(PAIR, mix=linear_mix, look=wavy, centres=CENTRES)
    )[1, 0]
    # It is half done for the first time at 0.163: 0.163 + 0.4 * sin(0.326 * pi) = 0.505.
    assert 0.1 < share < 0.225


def test_parents_of_one_class_are_measured_by_their_own_difference() -> None:
    near = torch.tensor([[[0.1, 0.0]], [[0.1, 0.4]]])
    centres = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    turns = find_turns(near, mix=linear_mix, look=straight, centres=centres)
    assert turns.shift.abs().max() < 1e-5


def test_a_quick_turn_takes_more_of_the_weights_range() -> None:
    # A quarter of the way is done at 0.3, three quarters at 0.7: there the weights 1/4 and 3/4 lead.
    mild = find_turns(
        PAIR, mix=linear_mix, look=lambda c, rows: (1.25 * c - 0.125).clamp(0, 1), centres=CENTRES
    )
    assert mild.slope[0, 1] == pytest.approx((7 / 16 - 0.3) / (3 / 16), abs=1e-5)
    for weight, share in ((0.25, 0.3), (0.5, 0.5), (0.75, 0.7)):
        assert bend_weights(torch.tensor([1 - weight, weight]), mild)[1, 0] == pytest.approx(share, abs=1e-5)
    # A quicker one is slowed down as far as the ends allow: 1/2 - 0.6 / 4 - 0.4 / 16.
    quick = find_turns(PAIR, mix=linear_mix, look=turning_at(0.5), centres=CENTRES)
    assert quick.slope[0, 1] == 0.6
    assert bend_weights(torch.tensor([0.75, 0.25]), quick)[1, 0] == pytest.approx(0.325, abs=1e-5)


def test_three_parents_keep_the_laws() -> None:
    generator = torch.Generator().manual_seed(0)
    shift = torch.randn(3, 3, 4, generator=generator, dtype=torch.float64)
    slope = torch.rand(3, 3, 4, generator=generator, dtype=torch.float64) * 0.2 + 0.3
    turns = Turns(shift - shift.transpose(0, 1), slope + slope.transpose(0, 1))
    weights = torch.tensor([0.2, 0.5, 0.3])
    shares = bend_weights(weights, turns)
    assert torch.allclose(shares.sum(0), torch.ones(4))
    order = [2, 0, 1]
    turned = Turns(*(t[order][:, order] for t in turns))
    assert torch.allclose(bend_weights(weights[order], turned), shares[order])
    alone = bend_weights(torch.tensor([0.4, 0.6]), Turns(*(t[:2, :2] for t in turns)))
    with_none = bend_weights(torch.tensor([0.4, 0.6, 0.0]), turns)
    assert torch.allclose(with_none[:2], alone) and not with_none[2].any()
    nearly = bend_weights(torch.tensor([0.4, 0.6 - 1e-9, 1e-9]), turns)
    assert torch.allclose(nearly, with_none, atol=1e-2)
