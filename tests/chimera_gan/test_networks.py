"""Networks of the GAN fusers: shapes of the papers and reports, laws that hold for all."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from chimera_gan.networks import CRITICS, GENERATORS, Critic, Generator
from chimera_gan.networks.dcgan import DcganCritic, DcganGenerator
from chimera_gan.networks.mlp import MlpCritic, MlpGenerator
from chimera_gan.networks.parts import Dropout, Projection
from chimera_gan.networks.resnet import DownBlock, ResnetCritic, ResnetGenerator, UpBlock
from torch import Tensor, nn

from chimera_core.api import ConfigError, Draw, ShapeError

SIZES = [("mlp", 16)]
SIZES += [("dcgan", size) for size in (28, 32, 64, 128)]
SIZES += [("resnet", size) for size in (32, 64, 128)]
FAMILIES = [("mlp", 16), ("dcgan", 28), ("dcgan", 32), ("resnet", 32)]


def make_generator(family: str, size: int, **options: Any) -> Generator:
    torch.manual_seed(0)
    return GENERATORS[family](size, **{"noise": 6, "channels": 4, **options})


def make_critic(family: str, size: int, **options: Any) -> Critic:
    torch.manual_seed(1)
    return CRITICS[family](size, **{"channels": 4, **options})


def images(size: int, count: int = 3) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(5)) * 2 - 1


def noise(count: int, length: int = 6) -> Tensor:
    return torch.randn(count, length, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize(("family", "size"), SIZES)
def test_every_size_is_made_and_judged(family: str, size: int) -> None:
    x = make_generator(family, size, condition=5)(noise(2), noise(2, 5))
    assert x.shape == (2, 3, size, size) and x.abs().max() <= 1
    logits = make_critic(family, size, condition=5)(x, noise(2, 5), torch.ones(2))
    assert logits.shape == (2,) and logits.isfinite().all()


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize(("family", "size"), FAMILIES)
def test_a_new_generator_neither_fades_nor_saturates(family: str, size: int, norm: str) -> None:
    """Without norms and by N(0, 0.02), a DCGAN's first images would be grey to a hundredth."""
    x = make_generator(family, size, norm=norm, channels=32)(noise(8))
    low = 0.02 if family == "mlp" or norm == "batch" else 0.2
    assert low < x.std() < 0.9


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize(("family", "size"), FAMILIES)
def test_every_weight_of_a_critic_learns(family: str, size: int, norm: str, spectral_norm: bool) -> None:
    critic = make_critic(family, size, condition=5, norm=norm, spectral_norm=spectral_norm)
    critic(images(size), noise(3, 5)).square().sum().backward()
    for name, weight in critic.named_parameters():
        # A block that starts as its short cut learns its second kernel first.
        first = (
            family == "resnet"
            and not spectral_norm
            and any(part in name for part in ("norm1", "conv1", "norm2"))
        )
        assert weight.grad is not None and (first or weight.grad.abs().sum() > 0), name


@pytest.mark.parametrize(("family", "size"), FAMILIES)
def test_spectral_norm_bounds_every_layer_by_one(family: str, size: int) -> None:
    critic = make_critic(family, size, condition=5, spectral_norm=True)
    for _ in range(30):
        critic(images(size), noise(3, 5))
    kernels = [m.weight.flatten(1) for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(kernels) > 3
    for kernel in kernels:
        assert torch.linalg.matrix_norm(kernel, 2).item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("family", "size"), FAMILIES)
def test_strength_scales_the_projection_alone(family: str, size: int) -> None:
    critic = make_critic(family, size, condition=5, norm="none").double()
    x, c = images(size).double(), noise(3, 5).double()
    alone, full = critic(x), critic(x, c)
    assert torch.equal(critic(x, c, torch.ones(3)), full)
    assert torch.equal(critic(x, c, torch.zeros(3)), alone)
    half = critic(x, c, torch.tensor([0.0, 0.5, 1.0]))
    expected = torch.stack([alone[0], (alone[1] + full[1]) / 2, full[2]])
    torch.testing.assert_close(half, expected, check_dtype=False)
    assert (alone - full).abs().min() > 1e-6


