"""A ZIP of settings that the page saved, taken back: photographs, outlines and all that was set. Torch-free."""

from __future__ import annotations

import errno
import hashlib
import secrets
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.files.atomic import atomic_path, disk_trouble, one_line, quote
from chimera_core.files.own_folders import make_folder
from chimera_core.fusing.backgrounds import BACKGROUNDS
from chimera_core.fusing.request import MAX_SIZE, MIN_SIZE
from chimera_core.fusing.weights import check_weights
from chimera_core.images import check_picture
from chimera_core.models.fusers import is_class_name
from chimera_core.plugins.discovery import PluginHost
from chimera_core.studio.asks import MAX_PARENTS
from chimera_core.studio.fuser_options import flags_for
from chimera_core.studio.keep import SETTINGS
from chimera_core.studio.parents import MAX_UPLOAD, Slot, take_upload
from chimera_core.studio.session import Session

# A photograph and an outline for each, the picture and the settings.
_MOST_FILES = 2 * MAX_PARENTS + 2
_MOST_TEXT, _LONGEST_NAME = 1 << 20, 100
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


def reopen(file: Path, *, folder: Path, host: PluginHost) -> Session:
    """Read a ZIP that the page saved.

    Args:
        file: the ZIP.
        folder: the private one, into which photographs and outlines go.
        host: it knows the options of the fuser.
    Returns:
        All that was set; nothing is looked at or drawn yet.
    Raises:
        ChimeraError: in one line, if it is no such ZIP, one of its photographs cannot be read, or the disk refuses.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            table = _settings(archive)
            return _session(archive, table, folder=folder, host=host)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise RunError(f"that ZIP cannot be opened: {disk_trouble(error)}") from error
        raise DataError("that is no ZIP that this page saved: choose one") from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:  # a hand that edits makes anything
        raise DataError(f"the {SETTINGS} in that ZIP cannot be read: save it anew") from error


def _settings(archive: zipfile.ZipFile) -> Mapping[str, Any]:
    if SETTINGS not in archive.namelist() or len(archive.namelist()) > _MOST_FILES:
        raise DataError(f"that is no ZIP that this page saved: it needs a {SETTINGS}")
    table = tomllib.loads(_read(archive, SETTINGS, most=_MOST_TEXT).decode())
    if table.get("command") != "fuse" or not 2 <= len(table["parents"]) <= MAX_PARENTS:
        raise DataError(f"the {SETTINGS} in that ZIP is not of a creature of two or {MAX_PARENTS} animals")
    return table


def _session(
    archive: zipfile.ZipFile, table: Mapping[str, Any], *, folder: Path, host: PluginHost
) -> Session:
    names = [str(name) for name in table["parents"]]
    weights = check_weights(list(table["weights"]), len(names))
    fuser = table.get("fuser", {})
    size, background, seed = table.get("size"), table.get("background", "keep"), table["seed"]
    if background not in BACKGROUNDS or type(seed) is not int or seed < 0:
        raise ValueError(background)
    if size is not None and not (type(size) is int and MIN_SIZE <= size <= MAX_SIZE):
        raise ValueError(size)
    held = Session(
        fuser=str(fuser.get("name", "")),
        preset=str(fuser.get("preset", "")),
        seed=seed,
        size=size,
        background=background,
    )
    held.options = flat_options(fuser.get("options", {}), host, held.fuser, held.preset)
    kept = archive.namelist()
    for k, name in enumerate(names):
        if name not in kept and (not is_class_name(name) or len(name) > _LONGEST_NAME):
            raise DataError(f"that ZIP does not hold its photograph {quote(one_line(name, limit=60))}")
        held.parents[k] = _photograph(archive, name, folder) if name in kept else Slot(name, name, False)
    for k, mask in enumerate(table.get("mask", [])):
        if mask != "auto":
            held.masks[k] = str(_mask(archive, str(mask), folder))
    held.shares = [round(100 * weight, 1) for weight in (*weights, *[0.0] * (MAX_PARENTS - len(weights)))]
    return held


def flat_options(
    nested: Mapping[str, Any], host: PluginHost, fuser: str, preset: str
) -> dict[tuple[str, ...], Any]:
    """Give a fuser's options by path, as the page holds them, of nested tables.

    Raises:
        ConfigError: if there is one that the fuser does not have.
    """
    options: dict[tuple[str, ...], Any] = {}
    known = set()
    for flag in flags_for(host, fuser, preset):
        known.add(flag.path[0])
        value: Any = nested
        for part in flag.path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):  # a component with options of its own
            value = value.get("name")
        if value is not None:
            options[flag.path] = value
    if strange := sorted(nested.keys() - known):
        raise ConfigError(
            f"that ZIP sets {quote(one_line(strange[0], limit=60))}, which its method does not have here"
        )
    return options


def _read(archive: zipfile.ZipFile, name: str, *, most: int = MAX_UPLOAD) -> bytes:
    """Read one file; what it says of its size may be wrong."""
    with archive.open(name) as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise DataError(f"{quote(PurePosixPath(name).name)} in that ZIP is too large")
    return content


def _photograph(archive: zipfile.ZipFile, name: str, folder: Path) -> Slot:
    content = _read(archive, name)
    unpacked = make_folder(folder / "page", within=folder) / secrets.token_hex(8)
    with atomic_path(unpacked) as scratch:
        scratch.write_bytes(content)
    return take_upload(folder, unpacked, PurePosixPath(name).name)


def _mask(archive: zipfile.ZipFile, name: str, folder: Path) -> Path:
    content = _read(archive, name)
    kept = make_folder(folder / "masks", within=folder) / f"{hashlib.sha256(content).hexdigest()[:16]}.png"
    with atomic_path(kept) as scratch:
        scratch.write_bytes(content)
    check_picture(kept)
    return kept
