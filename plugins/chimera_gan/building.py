"""From options to the two networks."""

from __future__ import annotations

from chimera_core.api import ConfigError
from chimera_gan.config import GanConfig
from chimera_gan.networks import CRITICS, GENERATORS, Critic, Generator, GrownGenerator


def build_generator(config: GanConfig, *, size: int, condition: int) -> Generator:
    """Build the generator of images of side ``size`` from noise and a condition of a length.

    Raises:
        ConfigError: if the network cannot make that size.
    """
    if config.grown and size % 4:
        raise ConfigError(f"size {size}: what grows doubles an even side; take a multiple of 4")
    generator = GENERATORS[config.network](
        size // 2 if config.grown else size,
        noise=config.noise,
        condition=condition,
        channels=config.channels,
        most_channels=config.most_channels,
        norm=config.generator_norm,
        activation=config.activation,
        dropout=config.dropout,
        dropout_in_use=config.dropout_in_use,
    )
    return GrownGenerator(generator) if config.grown else generator


def build_critic(config: GanConfig, *, size: int, condition: int) -> Critic:
    """Build the critic; see ``build_generator``."""
    return CRITICS[config.network](
        size,
        condition=condition if config.projection else 0,
        channels=config.channels,
        most_channels=config.most_channels,
        norm=config.critic_norm,
        spectral_norm=config.spectral_norm,
    )
