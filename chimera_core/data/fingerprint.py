"""Know a packed cache by what it was made of, and notice when that has changed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chimera_core.data.packed import FORMAT
from chimera_core.errors import DataError
from chimera_core.files import disk_trouble, quote
from chimera_core.plugins import Component


def packing_of(component: Component, config: BaseModel, *, size: int, fit: str) -> dict[str, Any]:
    """Collect all that decides how images are packed, as plain values.

    Options that only say how images are drawn in training are left out: their names are in the config class's
    ``NOT_PACKED``. Names of files and folders are resolved, so that a cache is found from any working folder.
    """
    left_out: frozenset[str] = getattr(type(config), "NOT_PACKED", frozenset())
    options = {k: _resolved(v) for k, v in config.model_dump(mode="json").items() if k not in left_out}
    return {
        "format": FORMAT,
        "source": component.spec.name,
        "plugin": component.plugin,
        "version": _version(component.distribution),
        "options": options,
        "size": size,
        "fit": fit,
    }


def folder_name(packing: Mapping[str, Any]) -> str:
    """Name the cache folder of a packing: the versions are not part of it, so that a stale one is replaced."""
    known = {key: value for key, value in packing.items() if key not in ("format", "version")}
    return f"{packing['source']}-{packing['size']}px-{digest_of(known)[:12]}"


def digest_of(value: Any) -> str:
    """Hash plain values."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, ensure_ascii=False).encode(errors="surrogatepass")
    ).hexdigest()


def stamp_files(files: Sequence[Path]) -> list[list[Any]]:
    """Note (path, size in bytes, time of change in ns) of files.

    Raises:
        DataError: if one has vanished.
    """
    stamps = []
    for file in dict.fromkeys(map(os.fspath, files)):
        try:
            found = os.stat(file)
        except OSError as error:
            if not os.path.lexists(file):
                stamps.append([os.path.abspath(file), -1, 0])  # listed but missing: decoding says so
                continue
            raise DataError(f"{quote(file)} cannot be read: {disk_trouble(error)}") from None
        stamps.append([os.path.abspath(file), found.st_size, found.st_mtime_ns])
    return stamps


def hash_file(path: Path | str) -> str:
    """Hash a file's content; empty for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _resolved(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolved(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolved(inner) for inner in value]
    if isinstance(value, str) and value:
        path = os.path.expanduser(value)
        if os.path.exists(path):
            return os.path.realpath(path)
    return value


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
