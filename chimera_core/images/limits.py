"""What a file would cost to decode, found before a decoder believes it.

Some decoders set memory aside for what a header claims, or go over the whole picture once for each of a thousand
empty parts: a WebP of 34 bytes takes 1.4 GB, a JPEG of 60 kB a minute. So the claims are read here first, in plain
Python and in a time that grows only with the file's length.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

MAX_PIXELS = 64_000_000
"""The largest picture that is read, in pixels. 64 million (8000 x 8000) keep the greediest file, a progressive JPEG,
at 860 MB while it is decoded; 100 million took 1.3 GB (benchmarks/fuzz_images.py)."""
MAX_BYTES = 520_000_000
"""The longest file that is read: MAX_PIXELS of 16-bit RGBA that are not compressed, and a header."""

_MAX_WHOLE = 128_000_000  # of formats whose plugin reads the whole file into memory first
_MAX_JPEG_2000 = 32_000_000  # pixels; its decoder holds 4 bytes for every channel of a pixel, and more
_MAX_TILE = 16_000_000  # pixels of a TIFF's tile that is larger than the picture
_MAX_SCANS = 64  # in a JPEG; encoders make about 10. Each costs 40 ms at MAX_PIXELS, empty or not
_MAX_SEGMENTS = 2_000  # before a JPEG's first scan; a profile takes at most 255
_MAX_CHUNKS = 100_000  # in a PNG; the largest picture has 65,000 of 8 kB
_MAX_IN_PYTHON = 8_000_000  # bytes of what Pillow decodes in Python, at about 1 s for 4 MB
_AT_ONCE = 1 << 20
_HEAD = 1 << 16


def excess_of(file: BinaryIO, size: int) -> str:
    """Return what is too much about a file that is to be decoded.

    Args:
        file: open for reading; it is left at any place.
        size: its length in bytes.
    Returns:
        Words that follow the file's name, such as ``has more than 64 scans``; empty if it may be decoded.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if fault := too_long(size):
        return fault
    for starts, look in _LOOKS:
        if re.match(starts, head, re.DOTALL):
            return look(file, size, head)
    return ""


def too_long(size: int) -> str:
    """Report that a file has too many bytes; empty if it has not."""
    if size <= MAX_BYTES:
        return ""
    return f"is {size / 1e6:,.0f} MB long, and the limit is {MAX_BYTES // 1_000_000} MB"


def too_large(width: int, height: int, limit: int = MAX_PIXELS) -> str:
    """Report that a picture has too many pixels; empty if it has not."""
    if width * height <= limit:
        return ""
    return (
        f"is {width} x {height}, {width * height / 1e6:,.0f} million pixels: "
        f"the limit is {limit // 1_000_000} million pixels"
    )


def too_large_tiles(image: Any, pixels: int) -> str:
    """Report that a TIFF of few pixels keeps them in huge tiles: a tile is unpacked whole; empty if it does not."""
    tags = getattr(image, "tag_v2", None) or {}
    width, height = tags.get(322, 0), tags.get(323, 0)
    if not (isinstance(width, int) and isinstance(height, int)):
        return ""
    return "has a tile that " + found if (found := too_large(width, height, max(pixels, _MAX_TILE))) else ""


