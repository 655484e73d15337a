"""Read photographs and masks as they should be seen: upright, 8 bits, in sRGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chimera_core.errors import DataError
from chimera_core.files.atomic import AnyPath, quote
from chimera_core.images.decoding import decode
from chimera_core.images.readers import reader_of
from chimera_core.images.upright import upright_pixels

if TYPE_CHECKING:
    from chimera_core.images.upright import UInt8

READING = 2
"""Raised when a file's pixels are read as other bytes than before, so that packed data are made again.

1: colour profiles were not applied.
"""


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

    16-bit grey, 32-bit and float pixels are scaled to 8 bits (``upright._to_8_bits`` says how). Colours are
    converted to sRGB from the space that the file names; a profile that cannot be used is ignored, with a warning.
    HEIC is read if ``pillow_heif`` is installed. Safe on hostile files and in threads.

    Args:
        path: PNG, JPEG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF, HEIC, or a file with an ending that a plugin reads;
            at most ``MAX_PIXELS``.
    Raises:
        DataError: if the file is missing, unreadable, no image, damaged, cut short or too large. The
            text is one line that names the file and the mend.
    """
    rgb, alpha = _pixels(path, with_profile=True)
    return Picture(rgb, alpha, Path(path).stem)


def decode_picture(data: bytes, name: str) -> Picture:
    """Decode the bytes of an image file, as of an archive or a table, within the limits of ``read_picture``.

    Args:
        data: the whole file, in any format that ``read_picture`` reads.
        name: the image in messages, such as ``pets.zip/cat/1.png``; its last part becomes the picture's name.
    Raises:
        DataError: as ``read_picture``, and if ``data`` are no bytes.
    """
    if data is None:  # a row without image; below, None would mean the file of that name
        raise DataError(f"{quote(name)} has no bytes: leave it out")
    reader = reader_of(name) if isinstance(data, bytes) and data else None
    if reader is not None:
        rgb, alpha = reader.pixels_of(data, name)
    else:
        rgb, alpha = decode(name, lambda image: upright_pixels(image, name), data=data)
    return Picture(rgb, alpha, Path(name).stem)


def check_picture(path: AnyPath) -> None:
    """Check from its header that a file is an image of allowed size; its pixels are not decoded.

    Raises:
        DataError: as ``read_picture``, but for damage behind the header.
    """
    picture_shape(path)


def picture_shape(path: AnyPath) -> tuple[int, int, bool]:
    """Read from a file's header: width and height in pixels as stored, and whether it may have transparent pixels.

    Of a file that a plugin reads, the last is not known before it is decoded, and False.

    Raises:
        DataError: as ``check_picture``.
    """
    if reader := reader_of(path):
        return (*reader.size(path), False)
    return decode(path, lambda i: (*i.size, i.mode in ("RGBA", "LA", "PA", "La") or "transparency" in i.info))


def read_mask(path: AnyPath) -> UInt8:
    """Read a mask: the file's alpha channel if it has one that is not opaque, else its luminance.

    Its values count as they are stored: a profile says how grey looks, not how much of a pixel is kept.

    Returns:
        uint8 (H, W): white (255) keeps, black (0) drops.
    Raises:
        DataError: as ``read_picture``.
    """
    import numpy as np

    rgb, alpha = _pixels(path, with_profile=False)
    if alpha is not None:
        return alpha
    # ITU-R 601 in 16-bit fixed point: the weights sum to 65,536, so grey pixels keep their exact value.
    weighted = rgb @ np.array([19595, 38470, 7471], dtype=np.uint32)
    return ((weighted + 32768) >> 16).astype(np.uint8)


def _pixels(path: AnyPath, *, with_profile: bool) -> tuple[UInt8, UInt8 | None]:
    if reader := reader_of(path):
        return reader.pixels(path)
    return decode(path, lambda image: upright_pixels(image, path if with_profile else None))
