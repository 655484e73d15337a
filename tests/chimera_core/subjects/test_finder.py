"""The finder of parents' animals: what it takes, and what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chimera_core.errors import ConfigError
from chimera_core.records import Parent
from chimera_core.subjects import finder as finder_module
from chimera_core.subjects.finder import SubjectFinder
from chimera_core.subjects.outline import Outline

CPU = torch.device("cpu")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace what looks at pictures; gives the list of qualities that were asked for."""
    asked: list[str] = []

    def look(encoder: object, image: torch.Tensor, *, quality: str) -> Outline:
        asked.append(quality)
        mask = torch.zeros_like(image[:1])
        if bool((image > 0.5).any()):
            mask[:, :4] = 1
            return Outline(mask, 0.75)
        return Outline(mask, 0.0)

    monkeypatch.setattr(finder_module, "find_outline", look)
    monkeypatch.setattr(finder_module, "load_encoder", lambda *args, **kwargs: torch.nn.Identity())
    return asked


def test_each_parent_is_looked_at_once(looks: list[str]) -> None:
    finder, parent = SubjectFinder("auto", device=CPU, outline="fast"), Parent("a", image=torch.ones(3, 8, 8))
    subject = finder.find(parent)
    assert float(subject.mask.sum()) == 32
    assert finder.find(parent) is subject
    assert finder.confidence(parent) == 0.75
    assert looks == ["fast"]


def test_where_nothing_is_seen_the_whole_frame_is_taken_without_confidence(looks: list[str]) -> None:
    finder, parent = SubjectFinder("auto", device=CPU), Parent("a", image=torch.zeros(3, 8, 8))
    assert torch.equal(finder.find(parent).mask, torch.ones(1, 8, 8))
    assert finder.confidence(parent) == 0
    assert looks == ["fine"]


def test_a_mask_of_its_own_or_the_whole_frame_needs_no_look(looks: list[str]) -> None:
    own = torch.zeros(1, 8, 8)
    masked = Parent("a", image=torch.ones(3, 8, 8), mask=own)
    assert torch.equal(SubjectFinder("auto", device=CPU).find(masked).mask, own)
    whole = SubjectFinder("whole", device=CPU)
    plain = Parent("b", image=torch.ones(3, 8, 8))
    assert torch.equal(whole.find(plain).mask, torch.ones(1, 8, 8))
    assert whole.confidence(plain) is None
    assert looks == []


def test_a_class_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="cat is a class name"):
        SubjectFinder("auto", device=CPU).find(Parent("cat"))


def test_a_network_is_fetched_as_an_asset_of_its_name(
    monkeypatch: pytest.MonkeyPatch, looks: list[str], tmp_path: Path
) -> None:
    wanted: list[object] = []
    monkeypatch.setattr(finder_module, "find_asset", lambda name: wanted.append(name) or tmp_path / name)

    def salient(file: Path, image: torch.Tensor, network: object) -> Outline:
        wanted.append((file.name, network))
        return Outline(torch.ones_like(image[:1]), 0.5)

    monkeypatch.setattr(finder_module, "find_salient", salient)
    for name in ("u2netp", "isnet"):
        parent = Parent(name, image=torch.ones(3, 8, 8))
        assert SubjectFinder("auto", device=CPU, outline=name).confidence(parent) == 0.5
        assert wanted[-2:] == [name, (name, finder_module.NETWORKS[name])]
    assert looks == []
