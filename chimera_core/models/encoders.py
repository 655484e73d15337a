"""Encoders by name: what was trained under it (a run, an exported file, a model of the registry), or else a component.

Torch-free until one is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.components.choice import Choice, choose, find_made_by
from chimera_core.components.trained import Trained, find_trained, model_file
from chimera_core.downloads.assets import no_downloads
from chimera_core.downloads.hub_files import pin
from chimera_core.errors import DataError
from chimera_core.files.atomic import quote
from chimera_core.files.own_folders import inside
from chimera_core.models.contents import built_by, identity_of
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.models.run_options import ENCODER, read_options
from chimera_core.options.config import Config
from chimera_core.options.layers import build_config
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import PluginHost, default_host

if TYPE_CHECKING:
    import torch

    from chimera_core.interfaces.components import FeatureEncoder


KIND = "feature-encoder"


@dataclass(frozen=True)
class EncoderChoice(Choice):
    """What the name of an encoder means. ``trained``: it was; then it has no options left, and ``component`` builds it."""

    trained: Trained | None = None

    @property
    def label(self) -> str:
        """As tables name it: without folders, or by the model that its options say."""
        return Path(self.trained.name.partition("@")[0]).name if self.trained else super().label

    def as_table(self) -> dict[str, Any]:
        """Give it as ``config.toml`` records it."""
        if self.trained is None:
            return super().as_table()
        name, form = self.trained.name, self.trained.form
        # Of the hub with its commit, which may have been found only now.
        return {
            "name": pin(name, self.host.settings.path("assets")) if form == "hub" else name,
            "options": {},
        }

    def identity(self) -> dict[str, Any]:
        """Give plain values that decide what it computes: of what was trained, its weights and code."""
        return identity_of(self.host, self.trained) if self.trained else super().identity()

    def load(self, **more: Any) -> FeatureEncoder:
        """Build it with its weights, on the CPU, in evaluation mode.

        Raises:
            DataError: if these are not to be had.
        """
        encoder: FeatureEncoder = (
            load_trained(self.trained, self.host) if self.trained else super().load(**more)
        )
        from chimera_core.interfaces.guards import check_levels  # not at the top: it needs torch

        check_levels(encoder, f"encoder {self.name}")
        return encoder.eval()


def resolve_encoder(host: PluginHost, name: str, options: Mapping[str, Any] = {}) -> EncoderChoice:
    """Say what the name of an encoder means: something trained, or else a component.

    Args:
        name: of a run, an exported file, a model or a component.
        options: of the component; what was trained has none.
    Raises:
        PluginError: if there is no such component.
        ConfigError: for a wrong option, or if the run or the file is none of an encoder.
    """
    if trained := find_trained(host, KIND, name):
        config = build_config(Config, options, where=str(trained))
        return EncoderChoice(built_by(host, trained), config, host, trained)
    chosen = choose(host, KIND, name, options)
    return EncoderChoice(chosen.component, chosen.config, host)


def load_encoder(name: str = "timm", *, device: str | torch.device = "cpu", **options: Any) -> FeatureEncoder:
    """Build a feature encoder, in evaluation mode.

    Args:
        name: a run of `chimera encoder train` (a folder, or its name below CHIMERA_RUNS), whose best weights are
            taken; else a file of `chimera encoder export`, ending in .safetensors; else a model of the registry
            (``robust-lite0``); else a component (``timm``, ``plugin:name``).
        device: where its weights go.
        options: the component's options; what was trained has none.
    Returns:
        The encoder. It takes images (N, 3, H, W) in [0, 1].
    Raises:
        PluginError: if there is no such component.
        ConfigError: for a wrong option.
        DataError: if its weights are not to be had.
    """
    return resolve_encoder(default_host(), name, options).load().to(device)


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

    Returns:
        The encoder, on the CPU, in evaluation mode.
    Raises:
        ConfigError: if it is no run of an encoder.
        DataError: if it has no weights yet, or they are damaged or of another architecture.
    """
    from chimera_core.files.weights import load_state
    from chimera_core.runs import checkpoints

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

    Returns:
        The encoder, in fp32, on the CPU, in evaluation mode.
    Raises:
        DataError: if the file is damaged or made for another network.
        PluginError: if its component is not installed.
    """
    import torch

    from chimera_core.files.weights import load_state, to_float32
    from chimera_core.runs import checkpoints

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
    """
    instead = getattr(host.find(KIND, name).spec.config, "WITHOUT_WEIGHTS", {})
    encoder: FeatureEncoder = choose(host, KIND, name, {**options, **instead}).load()
    return encoder
