"""What decides a result, as hashes: code, weights, options, pictures. Torch-free."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chimera_core.components.choice import layered_options, resolve_config, resolved_options
from chimera_core.components.layers import references_in
from chimera_core.files.atomic import spell_paths, without_places
from chimera_core.images.folders import walk
from chimera_core.models.names import find_trained, model_file
from chimera_core.plugins.discovery import Component, PluginHost

_DIGITS = 24
# What no creature depends on once its fuser is trained.
_NOT_MAKING = ("cli", "compare", "report", "testing", "scoring", "training", "attacks", "evaluation")


def hash_of(value: Any) -> str:
    """Hash plain values, whatever the order of a table's keys: 24 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def file_hash(path: Path) -> str:
    """Hash what a file holds."""
    info = path.stat()
    return _file_hash(path, info.st_size, info.st_mtime_ns)


@functools.cache
def _file_hash(path: Path, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


@functools.cache
def making_code() -> str:
    """Hash the code of the core that makes creatures."""
    root = Path(__file__).resolve().parents[2]
    return _hash_files(p for p in root.rglob("*.py") if p.relative_to(root).parts[0] not in _NOT_MAKING)


@functools.cache
def scoring_code() -> str:
    """Hash the code of the core that measures."""
    root = Path(__file__).resolve().parents[2]
    return _hash_files((root / "scoring").rglob("*.py"))


@functools.cache
def package_code(package: str) -> str:
    """Hash the code of an installed package, a plugin's; ``none`` where its files cannot be seen."""
    found = importlib.util.find_spec(package)
    if found is None or not found.origin:
        return "none"
    if not found.submodule_search_locations:
        return file_hash(Path(found.origin))
    return _hash_files(p for place in found.submodule_search_locations for p in Path(place).rglob("*.py"))


def component_identity(component: Component, host: PluginHost, config: BaseModel) -> dict[str, Any]:
    """Say what decides what a component does: its options in force, its code, the weights it names."""
    options = resolved_options(component, host, config)
    return {
        "component": f"{component.plugin}:{component.spec.name}",
        "options": options,
        "code": package_code(component.spec.target.partition(":")[0].partition(".")[0]),
        "named": [
            encoder_identity(host, ref.name, ref.options)
            for _, ref in references_in(type(config), dict(config))
            if ref.kind == "feature-encoder"
        ],
    }


def encoder_identity(host: PluginHost, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Say which encoder a name means: the hash of its weights if it was trained, else component and options."""
    trained = find_trained(host, "feature-encoder", name)
    if trained is not None:
        if trained.form == "run" and trained.path is not None:
            path = trained.path / "checkpoints" / "best.safetensors"
        else:
            path = trained.path or model_file(host, name)
        return {"weights": file_hash(path) if path.is_file() else str(path)}
    component = host.find("feature-encoder", name)
    config = resolve_config(component, host, layered_options(component, host, None, options))
    return {
        "component": f"{component.plugin}:{component.spec.name}",
        "options": resolved_options(component, host, config),
        "code": package_code(component.spec.target.partition(":")[0].partition(".")[0]),
    }


def data_identity(name: str, options: Any) -> list[Any]:
    """Say which data a source's options name, wherever they lie: the options, and of every folder among them what lies
    in it, by names, sizes and times: reading gigabytes to learn that nothing has changed would be the longest part of a
    second call.
    """
    spelled = spell_paths(options) if isinstance(options, Mapping) else options
    return [name, without_places(spelled), [folder_stamp(folder) for folder in _folders_in(spelled)]]


def folder_stamp(folder: str) -> str:
    """Hash names, sizes and times of the files below a folder."""
    whole = hashlib.sha256()
    for parts, files in walk(folder):
        for name in files:
            path = os.path.join(folder, *parts, name)
            with contextlib.suppress(OSError):
                info = os.stat(path)
                said = f"{os.path.relpath(path, folder)}\0{info.st_size}\0{info.st_mtime_ns}\n"
                whole.update(said.encode(errors="surrogateescape"))
    return whole.hexdigest()[:_DIGITS]


def is_same_network(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether two encoders are one network, however they are looked at: the same weights, or the same model."""
    if "weights" in one or "weights" in other:
        return one.get("weights") == other.get("weights")
    if one["component"] != other["component"]:
        return False
    models = [side["options"].get("model") for side in (one, other)]
    return models[0] == models[1] if any(models) else bool(one["options"] == other["options"])


def _folders_in(options: Any) -> list[str]:
    """Find the folders that options name, in the order of their keys."""
    if isinstance(options, Mapping):
        return [folder for key in sorted(options) for folder in _folders_in(options[key])]
    if isinstance(options, (list, tuple)):
        return [folder for value in options for folder in _folders_in(value)]
    if isinstance(options, str) and options and os.path.isdir(os.path.expanduser(options)):
        return [os.path.abspath(os.path.expanduser(options))]
    return []


def _hash_files(paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:_DIGITS]
