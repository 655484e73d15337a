"""Files that cost far more than they hold are refused before they are decoded, in one line."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimera_core.errors import DataError
from chimera_core.images import check_picture, limits, read_picture


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def refused(folder: Path, data: bytes) -> str:
    """The line by which a file is refused; it may take no second and no pixel may be decoded."""
    path = folder / "x"
    path.write_bytes(data)
    start = time.process_time()
    with pytest.raises(DataError) as caught:
        read_picture(path)
    assert time.process_time() - start < 2
    with pytest.raises(DataError):
        check_picture(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


def scans(data: bytes, count: int) -> bytes:
    """Repeat a progressive JPEG's last scan, without its data."""
    last = data.rfind(b"\xff\xda")
    header = data[last : last + 2 + int.from_bytes(data[last + 2 : last + 4])]
    return data[:-2] + header * count + data[-2:]


# JPEG


def test_a_jpeg_of_thousands_of_empty_scans_is_refused(tmp_path: Path) -> None:
    progressive = saved(noise(), "JPEG", progressive=True)
    assert "has more than 64 scans: scale it down first, or save it anew" in refused(
        tmp_path, scans(progressive, 4000)
    )
    (tmp_path / "x").write_bytes(scans(progressive, 40))  # with the ten it has: allowed
    assert read_picture(tmp_path / "x").rgb.shape == (64, 64, 3)


def test_what_only_looks_like_scans_does_not_count(tmp_path: Path) -> None:
    fake = b"\xff\xda\0\x02" * 5000
    options = {"icc_profile": fake, "comment": fake, "progressive": True}
    (tmp_path / "x").write_bytes(
        saved(noise(), "JPEG", **options) + fake
    )  # what follows is a telephone's film
    assert read_picture(tmp_path / "x").rgb.shape == (64, 64, 3)


@pytest.mark.parametrize("block", [2, 3, 7, 100])
def test_scans_are_counted_wherever_blocks_of_reading_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(limits, "_AT_ONCE", block)
    for restart in (0, 1):
        data = saved(noise(24), "JPEG", progressive=True, restart_marker_rows=restart)
        (tmp_path / "x").write_bytes(data)
        with open(tmp_path / "x", "rb") as file:
            assert limits._scans(file, 2) == limits._count(file, b"\xff\xda") == 10


def test_a_jpeg_of_many_segments_is_refused(tmp_path: Path) -> None:
    data = saved(noise(), "JPEG")
    assert "more than 2,000 segments" in refused(tmp_path, data[:2] + b"\xff\xfe\0\x02" * 500_000 + data[2:])
    (tmp_path / "x").write_bytes(data[:2] + b"\xff\xfe\0\x02" * 1000 + data[2:])
    assert read_picture(tmp_path / "x").rgb.shape == (64, 64, 3)


# Sizes that headers claim


def webp(kind: bytes, side: int) -> bytes:
    field = (side - 1).to_bytes(3, "little")
    body = {
        b"VP8L": b"\x2f" + struct.pack("<I", (side - 1) | (side - 1) << 14) + bytes(5),
        b"VP8 ": b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", side, side) + bytes(6),
        b"VP8X": b"\x02\0\0\0" + field + field,
    }[kind]
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize("kind", [b"VP8L", b"VP8 ", b"VP8X"])
def test_a_webp_that_claims_169_million_pixels_never_reaches_its_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    from PIL import WebPImagePlugin

    monkeypatch.setattr(
        WebPImagePlugin.WebPImageFile, "_open", lambda self: pytest.fail("memory was set aside")
    )
    text = refused(tmp_path, webp(kind, 13_000))
    assert "is 13000 x 13000, 169 million pixels: the limit is 64 million pixels" in text


