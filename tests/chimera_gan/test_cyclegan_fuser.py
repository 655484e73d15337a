"""cyclegan as a fuser: the first parent, part of the way into the other class."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from chimera_gan.cyclegan_config import CycleGanConfig
from chimera_gan.cyclegan_fuser import CycleGan, translate_partly
from chimera_gan.cyclegan_networks import Translator, initialise_translator
from torch import Tensor, nn

from chimera_core.api import ConfigError, DataError, FuserData, Parent, TrainedFacts
from chimera_core.data.batches import TensorSplit
from chimera_core.images.pixels import resize_shorter

SIZE = 16
CONFIG = CycleGanConfig(width=2, blocks=2, critic_width=2, bank=3)
FACTS = TrainedFacts(("person", "cat"), SIZE, {"first": "person", "second": "cat"})


class Toward(nn.Module):
    """Goes a share of the way to one colour, less with less strength."""

    def __init__(self, colour: float) -> None:
        super().__init__()
        self.colour = colour

    def forward(self, x: Tensor, strength: float = 1.0) -> Tensor:
        return x + 0.9 * strength * (self.colour - x)


def state() -> dict[str, Tensor]:
    noise = torch.randint(0, 255, (6, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(1))
    split = TensorSplit(noise.to(torch.uint8), torch.tensor([0, 1] * 3))
    data = FuserData(split, FACTS.classes, SIZE, batch=2, seed=0, total_images=10)
    return CycleGan.learner(CONFIG, data, device="cpu").state()


def fuser(**translators: nn.Module) -> CycleGan:
    made = CycleGan(CONFIG)
    made.load(state(), FACTS)
    for name, network in translators.items():
        made._translators[name] = network
    return made


def photo(level: float, *, height: int = 40, width: int = 40, name: str = "photo") -> Parent:
    """A grain around one brightness."""
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(int(level * 100)))
    return Parent(name, (level + 0.2 * (noise - 0.5)).clamp(0, 1))


def named(name: str) -> Parent:
    return Parent(name, class_name=name)


def test_what_was_learned_is_what_is_used() -> None:
    made, tensors = fuser(), state()
    for name, value in made._translators.state_dict().items():
        assert torch.equal(value, tensors[name]), name


@pytest.mark.parametrize("size", [SIZE, 24, 40])
def test_weight_one_on_the_first_parent_gives_its_very_pixels(size: int) -> None:
    parent = photo(0.3, height=40, width=50)
    made = fuser().fuse([parent, named("cat")], [1.0, 0.0], seeds=[0, 1], size=size)
    assert parent.image is not None
    assert torch.equal(made[1], resize_shorter(parent.image, size))


@pytest.mark.parametrize(("height", "width", "size"), [(40, 40, 16), (30, 47, 20), (64, 20, 20)])
def test_results_have_the_first_parents_aspect(height: int, width: int, size: int) -> None:
    parent = photo(0.5, height=height, width=width)
    assert parent.image is not None
    made = fuser().fuse([parent, named("cat")], [0.5, 0.5], seeds=[0], size=size)
    assert made.shape[1:] == resize_shorter(parent.image, size).shape
    assert made.min() >= 0 and made.max() <= 1


def test_the_way_is_smooth_and_ends_in_the_translation() -> None:
    """Ten steps: none is larger than twice the mean; and the very first one starts at the photograph."""
    made, parent = fuser(), photo(0.4)
    frames = [
        made.fuse([parent, named("cat")], [1 - k / 10, k / 10], seeds=[0], size=SIZE)[0] for k in range(11)
    ]
    steps = [(b - a).abs().mean().item() for a, b in itertools.pairwise(frames)]
    assert max(steps) < 2 * sum(steps) / 10
    assert parent.image is not None
    small = resize_shorter(parent.image, SIZE)
    with torch.no_grad():
        whole = made._translators["to_second"](small[None])[0]
    assert torch.equal(frames[0], small)
    torch.testing.assert_close(frames[-1], whole)


def test_partial_translation_by_hand() -> None:
    """The network gives 0.2 without its blocks and 0.2 + 0.4 w with them, of an image of 0.5.

    Weight 0.5: 0.4 + 0.5 * (0.5 - 0.2) = 0.55.
    """

    class Linear(nn.Module):
        def forward(self, x: Tensor, strength: float = 1.0) -> Tensor:
            return torch.full_like(x, 0.2 + 0.4 * strength)

    x = torch.full((1, 3, 4, 4), 0.5)
    assert translate_partly(Linear(), x, 0.0) is x
    assert translate_partly(Linear(), x, 0.5).unique().tolist() == pytest.approx([0.55])
    assert translate_partly(Linear(), x, 1.0).unique().tolist() == pytest.approx([0.6])


def test_detail_beyond_the_learned_size_fades_with_the_weight() -> None:
    """Translators that change nothing: at weight 1 only what 16 pixels can hold is left of 64."""

    class Same(nn.Module):
        def forward(self, x: Tensor, strength: float = 1.0) -> Tensor:
            return x

    made, parent = fuser(to_second=Same(), to_first=Same()), photo(0.5, height=64, width=64)
    assert parent.image is not None
    spreads = [
        made.fuse([parent, named("cat")], [1 - w, w], seeds=[0], size=64).std().item() for w in (0, 0.5, 1)
    ]
    assert spreads[0] == pytest.approx(parent.image.std().item())
    assert spreads[0] > spreads[1] > spreads[2]


def test_class_names_say_the_direction() -> None:
    made = fuser(to_first=Toward(0.0), to_second=Toward(1.0))
    grey = photo(0.5)
    bright = made.fuse([grey, named("cat")], [0, 1], seeds=[0], size=SIZE)
    dark = made.fuse([grey, named("person")], [0, 1], seeds=[0], size=SIZE)
    assert bright.mean() > 0.9 and dark.mean() < 0.1
    of_a_cat = made.fuse([named("cat"), grey], [0, 1], seeds=[0], size=SIZE)
    assert of_a_cat.mean() < 0.1


def test_two_photographs_are_dealt_out_to_the_classes_they_look_like() -> None:
    """Persons are dark and cats bright: what a translator changes least is of its own class, in either order."""
    made = fuser(to_first=Toward(0.0), to_second=Toward(1.0))
    dark, bright = photo(0.2), photo(0.8)
    assert made.fuse([dark, bright], [0, 1], seeds=[0], size=SIZE).mean() > 0.8
    assert made.fuse([bright, dark], [0, 1], seeds=[0], size=SIZE).mean() < 0.2
    # Both are bright: the less bright one is the person.
    assert made.fuse([photo(0.6), photo(0.9)], [0, 1], seeds=[0], size=SIZE).mean() > 0.9


def test_a_class_as_first_parent_is_another_image_for_every_seed() -> None:
    made = fuser()
    parents = [named("person"), named("cat")]
    one = made.fuse(parents, [1, 0], seeds=list(range(12)), size=SIZE)
    bank = state()["bank.first"]
    assert all(any(torch.equal(image, kept) for kept in bank) for image in one)
    assert len({image.sum().item() for image in one}) > 1
    assert torch.equal(made.fuse(parents, [1, 0], seeds=[5], size=SIZE)[0], one[5])


def test_a_class_image_that_the_host_drew_is_translated_itself() -> None:
    """With a source, a class name comes with an image; one of a class unknown here is taken as a photograph."""
    made = fuser(to_first=Toward(0.0), to_second=Toward(1.0))
    drawn = photo(0.5, name="person")
    for class_name in ("person", "lion"):
        parent = Parent("drawn", drawn.image, class_name=class_name)
        assert made.fuse([parent, named("cat")], [0, 1], seeds=[0], size=SIZE).mean() > 0.9


def test_the_second_parent_counts_by_its_class_only() -> None:
    made = fuser(to_first=Toward(0.0), to_second=Toward(1.0))
    one, other = (
        made.fuse([photo(0.2), cat], [0.4, 0.6], seeds=[0], size=SIZE) for cat in (photo(0.8), photo(0.7))
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("parents", "words"),
    [
        ([named("cat"), named("cat")], "both parents are of class cat: name one person"),
        ([named("lion"), named("cat")], "lion is not a class .* it knows person and cat"),
        ([photo(0.5), named("lion")], "lion is not a class"),
        ([photo(0.5), named("cat"), named("person")], "two parents, but 3"),
    ],
)
def test_other_parents_are_refused(parents: list[Parent], words: str) -> None:
    weights = [1 / len(parents)] * len(parents)
    with pytest.raises(ConfigError, match=words) as caught:
        fuser().fuse(parents, weights, seeds=[0], size=SIZE)
    assert "\n" not in str(caught.value)
    assert CycleGan.max_parents == 2


def _broken(change: str) -> tuple[dict[str, Tensor], TrainedFacts]:
    tensors, facts = state(), FACTS
    if change == "width":
        tensors["to_first.encode.0.weight"] = torch.zeros(3, 3, 7, 7)
    elif change == "missing":
        del tensors["to_second.decode.0.weight"]
    elif change == "more":
        tensors["critic.weight"] = torch.zeros(1)
    elif change == "no images":
        tensors["bank.first"] = torch.zeros(0, 3, SIZE, SIZE)
    elif change == "no bank":
        del tensors["bank.second"]
    elif change == "size":
        facts = TrainedFacts(FACTS.classes, 2 * SIZE, FACTS.extra)
    else:
        extra: dict[str, Any] = {"first": "cat", "second": 3} if change == "names" else {}
        facts = TrainedFacts(FACTS.classes, SIZE, extra)
    return tensors, facts


@pytest.mark.parametrize(
    "change", ["width", "missing", "more", "no images", "no bank", "size", "names", "no names"]
)
def test_what_another_fuser_learned_is_refused(change: str) -> None:
    tensors, facts = _broken(change)
    with pytest.raises(DataError):
        CycleGan(CONFIG).load(tensors, facts)


def test_a_translator_of_another_width_is_refused() -> None:
    other = CycleGan(CycleGanConfig(width=3, blocks=2))
    with pytest.raises(DataError, match=r"to_first\.encode"):
        other.load(state(), FACTS)


def test_initial_weights_come_from_the_generator_alone() -> None:
    first, second = Translator(2, 1), Translator(2, 1)
    for network in (first, second):
        initialise_translator(network, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
