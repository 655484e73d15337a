"""How a generator that has learned grows to twice its side: what it begins with, and what its new stage learns.

Beside the critics' judgement, the stage learns from two questions that have an answer for each pixel: a photograph that was
shrunk shall come back, and what it draws, shrunk again, shall be the trunk's picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import ConfigError, DataError, EncoderRef, TrainedFacts, check_state, load_encoder
from chimera_gan.conditions import look, seeded
from chimera_gan.config import GanConfig
from chimera_gan.networks import Generator
from chimera_gan.networks.grown import GrownGenerator, shrunk

# Options that say what the generator is, and what its condition means.
_OF_GENERATOR = (
    "network",
    "noise",
    "channels",
    "most_channels",
    "generator_norm",
    "activation",
    "condition",
)
_OF_INSTANCES = ("components", "encoder_size")


def factors(config: GanConfig) -> dict[str, float]:
    """Give the share of the learning rate of parts of the generator, by prefix."""
    return {"trunk": config.grown_rate} if config.grown else {}


def hold_trunk(generator: Generator, config: GanConfig, *, images: int) -> None:
    """Let the trunk learn, or not yet, after so many images of the training."""
    if isinstance(generator, GrownGenerator):
        generator.trunk.requires_grad_(images >= config.grown_after)


def stage_losses(
    generator: GrownGenerator, config: GanConfig, *, real: Tensor, coarse: Tensor, fake: Tensor
) -> dict[str, Tensor]:
    """Ask the new stage what can be answered pixel by pixel.

    Args:
        generator: whose stage it is.
        config: how much each answer weighs.
        real: photographs (N, 3, S, S) in [-1, 1].
        coarse: the trunk's pictures (N, 3, S / 2, S / 2).
        fake: what the stage made of them, (N, 3, S, S).
    Returns:
        Mean absolute errors: ``restored_loss`` and ``kept_loss``; only those that weigh something.
    """
    losses = {}
    if config.grown_restore:
        losses["restored_loss"] = restoring_loss(generator, real)
    if config.grown_keep:
        # The trunk shall not come to meet the stage.
        losses["kept_loss"] = F.l1_loss(shrunk(fake), coarse.detach())
    return losses


def weighted(losses: Mapping[str, Tensor], config: GanConfig) -> Tensor:
    """Add up what ``stage_losses`` gave, each by its weight."""
    weights = {"restored_loss": config.grown_restore, "kept_loss": config.grown_keep}
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def restoring_loss(generator: GrownGenerator, real: Tensor) -> Tensor:
    """Give the mean absolute error of photographs (N, 3, S, S) in [-1, 1] that are shrunk, and enlarged by the stage."""
    with torch.no_grad():
        small = shrunk(real).clamp(-1, 1)
    return F.l1_loss(generator.stage(small), real)


def check_start(ours: GanConfig, theirs: GanConfig, *, size: int, facts: TrainedFacts) -> None:
    """Check that a generator may begin with what another has learned.

    Args:
        ours: options of the one that begins.
        theirs: options of the other.
        size: side in pixels of what is to be learned.
        facts: of the other.
    Raises:
        ConfigError: naming the first option that differs, or the side.
    """
    if theirs.grown and ours.grown:
        raise ConfigError(f"it has grown already, to {facts.size} px, and a generator grows once")
    wanted = size // 2 if ours.grown else size
    if facts.size != wanted:
        mend = f"set --size {2 * facts.size}" if ours.grown else "set --grown, or another --size"
        raise ConfigError(f"it draws {facts.size} px, and what begins with it needs {wanted}: {mend}")
    names = _OF_GENERATOR if ours.grown else (*_OF_GENERATOR, "grown")
    for name in (*names, *(_OF_INSTANCES if ours.condition == "instance" else ())):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            raise ConfigError(
                f"its {name.replace('_', '-')} is {other}, and here it is {mine}: set both alike"
            )
    if ours.condition == "instance" and not _see_alike(ours.encoder, theirs.encoder, size=ours.encoder_size):
        raise ConfigError(
            f"its conditions are features of encoder {theirs.encoder.name}, and here of {ours.encoder.name}, which sees "
            "something else: set --encoder, and its options, to what it learned with"
        )


def begin(generator: Generator, state: Mapping[str, Tensor]) -> None:
    """Give a generator, or its trunk, the weights of another.

    Args:
        generator: that begins.
        state: of the other, as its file has it; fp32.
    Raises:
        DataError: if they are of another network.
    """
    target = generator.trunk if isinstance(generator, GrownGenerator) else generator
    own = part_of(state, "generator.")
    wanted = {k: (tuple(v.shape), v.dtype) for k, v in target.state_dict().items()}
    check_state(own, wanted, where="its generator")
    target.load_state_dict(own)


def part_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Give the tensors below a prefix, without it.

    Raises:
        DataError: if there are none.
    """
    found = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not found:
        raise DataError(f"it has no tensor {prefix}...: it is not a generator of this kind")
    return found


def _see_alike(one: EncoderRef, other: EncoderRef, *, size: int) -> bool:
    """Ask two encoders about a picture: options that are spelled out and those that are left out may be the same."""
    if one == other:
        return True
    picture = torch.rand(1, 3, size, size, generator=seeded(0))
    seen = [look(load_encoder(e.name, **e.options), picture, size=size) for e in (one, other)]
    return seen[0].shape == seen[1].shape and torch.allclose(seen[0], seen[1], atol=1e-4)
