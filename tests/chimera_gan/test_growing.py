"""A generator that has learned grows: it begins as the old one, enlarged, and means the same by a condition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from chimera_gan.config import GanConfig
from chimera_gan.gan_fuser import GanFuser
from chimera_gan.gan_learner import GanLearner
from chimera_gan.networks import GENERATORS, GrownGenerator
from chimera_gan.networks.grown import Doubling, enlarged, shrunk, without_stripes
from torch import Tensor

from chimera_core.api import (
    Batch,
    ConfigError,
    DataError,
    Draw,
    EncoderRef,
    Engine,
    FuserData,
    Parent,
    TrainedFacts,
)
from chimera_core.data.batches import TensorSplit

pytestmark = pytest.mark.slow

CLASSES = ("person", "cat")
SIZE = 28
SMALL: dict[str, Any] = {"name": "timm", "options": {"model": "test_efficientnet", "weights": "none"}}
TINY: dict[str, Any] = {
    "noise": 6,
    "channels": 4,
    "ema": 0.5,
    "condition": "instance",
    "components": 3,
    "bank": 4,
    "encoder": SMALL,
    "encoder_size": 32,
    "balance": "condition",
}
GROWN: dict[str, Any] = {
    **TINY,
    "network": "dcgan",
    "grown": True,
    "critic": "projected",
    "critic_encoder": SMALL,
    "critic_encoder_size": 32,
}
PARENTS = [Parent("person", class_name="person"), Parent("cat", class_name="cat")]


@pytest.fixture(scope="module")
def old() -> tuple[dict[str, Tensor], GanConfig, TrainedFacts]:
    """A generator of 28 px, two steps old, with its condition."""
    learner = GanLearner(GanConfig(**TINY), _data(SIZE), device="cpu")
    for step in range(2):
        _step(learner, step)
    return learner.state(), learner.config, TrainedFacts(CLASSES, SIZE)


@pytest.mark.parametrize("family", ["mlp", "dcgan", "resnet"])
def test_a_grown_generator_begins_as_the_old_one_enlarged(family: str) -> None:
    torch.manual_seed(0)
    trunk = GENERATORS[family](32, noise=5, condition=2, channels=4)
    grown = GrownGenerator(trunk).eval()
    z, c = torch.randn(3, 5), torch.randn(3, 2)
    assert torch.equal(grown(z, c), enlarged(without_stripes(trunk(z, c))).clamp(-1, 1))
    assert grown(z, c).shape == (3, 3, 64, 64)
    assert torch.equal(grown.train()(z, c), grown.eval()(z, c))


def test_the_stage_doubles_pictures_of_any_sides_and_learns_from_the_start() -> None:
    stage = Doubling()
    x = torch.rand(2, 3, 8, 12) * 2 - 1
    assert torch.equal(stage(x), enlarged(without_stripes(x)).clamp(-1, 1))
    stage(x).square().sum().backward()
    assert stage.last.weight.grad is not None and stage.last.weight.grad.abs().sum() > 0


def test_filtering_takes_the_finest_stripes_alone() -> None:
    fine, flat = torch.ones(1, 2, 8, 8), torch.full((1, 2, 8, 8), 0.3)
    fine[..., ::2] = -1
    assert without_stripes(fine).abs().max() < 1e-6 and without_stripes(fine.mT).abs().max() < 1e-6
    assert (without_stripes(flat) - flat).abs().max() < 1e-6
    wave = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(1, 1, 8, 4)
    assert torch.allclose(without_stripes(wave)[..., 4:-4], 0.75 * wave[..., 4:-4])


def test_the_finest_stripes_of_the_trunk_do_not_reach_the_picture() -> None:
    torch.manual_seed(0)
    stage = Doubling()
    for weights in stage.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    flat = torch.full((1, 3, 32, 32), 0.2)
    striped = flat.clone()
    striped[..., ::2] += 0.3
    striped[..., 1::2] -= 0.3
    assert (stage(striped) - stage(flat)).abs().max() < 1e-5
    assert (stage(flat) - enlarged(flat)).abs().max() > 1e-3  # it did draw


def test_shrinking_undoes_enlarging_where_a_picture_is_smooth() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    picture = torch.stack([x, y, x * y])[None]
    assert (shrunk(enlarged(picture)) - picture)[..., 2:-2, 2:-2].abs().max() < 0.01


def test_what_was_learned_is_there_before_the_first_step(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    state, options, facts = old
    learner = _grown(old)
    small = _fuser(options, state, facts).fuse(PARENTS, (0.5, 0.5), seeds=[3], size=SIZE)
    before = enlarged(without_stripes(small)).clamp(0, 1)
    # The table is of the new data: conditions of names are compared by the old bank.
    learner.condition.prepare(learner.data)
    kept = learner.state() | {"condition.bank": state["condition.bank"]}
    after = _fuser(learner.config, kept, TrainedFacts(CLASSES, 2 * SIZE))
    made = after.fuse(PARENTS, (0.5, 0.5), seeds=[3], size=2 * SIZE)
    assert (made - before).abs().max() < 1e-5


@pytest.mark.slow
def test_a_condition_means_what_it_meant(old: tuple[dict[str, Tensor], GanConfig, TrainedFacts]) -> None:
    state, _, _ = old
    begun = _grown(old).condition.state_dict()
    learner = GanLearner(GanConfig(**GROWN), _data(2 * SIZE), device="cpu")
    learner.condition.load_state_dict(begun)  # as a training that was interrupted before its first step
    _step(learner, 0)
    ours, alone = learner.state(), GanLearner(GanConfig(**GROWN), _data(2 * SIZE), device="cpu")
    alone.condition.prepare(alone.data)
    for name in ("mean", "directions", "scale"):
        assert torch.equal(ours[f"condition.principal.{name}"], state[f"condition.principal.{name}"])
    assert not torch.equal(alone.condition.kept()["principal.mean"], state["condition.principal.mean"])


@pytest.mark.slow
def test_the_trunk_waits_and_then_learns_at_its_own_rate(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    learner = _grown(old, grown_after=8)
    generator = learner.generator
    assert isinstance(generator, GrownGenerator)
    trunk, stage = _copied(generator.trunk), _copied(generator.stage)
    for step in range(2):
        _step(learner, step)
    assert all(torch.equal(v, trunk[k]) for k, v in generator.trunk.state_dict().items())
    assert any(not torch.equal(v, stage[k]) for k, v in generator.stage.state_dict().items())
    _step(learner, 2)
    moved = {k for k, v in generator.trunk.state_dict().items() if not torch.equal(v, trunk[k])}
    assert "to_image.weight" in moved and not any("running" in name for name in moved)
    assert {g["factor"] for g in learner.optimizers["generator_optimizer"].param_groups} == {0.25, 1.0}


def test_the_stage_learns_alone_at_first_from_photographs(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    learner = _grown(old, grown_alone=8)
    critic, trunk = _copied(learner.modules["critic"]), _copied(learner.generator.trunk)  # type: ignore[arg-type]
    assert [set(_step(learner, step)) for step in range(2)] == [{"restored_loss"}] * 2
    assert all(torch.equal(v, critic[k]) for k, v in learner.modules["critic"].state_dict().items())
    assert all(torch.equal(v, trunk[k]) for k, v in learner.generator.trunk.state_dict().items())  # type: ignore[union-attr,operator]
    assert "critic_loss" in _step(learner, 2)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"restored_loss", "kept_loss"}),
        ({"grown_restore": 0.0}, {"kept_loss"}),
        ({"grown_keep": 0.0, "grown_restore": 0.0}, set()),
    ],
)
def test_the_stage_is_asked_what_weighs_something(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts], options: dict[str, Any], names: set[str]
) -> None:
    parts = _step(_grown(old, **options), 0)
    assert {name for name in parts if name in ("restored_loss", "kept_loss")} == names
    assert all(value.isfinite() for value in parts.values())


@pytest.mark.slow
def test_the_stage_learns_to_bring_photographs_back(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    learner = _grown(old, grown_restore=100.0, lr=2e-3)
    found = [float(_step(learner, step)["restored_loss"]) for step in range(12)]
    assert found[-1] < 0.97 * found[0]


@pytest.mark.parametrize(
    ("ours", "size", "line"),
    [
        ({"components": 2}, 56, "its components is 3, and here it is 2"),
        ({"noise": 7}, 56, "its noise is 6, and here it is 7"),
        ({"condition": "class"}, 56, "its condition is instance"),
        ({"encoder_size": 33}, 56, "its encoder-size is 32"),
        ({}, 64, "it draws 28 px, and what begins with it needs 32: set --size 56"),
        ({"encoder": {**SMALL, "options": {**SMALL["options"], "seed": 1}}}, 56, "which sees something else"),
    ],
)
def test_what_does_not_fit_is_one_line(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts], ours: dict[str, Any], size: int, line: str
) -> None:
    state, options, facts = old
    learner = GanLearner(GanConfig(**{**GROWN, **ours}), _data(size), device="cpu")
    with pytest.raises(ConfigError, match=line):
        learner.begin_from(state, options, facts)


def test_a_grown_one_grows_no_further_and_damaged_ones_are_refused(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    state, options, facts = old
    learner = GanLearner(GanConfig(**GROWN), _data(2 * SIZE), device="cpu")
    with pytest.raises(ConfigError, match="has grown already, to 28 px"):
        learner.begin_from(state, GanConfig(**GROWN), facts)
    with pytest.raises(DataError, match=r"no tensor.*to_image"):
        learner.begin_from({k: v for k, v in state.items() if "to_image" not in k}, options, facts)
    with pytest.raises(DataError, match=r"principal"):
        learner.begin_from(
            {k: v for k, v in state.items() if "generator" in k or "bank" in k}, options, facts
        )


def test_classes_must_be_the_same_where_they_are_the_condition() -> None:
    tiny: dict[str, Any] = {"noise": 6, "channels": 4, "ema": 0.5}
    learner = GanLearner(GanConfig(**tiny), _data(SIZE), device="cpu")
    other = replace(_data(2 * SIZE), classes=("dog", "cat"))
    grown = GanLearner(GanConfig(**{**GROWN, **tiny, "condition": "class"}), other, device="cpu")
    with pytest.raises(ConfigError, match="learned the classes person, cat, and the data have dog, cat"):
        grown.begin_from(learner.state(), learner.config, TrainedFacts(CLASSES, SIZE))


def test_a_generator_of_the_same_size_begins_whole(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    state, options, facts = old
    learner = GanLearner(GanConfig(**TINY), _data(SIZE), device="cpu")
    learner.begin_from(state, options, facts)
    for name, value in learner.generator.state_dict().items():
        assert torch.equal(value, state[f"generator.{name}"])


def test_one_of_another_size_is_refused_where_nothing_grows(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    learner = GanLearner(GanConfig(**TINY | {"network": "resnet"}), _data(32), device="cpu")
    with pytest.raises(ConfigError, match="needs 32: set --grown"):
        learner.begin_from(*old)


@pytest.mark.slow
def test_an_encoder_s_options_may_be_spelled_out_or_not(
    old: tuple[dict[str, Tensor], GanConfig, TrainedFacts],
) -> None:
    state, options, facts = old
    spelled = EncoderRef(name="timm:timm", options={**SMALL["options"], "pool": "max", "seed": 0})
    learner = GanLearner(GanConfig(**GROWN), _data(2 * SIZE), device="cpu")
    learner.begin_from(state, options.model_copy(update={"encoder": spelled}), facts)


def test_an_odd_half_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 30: what grows"):
        GanLearner(GanConfig(**GROWN), _data(30), device="cpu")


def _grown(old: tuple[dict[str, Tensor], GanConfig, TrainedFacts], **options: Any) -> GanLearner:
    learner = GanLearner(GanConfig(**{**GROWN, **options}), _data(2 * SIZE), device="cpu")
    learner.begin_from(*old)
    return learner


def _data(size: int) -> FuserData:
    images = torch.randint(
        0, 256, (12, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(size)
    )
    images[6:] //= 4
    return FuserData(
        TensorSplit(images, torch.arange(12) // 6), CLASSES, size, batch=4, seed=0, total_images=64
    )


def _step(learner: GanLearner, step: int) -> dict[str, Tensor]:
    rows = torch.arange(4) + 4 * (step % 3)
    data = learner.data
    batch = Batch(data.images.take(rows), data.images.labels[rows], torch.zeros(4, dtype=torch.int64), rows)
    torch.manual_seed(step)
    engine = Engine(torch.device("cpu"), images=4 * step)
    return learner.step(batch, draw=Draw(0, 0, rows, step=step), engine=engine)


def _fuser(config: GanConfig, state: dict[str, Tensor], facts: TrainedFacts) -> GanFuser:
    fuser = GanFuser(config, device="cpu")
    fuser.load(state, facts)
    return fuser


def _copied(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
