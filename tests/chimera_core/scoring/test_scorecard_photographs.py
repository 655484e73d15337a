"""The scorecard on real photographs: it knows a copy, an overlay, a collage, noise, an attack, a third animal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import ChimeraError
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.models.encoders import load_encoder
from chimera_core.plugins.discovery import default_host
from chimera_core.scoring.judge.features import at_size
from chimera_core.scoring.judge.judge import Judge, load_judge
from chimera_core.scoring.judge.names import ROBUST, SHIPPED, default_judge
from chimera_core.scoring.pictures import parent_of_file, read_squares
from chimera_core.scoring.scorecard import ParentImages, PreparedParents, Scorecard

pytestmark = pytest.mark.slow

SIZE = 64
PARENTS = ("sorrel", "tiger")
EVEN = (0.5, 0.5)


class Colours(FeatureEncoder):
    """Embeds an image as mean and spread of each colour."""

    levels = ()

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def feature_maps(self, x: Tensor, levels: object) -> list[Tensor]:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)


@pytest.fixture(scope="module")
def card(test_data: Path) -> Scorecard:
    kinds = sorted((test_data / "tiny-animals" / "train").iterdir())
    files = [file for kind in kinds for file in sorted(kind.iterdir())[:8]]
    host = default_host()
    # The attack is made on the default encoder, which must not be the judge.
    name = default_judge(host)
    judge = load_judge(host, ROBUST if name == SHIPPED else name, side=96)
    return Scorecard([judge], reference=read_squares(files, size=SIZE), size=SIZE)


@pytest.fixture(scope="module")
def parents(card: Scorecard, photos: Path) -> PreparedParents:
    return card.prepare([parent_of_file(photos / f"{name}.jpg") for name in PARENTS])


@pytest.fixture(scope="module")
def pictures(photos: Path) -> dict[str, Tensor]:
    first, second, third = read_squares([photos / f"{n}.jpg" for n in (*PARENTS, "macaw")], size=SIZE)
    half = SIZE // 2
    return {
        "first": first,
        "second": second,
        "third": third,
        "average": (first + second) / 2,
        "collage": torch.cat([first[..., :half], second[..., half:]], 2),
        "noise": torch.rand(first.shape, generator=torch.Generator().manual_seed(0)),
        "attacked": attacked(first, second),
    }


@pytest.fixture(scope="module")
def cards(
    card: Scorecard, parents: PreparedParents, pictures: dict[str, Tensor]
) -> dict[str, dict[str, Any]]:
    images = torch.stack(list(pictures.values()))
    rows = card.measure(parents, images, torch.tensor([EVEN] * len(images)))
    return {name: {k: m.value for k, m in row.items()} for name, row in zip(pictures, rows, strict=True)}


def attacked(image: Tensor, toward: Tensor, *, eps: float = 8 / 255, steps: int = 20) -> Tensor:
    """Move an image within eps toward another one, as the default encoder sees them: class and embedding."""
    encoder = load_encoder("timm").requires_grad_(False)

    def seen(x: Tensor) -> tuple[Tensor, Tensor]:
        pixels = at_size(x[None], 128)
        return encoder(pixels), encoder.embed(pixels)

    logits, embedding = seen(toward)
    change = torch.zeros_like(image, requires_grad=True)
    for _ in range(steps):
        found, features = seen((image + change).clamp(0, 1))
        loss = F.cross_entropy(found, logits.argmax(1)) - 10 * F.cosine_similarity(features, embedding).sum()
        (gradient,) = torch.autograd.grad(loss, change)
        change = (change - eps / 8 * gradient.sign()).detach().clamp(-eps, eps).requires_grad_()
    adversarial = (image + change.detach()).clamp(0, 1)
    # Else the test below would show nothing: the attack does deceive the network that it was made on.
    assert seen(adversarial)[0].argmax() == logits.argmax() != seen(image)[0].argmax()
    return adversarial


def test_the_probe_knows_the_parents(parents: PreparedParents) -> None:
    assert parents.labels == PARENTS and parents.accuracy > 0.9 and parents.temperature >= 1


@pytest.mark.parametrize(("name", "own"), [("first", 0), ("second", 1)])
def test_a_copy_is_its_parent_and_not_fused(cards: dict[str, dict[str, Any]], name: str, own: int) -> None:
    found = cards[name]
    assert found[f"membership_{own}"] > 0.95 and found["leakage"] < 0.2
    assert found["fused"] < 0.05 and found["score"] < 0.2
    assert found["novelty"] < 0.2  # the photograph itself
    assert found["realism"] > 0.9  # a chimera need not look more real than its parents
    assert found[f"identity_{own}"] > 0.8 > found[f"identity_{1 - own}"]


def test_an_adversarial_copy_is_not_fused(cards: dict[str, dict[str, Any]]) -> None:
    found = cards["attacked"]
    assert found["fused"] < 0.1 and found["membership_0"] > 0.9


def test_a_third_animal_belongs_to_no_parent(cards: dict[str, dict[str, Any]]) -> None:
    assert cards["third"]["leakage"] > 0.8 and cards["third"]["fused"] < 0.1


def test_noise_is_no_animal(cards: dict[str, dict[str, Any]]) -> None:
    found = cards["noise"]
    assert found["leakage"] > 0.7 and found["realism"] < 0.1 and found["score"] < 0.1


def test_overlays_and_collages_are_not_whole_creatures(cards: dict[str, dict[str, Any]]) -> None:
    assert (
        cards["first"]["unity"] > 0.95 and cards["collage"]["unity"] < 0.75
    )  # one animal here, another there
    for name in ("average", "collage"):
        assert cards[name]["montage"] > 0.8 and cards[name]["score"] < 0.65, name
        assert cards[name]["fused"] > 2 * cards["first"]["fused"], (
            name
        )  # both parents are in it, for all that
    assert cards["average"]["leakage"] > 0.3  # it was taught as no creature


def test_log_odds_go_from_the_first_parent_to_the_second(cards: dict[str, dict[str, Any]]) -> None:
    odds = [cards[name]["log_odds"] for name in ("first", "average", "second")]
    assert odds == sorted(odds) and odds[0] < -2 and odds[2] > 2


def test_figures_do_not_depend_on_company(
    card: Scorecard, parents: PreparedParents, pictures: dict[str, Tensor], cards: dict[str, dict[str, Any]]
) -> None:
    (alone,) = card.measure(parents, pictures["collage"][None], torch.tensor([EVEN]))
    assert {k: m.value for k, m in alone.items()} == pytest.approx(cards["collage"], abs=1e-4)


def test_a_copy_that_ignores_its_weights_is_named(
    card: Scorecard, parents: PreparedParents, pictures: dict[str, Tensor]
) -> None:
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    copies = card.measure_set(parents, pictures["first"].expand(3, -1, -1, -1), weights)
    assert copies["ignores-weights"].value == 1
    way = torch.stack([pictures[name] for name in ("first", "average", "second")])
    faded = card.measure_set(parents, way, weights)
    assert faded["ignores-weights"].value == 0 and faded["position_step_max"].value is not None
    distance = next(name for name in faded if name.startswith("FD["))
    assert faded[distance].value is None and "twice the number of features" in str(faded[distance].reason)


def test_a_set_of_measured_pictures_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1.0, 0.0], EVEN, [0.0, 1.0]])
    card = Scorecard([Judge("colours", Colours(), side=32)], reference=None, size=32)
    prepared = card.prepare([ParentImages(n, i[None]) for n, i in zip(PARENTS, images, strict=False)])
    fresh = card.measure_set(prepared, images, weights)
    again = card.prepare([ParentImages(n, i[None]) for n, i in zip(PARENTS, images, strict=False)])
    card.measure(again, images, weights)
    monkeypatch.setattr(card, "_look", None)
    assert card.measure_set(again, images, weights) == fresh
    with pytest.raises(TypeError):  # other parents, other looks
        card.measure_set(prepared, images, weights)


def test_without_a_reference_nothing_is_said_of_other_animals() -> None:
    colours = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.3, 0.9]])
    images = (colours[:, :, None, None] + 0.1 * torch.rand(2, 3, 32, 32)).clamp(0, 1)
    alone = Scorecard([Judge("colours", Colours(), side=32)], reference=None, size=32)
    prepared = alone.prepare([ParentImages(n, i[None]) for n, i in zip(PARENTS, images, strict=True)])
    first, second = alone.measure(prepared, images, torch.tensor([EVEN, EVEN]))
    assert first["membership_0"].value > 0.8 > 0.2 > second["membership_0"].value  # type: ignore[operator]
    for name in ("leakage", "realism", "fused", "score"):
        assert first[name].value is None and "no reference" in str(first[name].reason)


def test_what_a_judge_saw_of_the_reference_is_kept_and_damage_is_made_good(tmp_path: Path) -> None:
    images = torch.rand(110, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def seen(*, side: int = 16) -> Tensor:
        judges = [Judge("colours", Colours(), side=side)]
        return Scorecard(judges, reference=images, size=32, cache=tmp_path)._seen[0].views  # type: ignore[union-attr]

    first = seen()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 5 and len(first) == 110
    times = [file.stat().st_mtime_ns for file in files]
    assert torch.equal(seen(), first)
    assert [file.stat().st_mtime_ns for file in files] == times
    files[0].write_bytes(b"damaged")
    assert torch.equal(seen(), first) and files[0].stat().st_size > 100
    seen(side=24)  # another look is another file
    assert len(list(tmp_path.iterdir())) == 10


def test_what_does_not_fit_is_refused(card: Scorecard, parents: PreparedParents) -> None:
    images = torch.rand(2, 3, SIZE, SIZE)
    with pytest.raises(ChimeraError, match=r"weights are \(2, 3\): pass \(2, 2\)"):
        card.measure(parents, images, torch.ones(2, 3) / 3)
    images[1, 0, 0, 0] = torch.nan
    with pytest.raises(ChimeraError, match=r"images \[1\] have NaN or infinite pixel values"):
        card.measure(parents, images, torch.tensor([EVEN, EVEN]))
    with pytest.raises(ChimeraError, match="a reference of 9 images is too small"):
        Scorecard(card.judges, reference=torch.rand(9, 3, SIZE, SIZE), size=SIZE)
    with pytest.raises(ChimeraError, match="two parents or more"):
        card.prepare([ParentImages("one", torch.rand(1, 3, SIZE, SIZE))])
