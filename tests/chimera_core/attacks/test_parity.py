"""Attacks equal those of torchattacks on the same network in fp32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chimera_core.api import Draw, FeatureEncoder, fgsm, pgd

torchattacks = pytest.importorskip(
    "torchattacks", reason="torchattacks is not installed: pip install '.[parity]'"
)


def test_fgsm_equals_torchattacks(encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    theirs = torchattacks.FGSM(encoder, eps=8 / 255)(x, y)
    assert (fgsm(encoder, x, y, eps=8 / 255) - theirs).abs().max() <= 1e-6


def test_pgd_equals_torchattacks_in_linf(encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    attack = torchattacks.PGD(encoder, eps=8 / 255, alpha=2 / 255, steps=10, random_start=False)
    ours = pgd(encoder, x, y, eps=8 / 255, step=2 / 255, steps=10)
    assert (ours - attack(x, y)).abs().max() <= 1e-6


def test_pgd_equals_torchattacks_in_l2(encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    x = x.clamp(0.01, 0.99)  # at the box their 0 / 0 makes NaN of an image that did not move
    attack = torchattacks.PGDL2(encoder, eps=1.0, alpha=0.2, steps=10, random_start=False)
    ours = pgd(encoder, x, y, norm="l2", eps=1.0, step=0.2, steps=10)
    assert (ours - attack(x, y)).abs().max() <= 1e-6


def test_one_step_in_l2_goes_straight_to_the_border(
    encoder: FeatureEncoder, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    x = 0.25 + x / 2
    attack = torchattacks.PGDL2(encoder, eps=0.1, alpha=0.1, steps=1, random_start=False)
    assert (fgsm(encoder, x, y, norm="l2", eps=0.1) - attack(x, y)).abs().max() <= 1e-6


def test_our_square_is_as_strong_as_theirs(encoder: FeatureEncoder) -> None:
    from chimera_core.attacks.catalogue import Square
    from chimera_core.evaluation.attacked import evaluate_attacks

    x = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        y = encoder(x).argmax(1)
    for norm, their_norm, eps in (("linf", "Linf", 0.02), ("l2", "L2", 0.3)):
        ours = evaluate_attacks(
            encoder, [(x, y, torch.arange(64))], {"square": Square(eps, norm, queries=200)}, seed=0
        )
        theirs = torchattacks.Square(encoder, norm=their_norm, eps=eps, n_queries=200)(x, y)
        with torch.no_grad():
            survivors = int((encoder(theirs).argmax(1) == y).sum())
        assert 4 < survivors < 60, "the budget tells nothing"
        assert abs(ours.count("square") - survivors) <= 8


def test_autoattack_is_the_strongest_and_leaves_the_global_generator_alone(encoder: FeatureEncoder) -> None:
    from chimera_core.attacks.catalogue import AutoAttack, Pgd
    from chimera_core.evaluation.attacked import evaluate_attacks

    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        y = encoder(x).argmax(1)
    before = torch.get_rng_state()
    eps = 0.008
    attacks = {"pgd": Pgd(eps), "autoattack": AutoAttack(eps)}
    found = evaluate_attacks(encoder, [(x, y, torch.arange(8))], attacks, seed=0)
    assert found.count("autoattack") <= found.count("pgd")
    assert torch.equal(before, torch.get_rng_state())


def test_autoattack_takes_networks_and_images_that_lie_channels_last(encoder: FeatureEncoder) -> None:
    from chimera_core.attacks.catalogue import AutoAttack

    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    x = x.contiguous(memory_format=torch.channels_last)
    encoder.to(memory_format=torch.channels_last)
    with torch.no_grad():
        y = encoder(x).argmax(1)
    x_adv = AutoAttack(0.002)(encoder, x, y, draw=Draw(0, 0, torch.arange(8)))
    assert (x_adv - x).abs().max() <= 0.002 + 1e-6