def without_chunk(file: BinaryIO, kind: bytes) -> BinaryIO | None:
    """Copy a PNG into memory without the first chunk of a kind; None if it has none before its picture."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        start = file.read(8)
        if len(start) < 8 or start[4:] in (b"IDAT", b"IEND"):
            return None
        end = at + 12 + int.from_bytes(start[:4])
        if start[4:] == kind:
            file.seek(0)
            before = file.read(at)
            file.seek(end)
            return io.BytesIO(before + file.read(_MAX_WHOLE))
        at = end
    return None


def _jpeg(file: BinaryIO, size: int, head: bytes) -> str:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        start = head[at : at + 4]  # without another look at the file, where that is enough
        if len(start) < 4:
            file.seek(at)
            start = file.read(4)
        if len(start) < 4 or start[0] != 0xFF or start[1] == 0xDA:
            break  # its scans begin, or it is damaged, which the decoder says better
        # A stray FF or a marker without length is stepped over as Pillow does.
        at += 1 if start[1] == 0xFF else 2 if start[1] in _BARE else 2 + max(2, int.from_bytes(start[2:4]))
    else:
        return f"has more than {_MAX_SEGMENTS:,} segments before its picture"
    # Cheap first: pairs that look like a scan's start may also lie in a profile or in what follows the picture.
    starts = head.count(b"\xff\xda") if size <= len(head) else _count(file, b"\xff\xda")
    if starts <= _MAX_SCANS:
        return ""
    return f"has more than {_MAX_SCANS} scans" if _scans(file, at) > _MAX_SCANS else ""


def _scans(file: BinaryIO, at: int) -> int:
    """Count a JPEG's scans from the first on, up to its end or one more than are allowed."""
    scans = 0
    file.seek(at)
    held, base = b"", at
    while True:
        if found := _MARKER.search(held, max(0, at - base)):
            at = base + found.start()
            kind = held[found.start() + 1]
            if kind == 0xD9:
                return scans
            scans += kind == 0xDA
            if scans > _MAX_SCANS:
                return scans
            file.seek(at + 2)
            at += 2 + max(2, int.from_bytes(file.read(2)))
            if at < base + len(held):
                continue
            file.seek(at)
            held, base = b"", at
        else:
            # A marker may be cut by the block's end.
            base, held = base + max(0, len(held) - 1), held[-1:]
            at = max(at, base)
            file.seek(base + len(held))
        more = file.read(_AT_ONCE)
        if not more:
            return scans
        held += more


def _count(file: BinaryIO, pair: bytes) -> int:
    file.seek(0)
    found, last = 0, b""
    while block := file.read(_AT_ONCE):
        found += (last + block).count(pair)
        last = block[-1:]
    return found


def _png(file: BinaryIO, size: int, head: bytes) -> str:
    at = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        start = file.read(8)
        if len(start) < 8 or start[4:] == b"IEND":
            return ""
        at += 12 + int.from_bytes(start[:4])
    return f"has more than {_MAX_CHUNKS:,} chunks"


def _webp(file: BinaryIO, size: int, head: bytes) -> str:
    kind, data = head[12:16], head[20:].ljust(10, b"\0")
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (number & 0x3FFF for number in struct.unpack("<HH", data[6:10]))
    return _held_whole(file, size, head) or too_large(width, height)


def _held_whole(file: BinaryIO, size: int, head: bytes) -> str:
    if size <= _MAX_WHOLE:
        return ""
    return f"is {size / 1e6:,.0f} MB long, and the limit of its format is {_MAX_WHOLE // 1_000_000} MB"


def _jpeg_2000(file: BinaryIO, size: int, head: bytes) -> str:
    at = 0
    while head[:4] != b"\xff\x4f\xff\x51":  # a box in front of the picture: its length and kind
        file.seek(at)
        length, kind, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
        start = 16 if length == 1 else 8
        if kind == b"jp2c":
            file.seek(at + start)
            head = file.read(64)
            break
        at += long if length == 1 else length
        if length == 0 or (length == 1 and long < 16) or 1 < length < 8 or at >= size:
            return ""  # without a picture, which the decoder says better
    right, bottom, left, top = struct.unpack(">4I", head[8:24].ljust(16, b"\0"))
    return too_large(max(0, right - left), max(0, bottom - top), _MAX_JPEG_2000)


def _bmp(file: BinaryIO, size: int, head: bytes) -> str:
    return _slow(size, "run-length coded") if head[30:34] in (b"\1\0\0\0", b"\2\0\0\0") else ""


def _plain_ppm(file: BinaryIO, size: int, head: bytes) -> str:
    return _slow(size, "written as text")


def _slow(size: int, how: str) -> str:
    if size <= _MAX_IN_PYTHON:
        return ""
    return f"is {how} and {size / 1e6:,.0f} MB long, and the limit of this kind is {_MAX_IN_PYTHON // 1_000_000} MB"


_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # JPEG's markers that no length follows
# A marker among a scan's data, where FF 00 is a pixel's byte and FF D0 to D7 restart the coder.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_LOOKS: tuple[tuple[bytes, Callable[[BinaryIO, int, bytes], str]], ...] = (
    (rb"\xff\xd8", _jpeg),
    (rb"\x89PNG", _png),
    (rb"RIFF....WEBP", _webp),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", _jpeg_2000),
    (rb"....ftyp", _held_whole),
    (rb"BM", _bmp),
    (rb"P[123]", _plain_ppm),
)
