"""What decides a result, as hashes: code, weights, options, pictures. Torch-free."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.components.source_closure import closure_of, code_of, find_source, hash_files
from chimera_core.files.atomic import spell_paths, without_places
from chimera_core.files.hashing import hash_unchanged
from chimera_core.images.folders import walk
from chimera_core.plugins.discovery import PluginHost

_DIGITS = 24
# Of these only the files themselves: what else they import finds names, runs and pictures, and draws nothing.
_MAKING = (
    "chimera_core.fusing.request",
    "chimera_core.fusing.parents",
    "chimera_core.fusing.fusion",
    "chimera_core.compare.making.worker",
)
_PIXELS = ("chimera_core.images.pixels", "chimera_core.devices")
_SCORING = ("chimera_core.scoring.scorecard", "chimera_core.scoring.pictures")


def hash_of(value: Any) -> str:
    """Hash plain values, whatever the order of a table's keys: 24 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def file_hash(path: Path) -> str:
    """Hash what a file holds; once, while it stays unchanged."""
    return hash_unchanged(path)[:_DIGITS]


@functools.cache
def making_code() -> str:
    """Hash what the core does around a fuser: from files of parents to a picture on the disk."""
    return hash_files(closure_of(*_PIXELS).files | {f for f in map(find_source, _MAKING) if f})


def scoring_code(host: PluginHost) -> str:
    """Hash the code that measures."""
    return code_of(host, *_SCORING)


def data_identity(name: str, options: Any) -> list[Any]:
    """Return which data a source's options name, wherever they lie: the options, and of every folder among them what lies
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
                line = f"{os.path.relpath(path, folder)}\0{info.st_size}\0{info.st_mtime_ns}\n"
                whole.update(line.encode(errors="surrogateescape"))
    return whole.hexdigest()[:_DIGITS]


def _folders_in(options: Any) -> list[str]:
    """Find the folders that options name, in the order of their keys."""
    if isinstance(options, Mapping):
        return [folder for key in sorted(options) for folder in _folders_in(options[key])]
    if isinstance(options, (list, tuple)):
        return [folder for value in options for folder in _folders_in(value)]
    if isinstance(options, str) and options and os.path.isdir(os.path.expanduser(options)):
        return [os.path.abspath(os.path.expanduser(options))]
    return []
