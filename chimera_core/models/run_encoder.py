"""Encoders that were trained here: a run's best weights as a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.components.use import build
from chimera_core.errors import DataError
from chimera_core.files.atomic import quote
from chimera_core.files.own_folders import inside
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.models.weights import load_state
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import checkpoints
from chimera_core.runs.options import ENCODER, read_options
from chimera_core.training.options import EncoderTraining

KIND_OF_COMPONENT = "feature-encoder"


def read_training(run: Path) -> tuple[EncoderTraining, dict[str, Any]]:
    """Read how an encoder was trained: its options, and the run's record.

    Raises:
        ConfigError: if the run is none of an encoder, or a file of it is damaged.
    """
    return read_options(run, EncoderTraining, ENCODER)


def load_trained_encoder(run: Path, host: PluginHost) -> FeatureEncoder:
    """Build the encoder of a run with the weights that validated best, averaged ones if there are any.

    Args:
        run: its folder.
        host: where the encoder's component is found.
    Returns:
        The encoder, on the CPU, in evaluation mode.
    Raises:
        ConfigError: if it is no run of an encoder.
        DataError: if it has no weights yet, or they are damaged or of another architecture.
    """
    config, record = read_training(run)
    path = inside(run, f"{checkpoints.FOLDER}/{checkpoints.BEST}")
    if not path.is_file():
        raise DataError(
            f"run {quote(run.name)} has no weights yet (its status is {record.get('status')}): "
            f"train on with `chimera encoder train --run {run} --resume`"
        )
    encoder = build_without_weights(host, config.encoder.name, config.encoder.options)
    checkpoints.load_weights(encoder, load_state(path), where=quote(path))
    return encoder.eval()


def build_without_weights(host: PluginHost, name: str, options: Mapping[str, Any]) -> FeatureEncoder:
    """Build an encoder whose weights come from elsewhere.

    Those that its component would load first, from the network perhaps, would only be overwritten.

    Args:
        host: where the component is found.
        name: of the component.
        options: of the component.
    """
    instead = getattr(host.find(KIND_OF_COMPONENT, name).spec.config, "WITHOUT_WEIGHTS", {})
    encoder: FeatureEncoder = build(host, KIND_OF_COMPONENT, name, {**options, **instead})
    return encoder