def test_projection_has_its_value_by_hand() -> None:
    part = Projection(2, 4)
    part.embed.weight.data = torch.tensor([[1.0, 0], [0, 1], [2, 0], [0, -1]])
    phi, c = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[1.0, -1]])
    # V c = (1, -1, 2, 1); its product with phi is 1 - 2 + 6 + 4 = 9; over the root of 4 features 4.5.
    assert part(phi, c).tolist() == [4.5]
    assert part(phi, c, torch.tensor([2.0])).tolist() == [9.0]


def test_a_critic_without_projection_ignores_the_condition() -> None:
    critic = make_critic("dcgan", 28, norm="none")
    assert torch.equal(critic(images(28), noise(3, 5)), critic(images(28)))


def test_a_generator_says_which_condition_it_was_built_for() -> None:
    for condition, given in ((5, None), (5, noise(2, 4)), (0, noise(2, 4))):
        with pytest.raises(ShapeError, match=f"built for {condition}"):
            make_generator("dcgan", 28, condition=condition)(noise(2), given)


@pytest.mark.parametrize(
    ("family", "size", "makes"),
    [("dcgan", 48, "28, 32, 64 or 128"), ("resnet", 28, "32, 64 or 128"), ("mlp", 0, "any")],
)
def test_a_size_that_cannot_be_made_is_one_line(family: str, size: int, makes: str) -> None:
    for make in (make_generator, make_critic):
        with pytest.raises(ConfigError, match=f"size {size}: {family} makes {makes}") as caught:
            make(family, size)
        assert "\n" not in str(caught.value)


# The papers' and reports' own layers


