"""Pictures in the quite OK image format, by its specification (version 1.0, 2022; qoiformat.org)."""

import struct
from pathlib import Path

import numpy as np
from chimera_core.api import DataError, ImageReader
from numpy.typing import NDArray

HEADER = struct.Struct(">4sIIBB")


class Qoi(ImageReader):
    """Reads the size from the header, and decodes pixel after pixel: about a second for a million."""

    def size(self, path: Path) -> tuple[int, int]:
        """Give width and height; no pixel is decoded."""
        with path.open("rb") as file:
            width, height, _ = _header(file.read(HEADER.size))
        return width, height

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Decode to uint8 (H, W, 3 or 4)."""
        data = path.read_bytes()
        width, height, channels = _header(data)
        pixels = _decode(data, width * height)
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 4)[:, :, :channels]


def _header(data: bytes) -> tuple[int, int, int]:
    magic, width, height, channels, _ = HEADER.unpack_from(
        data
    )  # the last byte, the colour space, only informs
    if magic != b"qoif" or channels not in (3, 4):
        raise DataError("it is no QOI file")
    return width, height, channels


def _decode(data: bytes, count: int) -> bytearray:
    """Decode ``count`` pixels, 4 bytes each."""
    at, pixels = HEADER.size, bytearray()
    seen, pixel = [bytes(4)] * 64, b"\0\0\0\xff"
    while len(pixels) < 4 * count:
        tag, at, run = (
            data[at],
            at + 1,
            1,
        )  # past the end this raises IndexError, which the host puts into words
        if tag == 0xFE:
            pixel, at = data[at : at + 3] + pixel[3:], at + 3
        elif tag == 0xFF:
            pixel, at = data[at : at + 4], at + 4
        elif tag < 0x40:
            pixel = seen[tag]
        elif tag < 0x80:
            pixel = _moved(pixel, (tag >> 4 & 3) - 2, (tag >> 2 & 3) - 2, (tag & 3) - 2)
        elif tag < 0xC0:
            green, rest, at = (tag & 63) - 32, data[at], at + 1
            pixel = _moved(pixel, green + (rest >> 4) - 8, green, green + (rest & 15) - 8)
        else:
            run = (tag & 63) + 1
        red, green, blue, alpha = pixel
        seen[(3 * red + 5 * green + 7 * blue + 11 * alpha) % 64] = pixel
        pixels += pixel * run
    if len(pixels) > 4 * count:
        raise DataError("it has more pixels than its header says")
    return pixels


def _moved(pixel: bytes, red: int, green: int, blue: int) -> bytes:
    return bytes(((pixel[0] + red) & 255, (pixel[1] + green) & 255, (pixel[2] + blue) & 255, pixel[3]))
