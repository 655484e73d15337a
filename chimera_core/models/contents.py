"""What decides what a trained encoder computes: the bytes of its weights, and the code of what builds it. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chimera_core.components.choice import find_made_by
from chimera_core.components.source_closure import code_of, module_of
from chimera_core.components.trained import Trained, model_file
from chimera_core.downloads.hub_files import local_hub_file
from chimera_core.files.atomic import quote
from chimera_core.files.hashing import hash_unchanged
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.models.run_options import ENCODER, read_options
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import Component, PluginHost

_KIND = "feature-encoder"


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
    elif trained.form == "hub":
        path = local_hub_file(trained.name, host.settings.path("assets")) or Path(trained.name)
    else:
        assert trained.path is not None
        path = trained.path
        if trained.form == "run":
            path = path / "checkpoints" / "best.safetensors"
    return hash_unchanged(path) or (trained.name if trained.form == "hub" else str(path.resolve()))


def built_by(host: PluginHost, trained: Trained) -> Component:
    """Find the component that a trained encoder is built by.

    Raises:
        ConfigError, DataError: if the run or the file is none of an encoder, or damaged.
        PluginError: if the component is not installed, with what to install.
    """
    if trained.form == "model":
        return host.find(_KIND, host.registry.models[trained.name].component)
    path = model_file(host, trained.name) if trained.form == "hub" else trained.path
    assert path is not None
    if trained.form == "run":
        options, _ = read_options(path, EncoderTraining, ENCODER, host)
        return host.find(_KIND, options.encoder.name)
    header = read_header(path, ExportedEncoder)
    return find_made_by(host, _KIND, header.encoder, header.distribution, where=quote(path))


def identity_of(host: PluginHost, trained: Trained) -> dict[str, Any]:
    """Give plain values that decide what a trained encoder computes; for what it raises see ``built_by``."""
    code = code_of(host, module_of(built_by(host, trained)))
    return {"weights": contents_of(host, trained), "code": code}
