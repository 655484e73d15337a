"""Formats that plugins read: the limits hold before a stranger's decoder allocates, and what it gives is looked at.

This room knows no plugins. Who finds them says how by ``find_readers_by``; until then, and for endings that are read
here, nothing changes.
"""

from __future__ import annotations

import operator
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.errors import ChimeraError, DataError, RunError
from chimera_core.files.atomic import AnyPath, atomic_path, disk_trouble, one_line, quote
from chimera_core.images.decoding import PICTURE_SUFFIXES, open_picture
from chimera_core.images.limits import too_large, too_long

if TYPE_CHECKING:
    from chimera_core.images.upright import UInt8
    from chimera_core.interfaces.additions import ImageReader


@dataclass(frozen=True)
class PluginReader:
    """A reader of a plugin, before it is imported.

    Args:
        name: ``plugin:name``.
        distribution: that brings it, for messages.
        load: gives the reader, the same one every time.
    """

    name: str
    distribution: str
    load: Callable[[], ImageReader] = field(repr=False)

    def __str__(self) -> str:
        return f"image reader {self.name}" + (f" of {self.distribution}" if self.distribution else "")

    def size(self, path: AnyPath, *, called: AnyPath | None = None) -> tuple[int, int]:
        """Give width and height from a file's header, within the limits.

        Args:
            path: the file.
            called: its name in messages, if that is another one.
        Raises:
            DataError: if the file is missing, too long or too large, or the reader fails; one line, with the mend.
        """
        name = path if called is None else called
        with open_picture(path) as file:
            if fault := too_long(os.fstat(file.fileno()).st_size):
                raise DataError(f"{quote(name)} {fault}: {_SMALLER}")
        reader = self._loaded(name)
        with self._guarded(name):
            given: Any = reader.size(Path(path))
        try:
            width, height = map(operator.index, given)
        except (TypeError, ValueError):
            raise self._fault(
                name, f"size gave {one_line(repr(given), limit=60)} instead of (width, height)"
            ) from None
        if width < 1 or height < 1:
            raise self._fault(name, f"size gave {width} x {height}")
        if fault := too_large(width, height):
            raise DataError(f"{quote(name)} {fault}: {_SMALLER}")
        return width, height

    def pixels(self, path: AnyPath, *, called: AnyPath | None = None) -> tuple[UInt8, UInt8 | None]:
        """Decode to uint8 (H, W, 3) and alpha (H, W), or None if every pixel is opaque.

        Raises:
            DataError: as ``size``, and if the reader gives something else than it promises.
        """
        import numpy as np

        name = path if called is None else called
        width, height = self.size(path, called=name)
        reader = self._loaded(name)
        with self._guarded(name):
            given: Any = reader.read(Path(path))
        if not isinstance(given, np.ndarray) or given.dtype != np.uint8:
            met = given.dtype if isinstance(given, np.ndarray) else type(given).__name__
            raise self._fault(name, f"read gave {met} instead of a uint8 array")
        if given.ndim != 3 or given.shape[2] not in (3, 4) or given.shape[:2] != (height, width):
            raise self._fault(
                name, f"read gave {given.shape}, and ({height}, {width}, 3 or 4) was promised by size"
            )
        # A copy, whatever the reader keeps of its own.
        rgb, alpha = np.array(given[:, :, :3], order="C"), given[:, :, 3:]
        has_alpha = alpha.size > 0 and int(alpha.min()) < 255
        return rgb, np.array(alpha[:, :, 0], order="C") if has_alpha else None

    def pixels_of(self, data: bytes, name: AnyPath) -> tuple[UInt8, UInt8 | None]:
        """Decode the bytes of a file, by way of a temporary one; see ``pixels``.

        Raises:
            DataError: as ``pixels``.
            RunError: if the disk refuses.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="chimera-", ignore_cleanup_errors=True) as folder:
                file = Path(folder, f"picture{os.path.splitext(os.fspath(name))[1]}")
                with atomic_path(file) as temporary:
                    temporary.write_bytes(data)
                return self.pixels(file, called=name)
        except OSError as error:
            raise RunError(f"no temporary file for {quote(name)}: {disk_trouble(error)}") from error

    def _loaded(self, path: AnyPath) -> ImageReader:
        try:
            return self.load()
        except ChimeraError as error:  # it names plugin and mend: an extra to be installed, say
            raise DataError(f"{quote(path)}: {error}") from error

    @contextmanager
    def _guarded(self, path: AnyPath) -> Iterator[None]:
        try:
            yield
        except MemoryError as error:
            raise DataError(f"{quote(path)} does not fit into memory: scale it down first") from error
        except (Exception, SystemExit) as error:  # plugin border: a decoder raises whatever it likes
            text = one_line(" ".join(str(error).split()), limit=160)
            reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
            raise DataError(f"{quote(path)} cannot be read by {self} ({reason}): {_MEND}") from error

    def _fault(self, path: AnyPath, what: str) -> DataError:
        return DataError(
            f"{quote(path)}: {self} breaks its contract: {what}: mend the plugin, or save as PNG"
        )


ReaderFinder = Callable[[str], Sequence[PluginReader]]
"""Gives the readers that plugins offer for an ending, in lower case with the dot."""


def _none(suffix: str) -> Sequence[PluginReader]:
    return ()


_find: ReaderFinder = _none


def find_readers_by(finder: ReaderFinder) -> None:
    """Let readers of plugins be found; ``finder`` is asked in this process for endings that are not read here."""
    global _find
    _find = finder


def is_read(suffix: str) -> bool:
    """Return whether files of an ending are pictures that can be read, here or by a plugin."""
    lower = suffix.lower()
    return lower in PICTURE_SUFFIXES or (len(lower) > 1 and bool(_find(lower)))


def reader_of(path: AnyPath) -> PluginReader | None:
    """Find the plugin's reader for a file; None: it is read here.

    Raises:
        DataError: if several plugins read its ending.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    found = _find(suffix) if len(suffix) > 1 and suffix not in PICTURE_SUFFIXES else ()
    if len(found) > 1:
        names = " and ".join(reader.name for reader in found)
        off = " or ".join(f"CHIMERA_PLUGINS_DISABLE={reader.name.partition(':')[0]}" for reader in found)
        raise DataError(f"{quote(path)}: {names} both read {suffix}: switch one plugin off, by {off}")
    return found[0] if found else None


_SMALLER = "scale it down first"
_MEND = "copy or download it again, or save it as PNG"
