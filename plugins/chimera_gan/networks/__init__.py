"""Generators and critics by the name of their family. All of a kind are built by the same arguments.

A generator: ``GENERATORS[name](size, noise=..., condition=..., channels=..., most_channels=..., norm=..., activation=...,
dropout=..., dropout_in_use=...)``. A critic: ``CRITICS[name](size, condition=..., channels=..., most_channels=..., norm=...,
spectral_norm=...)``. ``projected.py`` holds critics on a frozen network's features, ``grown.py`` generators with a stage that
was added to one that had learned; both are built otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from chimera_gan.networks.dcgan import DcganCritic, DcganGenerator
from chimera_gan.networks.grown import GrownGenerator
from chimera_gan.networks.mlp import MlpCritic, MlpGenerator
from chimera_gan.networks.parts import Critic, Generator
from chimera_gan.networks.resnet import ResnetCritic, ResnetGenerator

GENERATORS: dict[str, Callable[..., Generator]] = {
    "mlp": MlpGenerator,
    "dcgan": DcganGenerator,
    "resnet": ResnetGenerator,
}
CRITICS: dict[str, Callable[..., Critic]] = {"mlp": MlpCritic, "dcgan": DcganCritic, "resnet": ResnetCritic}

__all__ = ["CRITICS", "GENERATORS", "Critic", "Generator", "GrownGenerator"]
