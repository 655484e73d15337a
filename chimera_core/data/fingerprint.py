"""Know a packed cache by what it was made of, and notice when that has changed."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chimera_core.data.packed import FORMAT
from chimera_core.files.atomic import is_path_option, spell_paths
from chimera_core.files.hashing import digest_of
from chimera_core.images import READING
from chimera_core.interfaces.components import DatasetSource
from chimera_core.plugins.discovery import Component, default_host


def packing_of(
    component: Component, config: BaseModel, *, size: int, fit: str, domains: Sequence[str] = ()
) -> dict[str, Any]:
    """Collect all that decides how images are packed, as plain values.

    Options that only say how images are drawn in training are left out: their names are in the config class's
    ``NOT_PACKED``. Options that name files and folders (``root``, ``..._root``, ``folder``, ``path``, ``file``) are
    resolved, so that a cache is found from any working folder. ``domains`` are the only ones packed; none: all.
    """
    left_out: frozenset[str] = getattr(type(config), "NOT_PACKED", frozenset())
    options = {k: _resolved(v, k) for k, v in config.model_dump(mode="json").items() if k not in left_out}
    return {
        "format": FORMAT,
        "source": component.spec.name,
        "plugin": component.plugin,
        "version": version_of(component.distribution),
        "reading": READING,
        "options": options,
        "size": size,
        "fit": fit,
        **({"domains": list(domains)} if domains else {}),
    }


def folder_name(packing: Mapping[str, Any]) -> str:
    """Name the cache folder of a packing: the versions are not part of it, so that a stale one is replaced."""
    known = {key: value for key, value in packing.items() if key not in ("format", "version", "reading")}
    return f"{packing['source']}-{packing['size']}px-{digest_of(known)[:12]}"


def stamp_files(files: Sequence[Path]) -> list[list[Any]]:
    """Note (path, size in bytes, time of change in ns) of files; size -1 for one that is not there."""
    stamps = []
    for file in dict.fromkeys(map(os.fspath, files)):
        try:
            found = os.stat(file)
        except (OSError, ValueError):
            stamps.append([real_path(file), -1, 0])  # listed but not to be had: decoding says why
            continue
        stamps.append([real_path(file), found.st_size, found.st_mtime_ns])
    return stamps


def real_path(file: str) -> str:
    """Spell a file's path with the links among its folders resolved; folders are looked up once."""
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.join(_real_folder(folder), name)


@functools.lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _resolved(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _resolved(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolved(inner, name) for inner in value]
    if isinstance(value, str) and value and is_path_option(name):
        return os.path.realpath(os.path.expanduser(value))
    return value


def source_identity(name: str, source: DatasetSource, options: Mapping[str, Any]) -> list[Any]:
    """Say what decides the images of a source inside another one, for that one's ``made_of``.

    Args:
        name: of its component.
        source: opened.
        options: that it was opened with; those in force count where it has a ``config``.
    Returns:
        Its plugin, the version of that, and its options, in plain values.
    Raises:
        PluginError: if there is no such component.
    """
    component = default_host().find("dataset-source", name)
    config = getattr(source, "config", None)
    in_force = config.model_dump(mode="json") if isinstance(config, BaseModel) else options
    # A run that goes on names paths in full.
    return [component.plugin, version_of(component.distribution), spell_paths(in_force)]


def version_of(distribution: str) -> str:
    """Give the version of a distribution; ``unknown`` if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
