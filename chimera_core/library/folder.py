"""The user's library: a folder of pictures by name, which a person may fill by hand."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import AnyPath, atomic_path, quote
from chimera_core.files.names import nfc
from chimera_core.files.own_folders import make_folder, remove_file
from chimera_core.images import read_picture
from chimera_core.images.folders import is_picture_name, is_system_folder
from chimera_core.images.readers import is_read
from chimera_core.library.matching import plain_name
from chimera_core.library.records import PictureRecord, read_record, record_file, write_record
from chimera_core.options.config import suggest


class Library:
    """Pictures by name: a folder for each name, with the pictures and a record beside each.

    Pictures that a user dropped in by hand count as well: in a folder of whatever spelling (``Golden Eagle``), or
    beside the folders (``eagle-2.jpg`` is an eagle). Links are passed over, so that nothing outside is read or written.

    Args:
        root: the folder, the setting ``library`` (``CHIMERA_LIBRARY``). It need not exist.
    """

    key, title = "library", "the library"

    def __init__(self, root: AnyPath) -> None:
        self.root = Path(root)

    def pictures(self) -> dict[str, list[Path]]:
        """List the pictures of every name, both in alphabetical order; nothing is opened.

        Raises:
            DataError: if the folder cannot be read.
        """
        found: dict[str, list[Path]] = {}
        for name, entry in self._entries():
            if entry.is_dir(follow_symlinks=False):
                inside = [Path(e.path) for e in _scan(entry.path) if _is_picture(e)]
            else:
                inside = [Path(entry.path)] if _is_picture(entry) else []
            if inside:
                found.setdefault(name, []).extend(inside)
        return {name: sorted(found[name]) for name in sorted(found)}

    def record(self, picture: Path) -> PictureRecord:
        """Read what is known about a picture; for what it raises see ``read_record``."""
        return read_record(picture)

    def mask(self, picture: Path) -> Path | None:
        """Give none: a library keeps no masks."""
        return None

    def add(self, name: str, file: AnyPath, record: PictureRecord | None = None) -> Path:
        """Copy a picture into the library; it appears whole or not at all, and its record before it.

        The copy's name ends in a piece of its checksum: the same picture twice stays one, with the newer record.

        Args:
            file: the picture; it is decoded once, so that a broken one does not get in.
            record: what is known about it; the file's name and today are noted where it does not give them.
        Returns:
            The copy.
        Raises:
            ConfigError: if the name is none, or a link or file lies in its place.
            DataError: if the picture cannot be read.
            RunError: if the disk refuses.
        """
        plain, source = plain_name(name), Path(file)
        read_picture(source)
        folder = self.check_folder(plain)
        stem = re.sub(r"[^\w-]+", "_", source.stem).strip("_-")[:40] or plain
        suffix = source.suffix.lower() if is_read(source.suffix) else ".png"
        with open(source, "rb") as opened:
            checksum = hashlib.file_digest(opened, "sha256").hexdigest()
        copy = folder / f"{stem}-{checksum[:8]}{suffix}"
        known = record or PictureRecord()
        make_folder(folder, within=self.root)
        for place in (copy, record_file(copy)):
            if place.is_symlink() or (place.exists() and not place.is_file()):
                raise ConfigError(f"{quote(place)} is a link or folder in the way: remove it first")
        write_record(
            copy,
            PictureRecord(
                licence=known.licence,
                attribution=known.attribution,
                source=known.source,
                original=known.original or source.name,
                added=known.added or date.today().isoformat(),
            ),
        )
        with atomic_path(copy) as temporary:
            shutil.copyfile(source, temporary)
        return copy

    def remove(self, name: str, file: str | None = None) -> list[Path]:
        """Remove one picture of a name or all of them, with their records; of the folder, if nothing else is in it.

        Args:
            name: exactly this one, in any spelling.
            file: a picture's file name, without folder; None: all.
        Returns:
            The pictures that are gone.
        Raises:
            ConfigError: if the name is none.
            DataError: if the library has no such name or picture.
            RunError: if the disk refuses.
        """
        plain, pictures = plain_name(name), self.pictures()
        if plain not in pictures:
            near = suggest(plain, pictures) if len(pictures) < 20 else ""
            raise DataError(
                f"the library has no pictures of {quote(plain)}{near}: see `chimera library list`"
            )
        gone = [p for p in pictures[plain] if file is None or nfc(p.name) == nfc(file)]
        if not gone:
            known = suggest(str(file), [p.name for p in pictures[plain]][:20])
            raise DataError(f"the library has no picture {quote(file)} of {plain}{known}")
        for picture in gone:
            # The picture first: a record without a picture harms nobody, the other way round terms are lost.
            remove_file(picture, within=self.root)
            remove_file(record_file(picture), within=self.root)
            if picture.parent != self.root:
                with suppress(OSError):
                    picture.parent.rmdir()
        return gone

    def check_folder(self, plain: str) -> Path:
        """Give the folder for a name's pictures: one of the user's own spelling, if there is one. It need not exist.

        Args:
            plain: as ``plain_name`` spells it.
        Raises:
            ConfigError: if something else lies there. A link could lead anywhere, so nothing is written through it.
        """
        for name, entry in self._entries():
            if name == plain and entry.is_dir(follow_symlinks=False):
                return Path(entry.path)
        folder = self.root / plain
        if os.path.lexists(folder):
            what = "a link" if folder.is_symlink() else "a file"
            raise ConfigError(f"{quote(folder)} is {what} where a folder should be: move it away first")
        return folder

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Go through what lies in the library under a name; what has none (``.git``) is passed over."""
        for entry in sorted(_scan(self.root), key=lambda e: e.name):
            is_folder = entry.is_dir(follow_symlinks=False)
            text = entry.name if is_folder else re.sub(r"[\s_-]*\d+$", "", Path(entry.name).stem)
            with suppress(ConfigError):
                yield plain_name(text), entry


def _scan(folder: AnyPath) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_system_folder(entry.name)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{quote(folder)} cannot be read ({reason}): make it a folder of pictures") from error


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return is_picture_name(entry.name) and entry.is_file(follow_symlinks=False)
