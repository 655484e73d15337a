"""Checkpoints: tensors in safetensors, state in JSON, nothing pickled.

``000012800.safetensors`` holds the tensors after 12,800 images: ``model.*``, ``ema.*``, ``optimizer.0.exp_avg`` ...
``000012800.json`` holds the rest (step, rates, best so far) and the checksum of the tensors. It is written last, so
a checkpoint is there whole or not at all. ``best.safetensors`` holds the weights alone that validated best.
There is no state of random generators and of the data order: both are functions of the step.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from chimera_core.errors import DataError, RunError
from chimera_core.files import own_folders
from chimera_core.files.atomic import atomic_path, quote, write_text_atomic
from chimera_core.files.hashing import hash_file
from chimera_core.files.own_folders import inside, remove_file, remove_half_written
from chimera_core.files.text import read_json_table
from chimera_core.files.weights import check_state, load_state, write_safetensors

FORMAT = 1
FOLDER = "checkpoints"
BEST = "best.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: tensors by their whole names, and the state that its writer gave."""

    images: int
    tensors: Mapping[str, Tensor]
    optimizers: Mapping[str, Any]
    state: Mapping[str, Any]


def save_checkpoint(
    folder: Path,
    images: int,
    *,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    state: Mapping[str, Any],
    keep: int = 2,
    protect: Collection[int] = (),
) -> Path:
    """Write a checkpoint and remove old ones.

    Args:
        folder: ``RUN/checkpoints``; it is made.
        images: how many were trained on; names the checkpoint.
        modules: networks by name; their whole state dicts are saved.
        optimizers: by name.
        state: plain values for ``read_checkpoint`` to give back.
        keep: how many of the newest stay.
        protect: images of older ones that stay too.
    Returns:
        Its JSON file.
    Raises:
        RunError: if the disk refuses; older checkpoints are still there.
    """
    make_folder(folder)
    remove_half_written(folder, within=folder)  # of a process that was killed: as large as a checkpoint
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    settings: dict[str, Any] = {}
    for name, optimizer in optimizers.items():
        moments, settings[name] = _split_optimizer(optimizer)
        tensors |= {f"{name}.{key}": value for key, value in moments.items()}
    path = folder / f"{images:09d}.safetensors"
    with suppress(RunError):  # one of the same name, of a run that went back: not whole from now on
        remove_file(path.with_suffix(".json"), within=folder)
    write_tensors(path, tensors)
    record = {
        "format": FORMAT,
        "images": images,
        "sha256": hash_file(path),
        "optimizers": settings,
        "state": dict(state),
    }
    write_text_atomic(path.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    kept = {*sorted(list_checkpoints(folder), reverse=True)[:keep], images, *protect}
    for old in _tensor_files(folder):
        if old not in kept:
            _remove(folder, old)
    return path.with_suffix(".json")


def make_folder(folder: Path) -> None:
    """Make the folder of the checkpoints, if it is not there.

    Raises:
        RunError: if the disk refuses, or a link leads out of the run.
    """
    own_folders.make_folder(folder, within=folder.parent)


def list_checkpoints(folder: Path) -> list[int]:
    """List the checkpoints of a run by their images, the newest first."""
    return sorted((int(f.stem) for f in folder.glob("*.json") if f.stem.isdigit()), reverse=True)


def read_checkpoint(folder: Path, images: int) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        DataError: if it is damaged, cut short, or of another version.
    """
    path = _inside(folder, f"{images:09d}.json")
    try:
        record = read_json_table(path)
        form, checksum = record["format"], record["sha256"]
        found = Checkpoint(int(record["images"]), {}, dict(record["optimizers"]), dict(record["state"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"checkpoint {quote(path)} is damaged ({type(error).__name__})") from None
    if form != FORMAT:
        raise DataError(f"checkpoint {quote(path)} is of version {form}, this is version {FORMAT}")
    tensors = _inside(folder, path.with_suffix(".safetensors").name)
    if hash_file(tensors) != checksum:
        raise DataError(f"checkpoint {quote(tensors)} is damaged: it is not what was written")
    return Checkpoint(found.images, load_state(tensors), found.optimizers, found.state)


def read_state(folder: Path, images: int) -> dict[str, Any]:
    """Read the state alone that a checkpoint's writer gave; empty where it is damaged."""
    try:
        return dict(read_json_table(_inside(folder, f"{images:09d}.json"))["state"])
    except (DataError, OSError, ValueError, TypeError, KeyError):
        return {}


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest sound checkpoint, and say what was wrong with those that are newer."""
    troubles: list[str] = []
    for images in list_checkpoints(folder):
        try:
            return read_checkpoint(folder, images), troubles
        except DataError as error:
            troubles.append(str(error))
    return None, troubles


def remove_after(folder: Path, images: int) -> None:
    """Remove checkpoints that lie past one, after going back to it."""
    for newer in _tensor_files(folder):
        if newer > images:
            _remove(folder, newer)


def restore(
    checkpoint: Checkpoint, *, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> None:
    """Put a checkpoint's tensors into networks and optimizers, which keep their devices and memory formats.

    Raises:
        DataError: if it was made for other networks.
    """
    for name, module in modules.items():
        load_weights(module, _under(name, checkpoint.tensors), where=f"the checkpoint's {name}")
    for name, optimizer in optimizers.items():
        _join_optimizer(optimizer, _under(name, checkpoint.tensors), checkpoint.optimizers[name])


def check_fits(checkpoint: Checkpoint, modules: Mapping[str, nn.Module]) -> None:
    """Check that a checkpoint was made for networks like these, before anything is written.

    Raises:
        DataError: naming the first tensor that is missing, other, or too many.
    """
    for name, module in modules.items():
        check_weights(module, _under(name, checkpoint.tensors), where=f"the checkpoint's {name}")


def check_weights(module: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Check that a state dict is of a network's architecture; the network may lie on ``meta``.

    Raises:
        DataError: naming the first tensor that is missing, other, or too many.
    """
    own = {name: (tuple(value.shape), value.dtype) for name, value in module.state_dict().items()}
    check_state(state, own, where=where)


def load_weights(module: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Put a state dict into a network of the same architecture.

    Raises:
        DataError: naming the first tensor that is missing, other, or too many.
    """
    check_weights(module, state, where=where)
    with torch.no_grad():
        for key, value in module.state_dict().items():
            value.copy_(state[key])


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors whole or not at all; those that share memory are written each for itself.

    Args:
        path: a .safetensors file.
        tensors: by name.
        metadata: plain values, kept as JSON under the one key ``chimera``: the package of safetensors writes several
            keys in random order, and equal weights are to be equal files.
    Raises:
        RunError: if the disk refuses.
    """
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        if value.numel() and value.untyped_storage().data_ptr() in seen:
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        plain[name] = value
    noted = {"chimera": json.dumps(dict(metadata), sort_keys=True)} if metadata else {}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write_safetensors(file, plain, metadata=noted)


def _split_optimizer(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Part an optimizer's state into tensors by name and plain values."""
    whole = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, values in whole["state"].items():
        plain[str(index)] = {}
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                plain[str(index)][key] = value
    return tensors, {"groups": whole["param_groups"], "values": plain}


def _join_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    """Undo ``_split_optimizer``."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {int(k): dict(v) for k, v in settings["values"].items()}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": settings["groups"]})
    for parameter in parameters:
        for key, value in optimizer.state[parameter].items():
            # Fused kernels walk parameters and moments in memory order: a moment in another order would be mixed up.
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                optimizer.state[parameter][key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}


def _inside(folder: Path, name: str) -> Path:
    return inside(folder.parent, f"{folder.name}/{name}")


def _tensor_files(folder: Path) -> list[int]:
    return [int(f.stem) for f in folder.glob("*.safetensors") if f.stem.isdigit()]


def _remove(folder: Path, images: int) -> None:
    for suffix in (".json", ".safetensors"):  # in this order: without its JSON it is none
        with suppress(RunError):
            remove_file(folder / f"{images:09d}{suffix}", within=folder.parent)
