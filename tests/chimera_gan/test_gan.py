"""The GAN as learner and as fuser: what a step is, what is kept, and what mixing conditions makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from chimera_gan.config import GanConfig
from chimera_gan.gan_fuser import GanFuser
from chimera_gan.gan_learner import GanLearner
from torch import Tensor

from chimera_core.api import Batch, ConfigError, DataError, Draw, Engine, FuserData, Parent, TrainedFacts
from chimera_core.data.batches import TensorSplit

CLASSES = ("person", "cat")
SIZE = 28
ENGINE = Engine(torch.device("cpu"))
TINY: dict[str, Any] = {"noise": 6, "channels": 4, "ema": 0.5}
INSTANCE: dict[str, Any] = {
    **TINY,
    "condition": "instance",
    "components": 3,
    "bank": 4,
    "encoder": {"name": "timm", "options": {"model": "test_efficientnet", "weights": "none"}},
    "encoder_size": 32,
}


@pytest.fixture(scope="module")
def data() -> FuserData:
    images = torch.randint(0, 256, (12, 3, SIZE, SIZE), dtype=torch.uint8, generator=_seeded(0))
    images[6:] //= 4  # the second class is dark
    labels = torch.arange(12) // 6
    return FuserData(TensorSplit(images, labels), CLASSES, SIZE, batch=4, seed=0, total_images=64)


def test_a_step_is_a_function_of_the_state_and_the_draw(data: FuserData) -> None:
    first, second = _taught(data, 3), _taught(data, 3)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_generator_waits_for_the_critic_s_steps(data: FuserData) -> None:
    learner = GanLearner(GanConfig(**TINY, critic_steps=3), data, device="cpu")
    before = _copied(learner.generator)
    names = [set(_step(learner, data, k)) for k in range(3)]
    assert ["generator_loss" in n for n in names] == [False, False, True]
    learner = GanLearner(GanConfig(**TINY, critic_steps=3, generator_norm="none"), data, device="cpu")
    before = _copied(learner.generator)
    for k in range(2):
        _step(learner, data, k)
    assert all(torch.equal(before[n], v) for n, v in learner.generator.state_dict().items())
    _step(learner, data, 2)
    assert any(not torch.equal(before[n], v) for n, v in learner.generator.state_dict().items())


def test_the_critic_is_not_moved_by_the_generator_s_turn(data: FuserData) -> None:
    one = GanLearner(GanConfig(**TINY, critic_steps=1), data, device="cpu")
    two = GanLearner(GanConfig(**TINY, critic_steps=2), data, device="cpu")
    _step(one, data, 0)
    _step(two, data, 0)
    for mine, theirs in zip(
        one.modules["critic"].parameters(), two.modules["critic"].parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_weights_are_clipped_where_wanted(data: FuserData) -> None:
    config = GanConfig(**TINY, objective="wasserstein", clip_weights=0.01)
    learner = GanLearner(config, data, device="cpu")
    _step(learner, data, 0)
    assert max(float(p.detach().abs().max()) for p in learner.modules["critic"].parameters()) <= 0.01


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"objective": "wasserstein", "gradient_penalty": 10.0}, {"gradient_penalty"}),
        ({"r1": 1.0, "r2": 1.0}, {"r1", "r2"}),
        ({"r1": 1.0}, {"r1"}),
        ({"objective": "bce", "label_smoothing": 0.1}, set()),
    ],
)
def test_penalties_are_those_that_are_asked_for(
    data: FuserData, options: dict[str, Any], names: set[str]
) -> None:
    parts = _step(GanLearner(GanConfig(**TINY, **options), data, device="cpu"), data, 0)
    assert set(parts) & {"gradient_penalty", "r1", "r2"} == names
    assert all(torch.isfinite(value) for value in parts.values())


def test_lazy_penalties_come_at_their_steps(data: FuserData) -> None:
    learner = GanLearner(GanConfig(**TINY, r1=1.0, penalty_every=2), data, device="cpu")
    assert ["r1" in _step(learner, data, k) for k in range(4)] == [True, False, True, False]


def test_a_mixed_condition_belongs_to_another_class(data: FuserData) -> None:
    learner = GanLearner(GanConfig(**INSTANCE, mixed=1.0), data, device="cpu")
    learner.condition.prepare(data)
    batch, draw = _batch(data, 0)
    own = learner.condition.of_images(batch)
    assert own is not None
    others = learner.condition._others.draw(batch.labels, draw)  # type: ignore[attr-defined]
    assert (data.images.labels[others] != batch.labels).all()
    mixed, strength = learner._conditions(batch, draw)
    assert mixed is not None and strength is not None
    assert not strength.any()
    assert not torch.allclose(mixed, own)


def test_conditions_of_images_survive_in_the_modules(data: FuserData) -> None:
    learner = GanLearner(GanConfig(**INSTANCE), data, device="cpu")
    _step(learner, data, 0)
    again = GanLearner(GanConfig(**INSTANCE), data, device="cpu")
    again.condition.load_state_dict(learner.modules["condition"].state_dict())
    again.condition.prepare(replace(data, images=None))  # type: ignore[arg-type]  # it would have to look at them
    assert torch.equal(again.condition.table, learner.condition.table)  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [TINY, INSTANCE], ids=["class", "instance"])
def test_weight_one_gives_a_sample_of_that_parent(data: FuserData, options: dict[str, Any]) -> None:
    fuser = _fuser(data, options)
    parents = [Parent("person", class_name="person"), Parent("cat", class_name="cat")]
    alone = fuser.fuse(parents, (1.0, 0.0), seeds=[3], size=SIZE)
    with_a_third = fuser.fuse([*parents, parents[1]], (1.0, 0.0, 0.0), seeds=[3], size=SIZE)
    assert torch.equal(alone, with_a_third)
    assert not torch.equal(alone, fuser.fuse(parents, (0.0, 1.0), seeds=[3], size=SIZE))


@pytest.mark.parametrize("options", [TINY, INSTANCE], ids=["class", "instance"])
def test_an_image_depends_on_its_own_seed_alone(data: FuserData, options: dict[str, Any]) -> None:
    fuser = _fuser(data, options)
    parents = [Parent("person", class_name="person"), Parent("cat", class_name="cat")]
    many = fuser.fuse(parents, (0.4, 0.6), seeds=[5, 6, 7], size=40)
    one = fuser.fuse(parents, (0.4, 0.6), seeds=[6], size=40)
    assert many.shape == (3, 3, 40, 40)
    assert (many[1] - one[0]).abs().max() <= 1 / 255
    assert float(many.min()) >= 0 and float(many.max()) <= 1


@pytest.mark.slow
def test_photographs_are_parents_by_what_the_encoder_sees(data: FuserData) -> None:
    fuser = _fuser(data, INSTANCE)
    assert fuser.accepts == {"photo", "class"}
    photos = [Parent(f"{k}.jpg", torch.rand(3, 40, 60, generator=_seeded(k))) for k in range(2)]
    made = fuser.fuse(photos, (0.5, 0.5), seeds=[0], size=SIZE)
    assert torch.equal(made, fuser.fuse(photos[::-1], (0.5, 0.5), seeds=[0], size=SIZE))
    assert not torch.equal(made, fuser.fuse(photos, (1.0, 0.0), seeds=[0], size=SIZE))


def test_a_gan_on_classes_refuses_photographs(data: FuserData) -> None:
    fuser = _fuser(data, TINY)
    assert fuser.accepts == {"class"}
    photo = Parent("dog.jpg", torch.rand(3, 8, 8))
    with pytest.raises(
        ConfigError, match=r"dog\.jpg is not a class that this GAN learned: it knows person, cat"
    ):
        fuser.fuse([photo, Parent("cat", class_name="cat")], (0.5, 0.5), seeds=[0], size=SIZE)


def test_classes_are_needed_by_two(data: FuserData) -> None:
    with pytest.raises(ConfigError, match="one class only"):
        GanLearner(GanConfig(**TINY), replace(data, classes=("cat",)), device="cpu")


def test_weights_of_other_options_are_refused(data: FuserData) -> None:
    learner = GanLearner(GanConfig(**TINY), data, device="cpu")
    fuser = GanFuser(GanConfig(**{**TINY, "channels": 8}))
    with pytest.raises(DataError, match=r"what was learned: .*generator"):
        fuser.load(learner.state(), TrainedFacts(CLASSES, SIZE))
    with pytest.raises(DataError, match="no features of images"):
        GanFuser(GanConfig(**INSTANCE)).load(learner.state(), TrainedFacts(CLASSES, SIZE))


def test_a_strangers_file_is_refused_before_memory_is_taken_for_what_it_names() -> None:
    """A mean of so many features would have directions of 80 GB."""
    mean, bank = torch.zeros(1).expand(10_000_000), torch.zeros(1).expand(2, 1, 2048)
    with pytest.raises(DataError, match="what was learned"):
        GanFuser(GanConfig(**{**INSTANCE, "components": 2048})).load(
            {"condition.principal.mean": mean, "condition.bank": bank}, TrainedFacts(CLASSES, SIZE)
        )


def test_samples_belong_to_their_seeds(data: FuserData) -> None:
    learner = GanLearner(GanConfig(**TINY), data, device="cpu")
    _step(learner, data, 0)
    many = learner.sample(4, seed=10)
    assert many.shape == (4, 3, SIZE, SIZE)
    assert (many[2] - learner.sample(1, seed=12)[0]).abs().max() <= 1 / 255
    assert learner.generator.training


def _taught(data: FuserData, steps: int) -> dict[str, Tensor]:
    config = GanConfig(**TINY, r1=1.0, augment=("colour", "translation", "cutout"))
    learner = GanLearner(config, data, device="cpu")
    for k in range(steps):
        _step(learner, data, k)
    return learner.state()


def _fuser(data: FuserData, options: dict[str, Any]) -> GanFuser:
    learner = GanLearner(GanConfig(**options), data, device="cpu")
    for k in range(2):
        _step(learner, data, k)
    fuser = GanFuser(GanConfig(**options))
    fuser.load(learner.state(), TrainedFacts(CLASSES, SIZE))
    return fuser


def _step(learner: GanLearner, data: FuserData, step: int) -> dict[str, Tensor]:
    batch, draw = _batch(data, step)
    return learner.step(batch, draw=draw, engine=ENGINE)


def _batch(data: FuserData, step: int) -> tuple[Batch, Draw]:
    rows = (torch.arange(4) * 3 + step) % len(data.images)
    images, labels = data.images.take(rows), data.images.labels[rows]
    return Batch(images, labels, torch.zeros_like(labels), rows), Draw(0, 0, rows, step=step)


def _copied(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
