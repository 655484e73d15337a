"""The figures of a card and of a set, computed by hand; the warnings name what they should."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from chimera_core.report.columns import describe
from chimera_core.scoring.figures.figures import (
    Look,
    card_of,
    fused_of,
    kinship_of,
    presence_of,
    score_of,
    unity_of,
    weight_error,
)
from chimera_core.scoring.figures.membership import Likeness, Membership, fit_membership
from chimera_core.scoring.figures.realism import RealismScale
from chimera_core.scoring.parents import SeenParents
from chimera_core.scoring.set_card import set_card, spread, weight_slope
from chimera_core.scoring.sets.probe import fit_probe

EVEN = (0.5, 0.5)


def table(*views: tuple[float, ...]) -> Tensor:
    return torch.tensor(views, dtype=torch.float64)


def test_fused_is_what_a_hand_computes() -> None:
    assert fused_of(table((1, 0)), EVEN) == 0  # a copy
    assert fused_of(table((0.5, 0.5)), EVEN) == 1
    assert fused_of(table((0.8, 0.9)), EVEN) == 1  # more like both than a half
    assert fused_of(table((0.6, 0.125)), EVEN) == pytest.approx(0.725)  # an eighth is enough to be seen
    assert fused_of(table((0.6, 0.05)), EVEN) == pytest.approx(
        0.65 * 0.5**3
    )  # 0.05 of the 0.1 that says it is there
    assert fused_of(table((0.7, 0.02)), (0.8, 0.2)) == pytest.approx(
        0.72 * 0.5**3
    )  # less is asked, less is enough
    assert fused_of(table((0.5, 0.5, 0.0)), (0.4, 0.4, 0.2)) == 0
    assert fused_of(table((0.5, 0.5, 0.0)), (0.5, 0.5, 0)) == 1


def test_kinship_is_how_much_the_parents_explain_together() -> None:
    assert kinship_of(table((0.3, 0.1), (0.2, 0.2)), EVEN) == pytest.approx(0.4)
    assert kinship_of(table((1, 0), (1, 0.5)), EVEN) == 1
    assert kinship_of(table((0.3, 0.2, 0.4)), (0.5, 0.5, 0)) == pytest.approx(0.5)


def test_what_shows_another_parent_in_every_view_is_no_one_creature() -> None:
    assert unity_of(table((1, 0), (0, 1)), EVEN) == 0
    assert unity_of(table((0.9, 0.1), (0.9, 0.1), (0.9, 0.1)), EVEN) == pytest.approx(
        1
    )  # uneven, and everywhere alike
    assert unity_of(table((0.2, 0.1), (0.8, 0.4)), EVEN) == pytest.approx(1)  # blurred here, sharp there
    assert unity_of(table((1, 0), (0.3, 0), (0.9, 0)), EVEN) == pytest.approx(
        1
    )  # a copy, of which views show more or less
    assert unity_of(table((0, 0), (0, 0)), EVEN) == 1
    collage = table((1, 0), (0, 1), (0.5, 0.5), (0, 1))  # differences 1, -1, 0, -1; sums 1
    assert unity_of(collage, EVEN) == pytest.approx(1 - math.sqrt(11) / 4)
    assert fused_of(collage, EVEN) == pytest.approx(unity_of(collage, EVEN))
    pieces = table((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert unity_of(pieces, (0.4, 0.3, 0.3)) == pytest.approx(1 - math.sqrt(2 / 3))
    assert unity_of(pieces[:2], (0.5, 0, 0.5)) == 1  # of those that were asked for, one is nowhere else


def test_a_parent_that_one_view_alone_shows_is_hardly_there() -> None:
    noise = table((1, 0.16), *[(1, 0)] * 7)
    assert presence_of(noise, EVEN) == pytest.approx(((0.4 / 8) ** 2 / 0.1) ** 3)
    assert presence_of(table(*[(1, 0.02)] * 8), EVEN) == pytest.approx(0.2**3)  # as much, but in every view


def test_likeness_is_0_for_the_other_parent_and_1_for_its_own_views() -> None:
    first = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.8, -0.6, 0.0]])
    second = torch.tensor([[0.0, 0.0, 2.0], [0.6, 0.0, 0.8]])
    likeness = Likeness.fit([first, second])
    assert likeness.centres.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert likeness.centres[0].tolist() == pytest.approx([1, 0, 0])
    assert likeness.high[0] == pytest.approx(0.8) and likeness.low[0] == pytest.approx(
        0.54
    )  # 0.9 of the way to 0.6
    views = torch.tensor(
        [[[0.8, 0.6, 0.0], [0.0, 0.0, 1.0], [0.67, 0.0, math.sqrt(1 - 0.67**2)], [-1.0, 0.0, 0.0]]]
    )
    assert likeness.of(views)[0, :, 0].tolist() == pytest.approx([1, 0, 0.5, 0])
    assert likeness.of(5 * views)[0, :, 0].tolist() == pytest.approx([1, 0, 0.5, 0])  # lengths say nothing
    three = Likeness.fit([first, second, torch.tensor([[0.6, 0.8, 0.0]])])
    assert three.low[0] == pytest.approx(0.6)  # of the nearest of the others


def test_parents_that_cannot_be_told_apart_are_hardly_alike() -> None:
    same = torch.tensor([[1.0, 0.0], [0.99, 0.02]])
    found = Likeness.fit([same, same]).of(same[None])
    assert bool(torch.isfinite(found).all()) and float(found.max()) < 0.1


def test_a_parent_is_there_by_its_coat_or_by_what_the_embedding_sees() -> None:
    assert presence_of(table((1, 0)), EVEN, (0.9, 0.05)) == pytest.approx(0.5**3)
    assert presence_of(table((1, 0)), EVEN, (0, 0.1)) == 1
    assert presence_of(table((0.5, 0.5)), EVEN, (1, 0)) == 1
    assert fused_of(table((0.8, 0)), EVEN, (0.5, 0.5)) == pytest.approx(0.8)
    assert fused_of(table((1, 0)), EVEN, (1, 0)) == 0  # a copy
    assert fused_of(table((0.5, 0.5, 0)), (0.5, 0.5, 0), (1, 1, 0)) == pytest.approx(1)


def test_a_montage_costs_as_much_as_its_pieces_stay_apart() -> None:
    assert score_of(0.4, 0.9, 0.0, 0.1) == pytest.approx(0.6)
    assert score_of(0.4, 0.9, 1.0, 1.0) == pytest.approx(0.6)  # well joined
    assert score_of(0.4, 0.9, 1.0, 0.75) == pytest.approx(0.45)
    assert score_of(0.4, 0.9, 0.5, 0.5) == pytest.approx(0.45)
    assert score_of(0.4, 0.9, 1.0, 0.0) == 0


def look(views: Tensor, *, likeness: tuple[float, float] = (0.5, 0.25), realism: float | None = 0.25) -> Look:
    one = torch.tensor([1.0])
    return Look(
        "judge",
        torch.ones(1, 3),
        views[None],
        torch.tensor(likeness).expand(1, len(views), 2),
        one,
        None if realism is None else realism * one,
        200,
        torch.tensor([[0.3, 0.6]]),
        torch.tensor([[0.4, 0.7]]),
        9,
    )


def test_a_card_holds_every_figure_of_the_design() -> None:
    card = card_of([look(table((0.6, 0.2, 0.2), (0.6, 0.2, 0.2)))], 0, EVEN_WEIGHTS)
    found = {name: figure.value for name, figure in card.items()}
    assert found.pop("montage") is None and "not known" in str(card["montage"].reason)
    assert found.pop("integrity") is None and "not known" in str(card["integrity"].reason)
    assert found == pytest.approx(
        {
            "membership_0": 0.75,
            "membership_1": 0.25,
            "leakage": 0.2,
            "balance": 1 / 3,
            "weight_error": 0.25,
            "likeness_0": 0.5,
            "likeness_1": 0.25,
            "kinship": 0.75,
            "unity": 1.0,
            "presence": 1.0,
            "identity_0": 0.3,
            "identity_1": 0.6,
            "log_odds": 1.0,
            "novelty": 0.3,
            "realism": 0.25,
            "fused": 0.75,
            "score": math.sqrt(0.75 * 0.25),
        },
        abs=1e-6,
    )
    assert card["fused"].n == 2 and card["realism"].n == 200 and card["identity_0"].n == 9
    assert {figure.extractor for name, figure in card.items() if name != "montage"} == {"judge"}


def test_a_card_of_photographs_knows_coats_and_montage() -> None:
    seen = replace(
        look(table((0.6, 0.2, 0.2)), likeness=(0.6, 0.0)),
        coat=torch.tensor([[0.5, 0.05]]),
        montage=torch.tensor([0.5]),
        patches=torch.tensor([[3.0, 4.0]]),
    )
    card = card_of([seen], 0, EVEN_WEIGHTS)
    assert (card["coat_0"].value, card["coat_1"].value) == pytest.approx((0.5, 0.05))
    assert (card["patch_distance_0"].value, card["patch_distance_1"].value) == (3, 4)
    assert card["montage"].value == 0.5 and card["montage"].extractor == "pixels"
    assert card["presence"].value == pytest.approx(0.125)
    assert card["fused"].value == pytest.approx(0.6 * 0.125)
    assert card["score"].value == pytest.approx(math.sqrt(0.075 * 0.25))


def test_where_places_are_known_they_count_in_place_of_the_views() -> None:
    places = table((1.0, 0.2), (0.6, 0.0), (0.4, 1.0), (0.0, 0.6))  # one's body, the other's head
    seen = replace(
        look(table((0.6, 0.2, 0.2)), likeness=(0.5, 0.25)), places=places[None], montage=torch.tensor([0.5])
    )
    card = card_of([seen], 0, EVEN_WEIGHTS)
    assert card["integrity"].value == pytest.approx((1 + 0.6 + 1 + 0.6) / 4) and card["integrity"].n == 4
    # Beyond each other's: 0.8 and 0.6 of the first, 0.6 and 0.6 of the second; their mix is 0.2 / 2.6.
    mix = 0.2 / 2.6
    apart = (0.8 - 0.8 * mix, 0.6 - 0.6 * mix, 0.6 + 0.6 * mix, 0.6 + 0.6 * mix)
    unity = 1 - math.sqrt(sum(a * a for a in apart) / 4)
    assert card["unity"].value == pytest.approx(unity) and card["presence"].value == 1
    assert card["fused"].value == pytest.approx(0.8)
    assert card["score"].value == pytest.approx(math.sqrt(0.8 * 0.25) * (1 - 0.5 * (1 - unity)))


EVEN_WEIGHTS: Any = [0.5, 0.5]


def test_a_figure_that_cannot_be_given_says_why() -> None:
    alone = card_of([look(table((1, 0, 0)))], 0, [1.0, 0.0])
    assert alone["fused"].value is None and "nothing to fuse" in str(alone["fused"].reason)
    assert alone["unity"].value is None and "nothing to fuse" in str(alone["unity"].reason)
    assert alone["membership_0"].value == 1
    blind = card_of([look(table((0.5, 0.5, 0)), realism=None)], 0, EVEN_WEIGHTS)
    for name in ("leakage", "realism", "fused", "score"):
        assert blind[name].value is None and "reference" in str(blind[name].reason)
    assert blind["kinship"].value == 0.75  # a matter of the parents alone
    no_scale = card_of([look(table((0.5, 0.5, 0)), likeness=(0.5, 0.5), realism=math.nan)], 0, EVEN_WEIGHTS)
    assert no_scale["score"].value is None and no_scale["fused"].value == 1


def test_a_second_judge_adds_its_headline() -> None:
    second = look(table((0.4, 0.4, 0.2)), likeness=(0.5, 0.5))
    card = card_of(
        [look(table((1, 0, 0)), likeness=(1.0, 0.0)), Look("other", *list(vars(second).values())[1:])],
        0,
        EVEN_WEIGHTS,
    )
    assert card["fused"].value == 0 and card["fused[other]"].value == 1
    assert card["score[other]"].extractor == "other"


def test_weight_error_of_two_parents_is_their_difference() -> None:
    assert weight_error((0.7, 0.3), (0.5, 0.5)) == pytest.approx(0.2)
    assert weight_error((1, 0, 0), (0, 0.5, 0.5)) == 1


def test_slope_and_spread_are_what_a_hand_computes() -> None:
    weights = torch.tensor([[1.0, 0], [0.5, 0.5], [0, 1]])
    assert weight_slope(weights, weights) == 1
    assert weight_slope(weights.flip(1), weights) == -1
    assert weight_slope(torch.full((3, 2), 0.5), weights) == 0
    assert spread(torch.tensor([[1.0, 0], [0, 2], [3, 0]])) == pytest.approx(2 / 3)  # cosines 0, 1, 0
    assert 0 <= spread(torch.rand(1, 50).expand(9, -1)) < 1e-12


SEEDS = 6
WEIGHTS = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]).repeat_interleave(SEEDS, 0)


def together(
    plain: Tensor, shares: Tensor, *, photographs: bool = False, same_pictures: bool = False
) -> dict[str, Any]:
    features = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    probe = fit_probe(features, torch.arange(40) % 3)
    seen = SeenParents(
        Membership(probe, torch.zeros(3), 1.0, 0.9, (20, 20, 20)),
        Likeness.fit([features[:20], features[20:]]),
        (features[:1], features[1:2]) if photographs else (features[:20], features[20:]),
    )
    probabilities = torch.cat([0.9 * shares, torch.full((len(shares), 1), 0.1)], 1)
    odds = (shares[:, 1] / shares[:, 0]).log()
    return set_card(
        "judge",
        plain=plain,
        probabilities=probabilities,
        log_odds=odds,
        weights=WEIGHTS,
        parents=seen,
        reference=None,
        same_pictures=same_pictures,
    )


def varied(n: int = 3 * SEEDS) -> Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(1))


def test_a_fuser_that_ignores_its_weights_is_named_and_a_good_one_is_not() -> None:
    good = together(varied(), 0.05 + 0.9 * WEIGHTS)
    assert good["ignores-weights"].value == 0 and good["weight_slope"].value == pytest.approx(0.9)
    assert good["collapsed"].value == 0
    same = together(varied(), torch.full_like(WEIGHTS, 0.5))
    assert same["ignores-weights"].value == 1 and "slope of 0.00" in str(same["ignores-weights"].reason)


def test_a_collapsed_generator_is_named_and_photographs_are_not_blamed() -> None:
    one = varied(3).repeat_interleave(SEEDS, 0) + 0.001 * varied()
    found = together(one, 0.05 + 0.9 * WEIGHTS)
    assert found["collapsed"].value == 1 and "differ by" in str(found["collapsed"].reason)
    assert found["ignores-weights"].value == 0
    assert together(one, 0.05 + 0.9 * WEIGHTS, photographs=True)["collapsed"].value is None
    assert together(one, 0.05 + 0.9 * WEIGHTS, same_pictures=True)["collapsed"].value is None


def test_sweeps_are_placed_and_their_steps_measured() -> None:
    found = together(varied(), 0.05 + 0.9 * WEIGHTS)  # log-odds -2.94, 0, 2.94
    assert found["position_step_max"].value == pytest.approx(0.5)
    assert found["middle_share"].value == 1 and found["middle_share"].n == SEEDS


def test_every_figure_that_is_measured_has_a_meaning_in_the_report() -> None:
    both = table((0.6, 0.2, 0.2))
    photographs = replace(
        look(both),
        coat=torch.tensor([[0.5, 0.05]]),
        montage=torch.tensor([0.5]),
        patches=torch.tensor([[3.0, 4.0]]),
    )
    names = [*card_of([photographs, replace(look(both), judge="other")], 0, EVEN_WEIGHTS)]
    names += [*together(varied(), 0.05 + 0.9 * WEIGHTS), "KID", "FID"]
    assert {"probe_accuracy", "weight_slope", "coat_1", "score[other]", "KID[judge]"} <= set(names)
    assert [name for name in names if not describe(name).meaning] == []
    assert describe("hue_of_a_plugin").meaning == ""


def test_realism_is_1_for_held_out_animals_and_0_for_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    animals = torch.randn(300, 8, generator=generator) * 0.2 + torch.eye(8)[0]
    empty = torch.randn(60, 8, generator=generator) * 0.2 + torch.eye(8)[5]
    scale = RealismScale.fit(animals[:200], animals[200:], empty)
    assert float(scale.of(animals[200:]).median()) == 1
    assert float(scale.of(empty).mean()) < 0.1
    factors = torch.logspace(-1, 1, 8)  # no axis counts for more because its numbers are larger
    stretched = RealismScale.fit(
        factors * animals[:200] + 5, factors * animals[200:] + 5, factors * empty + 5
    )
    assert torch.allclose(stretched.of(factors * animals[200:] + 5), scale.of(animals[200:]), atol=1e-2)
    nonsense = RealismScale.fit(animals[:200], empty, animals[200:])
    assert bool(scale.of(empty).isfinite().all()) and bool(nonsense.of(empty).isnan().all())


def test_the_probe_is_calibrated_and_seeded() -> None:
    generator = torch.Generator().manual_seed(0)
    sets = [torch.randn(60, 6, generator=generator) + 1.2 * torch.eye(6)[k] for k in range(2)]
    other = torch.randn(400, 6, generator=generator)
    found = fit_membership([*sets, other], images=[60, 60], seed=0)
    again = fit_membership([*sets, other], images=[60, 60], seed=0)
    assert found.temperature == again.temperature and found.accuracy == again.accuracy
    assert 0.5 < found.accuracy < 0.8  # these clouds overlap
    new = [torch.randn(500, 6, generator=generator) + 1.2 * torch.eye(6)[k] for k in range(2)]
    new.append(torch.randn(500, 6, generator=generator))
    probability = found.probabilities(torch.cat(new)[:, None])[:, 0]
    right = probability.argmax(1) == torch.arange(3).repeat_interleave(500)
    # Calibrated: as sure on average as right.
    assert float(probability.max(1).values.mean()) == pytest.approx(float(right.double().mean()), abs=0.07)
    views = fit_membership([*sets, other], images=[1, 1], seed=0)
    assert views.temperature >= 1  # one photograph never makes it surer
