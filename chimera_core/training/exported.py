"""An encoder in one file: weights, and what is needed to build the network around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
import torch
from pydantic import ValidationError
from torch import Tensor

from chimera_core.errors import ConfigError, DataError
from chimera_core.files import one_line, quote
from chimera_core.interfaces import FeatureEncoder
from chimera_core.options import Config, option
from chimera_core.plugins import PluginHost
from chimera_core.training import checkpoints
from chimera_core.training.trained import build_without_weights, load_trained_encoder, read_training
from chimera_core.weights import load_state

FORMAT = 1
KEY = "chimera"
Number = Literal["fp32", "fp16", "bf16"]
_TYPES: dict[Number, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


class ExportedEncoder(Config):
    """What an exported file says of itself, beside its tensors."""

    format: int = FORMAT
    kind: Literal["encoder"] = "encoder"
    encoder: str = option(..., help="the component that it belongs to, PLUGIN:NAME")
    options: dict[str, Any] = option({}, help="of the component")
    classes: tuple[str, ...] = option((), help="in the order of the logits")
    size: int = option(..., gt=0, help="side in pixels of the images that it learned from")
    images: int = option(0, ge=0, help="how many it has seen")
    trainer: dict[str, Any] = option({}, help="how it learned")


def export_encoder(run: Path, to: Path, host: PluginHost, *, numbers: Number = "fp16") -> ExportedEncoder:
    """Write a run's best weights as one file that `--encoder FILE` takes.

    No path of the machine that it was trained on goes along.

    Args:
        run: folder of the run.
        to: a .safetensors file.
        host: where the encoder's component is found.
        numbers: of the weights with two dimensions and more; the few others (norms, biases) stay in fp32.
    Returns:
        What the file says of itself.
    Raises:
        ConfigError: if it is no run of an encoder, or the name of the file ends otherwise.
        DataError: if the run has no weights yet, or one is too large for fp16.
        RunError: if the disk refuses.
    """
    if to.suffix != ".safetensors":
        raise ConfigError(f"{quote(to)} must end in .safetensors")
    config, record = read_training(run)
    encoder = load_trained_encoder(run, host)
    component = host.find("feature-encoder", config.encoder.name)
    instead: Mapping[str, Any] = getattr(component.spec.config, "WITHOUT_WEIGHTS", {})
    said = ExportedEncoder(
        encoder=f"{component.plugin}:{component.spec.name}",
        options={k: v for k, v in {**config.encoder.options, **instead}.items() if v is not None},
        classes=tuple(record.get("classes", ())),
        size=config.size,
        images=_images_of(run),
        trainer=config.trainer.model_dump(mode="json"),
    )
    tensors = {name: _shortened(t, numbers, name) for name, t in encoder.state_dict().items()}
    checkpoints.write_tensors(to, tensors, metadata=said.model_dump(mode="json"))
    return said


def read_exported(path: Path) -> ExportedEncoder:
    """Read what an exported file says of itself. Nothing in it is trusted.

    Raises:
        DataError: no such file, damaged, or exported by something else.
    """
    if not path.is_file():
        raise DataError(f"there is no file of weights {quote(path)}: check its name")
    try:
        with safetensors.safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {}).get(KEY, "null"))
    except Exception as error:  # the reader raises whatever a damaged file makes it stumble over
        raise DataError(f"{quote(path)} is damaged ({type(error).__name__}): get it anew") from error
    if not isinstance(said, dict) or said.get("kind") != "encoder":
        raise DataError(
            f"{quote(path)} does not say which encoder it belongs to: write it with `chimera encoder export`"
        )
    if said.get("format") != FORMAT:
        raise DataError(
            f"{quote(path)} has format {one_line(repr(said.get('format')), limit=40)}, this version reads {FORMAT}: "
            "update chimera-toolkit"
        )
    try:
        return ExportedEncoder.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise DataError(f"{quote(path)}: {one_line(key, limit=60)}: {first['msg']}: get it anew") from None


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
    said = read_exported(path)
    encoder = build_without_weights(host, said.encoder, said.options)
    state = {name: t.float() if t.is_floating_point() else t for name, t in load_state(path).items()}
    checkpoints.load_weights(encoder, state, where=quote(path))
    return encoder.eval()


def _shortened(tensor: Tensor, numbers: Number, name: str) -> Tensor:
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor
    short = tensor.to(_TYPES[numbers])
    if not bool(short.isfinite().all()):
        raise DataError(f"tensor {quote(name)} does not fit into {numbers}: export as bf16 or fp32")
    return short


def _images_of(run: Path) -> int:
    """Say after how many images the best weights were saved: their file notes it."""
    with safetensors.safe_open(run / checkpoints.FOLDER / checkpoints.BEST, "pt") as file:
        noted: Mapping[str, Any] = json.loads((file.metadata() or {}).get(KEY, "{}"))
    return int(noted.get("images", 0))
