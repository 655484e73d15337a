"""A trained encoder or fuser in one file: weights, and what is needed to build the network around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from chimera_core.components.trained import find_trained
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import quote, refuse_inputs
from chimera_core.files.names import path_trouble
from chimera_core.files.weights import load_state
from chimera_core.models.encoders import load_trained_encoder, read_training
from chimera_core.models.fusers import fuser_of_run
from chimera_core.models.header import ExportedEncoder, ExportedFuser, read_notes
from chimera_core.options.config import Config
from chimera_core.options.layers import put_at, references_in
from chimera_core.plugins.discovery import PluginHost
from chimera_core.privacy import without_folders
from chimera_core.runs import checkpoints

DType = Literal["fp32", "fp16", "bf16"]
_TYPES: dict[DType, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


def export_encoder(run: Path, to: Path, host: PluginHost, *, dtype: DType = "fp16") -> ExportedEncoder:
    """Write a run's best weights as one file that `--encoder FILE` takes.

    No path of the machine that it was trained on goes along.

    Args:
        to: a .safetensors file.
        dtype: of the weights with two dimensions and more; the few others (norms, biases) stay in fp32.
    Returns:
        What the file says of itself.
    Raises:
        ConfigError: if it is no run of an encoder, the name of the file ends otherwise, or it is one of the run's.
        DataError: if the run has no weights yet, or one is too large for fp16.
        RunError: if the disk refuses.
    """
    check_name(to)
    refuse_inputs([to], (("a file of the run", file) for file in run.rglob("*.safetensors")))
    config, record = read_training(run, host)
    encoder = load_trained_encoder(run, host)
    component = host.find("feature-encoder", config.encoder.name)
    instead: Mapping[str, Any] = getattr(component.spec.config, "WITHOUT_WEIGHTS", {})
    header = ExportedEncoder(
        encoder=component.full_name,
        distribution=component.distribution,
        options={k: v for k, v in {**config.encoder.options, **instead}.items() if v is not None},
        classes=tuple(record.get("classes", ())),
        size=config.size,
        images=images_of(run / checkpoints.FOLDER / checkpoints.BEST),
        trainer=config.trainer.model_dump(mode="json"),
    )
    write_exported(to, encoder.state_dict(), header, dtype=dtype)
    return header


def export_fuser(
    run: Path, to: Path, host: PluginHost, *, dtype: DType = "fp16"
) -> tuple[ExportedFuser, tuple[str, ...]]:
    """Write a run's best weights as one file that `--fuser FILE` takes.

    No path of the machine that it was trained on goes along.

    Args:
        to: a .safetensors file.
        dtype: of the weights with two dimensions and more; the few others (norms, biases) stay in fp32.
    Returns:
        What the file says of itself, and the names of trained encoders that it needs beside itself.
    Raises:
        ConfigError: if it is no run of a fuser, the name of the file ends otherwise, or it is one of the run's.
        DataError: if the run has no weights yet, or one is too large for fp16.
        RunError: if the disk refuses.
    """
    check_name(to)
    refuse_inputs([to], (("a file of the run", file) for file in run.rglob("*.safetensors")))
    found = fuser_of_run(run, host)
    config = found.component.spec.config
    options: dict[str, Any] = dict(found.header.options)
    needs = []
    for path, reference in references_in(config, options):
        trained = find_trained(host, reference.kind, reference.name)
        if trained is not None and trained.form not in ("model", "hub"):
            name = Path(reference.name).name
            needs.append(name)
            options = put_at(options, path, {"name": name})
    header = found.header.model_copy(update={"options": options})
    write_exported(to, load_state(found.weights), header, dtype=dtype)
    return header, tuple(needs)


def write_exported(to: Path, state: Mapping[str, Tensor], header: Config, *, dtype: DType) -> None:
    """Write tensors, and what they say of themselves, as one file.

    Args:
        header: what the file says; folders are left out of paths.
        dtype: of tensors with two dimensions and more; the few others (norms, biases) stay in fp32.
    Raises:
        DataError: if a value is too large for fp16.
        RunError: if the disk refuses.
    """
    tensors = {name: _cast(t, dtype, name) for name, t in state.items()}
    checkpoints.write_tensors(to, tensors, metadata=without_folders(header.model_dump(mode="json")))


def check_name(to: Path) -> None:
    """Refuse a name that nobody would take for a file of weights.

    Raises:
        ConfigError: if it ends otherwise, or this system takes it for another one.
    """
    if trouble := path_trouble(to):
        raise ConfigError(f"{quote(to)} cannot be written here: {trouble}: choose another name")
    if to.suffix != ".safetensors":
        raise ConfigError(f"{quote(to)} must end in .safetensors")


def images_of(path: Path) -> int:
    """Say after how many images a run's best weights were saved: their file notes it."""
    return int(read_notes(path).get("images", 0))


def _cast(tensor: Tensor, dtype: DType, name: str) -> Tensor:
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor
    cast = tensor.to(_TYPES[dtype])
    if not bool(cast.isfinite().all()):
        raise DataError(f"tensor {quote(name)} does not fit into {dtype}: export as bf16 or fp32")
    return cast
