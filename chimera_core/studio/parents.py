"""What the user drops: taken into the private folder under its own name, or refused in one line. Torch-free."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.files.atomic import atomic_path, one_line, quote
from chimera_core.files.names import name_trouble
from chimera_core.files.own_folders import make_folder, remove_file
from chimera_core.images import check_picture
from chimera_core.library.collections import ShippedPictures
from chimera_core.library.folder import Library
from chimera_core.library.lookup import Names
from chimera_core.library.matching import plain_name
from chimera_core.plugins.discovery import PluginHost

MAX_UPLOAD = 64 << 20
"""Bytes of one photograph."""
MAX_KEPT, MAX_KEPT_BYTES = 400, 2 << 30
"""Photographs and bytes that a studio keeps; the oldest go first."""

_CANNOT_BE_SHOWN = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Slot:
    """One parent as the page holds it.

    ``word`` is what the worker gets: a file in the private folder, or a name. ``shown`` is what people read.
    """

    word: str
    shown: str
    is_file: bool


def take_upload(folder: Path, file: Path, name: str) -> Slot:
    """Take a file that was dropped into the private folder.

    Args:
        folder: the private one.
        file: where the page put it; it is gone afterwards.
        name: that it had where the user took it from.
    Raises:
        DataError: if it is no picture, in one line that calls it by that name.
    """
    try:
        if file.stat().st_size > MAX_UPLOAD:
            raise DataError(f"{quote(name)} is larger than {MAX_UPLOAD >> 20} MB: save it smaller")
        try:
            check_picture(file)
        except ChimeraError as error:
            # The name that the user knows, not that of the copy.
            raise DataError(str(error).replace(str(file), name)) from None
        with open(file, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()[:16]
        kept = folder / "parents" / digest / file_name(name)
        make_folder(kept.parent, within=folder)
        if not kept.is_file():
            with atomic_path(kept) as temporary:
                shutil.copyfile(file, temporary)
            _drop_oldest(folder / "parents", but=kept)
        return Slot(str(kept), kept.name, True)
    finally:
        remove_file(file, within=folder)


def file_name(name: str) -> str:
    """Give the name that a file had, without folders and what cannot be in a name here.

    It stays as it is where it can: the copied command names the user's own file.
    """
    bare = _CANNOT_BE_SHOWN.sub("_", PureWindowsPath(name).name).strip(" .")
    if os.name == "nt":
        bare = re.sub(r'["*:<>?|]', "_", bare)
    stem, suffix = os.path.splitext(bare)
    while len((stem + suffix).encode("utf-8", "replace")) > 200:
        stem = stem[:-1]
    bare = (stem + suffix).encode("utf-8", "replace").decode()
    return (
        f"picture{'-' if bare else ''}{bare}"
        if not bare or (os.name == "nt" and name_trouble(bare))
        else bare
    )


def known_names(host: PluginHost) -> list[str]:
    """List names that stand for a parent, animals first: pictures of the library and collections, classes of models."""
    pictures = {name for _, name, _ in Names(host)}
    classes = _classes(host, "fusion-generator")
    animals = animal_names(host)
    return sorted(pictures | classes, key=lambda name: (name not in animals, name))


def animal_names(host: PluginHost) -> set[str]:
    """Give the names that models know, the user's own, and those in a collection's folder of animals."""
    models = {plain_name(name) for name in _classes(host)}
    return _classes(host, "fusion-generator") | {
        name
        for place, name, files in Names(host)
        if name in models or isinstance(place, Library) or any("animals" in file.parts for file in files)
    }


def is_known(host: PluginHost, name: str) -> bool:
    """Say whether there is a picture of that name, or one that is meant by it."""
    try:
        return name in _classes(host, "fusion-generator") or Names(host).match(name) is not None
    except ConfigError:
        return False


def unknown_name(host: PluginHost, name: str) -> str:
    """Write the line about a name that has no picture here, with the animal that was probably meant."""
    near = difflib.get_close_matches(name.casefold().replace(" ", "_"), sorted(animal_names(host)), n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    return f"No picture called {quote(one_line(name, limit=40))} on this machine.{meant} Drop a photograph instead."


def _classes(host: PluginHost, kind: str = "") -> set[str]:
    """Give the classes that models of a kind know; of any kind without one."""
    return {c for model in host.registry.models.values() if kind in ("", model.kind) for c in model.classes}


def example_parents(host: PluginHost) -> list[tuple[str, tuple[str, ...]]]:
    """List the examples that work after every install: a title, and the names of the parents."""
    shipped = ShippedPictures().pictures()
    examples: list[tuple[str, tuple[str, ...]]] = []
    if {"astronaut", "cat"} <= shipped.keys():
        examples.append(("astronaut + cat", ("astronaut", "cat")))
        examples.append(("cat + astronaut", ("cat", "astronaut")))
    if "person-cat" in host.registry.models or "faces-128" in host.registry.models:
        examples.append(("person + cat, both made up", ("person", "cat")))
    return examples


def distinct_names(names: Sequence[str]) -> list[str]:
    """Give files names of their own in one folder: a second ``a.png`` becomes ``a-2.png``."""
    taken: set[str] = set()
    given = []
    for name in names:
        stem, suffix = os.path.splitext(name)
        count, free = 1, name
        while free.casefold() in taken:
            count += 1
            free = f"{stem}-{count}{suffix}"
        taken.add(free.casefold())
        given.append(free)
    return given


def _drop_oldest(folder: Path, *, but: Path) -> None:
    files = sorted(folder.glob("*/*"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files:
        if len(files) <= MAX_KEPT and total <= MAX_KEPT_BYTES:
            return
        if path != but:
            total -= path.stat().st_size
            files = files[1:]
            remove_file(path, within=folder)
