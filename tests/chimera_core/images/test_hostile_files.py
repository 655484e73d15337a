"""Files that claim more than a machine can hold, or are broken on purpose."""

import io
import random
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys.image_files import chunk, noise, png, refusal

from chimera_core.errors import DataError
from chimera_core.images import check_picture, read_picture
from chimera_core.images.spaces import ADOBE_RGB, SRGB, matrix_profile


def bomb(width: int, height: int) -> bytes:
    return png(width, height, depth=8, colour=2, rows=b"\0")


def test_too_many_pixels_are_refused_from_the_header_with_size_and_limit(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bomb(30_000, 30_000))
    text = refusal(tmp_path / "a.png")
    assert "30000 x 30000, 900 million pixels: the limit is 64 million pixels" in text


def test_bombs_of_other_formats_are_refused_alike(tmp_path: Path):
    small = {}
    for name in ("a.gif", "a.bmp", "a.webp"):
        Image.new("RGB", (2, 2)).save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
        small[name] = bytearray((tmp_path / name).read_bytes())
    small["a.gif"][6:10] = struct.pack("<HH", 20_000, 20_000)
    small["a.bmp"][18:26] = struct.pack("<ii", 20_000, 20_000)
    small["a.webp"][21:25] = struct.pack("<I", 16_383 | 16_383 << 14)
    small["a.ppm"] = bytearray(b"P6 20000 20000 255\n" + bytes(12))
    for name, data in small.items():
        (tmp_path / name).write_bytes(data)
        assert "the limit is 64 million pixels" in refusal(tmp_path / name), name


def test_pillows_own_limit_neither_warns_nor_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = ("a.png", "a.gif", "a.tif", "a.webp")
    frames = [Image.fromarray(noise(seed=seed)) for seed in (1, 2)]
    for name in names:  # before the limit: Pillow 12 warns in writing, too
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)  # 192 pixels would warn
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        for name in names:
            assert read_picture(tmp_path / name).rgb.shape == (12, 16, 3)
        assert warnings.filters == before
    assert seen == []
    assert Image.MAX_IMAGE_PIXELS == 150


def test_a_picture_between_pillows_limit_and_ours_is_only_a_question_of_its_bytes(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bomb(7_900, 8_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "is damaged or cut short" in refusal(tmp_path / "a.png")


def test_the_header_alone_is_checked_without_the_pixels(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bomb(7_000, 9_000))  # no pixels behind a good header
    assert check_picture(tmp_path / "a.png") is None
    (tmp_path / "a.png").write_bytes(bomb(30_000, 30_000))
    with pytest.raises(DataError, match="the limit is 64 million pixels"):
        check_picture(tmp_path / "a.png")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_exploding_text_chunks_are_refused(tmp_path: Path, kind: bytes):
    packed = zlib.compress(bytes(20_000_000))
    body = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0"}[kind] + packed
    data = png(1, 1, depth=8, colour=0, rows=b"\0\0", extra=chunk(kind, body))
    (tmp_path / "a.png").write_bytes(data)
    assert "too large" in refusal(tmp_path / "a.png")


def test_threads_read_at_once_and_leave_the_warning_filters_alone(tmp_path: Path):
    pixels = noise()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    before, wrong = list(warnings.filters), []

    def work() -> None:
        for _ in range(50):
            if not (read_picture(tmp_path / "a.png").rgb == pixels).all():
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert warnings.filters == before


def fuzz_seeds() -> list[bytes]:
    """Small valid files of every common format and mode."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "description"
    colour, cut_out = Image.fromarray(noise(24, 20)), Image.fromarray(noise(24, 20, channels=4))
    palette = colour.quantize(16)
    saves = [
        (colour, "PNG", {"exif": exif}),
        (cut_out, "PNG", {}),
        (palette, "PNG", {"transparency": 3}),
        (Image.fromarray(noise(24, 20).astype(np.uint16)[:, :, 0] * 200), "PNG", {}),
        (colour, "JPEG", {"exif": exif}),
        (colour, "JPEG", {"progressive": True}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour, "WEBP", {"exif": exif}),
        (cut_out, "WEBP", {"lossless": True}),
        (palette, "GIF", {"save_all": True, "append_images": [cut_out]}),
        (colour, "TIFF", {}),
        (colour, "TIFF", {"compression": "tiff_lzw"}),
        (colour.convert("F"), "TIFF", {}),
        (cut_out, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (colour, "BMP", {}),
        (palette, "BMP", {}),
        (colour, "AVIF", {"exif": exif}),
        (colour, "JPEG2000", {}),
        (colour, "JPEG2000", {"tile_size": (8, 8)}),
        (colour, "PNG", {"icc_profile": matrix_profile(ADOBE_RGB, 2.2)}),
        (cut_out, "WEBP", {"icc_profile": matrix_profile(ADOBE_RGB, 2.2), "exif": exif}),
        (colour, "JPEG", {"icc_profile": matrix_profile(ADOBE_RGB, 1.0), "exif": exif}),
        (colour, "TIFF", {"icc_profile": matrix_profile(SRGB, 1.8)}),
        (colour, "PNG", {"save_all": True, "append_images": [cut_out, colour]}),
        (colour, "WEBP", {"save_all": True, "append_images": [cut_out, colour]}),
    ]
    files = []
    for image, kind, options in saves:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Flip, cut, repeat or overwrite bytes, more often near the header; mend PNG checksums half the time."""
    body = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 4, 16])):
        at = dice.randrange(min(len(body), dice.choice([40, 200, len(body)])))
        kind = dice.randrange(5)
        if kind == 0:
            body[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            body[at : at + 4] = dice.choice(
                [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"]
            )
        elif kind == 2 and len(body) > 60:
            del body[at : at + dice.randrange(1, 20)]
        elif kind == 3:
            body[at:at] = body[at : at + dice.randrange(1, 40)]
        else:
            body[at] = dice.randrange(256)
    if body[:4] == b"\x89PNG" and dice.random() < 0.5:
        at = 8
        while at + 12 <= len(body):
            size = struct.unpack(">I", body[at : at + 4])[0]
            end = at + 8 + size
            if end + 4 > len(body):
                break
            body[end : end + 4] = struct.pack(">I", zlib.crc32(body[at + 4 : end]))
            at = end + 4
    return bytes(body)


def test_mutated_files_are_pictures_or_data_errors(tmp_path: Path):
    dice, seeds = random.Random(0), fuzz_seeds()
    outcomes = {"picture": 0, "error": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index in range(360):
            path = tmp_path / "x"
            path.write_bytes(mutate(seeds[index % len(seeds)], dice))
            try:
                picture = read_picture(path)
            except DataError as error:
                assert str(error).isprintable()
                outcomes["error"] += 1
            else:
                assert picture.rgb.dtype == np.uint8 and picture.rgb.ndim == 3
                outcomes["picture"] += 1
    assert min(outcomes.values()) > 40, outcomes  # else the mutations test one side only
