"""A generator without condition as a fuser: classes and photographs are latents, and latents are mixed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from chimera_gan.config import GanConfig
from chimera_gan.gan_fuser import GanFuser
from chimera_gan.gan_learner import GanLearner
from chimera_gan.generating import render
from chimera_gan.latents import FEWEST, ClassLatents
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import ConfigError, DataError, FeatureEncoder, FuserData, Parent, TrainedFacts
from chimera_core.data.batches import TensorSplit

CLASSES = ("dark", "bright")
SIZE, Z = 28, 6
TINY: dict[str, Any] = {
    "condition": "none",
    "noise": Z,
    "channels": 4,
    "generator_norm": "none",  # with norms, an untrained generator makes grey alone
    "ema": 0.0,
    "probe": {"name": "timm", "options": {"model": "test_efficientnet", "weights": "none"}},
    "probe_size": 32,
    "probe_samples": 64,
    "inversion_steps": 5,
}
PARENTS = [Parent(name, class_name=name) for name in CLASSES]
FACTS = TrainedFacts(CLASSES, SIZE)


@pytest.fixture(scope="module")
def data() -> FuserData:
    level = torch.tensor([60] * 20 + [190] * 20).view(-1, 1, 1, 1)
    images = (level + torch.randint(-50, 50, (40, 3, SIZE, SIZE), generator=_seeded(0))).to(torch.uint8)
    split = TensorSplit(images, torch.arange(40) // 20)
    return FuserData(split, CLASSES, SIZE, batch=4, seed=0, total_images=64)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _learner(data: FuserData, **options: Any) -> GanLearner:
    """A generator whose brightness is the sign of the first latent number: it has been taught both classes."""
    learner = GanLearner(GanConfig(**TINY | options), data, device="cpu")
    learner.generator.forward = _by_first_number  # type: ignore[method-assign]
    return learner


def _by_first_number(z: Tensor, c: Tensor | None = None, *, draw: Any = None) -> Tensor:
    texture = 0.2 * torch.randn(1, 3, SIZE, SIZE, generator=_seeded(1))
    return (0.5 * torch.sign(z[:, :1, None, None]) + texture).expand(-1, 3, SIZE, SIZE)


def _fuser(data: FuserData, **options: Any) -> GanFuser:
    learner = GanLearner(GanConfig(**TINY | options), data, device="cpu")
    state = learner.state()
    state["latents.counts"] = torch.full_like(state["latents.counts"], FEWEST)
    state["latents.mean"] = torch.randn(state["latents.mean"].shape, generator=_seeded(2))
    fuser = GanFuser(GanConfig(**TINY | options))
    fuser.load(state, FACTS)
    return fuser


def test_a_class_is_the_mean_latent_of_its_samples() -> None:
    z = torch.tensor([[1.0, 0.0], [3.0, 2.0], [-1.0, 5.0]])
    found = ClassLatents.of_samples(z, torch.tensor([0, 0, 2]), 3)
    assert found.mean.tolist() == [[2.0, 1.0], [0.0, 0.0], [-1.0, 5.0]]
    assert found.counts.tolist() == [2, 0, 1]


def test_the_probe_finds_where_the_classes_are(data: FuserData) -> None:
    state = _learner(data).state()
    mean, counts = state["latents.mean"], state["latents.counts"]
    assert int(counts.sum()) == 64 and int(counts.min()) > 20
    # The mean of a half of a standard normal is 0.8; the other numbers tell nothing.
    assert float(mean[0, 0]) < -0.5 and float(mean[1, 0]) > 0.5
    assert float(mean[:, 1:].abs().max()) < 0.5


def test_the_classes_are_looked_for_once_for_each_generator(
    data: FuserData, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = GanLearner(GanConfig(**TINY), data, device="cpu")
    calls = []
    search = learner._search
    assert search is not None
    honest = search._search
    monkeypatch.setattr(search, "_search", lambda generator: calls.append(1) or honest(generator))
    first = learner.state()
    learner.facts()
    assert len(calls) == 1
    with torch.no_grad():
        next(learner.generator.parameters()).add_(1)
    second = learner.state()
    assert len(calls) == 2
    assert learner.generator.training, "the search leaves the mode as it was"
    assert first.keys() == second.keys()


def test_a_class_parent_is_as_far_out_as_noise_and_nearer_to_the_mean_with_less_spread() -> None:
    latents = ClassLatents(torch.tensor([[0.1, 0.0, 0.0, 0.0], [0.0, 0.0, -0.1, 0.0]]), torch.tensor([9, 9]))
    noise = torch.randn(5, 4, generator=_seeded(0))
    near, far = (latents.parent(0, noise, spread=s) for s in (0.2, 0.8))
    for found in (near, far):
        assert torch.allclose(found.norm(dim=1), torch.full((5,), 2.0))
    assert (F.cosine_similarity(near, latents.mean[:1]) > F.cosine_similarity(far, latents.mean[:1])).all()
    angle = torch.acos(F.cosine_similarity(noise, latents.mean[:1]))
    assert torch.allclose(torch.acos(F.cosine_similarity(near, latents.mean[:1])), 0.2 * angle, atol=1e-3)
    assert len({tuple(row.tolist()) for row in near}) == 5


def test_a_class_that_is_not_made_is_said_and_refused(data: FuserData) -> None:
    learner = _learner(data)
    learner.generator.forward = lambda z, c=None, *, draw=None: _by_first_number(z.abs())  # type: ignore[method-assign]
    facts = learner.facts()
    assert facts == {"samples_by_class": {"dark": 0, "bright": 64}, "classes_without_latent": ["dark"]}
    fuser = GanFuser(learner.config)
    fuser.load(learner.state(), FACTS)
    with pytest.raises(ConfigError, match=r"class dark has no latent: the probe found 0 samples .* 64"):
        fuser.fuse(PARENTS, (0.5, 0.5), seeds=[0], size=SIZE)


def test_a_class_without_training_images_has_no_latent(data: FuserData) -> None:
    learner = _learner(replace(data, classes=(*CLASSES, "striped")))
    assert learner.facts()["classes_without_latent"] == ["striped"]
    assert learner.state()["latents.mean"].shape == (3, Z)


@pytest.mark.slow
def test_a_run_on_one_class_refuses_classes_and_takes_photographs(data: FuserData) -> None:
    one = replace(
        data,
        classes=("dark",),
        images=TensorSplit(data.images.take(torch.arange(20)), torch.zeros(20).long()),
    )  # type: ignore[arg-type]
    learner = GanLearner(GanConfig(**TINY), one, device="cpu")
    assert learner.facts() == {} and "latents.mean" not in learner.state()
    fuser = GanFuser(learner.config)
    fuser.load(learner.state(), TrainedFacts(("dark",), SIZE))
    with pytest.raises(ConfigError, match=r"one class only \(dark\)"):
        fuser.fuse([PARENTS[0], PARENTS[0]], (0.5, 0.5), seeds=[0], size=SIZE)
    photos = [Parent(f"{k}.png", torch.rand(3, 30, 40, generator=_seeded(k))) for k in range(2)]
    assert fuser.fuse(photos, (0.5, 0.5), seeds=[0], size=SIZE).shape == (1, 3, SIZE, SIZE)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_an_image_depends_on_its_own_seed_alone(data: FuserData, dropout: float) -> None:
    fuser = _fuser(data, dropout=dropout, dropout_in_use=bool(dropout))
    many = fuser.fuse(PARENTS, (0.4, 0.6), seeds=[5, 6, 7], size=SIZE)
    torch.manual_seed(1)
    one = fuser.fuse(PARENTS, (0.4, 0.6), seeds=[6], size=SIZE)
    assert (many[1] - one[0]).abs().max() <= 1 / 255
    assert (many[1] - many[0]).abs().max() > 1 / 255


def test_dropout_in_use_drops_other_values_for_other_seeds(data: FuserData) -> None:
    fuser = _fuser(data, dropout=0.5, dropout_in_use=True)
    z = torch.randn(1, Z, generator=_seeded(0)).expand(2, -1)
    made = render(fuser._generator, z, None, seeds=[1, 2**63 + 5])
    assert not torch.equal(made[0], made[1])
    learner = GanLearner(GanConfig(**TINY, dropout=0.5, dropout_in_use=True), data, device="cpu")
    assert torch.equal(learner.sample(2, seed=3), learner.sample(2, seed=3))


def test_weight_one_is_that_parent_and_the_parents_order_has_no_influence(data: FuserData) -> None:
    fuser = _fuser(data)
    alone = fuser.fuse(PARENTS, (1.0, 0.0), seeds=[3], size=SIZE)
    with_a_third = fuser.fuse([*PARENTS, PARENTS[1]], (1.0, 0.0, 0.0), seeds=[3], size=SIZE)
    assert torch.equal(alone, with_a_third)
    assert not torch.equal(alone, fuser.fuse(PARENTS, (0.0, 1.0), seeds=[3], size=SIZE))
    there = fuser.fuse(PARENTS, (0.3, 0.7), seeds=[3], size=SIZE)
    assert torch.allclose(there, fuser.fuse(PARENTS[::-1], (0.7, 0.3), seeds=[3], size=SIZE), atol=1e-6)


@pytest.mark.slow
def test_inversion_finds_what_the_generator_can_make(data: FuserData) -> None:
    fuser = _fuser(data, inversion_steps=60)
    z = F.normalize(torch.randn(1, Z, generator=_seeded(5)), dim=1) * math.sqrt(Z)
    wanted = render(fuser._generator, z, None, seeds=[0])[0]
    parents = [Parent("made.png", wanted), PARENTS[0]]
    reported: list[tuple[float, float]] = []
    fuser.progress = lambda done, total: reported.append((done, total))
    found = fuser.fuse(parents, (1.0, 0.0), seeds=[0], size=SIZE)[0]
    others = fuser.fuse(PARENTS, (0.5, 0.5), seeds=range(20), size=SIZE)
    distance = (others - wanted).abs().flatten(1).mean(1)
    assert (found - wanted).abs().mean() < 0.2 * distance.min()
    assert reported[-1] == (60, 120) and len(reported) == 60


@pytest.mark.slow
def test_a_photograph_is_looked_for_once_and_without_chance(data: FuserData) -> None:
    fuser, again = _fuser(data), _fuser(data)
    photo = torch.rand(3, 30, 40, generator=_seeded(0))
    parents = [Parent("a.png", photo), PARENTS[0]]
    torch.manual_seed(0)
    first = fuser.fuse(parents, (0.6, 0.4), seeds=[0], size=SIZE)
    torch.manual_seed(1)
    assert torch.equal(first, again.fuse(parents, (0.6, 0.4), seeds=[0], size=SIZE))
    fuser.progress = lambda done, total: pytest.fail("it was looked for again")
    assert torch.equal(first, fuser.fuse(parents, (0.6, 0.4), seeds=[0], size=SIZE))
    assert fuser.accepts == {"photo", "class"}


def test_classes_that_were_not_learned_and_weights_without_latents_are_refused(data: FuserData) -> None:
    fuser = _fuser(data)
    with pytest.raises(ConfigError, match="wolf is not a class that this GAN learned: it knows dark, bright"):
        fuser.fuse([PARENTS[0], Parent("wolf", class_name="wolf")], (0.5, 0.5), seeds=[0], size=SIZE)
    state = GanLearner(GanConfig(**TINY), data, device="cpu").state()
    del state["latents.mean"]
    with pytest.raises(DataError, match=r"latents\.mean"):
        GanFuser(GanConfig(**TINY)).load(state, FACTS)


def test_the_probe_is_the_encoder_that_the_options_name(
    data: FuserData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []

    def load(name: str, *, device: Any, **options: Any) -> FeatureEncoder:
        from chimera_core.api import load_encoder

        asked.append((name, options))
        return load_encoder(name, device=device, **options)

    monkeypatch.setattr("chimera_gan.latents.load_encoder", load)
    GanLearner(GanConfig(**TINY), data, device="cpu").state()
    assert asked == [("timm", {"model": "test_efficientnet", "weights": "none"})]
