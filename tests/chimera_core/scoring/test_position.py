"""The linear probe and positions on the way: hand-computed values and laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from chimera_core.errors import ChimeraError
from chimera_core.scoring.figures.position import scale_to_classes, scale_to_ends, summarise_sweeps
from chimera_core.scoring.sets.probe import Probe, fit_probe


def two_clouds(n: int = 60, dimensions: int = 5, *, gap: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    labels = torch.arange(n) % 2
    x = torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += gap * labels
    return x, labels


def plain_probe(weight: float = 1.0, bias: float = 0.0) -> Probe:
    """One feature, which is half the log-odds at weight 1."""
    double = {"dtype": torch.float64}
    return Probe(
        torch.zeros(1, **double),
        torch.ones(1, **double),
        torch.tensor([[-weight, weight]], **double),
        torch.tensor([-bias, bias], **double),
    )


def positions(probe: Probe, features: Tensor) -> Tensor:
    return scale_to_ends(probe.log_odds(features))


def test_a_probe_of_two_images_is_what_a_hand_computes() -> None:
    # By symmetry W = (-w, w). Loss: log(1 + exp(-2w)) + l2 w^2; it is least where sigmoid(-2w) = l2 w. Take w = 1.
    l2 = 1 / (1 + math.exp(2))
    probe = fit_probe(torch.tensor([[3.0], [7.0]]), torch.tensor([0, 1]), l2=l2)
    assert probe.mean.item() == 5 and probe.std.item() == 2
    assert probe.weight.flatten().tolist() == pytest.approx([-1, 1], abs=1e-6)
    assert probe.bias.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert probe.log_odds(torch.tensor([[9.0]])).item() == pytest.approx(4, abs=1e-5)


def test_a_probe_is_at_rest_where_it_ends() -> None:
    x, labels = two_clouds()
    probe = fit_probe(x, labels, l2=0.1)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    logits = (x.double() - probe.mean) / probe.std @ weight + bias
    loss = torch.nn.functional.cross_entropy(logits, labels) + 0.05 * weight.square().sum()
    gradients = torch.autograd.grad(loss, [weight, bias])
    assert max(g.abs().max() for g in gradients) < 1e-7


def test_a_probe_tells_classes_that_it_has_not_seen_and_is_always_the_same() -> None:
    x, labels = two_clouds(200, gap=4.0)
    probe, again = fit_probe(x, labels), fit_probe(x, labels)
    assert torch.equal(probe.weight, again.weight)
    held = two_clouds(200, gap=4.0, seed=1)
    assert 0.94 < probe.accuracy(*held) < 1
    nonsense = fit_probe(*two_clouds(200, gap=0.0))
    assert 0.35 < nonsense.accuracy(*two_clouds(200, gap=0.0, seed=1)) < 0.65


def test_units_and_dead_features_do_not_matter() -> None:
    x, labels = two_clouds()
    odds = fit_probe(x, labels).log_odds(x)
    other = torch.cat([1000 * x + 7, torch.full((len(x), 1), 3.0)], 1)
    assert torch.allclose(fit_probe(other, labels).log_odds(other), odds, atol=1e-3)


def test_three_classes_have_log_odds_for_every_two() -> None:
    x = torch.eye(3).repeat(5, 1)
    probe = fit_probe(x, torch.arange(15) % 3)
    assert probe.accuracy(x, torch.arange(15) % 3) == 1
    logits = probe.logits(x)
    assert torch.equal(probe.log_odds(x, first=2, second=0), logits[:, 0] - logits[:, 2])


def test_ends_are_at_zero_and_one() -> None:
    # Features 1, 2, 5: log-odds 2, 4, 10: a quarter of the way.
    sweep = torch.tensor([[[1.0], [2.0], [5.0]]])
    assert positions(plain_probe(), sweep).tolist() == [[0, 0.25, 1]]


def test_positions_do_not_depend_on_shift_and_scale_of_the_logits() -> None:
    sweeps = torch.randn(6, 5, 1, generator=torch.Generator().manual_seed(0))
    plain = positions(plain_probe(), sweeps)
    assert torch.allclose(positions(plain_probe(weight=7, bias=-30), sweeps), plain)
    odds = plain_probe().log_odds(sweeps)
    by_class = scale_to_classes(odds, first=-2.0, second=3.0)
    assert torch.allclose(scale_to_classes(4 * odds + 5, first=-8.0 + 5, second=12.0 + 5), by_class)


def test_log_odds_do_not_saturate() -> None:
    # As a probability both would be 1 to the last bit.
    assert positions(plain_probe(), torch.tensor([[[0.0], [500.0], [1000.0]]])).tolist() == [[0, 0.5, 1]]


def test_classes_place_a_sweep_that_stops_short() -> None:
    odds = torch.tensor([[-1.0, 0.0, 1.0]])
    assert scale_to_classes(odds, first=-2.0, second=2.0).tolist() == [[0.25, 0.5, 0.75]]
    assert scale_to_ends(odds).tolist() == [[0, 0.5, 1]]


def test_a_summary_is_what_a_hand_counts() -> None:
    odds = torch.tensor(
        [
            [-4.0, -2.0, 0.0, 2.0, 4.0],  # even: steps 0.25; middle at 0.5
            [-5.0, -5.0, -5.0, 5.0, 5.0],  # a jump of 1; middle at 0
            [-1.0, 1.0, 0.5, 3.0, 3.0],  # begins on the right side; 0, .5, .375, 1, 1
            [1.0, 2.0, 3.0, 4.0, 5.0],  # its first end is on the wrong side; middle at 0.5
        ]
    )
    found = summarise_sweeps(odds, scale_to_ends(odds))
    assert found.steps == pytest.approx([0.25, 0.625 / 4, (0.25 + 1 + 0.625 + 0.25) / 4, 0.125])
    assert found.largest_step == pytest.approx((0.25 + 1 + 0.625 + 0.25) / 4)
    assert found.middle_share == 0.75
    assert found.right_share == 7 / 8
    assert (found.pairs, found.undefined) == (4, 0)


def test_a_sweep_without_a_way_counts_as_no_creature() -> None:
    odds = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]])
    found = summarise_sweeps(odds, scale_to_ends(odds))
    assert found.undefined == 1 and found.middle_share == 0.5
    assert found.steps == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fit_probe(torch.rand(4, 2), torch.tensor([0, 0, 0, 0])),
            r"two classes or more, but it got \[4\]",
        ),
        (lambda: fit_probe(torch.rand(4, 2), torch.tensor([0, 2, 2, 0])), r"\[2, 0, 2\] by class"),
        (lambda: fit_probe(torch.rand(0, 2), torch.zeros(0, dtype=torch.int64)), r"\[\] by class"),
        (
            lambda: fit_probe(torch.rand(4, 2), torch.zeros(3, dtype=torch.int64)),
            r"\(4, 2\) and labels \(3,\)",
        ),
        (lambda: fit_probe(*two_clouds(), l2=0), "l2 must be above 0"),
        (lambda: fit_probe(torch.full((2, 1), math.nan), torch.tensor([0, 1])), "not finite"),
        (lambda: plain_probe().logits(torch.rand(3, 4)), r"fitted to \(n, 1\)"),
        (lambda: scale_to_ends(torch.rand(5)), r"pass \(P, W\)"),
        (lambda: scale_to_classes(torch.rand(5), first=1, second=1), "fit another probe"),
        (lambda: summarise_sweeps(torch.rand(2, 4), torch.rand(2, 4)), "an odd number of weights"),
    ],
)
def test_what_cannot_be_placed_is_refused(call, message: str) -> None:
    with pytest.raises(ChimeraError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
