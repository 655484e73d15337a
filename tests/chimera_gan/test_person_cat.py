"""The generator that comes along: there, small, said what it is, and making creatures by names alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from chimera_core.errors import ConfigError, DataError
from chimera_core.fusing import Fusion
from chimera_core.fusing_plan import plan_fusion


@pytest.fixture(scope="module")
def fusion() -> Fusion:
    return Fusion(plan_fusion(["person", "cat"], device="cpu"))


def test_it_comes_with_the_package_with_card_and_licence() -> None:
    spec = importlib.util.find_spec("chimera_gan")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "models"
    assert (folder / "person-cat.safetensors").stat().st_size < 10_000_000
    assert "CC BY-NC 4.0" in (folder / "person-cat.md").read_text(encoding="utf-8")
    assert (folder / "LICENSE").is_file()


def test_names_alone_make_a_creature_and_the_same_seed_makes_it_again(fusion: Fusion) -> None:
    one, two = fusion.make((0.5, 0.5), [3])[0], fusion.make((0.5, 0.5), [3])[0]
    assert one.shape == (3, 64, 64)
    assert torch.equal(one, two)
    assert not torch.equal(one, fusion.make((0.5, 0.5), [4])[0])


def test_the_way_from_person_to_cat_is_smooth_and_leads_somewhere(fusion: Fusion) -> None:
    frames = torch.stack([fusion.make((1 - k / 10, k / 10), range(8)) for k in range(11)])
    steps = (frames[1:] - frames[:-1]).abs().mean((1, 2, 3, 4))
    whole = (frames[-1] - frames[0]).abs().mean()
    assert whole > 0.05
    assert steps.max() < 0.3 * whole


def test_a_name_that_it_does_not_know_is_one_line() -> None:
    with pytest.raises((ConfigError, DataError), match="person-cat"):
        plan_fusion(["person", "dgo"], fuser="person-cat")
