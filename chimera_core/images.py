"""Read photographs and masks, write PNG and GIF: all that touches image files.

Arrays are uint8, (H, W, 3) for colour and (H, W) for masks. Numpy and Pillow are imported by the
functions, so importing this module costs nothing.
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import json
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from chimera_core.errors import ConfigError, DataError, RunError, ShapeError
from chimera_core.files import AnyPath, atomic_path, check_writable, disk_trouble, one_line, quote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageFile

    UInt8 = NDArray[np.uint8]

MAX_PIXELS = 64_000_000
"""The largest picture that is read, in pixels. 64 million (8000 x 8000) keep the greediest file, a progressive JPEG,
at 860 MB while it is decoded; 100 million took 1.3 GB (benchmarks/fuzz_images.py)."""

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
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm", ".jp2", ".avif", ".heic")
)
"""Endings, in lower case, by which a folder's pictures are told from what else lies in it."""
_READABLE = "PNG, JPEG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF"

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Picture:
    """One image as it should be seen: upright, 8 bits.

    Args:
        rgb: uint8 (H, W, 3). Under fully transparent pixels it holds whatever the file holds, often
            garbage: look at ``alpha`` before using it.
        alpha: uint8 (H, W), 255 is opaque; None if every pixel is.
        name: the file's name without folder and suffix.
    """

    rgb: UInt8
    alpha: UInt8 | None
    name: str

    def on_white(self) -> UInt8:
        """Lay the image on white: uint8 (H, W, 3) without the garbage under transparent pixels."""
        if self.alpha is None:
            return self.rgb
        import numpy as np

        alpha = self.alpha[:, :, None].astype(np.uint16)
        return ((self.rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def read_picture(path: AnyPath) -> Picture:
    """Read an image file, upright as its EXIF orientation says; of an animation the first frame.

    16-bit grey, 32-bit and float pixels are scaled to 8 bits (``_to_8_bits`` says how); colour profiles
    are not applied. HEIC is read if ``pillow_heif`` is installed. Safe on hostile files and in threads.

    Args:
        path: PNG, JPEG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF or HEIC; at most ``MAX_PIXELS``.
    Raises:
        DataError: if the file is missing, unreadable, no image, damaged, cut short or too large. The
            text is one line that names the file and the mend.
    """
    rgb, alpha = _decode(path, _upright_pixels)
    return Picture(rgb, alpha, Path(path).stem)


def check_picture(path: AnyPath) -> None:
    """Check from its header that a file is an image of allowed size; its pixels are not decoded.

    Raises:
        DataError: as ``read_picture``, but for damage behind the header.
    """
    _decode(path, lambda image: None)


def picture_shape(path: AnyPath) -> tuple[int, int, bool]:
    """Read from a file's header: width and height in pixels as stored, and whether it may have transparent pixels.

    Raises:
        DataError: as ``check_picture``.
    """
    return _decode(
        path, lambda i: (*i.size, i.mode in ("RGBA", "LA", "PA", "La") or "transparency" in i.info)
    )


def read_mask(path: AnyPath) -> UInt8:
    """Read a mask: the file's alpha channel if it has one that is not opaque, else its luminance.

    Returns:
        uint8 (H, W): white (255) keeps, black (0) drops.
    Raises:
        DataError: as ``read_picture``.
    """
    import numpy as np

    rgb, alpha = _decode(path, _upright_pixels)
    if alpha is not None:
        return alpha
    # ITU-R 601 in 16-bit fixed point: the weights sum to 65,536, so grey pixels keep their exact value.
    weighted = rgb @ np.array([19595, 38470, 7471], dtype=np.uint32)
    return ((weighted + 32768) >> 16).astype(np.uint8)


def read_png_text(path: AnyPath) -> dict[str, str]:
    """Read the text chunks of a PNG, such as the parents and seed that ``write_png`` noted.

    Raises:
        DataError: as ``read_picture``, or if the file is not a PNG.
    """

    def text_of(image: ImageFile.ImageFile) -> dict[str, str]:
        from PIL.PngImagePlugin import PngImageFile

        if not isinstance(image, PngImageFile):
            raise DataError(f"{quote(path)} is {image.format}, not PNG: give the PNG as it was written")
        return {str(key): str(value) for key, value in image.text.items()}

    return _decode(path, text_of)


def check_output(path: AnyPath, suffixes: Sequence[str] = (".png", ".gif")) -> Path:
    """Check before long work that its result can be written; a temporary file is made and removed.

    Args:
        path: where the result should go. An existing file is fine.
        suffixes: the endings that the work can write, in lower case with the dot.
    Raises:
        ConfigError: if the ending is unknown, ``path`` is a folder or device, or the folder is missing,
            a file, or not writable.
    """
    target, suffix = Path(path), Path(path).suffix.lower()
    if not target.name or str(path).endswith(("/", os.sep)):
        raise ConfigError(f"output {quote(path)} names no file: add a name, such as 'out{suffixes[0]}'")
    try:
        if target.is_dir():
            raise ConfigError(f"output {quote(path)} is a folder: name a file in it, 'out{suffixes[0]}'")
        if suffix not in suffixes:
            near = difflib.get_close_matches(suffix, suffixes, n=1, cutoff=0.4)
            guess = f" (did you mean {quote(near[0])}?)" if near else ""
            ending = f"the unknown ending {quote(target.suffix)}{guess}" if suffix else "no ending"
            raise ConfigError(f"output {quote(path)} has {ending}: let it end in {' or '.join(suffixes)}")
        # The nearest thing that exists on the way up tells a missing folder from a file in the way.
        folder = next(parent for parent in target.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise ConfigError(f"output {quote(path)}: {quote(folder)} is a file: choose another folder")
        if folder != target.absolute().parent:
            raise ConfigError(f"output {quote(path)}: no folder {quote(target.parent)}: make it first")
        check_writable(target)
    except RunError as error:
        raise ConfigError(str(error)) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write {quote(path)}: {disk_trouble(error)}") from error
    return target


def write_png(path: AnyPath, image: UInt8, *, text: Mapping[str, str] | None = None) -> None:
    """Write a PNG whole or not at all; equal input gives equal bytes.

    Args:
        path: the file; an older one is replaced.
        image: uint8 (H, W, 3), (H, W, 4) with alpha, or (H, W).
        text: notes kept inside the file, in this order; ``read_png_text`` reads them. Keys are 1 to 79
            Latin-1 characters, values any text (undecodable bytes of file names are escaped).
    Raises:
        ShapeError: if ``image`` has another shape or dtype.
        ConfigError: if a key of ``text`` cannot be stored.
        RunError: if the disk refuses.
    """
    from PIL import Image, PngImagePlugin

    check_pixels(image, "image", channels=(None, 3, 4))
    notes = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        if not re.fullmatch(r"[ -~\xa1-\xff]{1,79}", key):
            raise ConfigError(f"PNG text key {quote(key)}: use 1 to 79 Latin-1 characters on one line")
        # PNG forbids NUL; lone surrogates (undecodable file names) cannot be written as UTF-8.
        notes.add_text(key, value.replace("\0", "").encode("utf-8", "backslashreplace").decode())
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", pnginfo=notes)


def write_gif(
    path: AnyPath, frames: Iterable[UInt8], *, fps: float, text: Mapping[str, str] | None = None
) -> None:
    """Write an endless GIF whole or not at all; equal input gives equal bytes.

    Each frame has its own 256 colours: exact where those suffice, else dithered. Equal neighbours are
    stored as one frame shown longer.

    Args:
        path: the file; an older one is replaced.
        frames: uint8 (H, W, 3) each, of one size.
        fps: frames per second, above 0 and at most 50, where GIF's clock (1/100 s) and viewers end.
        text: notes, kept as JSON in the file's comment.
    Raises:
        ShapeError: if there is no frame, or one has another shape or dtype.
        ConfigError: if ``fps`` is out of range.
        RunError: if the disk refuses.
    """
    if not 0 < fps <= 50:
        raise ConfigError(f"fps is {fps}: choose a number above 0 and at most 50, such as 10")
    pictures: list[Image.Image] = []
    for frame in frames:
        check_pixels(frame, f"frame {len(pictures)}", channels=(3,))
        if pictures and pictures[0].size != frame.shape[1::-1]:
            width, height = pictures[0].size
            raise ShapeError(
                f"frame {len(pictures)} is {frame.shape} but frame 0 is {(height, width, 3)}: make them equal"
            )
        pictures.append(_in_256_colours(frame))
    if not pictures:
        raise ShapeError("a GIF of no frames: pass at least one")
    # Rounding the times, not the durations, keeps the speed right on average: 30 fps is 3, 4, 3, ...
    times_cs = [round(100 * i / fps) for i in range(len(pictures) + 1)]
    with atomic_path(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=[10 * (end - start) for start, end in itertools.pairwise(times_cs)],
            loop=0,
            comment=json.dumps(text).encode() if text else b"",
            optimize=False,
        )


# Reading


def _decode(path: AnyPath, use: Callable[[ImageFile.ImageFile], T]) -> T:
    """Open the file, check its size, and return ``use(image)``; every failure becomes a DataError."""
    from PIL import Image

    with _open_file(path) as file, _no_remarks():
        try:
            image = _identify(path, file)
            width, height = image.size
            if width * height > MAX_PIXELS:
                size = f"{width} x {height}, {width * height / 1e6:,.0f} million pixels"
                raise DataError(f"{quote(path)} is {size}: {_TOO_LARGE}")
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


def _open_file(path: AnyPath) -> BinaryIO:
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise DataError(f"{quote(path)} is a folder: name one image file in it")
        if not stat.S_ISREG(found.st_mode):  # a pipe would block for ever
            raise DataError(f"{quote(path)} is a device or pipe: save the image to a file first")
        if found.st_size == 0:
            raise DataError(f"{quote(path)} is empty (0 bytes): copy or download it again")
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"there is no file {quote(path)}{_nearest(Path(path))}: check the path") from None
    except PermissionError as error:
        raise DataError(f"{quote(path)} may not be read: permission denied: change its rights") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = one_line(getattr(error, "strerror", None) or error)
        raise DataError(f"{quote(path)} cannot be opened ({reason}): check the path and the disk") from error


def _nearest(path: Path) -> str:
    """Return ``, did you mean 'cat.png'?`` if the folder holds such a name."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        names = [entry.name for entry in itertools.islice(entries, 2000)]
        if near := difflib.get_close_matches(path.name, names, n=1, cutoff=0.7):
            return f" (did you mean {quote(near[0])}?)"
    return ""


def _identify(path: AnyPath, file: BinaryIO) -> ImageFile.ImageFile:
    """Return the image with its header read and no pixels decoded.

    Instead of ``Image.open``, which would try Pillow's every format, and warns above a limit of its own
    that could only be changed for the whole process.
    """
    from PIL import Image

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
    if trouble is None or _is_heic(head):
        raise DataError(f"{quote(path)} {_strange(head)}")
    raise trouble


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1")


def _strange(head: bytes) -> str:
    """Say what a file is that no plugin took, and the mend."""
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


def _upright_pixels(image: ImageFile.ImageFile) -> tuple[UInt8, UInt8 | None]:
    """Decode to uint8 (H, W, 3) and alpha (H, W) or None, turned as EXIF says."""
    import numpy as np

    raw_mode = str(image.tile[0].args) if image.tile else ""
    if image.format == "TIFF":  # Pillow leaves what no strip or tile covers black
        boxes = [tile.extents or (0, 0, *image.size) for tile in image.tile]
        if sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) < image.size[0] * image.size[1]:
            raise ValueError("parts of the picture are missing")
    image.load()
    rgb, alpha = _pixels(image, raw_mode)
    if alpha is not None and alpha.min() == 255:
        alpha = None
    turn = _TURNS[_orientation(image)]
    return np.ascontiguousarray(turn(rgb)), None if alpha is None else np.ascontiguousarray(turn(alpha))


def _pixels(image: Image.Image, raw_mode: str) -> tuple[UInt8, UInt8 | None]:
    import numpy as np

    key = image.info.get("transparency")
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        # These formats promise 16 bits; elsewhere mode I holds whatever a program stored as int32.
        sixteen = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")
        grey = _to_8_bits(values, sixteen=sixteen)
        alpha = np.where(values == key, 0, 255).astype(np.uint8) if isinstance(key, int) else None
        return np.repeat(grey[:, :, None], 3, axis=2), alpha
    # PNG writes its transparent colour in the depth of the file; Pillow (13) compares it unscaled with
    # pixels that it scaled to 8 bits.
    if isinstance(key, int) and raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = min(key * (85 if raw_mode == "L;2" else 17), 255)
    elif isinstance(key, tuple) and "16B" in raw_mode:
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if not image.has_transparency_data:
        return np.array(image.convert("RGB")), None
    rgba = np.array(image.convert("RGBA"))
    return rgba[:, :, :3], rgba[:, :, 3]


def _to_8_bits(values: NDArray[Any], *, sixteen: bool) -> UInt8:
    """Scale grey values to 0..255, rounding to nearest.

    Args:
        values: (H, W), integer or float.
        sixteen: white is 65535. Otherwise the values tell: what fits into 0..1 (floats), 0..255 or
            0..65535 is taken as such, the rest is stretched from its lowest to its highest value. NaN
            becomes black.
    """
    import numpy as np

    if sixteen:
        # round(v / 257) in whole numbers: 257 is odd, so there are no ties.
        return ((values.astype(np.uint32) + 128) // 257).clip(0, 255).astype(np.uint8)
    # Hostile floats (signalling NaN, infinities) may not print numpy's warnings.
    with np.errstate(all="ignore"):
        numbers = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        if not numbers.size:
            return np.zeros(values.shape, np.uint8)
        low, high = float(numbers.min()), float(numbers.max())
        if low >= 0 and high <= 65535:
            whites = (1, 255, 65535) if values.dtype.kind == "f" else (255, 65535)
            low, high = 0.0, float(next(white for white in whites if high <= white))
        flat, grey = values.reshape(-1), np.empty(values.size, np.uint8)
        block = 1 << 20  # as float64 the whole of a large picture would take 800 MB a copy
        for start in range(0, flat.size, block):
            scaled = (flat[start : start + block].astype(np.float64) - low) / max(high - low, 1e-300) * 255
            grey[start : start + block] = np.rint(
                np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255)
            )
    return grey.reshape(values.shape)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a decoder border: damaged metadata should not cost the picture
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


# By EXIF's number, what makes the picture upright; works on (H, W) and (H, W, C).
_TURNS: dict[int, Callable[[UInt8], UInt8]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}

_TOO_LARGE = f"the limit is {MAX_PIXELS // 1_000_000} million pixels: scale it down first"
_DAMAGED = "copy or download it again, or save it anew as PNG"


# Writing and drawing


def check_pixels(image: UInt8, what: str, *, channels: tuple[int | None, ...]) -> None:
    """Raise ShapeError unless uint8 (H, W, c) with c in ``channels`` (None: (H, W)) and not empty."""
    shape: tuple[int, ...] = getattr(image, "shape", ())
    depth = shape[2] if len(shape) == 3 else None
    if len(shape) not in (2, 3) or depth not in channels or 0 in shape or str(image.dtype) != "uint8":
        wanted = " or ".join("(H, W)" if c is None else f"(H, W, {c})" for c in channels)
        got = f"{getattr(image, 'dtype', type(image).__name__)} {tuple(shape)}"
        raise ShapeError(f"{what} is {got}: pass a uint8 array {wanted}")


def _in_256_colours(frame: UInt8) -> Image.Image:
    import numpy as np
    from PIL import Image

    image = Image.fromarray(frame)
    if image.getcolors(256) is None:
        palette = image.quantize(256, method=Image.Quantize.MEDIANCUT)
        return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    # Few colours: median cut may merge some all the same, a look-up never does.
    colours, index = np.unique(frame.reshape(-1, 3), axis=0, return_inverse=True)
    exact = Image.fromarray(index.reshape(frame.shape[:2]).astype(np.uint8)).convert("P")
    exact.putpalette(colours.tobytes())
    return exact
