"""Open an image file of any kind that is read here; whatever is wrong with it becomes one DataError."""

from __future__ import annotations

import difflib
import importlib
import io
import itertools
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from chimera_core.errors import DataError
from chimera_core.files.atomic import AnyPath, broken_link, one_line, quote, typed_address
from chimera_core.images.limits import excess_of, too_large, too_large_tiles, without_chunk

if TYPE_CHECKING:
    from PIL import ImageFile

# The Pillow plugins that may see a file. A list of ours, because Pillow's own would hand a hostile file
# to Ghostscript (EPS) or to decoders written in Python that take minutes.
_PLUGINS = {
    "PNG": "PngImagePlugin",
    "JPEG": "JpegImagePlugin",
    "WEBP": "WebPImagePlugin",
    "GIF": "GifImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "PPM": "PpmImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "AVIF": "AvifImagePlugin",
}
PICTURE_SUFFIXES = frozenset(
    (
        ".png",
        ".jpg",
        ".jpeg",
        ".jfif",
        ".webp",
        ".gif",
        ".tif",
        ".tiff",
        ".bmp",
        ".ppm",
        ".pgm",
        ".jp2",
        ".avif",
        ".heic",
        ".heif",
    )
)
"""Endings, in lower case, by which a folder's pictures are told from what else lies in it."""
_READABLE = "PNG, JPEG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF"

T = TypeVar("T")


def decode(path: AnyPath, use: Callable[[ImageFile.ImageFile], T], *, data: bytes | None = None) -> T:
    """Open the file, check its size, and return ``use(image)``; every failure becomes a DataError.

    With ``data`` these bytes are the file, and ``path`` only names them.
    """
    from PIL import Image

    with open_picture(path) if data is None else _open_bytes(path, data) as file, _no_remarks():
        try:
            if fault := excess_of(file, file.seek(0, os.SEEK_END)):
                raise DataError(f"{quote(path)} {fault}: {_TOO_MUCH}")
            image = _identify(path, file)
            width, height = image.size
            if fault := too_large(width, height) or too_large_tiles(image, width * height):
                raise DataError(f"{quote(path)} {fault}: {_TOO_LARGE}")
            if width < 1 or height < 1:
                raise DataError(f"{quote(path)} is {width} x {height}, without pixels: choose another file")
            return use(image)
        except DataError:
            raise
        except Image.DecompressionBombError as error:
            raise DataError(f"{quote(path)}: {one_line(error, limit=120)}: {_TOO_LARGE}") from error
        except MemoryError as error:
            raise DataError(f"{quote(path)} does not fit into memory: scale it down first") from error
        # A decoder border: on hostile files Pillow raises nearly everything, from OSError, SyntaxError
        # and struct.error to IndexError, zlib.error and RecursionError.
        except Exception as error:
            reason = one_line(error, limit=120) or type(error).__name__
            raise DataError(f"{quote(path)} is damaged or cut short ({reason}): {_DAMAGED}") from error


def open_picture(path: AnyPath) -> BinaryIO:
    """Open a file for reading that may be a picture: no folder, no pipe, not empty.

    Raises:
        DataError: naming it and the mend.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise DataError(f"{quote(path)} is a folder: name one image file in it")
        if not stat.S_ISREG(found.st_mode):  # a pipe would block for ever
            raise DataError(f"{quote(path)} is a device or pipe: save the image to a file first")
        if found.st_size == 0:
            raise DataError(f"{quote(path)} {_EMPTY}")
        return open(path, "rb", 1 << 17)  # a header is read several times, from this buffer
    except (FileNotFoundError, NotADirectoryError):
        if address := typed_address(path):
            raise DataError(f"{address}, so download it first") from None
        what = broken_link(path) or f"there is no file {quote(path)}{_nearest(Path(path))}"
        raise DataError(f"{what}: check the path") from None
    except PermissionError as error:
        raise DataError(f"{quote(path)} may not be read: permission denied: change its rights") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = one_line(getattr(error, "strerror", None) or error)
        raise DataError(f"{quote(path)} cannot be opened ({reason}): check the path and the disk") from error


def _open_bytes(name: AnyPath, data: bytes) -> BinaryIO:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DataError(f"{quote(name)} is {type(data).__name__}, not bytes: give the image file's bytes")
    if not len(data):
        raise DataError(f"{quote(name)} {_EMPTY}")
    return io.BytesIO(data)


def _nearest(path: Path) -> str:
    """Return ``, did you mean 'cat.png'?`` if the folder holds such a name."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        names = [entry.name for entry in itertools.islice(entries, 2000) if entry.name != path.name]
        if near := difflib.get_close_matches(path.name, names, n=1, cutoff=0.7):
            return f" (did you mean {quote(near[0])}?)"
    return ""


def _identify(path: AnyPath, file: BinaryIO) -> ImageFile.ImageFile:
    """Return the image with its header read and no pixels decoded.

    Instead of ``Image.open``, which would try Pillow's every format, and warns above a limit of its own
    that could only be changed for the whole process.
    """
    from PIL import Image

    file.seek(0)
    head = file.read(64)
    names = list(_PLUGINS)
    for module in _PLUGINS.values():
        with suppress(ImportError):  # AVIF is younger than the other plugins
            importlib.import_module(f"PIL.{module}")
    if head[4:8] == b"ftyp":
        with suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
            names.append("HEIF")

    trouble: Exception | None = None
    for factory, accept in (Image.OPEN[name] for name in names if name in Image.OPEN):
        verdict = accept(head[:16]) if accept else True
        if verdict and not isinstance(verdict, str):  # a str says why this Pillow cannot read the format
            file.seek(0)
            try:
                # No file name: with one, Pillow maps some files into memory, and a file that shrinks
                # meanwhile would kill the process.
                return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error) as error:  # a plugin's "not mine"
                trouble = error
            except ValueError as error:
                # Pillow refuses a PNG whose profile unpacks to more than 1 MiB.
                if "MAX_TEXT_CHUNK" not in str(error) or (copy := without_chunk(file, b"iCCP")) is None:
                    raise
                image = factory(copy, "")
                image.info["icc_profile"] = None
                return image
    if trouble is None or _is_heic(head):
        raise DataError(f"{quote(path)} {_strange(head)}")
    raise trouble


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1")


def _strange(head: bytes) -> str:
    """Return what a file is that no plugin took, and the mend."""
    if _is_heic(head):
        return "is a HEIC photo: install pillow-heif (pip install pillow-heif) or save it as JPEG"
    start = head.decode("utf-8", "ignore")  # the cut may split a letter
    if len(start.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in start):
        return f"is text, not an image (it starts {quote(' '.join(start.split())[:40])}): check the file"
    return f"is not an image of a kind read here ({_READABLE}): convert it to PNG or JPEG"


@contextmanager
def _no_remarks() -> Iterator[None]:
    """Keep Pillow's warnings about size and damaged metadata off the terminal.

    ``warnings.catch_warnings`` swaps the filters of the whole process, so threads undo each other's. One
    narrow entry put in and taken out again by each reader needs no lock.
    """
    entry = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    filters.insert(0, entry)
    try:
        yield
    finally:
        with suppress(ValueError):  # another thread's catch_warnings may have put an older list back
            warnings.filters.remove(entry)  # type: ignore[attr-defined]


_EMPTY = "is empty (0 bytes): copy or download it again"
_TOO_LARGE = "scale it down first"
_TOO_MUCH = "scale it down first, or save it anew as PNG"
_DAMAGED = "copy or download it again, or save it anew as PNG"
