"""The generators that come along: there, small, said what they are, and making creatures by names."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from chimera_core.errors import ConfigError, DataError
from chimera_core.fusing.fusion import Fusion
from chimera_core.fusing.request import check_request

SIDES = {"faces-128": 128, "person-cat": 64}


@pytest.fixture(scope="module", params=SIDES)
def fusion(request: pytest.FixtureRequest) -> Fusion:
    return Fusion(check_request(["person", "cat"], fuser=request.param, device="cpu"))


@pytest.mark.parametrize("name", SIDES)
def test_it_comes_with_the_package_with_card_and_licence(name: str) -> None:
    spec = importlib.util.find_spec("chimera_gan")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "models"
    assert (folder / f"{name}.safetensors").stat().st_size < 10_000_000
    assert "CC BY-NC 4.0" in (folder / f"{name}.md").read_text(encoding="utf-8")
    assert f"{name}.safetensors" in (folder / "LICENSE").read_text(encoding="utf-8")


def test_names_alone_mean_the_larger_one() -> None:
    assert check_request(["person", "cat"]).fuser.label == "faces-128"


@pytest.mark.slow
def test_names_make_a_creature_and_the_same_seed_makes_it_again(fusion: Fusion) -> None:
    one, two = fusion.make((0.5, 0.5), [3])[0], fusion.make((0.5, 0.5), [3])[0]
    side = SIDES[fusion.request.fuser.label]
    assert one.shape == (3, side, side)
    assert torch.equal(one, two)
    assert not torch.equal(one, fusion.make((0.5, 0.5), [4])[0])


@pytest.mark.slow
def test_the_way_from_person_to_cat_is_smooth_and_leads_somewhere(fusion: Fusion) -> None:
    frames = torch.stack([fusion.make((1 - k / 10, k / 10), range(8)) for k in range(11)])
    steps = (frames[1:] - frames[:-1]).abs().mean((1, 2, 3, 4))
    whole = (frames[-1] - frames[0]).abs().mean()
    assert whole > 0.05
    assert steps.max() < 0.3 * whole


def test_a_name_that_it_does_not_know_is_one_line() -> None:
    with pytest.raises((ConfigError, DataError), match="person-cat"):
        check_request(["person", "dgo"], fuser="person-cat")