def kernels(network: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def test_dcgan_at_64_pixels_has_the_tutorials_layers() -> None:
    generator = DcganGenerator(64, noise=100)
    critic = DcganCritic(64)
    assert kernels(generator) == [
        (100, 512, 4, 4),
        (512, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 64, 4, 4),
        (64, 3, 4, 4),
    ]
    assert kernels(critic) == [
        (64, 3, 4, 4),
        (128, 64, 4, 4),
        (256, 128, 4, 4),
        (512, 256, 4, 4),
        (1, 512, 4, 4),
    ]
    # The counts that the tutorial's own networks have.
    assert sum(p.numel() for p in generator.parameters()) == 3_576_704
    assert sum(p.numel() for p in critic.parameters()) == 2_765_568
    strides = [
        (m.stride[0], m.padding[0])
        for m in [*generator.modules(), *critic.modules()]
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert strides == [(1, 0)] + [(2, 1)] * 4 + [(2, 1)] * 4 + [(1, 0)]
    named = [type(m).__name__ for m in generator.stages.modules() if not list(m.children())]
    assert named == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4
    named = [type(m).__name__ for m in critic.body.modules() if not list(m.children())]
    assert named == ["Conv2d", "Identity", "LeakyReLU"] + ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3


def test_dcgan_starts_from_the_tutorials_numbers() -> None:
    torch.manual_seed(0)
    for network in (DcganGenerator(64, noise=100), DcganCritic(64)):
        drawn = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        for conv in drawn:
            assert conv.weight.std().item() == pytest.approx(0.02, rel=0.1)
        scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
        assert scales.mean().item() == pytest.approx(1, abs=0.005)
        assert scales.std().item() == pytest.approx(0.02, rel=0.2)


def test_the_second_reports_network_grows_from_7_to_28_pixels_with_leaky_units() -> None:
    generator = DcganGenerator(28, noise=10, channels=4, activation="leaky", dropout=0.5, dropout_in_use=True)
    assert kernels(generator) == [(10, 8, 7, 7), (8, 4, 4, 4), (4, 3, 4, 4)]
    assert not any(isinstance(m, nn.ReLU) for m in generator.modules())
    assert sum(isinstance(m, nn.LeakyReLU) for m in generator.modules()) == 2
    assert kernels(DcganCritic(28, channels=4)) == [(4, 3, 4, 4), (8, 4, 4, 4), (1, 8, 7, 7)]


def test_the_first_reports_pair_has_its_parameters() -> None:
    with torch.device("meta"):
        generator, critic = MlpGenerator(448, noise=100, condition=1024), MlpCritic(448)
    linear = [
        [tuple(m.weight.shape) for m in n.modules() if isinstance(m, nn.Linear)] for n in (generator, critic)
    ]
    assert linear[0] == [(256, 1124), (512, 256), (1024, 512), (602_112, 1024)]
    assert linear[1] == [(1024, 602_112), (512, 1024), (256, 512), (1, 256)]
    layers = [(1124, 256), (256, 512), (512, 1024), (1024, 602_112)]
    layers += [(602_112, 1024), (1024, 512), (512, 256), (256, 1)]
    expected = sum(a * b + b for a, b in layers) + 2 * (256 + 512 + 1024)
    total = sum(p.numel() for n in (generator, critic) for p in n.parameters())
    assert total == expected == 1_235_333_377
    named = [type(m).__name__ for m in generator.stages.modules() if not list(m.children())]
    assert named == ["Linear", "LeakyReLU", "BatchNorm1d"] * 3
    slopes = {
        m.negative_slope for n in (generator, critic) for m in n.modules() if isinstance(m, nn.LeakyReLU)
    }
    assert slopes == {0.2}


def test_modern_64_fits_in_ten_megabytes() -> None:
    generator = DcganGenerator(64, noise=64, condition=128, channels=56)
    assert 2 * sum(p.numel() for p in generator.parameters()) < 10e6


def test_residual_blocks_start_as_their_short_cuts() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 4, 4)
    generator, critic = ResnetGenerator(32, noise=6, channels=4), ResnetCritic(32, channels=4)
    for block in [*generator.blocks, *critic.blocks]:
        assert isinstance(block, UpBlock | DownBlock)
        assert not block.conv2.weight.any() and not block.conv2.bias.any()
    same = UpBlock(4, 4, norm="none", active="relu")
    nn.init.zeros_(same.conv2.weight)
    nn.init.zeros_(same.conv2.bias)
    assert torch.equal(same(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_residual_generator_convolves_below_the_size_that_it_makes() -> None:
    """Upsampling followed by full convolutions would cost three times as much."""
    generator = ResnetGenerator(32, noise=6, channels=4)
    sides = {}
    for name, part in generator.named_modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.register_forward_hook(lambda m, x, y, name=name: sides.update({name: x[0].shape[-1]}))
    generator(noise(2))
    assert {side for name, side in sides.items() if "blocks.2" in name} == {16}
    assert [name for name, side in sides.items() if side == 32] == ["to_image"]


# Dropout


def test_dropout_in_use_drops_in_evaluation_and_the_other_does_not() -> None:
    x = torch.ones(4, 100)
    kept = Dropout(0.5, in_use=False, purpose="a").eval()(x)
    dropped = Dropout(0.5, in_use=True, purpose="a").eval()(x, Draw(0, 0, torch.arange(4)))
    assert torch.equal(kept, x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1, abs=0.2)
    torch.manual_seed(0)
    assert Dropout(0.5, in_use=True, purpose="a").eval()(x).eq(0).any()


@pytest.mark.parametrize(("family", "size"), FAMILIES)
def test_masks_of_dropout_belong_to_the_image(family: str, size: int) -> None:
    generator = make_generator(family, size, dropout=0.5, dropout_in_use=True).eval()
    together = generator(noise(4), draw=Draw(0, 0, torch.arange(7, 11)))
    alone = generator(noise(4)[2:3], draw=Draw(0, 0, torch.tensor([9])))
    torch.testing.assert_close(together[2:3], alone)
    other = generator(noise(4)[2:3], draw=Draw(0, 0, torch.tensor([10])))
    assert (other - alone).abs().max() > 1e-4


@pytest.mark.slow
def test_a_skeleton_is_built_without_torchs_compiler() -> None:
    """It costs each cold creature seconds to import, and there is nothing to initialise."""
    script = """
import sys
import torch
from chimera_gan.networks import GENERATORS
with torch.device("meta"):
    for family, size in (("dcgan", 64), ("resnet", 32)):
        for norm in ("batch", "none"):
            GENERATORS[family](size, noise=6, channels=4, condition=3, norm=norm)
assert "torch._dynamo" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("family", "size"), [("mlp", 16), ("dcgan", 64), ("resnet", 64)])
def test_channels_may_be_capped(family: str, size: int) -> None:
    for make in (make_generator, make_critic):
        whole, capped = make(family, size), make(family, size, most_channels=8)
        widest = [
            max(
                m.weight.shape[0] for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)
            )
            for network in (
                make(family, size, norm="batch"),
                make(family, size, norm="batch", most_channels=8),
            )
        ]
        assert widest[0] > 8 == widest[1]
        count = [sum(p.numel() for p in network.parameters()) for network in (whole, capped)]
        assert count[1] < count[0]
