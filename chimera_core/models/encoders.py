"""Trained encoders: a run's best weights, an exported file or a model of the registry, as a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from chimera_core.components.choice import choose, find_made_by
from chimera_core.components.trained import Trained, model_file
from chimera_core.downloads.assets import no_downloads
from chimera_core.errors import DataError
from chimera_core.files.atomic import quote
from chimera_core.files.own_folders import inside
from chimera_core.files.weights import load_state, to_float32
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.models.run_options import ENCODER, read_options
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import checkpoints

KIND = "feature-encoder"


def load_trained(trained: Trained, host: PluginHost) -> FeatureEncoder:
    """Build a trained encoder: of a run, a file or a model of the registry; on the CPU, in evaluation mode.

    Raises:
        DataError: if its weights are not to be had.
    """
    if trained.form == "run" and trained.path is not None:
        return load_trained_encoder(trained.path, host)
    return load_exported_encoder(trained.path or model_file(host, trained.name), host)


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
    config, record = read_training(run, host)
    path = inside(run, f"{checkpoints.FOLDER}/{checkpoints.BEST}")
    if not path.is_file():
        raise DataError(
            f"run {quote(run.name)} has no weights yet (its status is {record.get('status')}): "
            f"train on with `chimera encoder train --run {run} --resume`"
        )
    encoder = build_without_weights(host, config.encoder.name, config.encoder.options)
    checkpoints.load_weights(encoder, load_state(path), where=quote(path))
    return encoder.eval()


def load_exported_encoder(path: Path, host: PluginHost) -> FeatureEncoder:
    """Build the encoder of an exported file.

    Args:
        path: the file.
        host: where the encoder's component is found.
    Returns:
        The encoder, in fp32, on the CPU, in evaluation mode.
    Raises:
        DataError: if the file is damaged or made for another network.
        PluginError: if its component is not installed.
    """
    header = read_header(path, ExportedEncoder)
    find_made_by(host, KIND, header.encoder, header.distribution, where=quote(path))
    state = to_float32(load_state(path))
    with no_downloads(quote(path)):
        # Without memory first: options of a stranger's file may ask for any size.
        with torch.device("meta"):
            checkpoints.check_weights(
                build_without_weights(host, header.encoder, header.options), state, where=quote(path)
            )
        encoder = build_without_weights(host, header.encoder, header.options)
    checkpoints.load_weights(encoder, state, where=quote(path))
    return encoder.eval()


def read_training(run: Path, host: PluginHost) -> tuple[EncoderTraining, dict[str, Any]]:
    """Read how an encoder was trained: its options, and the run's record.

    Raises:
        ConfigError: if the run is none of an encoder, or a file of it is damaged.
    """
    return read_options(run, EncoderTraining, ENCODER, host)


def build_without_weights(host: PluginHost, name: str, options: Mapping[str, Any]) -> FeatureEncoder:
    """Build an encoder whose weights come from elsewhere.

    Those that its component would load first, from the network perhaps, would only be overwritten.

    Args:
        host: where the component is found.
        name: of the component.
        options: of the component.
    """
    instead = getattr(host.find(KIND, name).spec.config, "WITHOUT_WEIGHTS", {})
    encoder: FeatureEncoder = choose(host, KIND, name, {**options, **instead}).load()
    return encoder
