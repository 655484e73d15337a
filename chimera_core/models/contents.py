"""What decides what a trained encoder computes: the bytes of its weights, and the component that it is built by. Torch-free."""

from __future__ import annotations

from chimera_core.components.trained import Trained, model_file
from chimera_core.files.hashing import hash_unchanged
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.models.run_options import ENCODER, read_options
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import PluginHost


def contents_of(host: PluginHost, trained: Trained) -> str:
    """Hash the weights of something trained, wherever they lie; nothing is downloaded for it.

    Returns:
        Hexadecimal digits; the path for weights that are not there (yet).
    """
    if trained.form == "model":
        entry = host.registry.models[trained.name]
        if entry.asset and entry.asset in host.registry.assets:
            return host.registry.assets[entry.asset].checksum
        path = model_file(host, trained.name)
    else:
        assert trained.path is not None
        path = trained.path
        if trained.form == "run":
            path = path / "checkpoints" / "best.safetensors"
    return hash_unchanged(path) or str(path.resolve())


def encoder_component(host: PluginHost, trained: Trained) -> str:
    """Name the component that a trained encoder is built by.

    Raises:
        ConfigError, DataError: if the run or the file is none of an encoder, or damaged.
    """
    if trained.form == "model":
        return host.registry.models[trained.name].component
    assert trained.path is not None
    if trained.form == "run":
        return read_options(trained.path, EncoderTraining, ENCODER, host)[0].encoder.name
    return read_header(trained.path, ExportedEncoder).encoder
