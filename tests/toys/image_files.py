"""Image files by hand, and how reading them ends."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from chimera_core.errors import DataError
from chimera_core.images import Picture, read_picture


def noise(height: int = 12, width: int = 16, *, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand. ``rows`` holds each row after its filter byte; ``extra`` are chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def read_bytes(folder: Path, data: bytes, name: str = "x.png") -> Picture:
    (folder / name).write_bytes(data)
    return read_picture(folder / name)


def refusal(path: object) -> str:
    """The text of the DataError that reading must raise, checked to be one clean line."""
    with pytest.raises(DataError) as caught:
        read_picture(path)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.isprintable(), text
    assert ":" in text
    return text
