from __future__ import annotations

import torch
from scipy import stats

from chimera_core.randomness import Draw, _mix


def test_the_hash_is_splitmix64() -> None:
    # The published generator's first outputs for seed 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64").
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    golden = -7046029254386353131
    found = [_mix(torch.tensor([1234567]) + torch.tensor(k) * golden).item() % 2**64 for k in (1, 2, 3)]
    assert found == expected


def test_numbers_belong_to_the_example_not_to_the_batch() -> None:
    whole = Draw(3, 1, torch.arange(10)).uniform(2, 5, purpose="start")
    part = Draw(3, 1, torch.tensor([7, 2])).uniform(2, 5, purpose="start")
    assert torch.equal(part, whole[[7, 2]])


def test_seed_epoch_index_and_purpose_each_change_the_numbers() -> None:
    indices = torch.arange(4)
    base = Draw(0, 0, indices).uniform(8, purpose="a")
    others = [
        Draw(1, 0, indices).uniform(8, purpose="a"),
        Draw(0, 1, indices).uniform(8, purpose="a"),
        Draw(0, 0, indices + 4).uniform(8, purpose="a"),
        Draw(0, 0, indices).uniform(8, purpose="b"),
    ]
    assert all(not torch.equal(base, other) for other in others)


def test_uniform_and_normal_have_their_distributions() -> None:
    draw = Draw(0, 0, torch.arange(100))
    assert stats.kstest(draw.uniform(500, purpose="u").flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(draw.normal(500, purpose="n").flatten().numpy(), "norm").pvalue > 1e-3
    neighbours = draw.uniform(500, purpose="u")
    assert abs(torch.corrcoef(neighbours[:2])[0, 1]) < 0.2


def test_integers_cover_their_range_evenly() -> None:
    counts = torch.bincount(Draw(0, 0, torch.arange(1000)).integers(7, 10, purpose="k").flatten())
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_the_draw_of_some_examples_gives_their_numbers() -> None:
    draw = Draw(3, 1, torch.tensor([4, 8, 15, 16]), step=7)
    whole = draw.uniform(2, purpose="p")
    assert torch.equal(draw.of(torch.tensor([3, 1])).uniform(2, purpose="p"), whole[[3, 1]])
    assert torch.equal(
        draw.of(torch.tensor([True, False, True, False])).uniform(2, purpose="p"), whole[[0, 2]]
    )
    assert draw.of(torch.tensor([0])).step == 7
