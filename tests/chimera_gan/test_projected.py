"""Critics on a frozen network's features: what is fixed, what learns, and what a step with them is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from chimera_gan.config import GanConfig
from chimera_gan.critics import FrozenCritic, OwnCritic
from chimera_gan.frozen import FrozenFeatures
from chimera_gan.gan_learner import GanLearner
from chimera_gan.networks.projected import ProjectedCritic, RandomMixing
from torch import Tensor, nn

from chimera_core.api import Batch, ConfigError, Draw, EncoderRef, Engine, FeatureEncoder, FuserData, Level
from chimera_core.data.batches import TensorSplit

SIZE = 28
CHANNELS, SIDES = [6, 10, 20, 40], [32, 16, 8, 4]
SMALL = {"name": "timm", "options": {"model": "test_efficientnet", "weights": "none"}}
TINY: dict[str, Any] = {
    "noise": 6,
    "channels": 4,
    "ema": 0.5,
    "r1": 1.0,
    "augment": ("colour", "translation"),
    "critic_encoder": SMALL,
    "critic_encoder_size": 32,
}
INSTANCE = {"condition": "instance", "components": 3, "bank": 4, "encoder": SMALL, "encoder_size": 32}


@pytest.fixture(scope="module")
def data() -> FuserData:
    images = torch.randint(0, 256, (12, 3, SIZE, SIZE), dtype=torch.uint8, generator=_seeded(0))
    return FuserData(
        TensorSplit(images, torch.arange(12) // 6), ("person", "cat"), SIZE, batch=4, seed=0, total_images=64
    )


def test_mixing_is_drawn_once_and_learns_nothing() -> None:
    torch.manual_seed(0)
    mixing = RandomMixing(CHANNELS)
    assert not list(mixing.parameters())
    torch.manual_seed(0)
    again, other = RandomMixing(CHANNELS).state_dict(), RandomMixing(CHANNELS).state_dict()
    assert len(again) == 8
    for name, kernel in mixing.state_dict().items():
        assert torch.equal(kernel, again[name]) and not torch.equal(kernel, other[name])


def test_mixing_keeps_sides_and_the_size_of_the_signal() -> None:
    torch.manual_seed(0)
    mixing = RandomMixing(CHANNELS)
    mixed = mixing(maps())
    assert [tuple(m.shape) for m in mixed] == [
        (3, c, s, s) for c, s in zip(mixing.channels, SIDES, strict=True)
    ]
    assert all(0.5 < float(m.std()) < 1.5 for m in mixed)


def test_coarse_features_reach_every_finer_scale_and_not_the_other_way() -> None:
    torch.manual_seed(0)
    mixing, seen = RandomMixing(CHANNELS), maps()
    before = mixing(seen)
    coarse = [*seen[:-1], seen[-1] + 1]
    assert not any(torch.equal(a, b) for a, b in zip(before, mixing(coarse), strict=True))
    fine = [seen[0] + 1, *seen[1:]]
    assert [torch.equal(a, b) for a, b in zip(before, mixing(fine), strict=True)] == [False, True, True, True]


def test_every_scale_gives_sixteen_logits() -> None:
    logits = critic(condition=5)(maps(), noise(3, 5), torch.ones(3))
    assert [tuple(s.shape) for s in logits] == [(3, 16)] * 4
    assert all(s.dtype == torch.float32 and s.isfinite().all() for s in logits)


def test_one_more_critic_sees_pixels_where_that_is_wanted() -> None:
    torch.manual_seed(1)
    network = ProjectedCritic(CHANNELS, SIDES, pixels=True).eval()
    images, others = noise(3, 3 * 32 * 32).view(3, 3, 32, 32), torch.zeros(3, 3, 32, 32)
    logits, again = network(maps(), pixels=images), network(maps(), pixels=others)
    assert [tuple(s.shape) for s in logits] == [(3, 16)] * 5
    assert [torch.equal(a, b) for a, b in zip(logits, again, strict=True)] == [True] * 4 + [False]
    assert len(critic()(maps(), pixels=images)) == 4


def test_a_critic_of_pixels_learns_with_the_others(data: FuserData) -> None:
    learner = _learner(data, critic="projected", critic_pixels=True)
    before = {k: v.clone() for k, v in learner.modules["critic"].state_dict().items() if "of_pixels" in k}
    assert before and all(value.isfinite() for value in _step(learner, data, 0).values())
    after = learner.modules["critic"].state_dict()
    assert any(not torch.equal(v, after[k]) for k, v in before.items() if k.endswith("original"))


def test_the_condition_counts_at_the_coarsest_scale_by_its_strength() -> None:
    network = critic(condition=5).eval()
    without, given = network(maps()), network(maps(), noise(3, 5))
    assert [torch.equal(a, b) for a, b in zip(without, given, strict=True)] == [True, True, True, False]
    none, half = (network(maps(), noise(3, 5), torch.full((3,), k))[-1] for k in (0.0, 0.5))
    torch.testing.assert_close(none, without[-1])
    torch.testing.assert_close(half, (without[-1] + given[-1]) / 2)


@pytest.mark.slow
def test_every_convolution_has_a_spectral_norm_of_one() -> None:
    network = critic()
    for _ in range(30):  # a power iteration each
        network(maps())
    kernels = [m.weight.flatten(1) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(kernels) == 3 + 2 + 1 + 1 + 4
    for kernel in kernels:
        assert float(torch.linalg.matrix_norm(kernel.detach(), 2)) == pytest.approx(1, abs=0.1)


def test_scales_go_from_a_quarter_of_the_side_to_four_pixels() -> None:
    features = FrozenFeatures(EncoderRef(**SMALL), size=64)
    assert features.sides == [16, 8, 4]
    found = features.maps(pixels(64))
    assert [tuple(m.shape) for m in found] == [
        (2, c, s, s) for c, s in zip(features.channels, features.sides, strict=True)
    ]


def test_of_maps_of_one_side_the_deepest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _use(monkeypatch, Echo([8, 4, 4, 2]))
    assert seen.sides == [4] and seen._levels == [2]


def test_the_encoder_sees_images_in_its_own_range_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _use(monkeypatch, Echo([4]))
    (found,) = seen.maps(torch.linspace(-1, 1, 12).view(1, 3, 2, 2))
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    torch.testing.assert_close(found.mean((2, 3)), torch.tensor([[3, 11, 19]]) / 22)
    beyond = seen.maps(torch.full((1, 3, 16, 16), 1.5))[0]  # as a change of colours may leave it
    torch.testing.assert_close(beyond, torch.full_like(beyond, 1.25))


def test_gradients_go_back_to_the_pixels_alone() -> None:
    features = FrozenFeatures(EncoderRef(**SMALL), size=32)
    x = pixels(28).requires_grad_(True)
    sum(m.sum() for m in features.maps(x)).backward()  # type: ignore[union-attr]
    assert x.grad is not None and float(x.grad.abs().sum()) > 0
    assert all(p.grad is None and not p.requires_grad for p in features._encoder.parameters())


def test_slow_kernels_are_gone_round_in_bfloat16_only() -> None:
    features = FrozenFeatures(EncoderRef(**SMALL), size=32)
    plain = _gradient(features, bf16=False)
    mixed = _gradient(features, bf16=True)
    assert float(nn.functional.cosine_similarity(plain.flatten(), mixed.flatten(), dim=0)) > 0.99
    strided = [
        m
        for m in features._encoder.modules()
        if isinstance(m, nn.Conv2d) and m.groups > 1 and m.stride[0] > 1
    ]
    assert strided
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.rand(1, strided[0].in_channels, 8, 8, dtype=torch.bfloat16, requires_grad=True)
        kinds = [type(n).__name__ for n in _history(strided[0](x))]
        assert "ToCopyBackward0" in kinds and strided[0](x).dtype == torch.bfloat16
        assert strided[0](x.detach()).dtype == torch.bfloat16


def test_maps_that_are_too_small_are_refused_in_one_line() -> None:
    with pytest.raises(
        ConfigError, match=r"encoder timm gives the critic no feature maps of 4 to 4 pixels at 16"
    ):
        FrozenFeatures(
            EncoderRef(name="timm", options={"model": "resnet18", "weights": "none", "taps": ("layer4",)}),
            size=16,
        )


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, INSTANCE, {"condition": "none"}], ids=["class", "instance", "none"])
@pytest.mark.parametrize("who", ["projected", "both"])
def test_a_step_is_a_function_of_the_state_and_the_draw(
    data: FuserData, who: str, more: dict[str, Any]
) -> None:
    first, second = (_taught(data, 2, critic=who, **more) for _ in range(2))
    for name, module in first.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, second.modules[name].state_dict()[key]), (name, key)


def test_a_checkpoint_brings_the_kernels_and_not_the_frozen_network(data: FuserData) -> None:
    state = _learner(data, critic="projected").modules["critic"].state_dict()
    assert "mixing.across_scales_0" in state
    assert not any("model" in name or "encoder" in name for name in state)
    assert sum(v.numel() for v in state.values()) < 3e6


def test_the_frozen_network_stays_as_it_is(data: FuserData) -> None:
    learner = _learner(data, critic="projected")
    frozen = learner.critics["critic"]
    assert isinstance(frozen, FrozenCritic)
    encoder = frozen.features._encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    mixing = {name: value.clone() for name, value in frozen.network.mixing.state_dict().items()}
    for k in range(2):
        _step(learner, data, k)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(torch.equal(v, mixing[name]) for name, v in frozen.network.mixing.state_dict().items())
    assert not encoder.training and frozen.network.training


def test_who_plays_says_what_is_logged(data: FuserData) -> None:
    alone = _step(_learner(data, critic="projected"), data, 0)
    assert set(alone) == {"critic_loss", "critic_estimate", "generator_loss"}
    both = _step(_learner(data, critic="both"), data, 0)
    beside = {"projected_loss", "projected_estimate"}
    assert set(both) == set(alone) | beside | {"r1"}


def test_a_new_projected_critic_is_at_the_margins(data: FuserData) -> None:
    """Hinge of logits near 0 is 2, and the mean over scales keeps it there."""
    assert float(_step(_learner(data, critic="projected"), data, 0)["critic_loss"]) == pytest.approx(
        2, abs=0.7
    )


def test_beside_another_the_own_critic_learns_as_it_would_alone(data: FuserData) -> None:
    alone, both = _learner(data, critic="own"), _learner(data, critic="both")
    assert isinstance(both.critics["critic"], OwnCritic)
    parts = _step(alone, data, 0), _step(both, data, 0)
    assert torch.equal(parts[0]["critic_loss"], parts[1]["critic_loss"])
    assert torch.equal(parts[0]["r1"], parts[1]["r1"])
    for name, value in alone.modules["critic"].state_dict().items():
        assert torch.equal(value, both.modules["critic"].state_dict()[name])
    assert any(
        not torch.equal(value, both.modules["generator"].state_dict()[name])
        for name, value in alone.modules["generator"].state_dict().items()
    )


def test_held_out_images_leave_no_trace(data: FuserData) -> None:
    learner = _learner(data, critic="both")
    before = {n: {k: v.clone() for k, v in m.state_dict().items()} for n, m in learner.modules.items()}
    batch, draw = _batch(data, 0)
    found = learner.critic_estimate(batch, draw=draw, engine=Engine(torch.device("cpu")))
    names = ("critic_held_out", "critic_held_out_loss", "projected_held_out", "projected_held_out_loss")
    assert set(found) == set(names)
    for name, module in learner.modules.items():
        assert all(torch.equal(v, before[name][k]) for k, v in module.state_dict().items())


@pytest.mark.slow
def test_a_projected_critic_learns_to_tell_real_from_fake(data: FuserData) -> None:
    """The generator stands still: its rate is next to nothing."""
    learner = _learner(data, critic="projected", lr=1e-12, critic_lr=1e-3, augment=())
    gaps = [float(_step(learner, data, k)["critic_estimate"]) for k in range(12)]
    assert gaps[-1] > gaps[0] + 0.3


@pytest.mark.parametrize(
    "options",
    [{"objective": "bce", "label_smoothing": 0.1}, {"gradient_penalty": 10.0}, {"clip_weights": 0.01}],
    ids=lambda options: [*options][-1],
)
def test_what_only_an_own_critic_knows_is_refused_without_one(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot go with critic projected, which has its own objective"):
        GanConfig(critic="projected", **options)
    GanConfig(critic="both", **options)


class Echo(FeatureEncoder):
    """Its maps are the image itself, averaged down to so many pixels a side."""

    def __init__(self, sides: list[int]) -> None:
        super().__init__()
        self.sides = sides
        self.levels = tuple(Level(str(k), 3, 1) for k in range(len(sides)))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def embed(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Any) -> list[Tensor]:
        return [nn.functional.adaptive_avg_pool2d(x, self.sides[k]) for k in levels]


def _use(monkeypatch: pytest.MonkeyPatch, encoder: FeatureEncoder) -> FrozenFeatures:
    monkeypatch.setattr("chimera_gan.frozen.load_encoder", lambda name, **options: encoder)
    return FrozenFeatures(EncoderRef(name="echo"), size=16)


def _gradient(features: FrozenFeatures, *, bf16: bool) -> Tensor:
    x = pixels(32).requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = sum(m.float().square().mean() for m in features.maps(x))
    (found,) = torch.autograd.grad(loss, [x])  # type: ignore[arg-type]
    return found


def _history(x: Tensor) -> list[Any]:
    found, new = [], [x.grad_fn]
    while new:
        node = new.pop()
        if node is not None:
            found.append(node)
            new += [before for before, _ in node.next_functions]
    return found


def _taught(data: FuserData, steps: int, **options: Any) -> GanLearner:
    learner = _learner(data, **options)
    for k in range(steps):
        _step(learner, data, k)
    return learner


def _learner(data: FuserData, **options: Any) -> GanLearner:
    return GanLearner(GanConfig(**{**TINY, **options}), data, device="cpu")


def _step(learner: GanLearner, data: FuserData, step: int) -> dict[str, Tensor]:
    batch, draw = _batch(data, step)
    return learner.step(batch, draw=draw, engine=Engine(torch.device("cpu")))


def _batch(data: FuserData, step: int) -> tuple[Batch, Draw]:
    rows = (torch.arange(4) * 3 + step) % len(data.images)
    images, labels = data.images.take(rows), data.images.labels[rows]
    return Batch(images, labels, torch.zeros_like(labels), rows), Draw(0, 0, rows, step=step)


def critic(condition: int = 0) -> ProjectedCritic:
    torch.manual_seed(1)
    return ProjectedCritic(CHANNELS, SIDES, condition=condition)


def maps(count: int = 3) -> list[Tensor]:
    return [torch.randn(count, c, s, s, generator=_seeded(c)) for c, s in zip(CHANNELS, SIDES, strict=True)]


def pixels(size: int) -> Tensor:
    return torch.rand(2, 3, size, size, generator=_seeded(5)) * 2 - 1


def noise(count: int, length: int) -> Tensor:
    return torch.randn(count, length, generator=_seeded(6))


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