def test_a_small_jpeg_2000_of_a_large_picture_is_refused(tmp_path: Path) -> None:
    data = saved(Image.new("RGB", (64, 64)), "JPEG2000")
    at = data.find(b"\xff\x51") + 6
    huge = data[:at] + struct.pack(">II", 8000, 8000) + data[at + 8 :]
    line = "is 8000 x 8000, 64 million pixels: the limit is 32 million pixels"
    assert line in refused(tmp_path, huge)  # its other header still says 64 x 64
    assert line in refused(tmp_path, huge[huge.find(b"\xff\x4f\xff\x51") :])  # without the boxes around it
    box = struct.pack(">I4s", 8 + 3_000_000, b"free") + bytes(3_000_000)
    assert line in refused(tmp_path, huge[:12] + box + huge[12:])  # far from the file's beginning
    (tmp_path / "x").write_bytes(data)
    assert read_picture(tmp_path / "x").rgb.shape == (64, 64, 3)


@pytest.mark.parametrize(
    "boxes", [b"", bytes(8), struct.pack(">I4s", 1, b"free") + bytes(8), struct.pack(">I4s", 8, b"free") * 9]
)
def test_a_jpeg_2000_without_a_picture_is_damaged(tmp_path: Path, boxes: bytes) -> None:
    assert "is damaged or cut short" in refused(tmp_path, b"\0\0\0\x0cjP  \r\n\x87\n" + boxes)


def test_a_tiff_of_one_huge_tile_is_refused(tmp_path: Path) -> None:
    def tiff(side: int, tile: int) -> bytes:
        data = zlib.compress(bytes(tile * tile * 3 if tile < 1000 else 100))
        numbers = [(256, side), (257, side), (258, 8), (259, 8), (262, 2), (277, 3), (322, tile), (323, tile)]
        at = 10 + 12 * (len(numbers) + 2) + 4
        fields = [*numbers, (324, at), (325, len(data))]
        packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
        return b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + packed + bytes(4) + data

    assert "has a tile that is 20000 x 20000, 400 million pixels" in refused(tmp_path, tiff(64, 20_000))
    (tmp_path / "x").write_bytes(tiff(64, 512))
    assert read_picture(tmp_path / "x").rgb.shape == (64, 64, 3)


# Lengths


def test_a_png_of_many_chunks_is_refused(tmp_path: Path) -> None:
    data = saved(noise(), "PNG")
    empty = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    assert "has more than 100,000 chunks" in refused(tmp_path, data[:33] + empty * 150_000 + data[33:])
    (tmp_path / "x").write_bytes(data[:33] + empty * 100 + data[33:])
    assert read_picture(tmp_path / "x").rgb.shape == (64, 64, 3)


def sparse(path: Path, start: bytes, size: int) -> Path:
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(size)
    return path


@pytest.mark.parametrize(
    ("start", "size", "words"),
    [
        (b"II*\0", 2_000_000_000, "is 2,000 MB long, and the limit is 520 MB"),
        (webp(b"VP8L", 8), 200_000_000, "is 200 MB long, and the limit of its format is 128 MB"),
        (b"\0\0\0\x20ftypavif", 200_000_000, "is 200 MB long, and the limit of its format is 128 MB"),
        (b"BM" + bytes(28) + b"\1\0\0\0", 9_000_000, "is run-length coded and 9 MB long"),
        (b"P3 4000 4000 255\n", 9_000_000, "is written as text and 9 MB long"),
    ],
)
def test_a_file_that_would_be_read_for_minutes_is_refused_by_its_length(
    tmp_path: Path, start: bytes, size: int, words: str
) -> None:
    path = sparse(tmp_path / "x", start, size)
    with pytest.raises(DataError, match=words):
        read_picture(path)


def test_the_largest_picture_that_is_not_compressed_is_within_the_limit() -> None:
    assert limits.MAX_PIXELS * 8 < limits.MAX_BYTES


# No files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_no_pictures_anywhere(tmp_path: Path) -> None:
    from chimera_core import open_source
    from chimera_core.api import picture_shape

    os.mkfifo(tmp_path / "a.png")
    noise().save(tmp_path / "b.png")
    for read in (read_picture, check_picture, picture_shape):
        for path in (tmp_path / "a.png", Path("/dev/zero")):
            if path.exists():
                with pytest.raises(DataError, match="is a device or pipe"):
                    read(path)
    split = open_source("folder", root=str(tmp_path)).open("all")
    with pytest.raises(DataError, match="is a device or pipe"):
        split[0]
