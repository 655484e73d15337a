"""Pictures are read as they should be seen, or refused in one line; writing is whole or not at all."""

import errno
import io
import json
import os
import random
import struct
import subprocess
import sys
import threading
import types
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from chimera_core.errors import ConfigError, DataError, RunError, ShapeError
from chimera_core.images import (
    Picture,
    check_output,
    check_picture,
    read_mask,
    read_picture,
    read_png_text,
    reading,
    write_gif,
    write_png,
)
from chimera_core.images.spaces import ADOBE_RGB, SRGB, matrix_profile


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


# Reading pixels


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tif", "a.ppm", "a.jp2"])
def test_lossless_formats_give_the_very_pixels(tmp_path: Path, name: str):
    pixels = noise()
    options = {"a.webp": {"lossless": True}}.get(name, {})
    Image.fromarray(pixels).save(tmp_path / name, **options)
    picture = read_picture(tmp_path / name)
    np.testing.assert_array_equal(picture.rgb, pixels)
    assert (picture.rgb.dtype, picture.alpha, picture.name) == (np.uint8, None, "a")
    assert picture.rgb.flags.writeable and picture.rgb.flags.c_contiguous  # torch.from_numpy wants both


@pytest.mark.parametrize("name", ["a.jpg", "a.avif", "a.gif"])
def test_lossy_formats_give_nearly_the_pixels(tmp_path: Path, name: str):
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    assert abs(read_picture(tmp_path / name).rgb.astype(int) - pixels).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_every_exif_orientation_is_applied(tmp_path: Path, name: str, orientation: int):
    # Four flat quarters survive JPEG.
    colours = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 250]]], np.uint8)
    image = Image.fromarray(colours.repeat(16, axis=0).repeat(24, axis=1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / name, exif=exif)
    with Image.open(tmp_path / name) as stored:
        wanted = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    got = read_picture(tmp_path / name).rgb
    assert got.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    np.testing.assert_array_equal(got, wanted)


def test_orientation_six_turns_the_top_left_pixel_to_the_top_right(tmp_path: Path):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = (255, 1, 2, 9)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    picture = read_picture(tmp_path / "a.png")
    assert picture.rgb.shape == (3, 2, 3)
    assert picture.rgb[0, 1].tolist() == [255, 1, 2]
    assert picture.alpha is not None and picture.alpha[0, 1] == 9


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path):
    pixels = noise()
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12broken")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_picture(tmp_path / "a.png").rgb, pixels)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path):
    # 128 is the last value nearer to 0 than to 257, the sixteen-bit value of 1.
    values = np.array([[0, 128, 129, 257, 32896, 65407, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(values).save(tmp_path / name)
        picture = read_picture(tmp_path / name)
        assert picture.rgb[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255, 255]
        assert (picture.rgb == picture.rgb[:, :, :1]).all()


def test_big_endian_sixteen_bit_tiff_is_read_alike(tmp_path: Path):
    image = Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 257, 65535))
    image.save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif").rgb[0, :, 0].tolist() == [1, 255]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 7, 255], [0, 7, 255]),  # someone's int32 array of ordinary pixels
        ([0, 257, 65535], [0, 1, 255]),
        ([-100, 0, 100], [0, 128, 255]),
        ([0, 100_000, 200_000], [0, 128, 255]),
    ],
)
def test_integer_pixels_are_scaled_by_the_range_they_need(tmp_path: Path, values, wanted):
    Image.fromarray(np.array([values], np.int32)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif").rgb[0, :, 0].tolist() == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.4, 255.0], [0, 100, 255]),
        ([-2.0, 0.0, 2.0], [0, 128, 255]),
        ([float("nan"), float("inf"), 1.0], [0, 255, 255]),
        ([float("nan")] * 3, [0, 0, 0]),
    ],
)
def test_float_pixels_are_scaled_by_the_range_they_need(tmp_path: Path, values, wanted):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif").rgb[0, :, 0].tolist() == wanted


def test_one_bit_and_grey_files_become_three_equal_channels(tmp_path: Path):
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1").save(tmp_path / "bit.png")
    assert read_picture(tmp_path / "bit.png").rgb[0].tolist() == [[0] * 3, [255] * 3]
    Image.fromarray(np.array([[7, 200]], np.uint8)).save(tmp_path / "grey.png")
    assert read_picture(tmp_path / "grey.png").rgb[0].tolist() == [[7] * 3, [200] * 3]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_other_colour_spaces_become_rgb(tmp_path: Path, mode: str, name: str):
    if (mode, name) == ("LAB", "a.jpg"):
        name = "a.tif"  # JPEG has no LAB
    red = {"CMYK": (0, 255, 255, 0), "YCbCr": (76, 85, 255), "LAB": (136, 208, 195)}[mode]
    Image.new(mode, (16, 16), red).save(tmp_path / name)
    rgb = read_picture(tmp_path / name).rgb[8, 8].astype(int)
    assert abs(rgb - (255, 0, 0)).max() <= 12, rgb


def test_animations_give_their_first_frame(tmp_path: Path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        red, _, blue = read_picture(tmp_path / name).rgb[4, 4]
        assert red > 240 and blue < 10


def test_heic_is_read_when_pillow_heif_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    heic = b"\0\0\0\x18ftypheic" + bytes(40)
    (tmp_path / "a.heic").write_bytes(heic)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if not installed
    assert "install pillow-heif" in refusal(tmp_path / "a.heic")

    def register() -> None:
        fake = lambda file, name: Image.new("RGB", (3, 2), "blue")  # noqa: E731
        monkeypatch.setitem(Image.OPEN, "HEIF", (fake, lambda head: head[8:12] == b"heic"))

    with_plugin = types.SimpleNamespace(register_heif_opener=register)
    monkeypatch.setitem(sys.modules, "pillow_heif", with_plugin)
    monkeypatch.setattr(reading, "upright_pixels", lambda image, path: (np.asarray(image), None))
    assert read_picture(tmp_path / "a.heic").rgb.shape == (2, 3, 3)


# Transparency


def test_alpha_is_kept_apart_and_the_colours_below_it_as_they_are(tmp_path: Path):
    pixels = noise(channels=4)
    pixels[0, 0] = (10, 20, 30, 0)
    for name in ("a.png", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name)
        picture = read_picture(tmp_path / name)
        np.testing.assert_array_equal(picture.rgb, pixels[:, :, :3])
        np.testing.assert_array_equal(picture.alpha, pixels[:, :, 3])


def test_on_white_nothing_is_left_of_what_lies_under_the_transparency(tmp_path: Path):
    pixels = np.array([[[10, 200, 90, 0], [10, 200, 90, 255], [0, 100, 255, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    # 20 % of (0, 100, 255) on white, by hand.
    wanted = [[[255, 255, 255], [10, 200, 90], [204, 224, 255]]]
    assert read_picture(tmp_path / "a.png").on_white().tolist() == wanted


def test_an_opaque_alpha_channel_is_none(tmp_path: Path):
    Image.new("RGBA", (4, 4), (1, 2, 3, 255)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").alpha is None


def test_grey_and_palette_transparency_become_a_mask(tmp_path: Path):
    Image.fromarray(np.array([[[50, 0], [60, 255]]], np.uint8)).save(tmp_path / "la.png")
    picture = read_picture(tmp_path / "la.png")
    assert picture.rgb[0, :, 0].tolist() == [50, 60]
    assert picture.alpha is not None and picture.alpha.tolist() == [[0, 255]]

    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    for name, key, wanted in [
        ("p.png", b"\x80\xff", [[128, 255]]),
        ("i.png", 1, [[255, 0]]),
        ("p.gif", 1, [[255, 0]]),
    ]:
        palette.save(tmp_path / name, transparency=key)
        picture = read_picture(tmp_path / name)
        assert picture.alpha is not None and picture.alpha.tolist() == wanted
        assert picture.rgb[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "alpha"),
    [
        (1, 0, b"\xa0", (1,), [0, 255, 0]),
        (2, 0, b"\x18", (2,), [255, 255, 0]),  # pixels 0, 1, 2
        (4, 0, b"\x5a\x50", (10,), [255, 0, 255]),
        (8, 0, b"\x07\x09\x07", (9,), [255, 0, 255]),
        (16, 0, struct.pack(">3H", 0x1234, 0x1235, 0x3412), (0x1234,), [0, 255, 255]),
        (8, 2, b"\1\2\3\1\2\4\1\2\3", (1, 2, 3), [0, 255, 0]),
        # Compared in 8 bits, so 0x0034 in the low byte must not count.
        (16, 2, struct.pack(">9H", 0x1234, 0, 0, 0x3400, 0, 0, 0x1234, 0, 0), (0x1234, 0, 0), [0, 255, 0]),
    ],
)
def test_the_transparent_colour_of_a_png_counts_at_every_depth(
    tmp_path: Path, depth: int, colour: int, row: bytes, key: tuple[int, ...], alpha: list[int]
):
    transparent = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    data = png(3, 1, depth=depth, colour=colour, rows=b"\0" + row, extra=transparent)
    picture = read_bytes(tmp_path, data)
    assert picture.alpha is not None and picture.alpha.tolist() == [alpha]


# Masks


def test_a_mask_is_the_alpha_channel_or_else_the_luminance(tmp_path: Path):
    pixels = noise(channels=4)
    Image.fromarray(pixels).save(tmp_path / "cut-out.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "cut-out.png"), pixels[:, :, 3])

    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "grey.png"), grey)

    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    Image.fromarray(colours).save(tmp_path / "opaque.png")
    mask = read_mask(tmp_path / "opaque.png")
    assert mask.tolist() == [[76, 150, 29]]  # 0.299, 0.587 and 0.114 of 255
    assert mask.dtype == np.uint8


# Refusals


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path):
    (tmp_path / "red_fox.jpg").touch()
    assert "(did you mean 'red_fox.jpg'?)" in refusal(tmp_path / "redfox.jpg")
    assert refusal(tmp_path / "none" / "a.png").startswith("there is no file '")
    assert refusal(tmp_path / "red_fox.jpg" / "a.png").startswith("there is no file '")


def test_what_is_no_file_of_bytes_is_refused(tmp_path: Path):
    (tmp_path / "empty.png").touch()
    assert "is empty (0 bytes)" in refusal(tmp_path / "empty.png")
    assert "is a folder: name one image file in it" in refusal(tmp_path)
    assert "cannot be opened" in refusal(tmp_path / "a\0b.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "is a device or pipe" in refusal(tmp_path / "pipe")  # and does not wait for ever


def test_text_named_png_is_called_text(tmp_path: Path):
    (tmp_path / "a.png").write_text("<!DOCTYPE html>\n<title>404 – 見つかりません" + "か" * 20)
    assert "is text, not an image (it starts '<!DOCTYPE html> <title>404" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize(
    "head", [b"%!PS-Adobe-3.0 EPSF-3.0\n\x00\x01", b"\x00\x01\x02\x03" * 20, b"8BPS\0\1"]
)
def test_kinds_not_read_here_are_refused_with_the_list(tmp_path: Path, head: bytes):
    (tmp_path / "a.bin").write_bytes(head)
    assert "not an image of a kind read here (PNG, JPEG" in refusal(tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {}),
        ("a.jpg", {"progressive": True}),
        ("a.webp", {}),
        ("a.gif", {}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.bmp", {}),
        ("a.ppm", {}),
        ("a.jp2", {}),
        ("a.avif", {}),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_file_cut_short_is_an_error_never_grey(tmp_path: Path, name: str, options: dict, share: float):
    Image.fromarray(noise(64, 64)).save(tmp_path / name, **options)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    text = refusal(tmp_path / name)
    assert "is damaged or cut short (" in text and "copy or download it again" in text


def test_a_tiff_whose_strips_do_not_cover_it_is_an_error_never_black(tmp_path: Path):
    Image.fromarray(noise(24, 20)).save(tmp_path / "a.tif")
    data = (tmp_path / "a.tif").read_bytes()
    height = struct.pack("<HHII", 257, 4, 1, 24)  # ImageLength, one 32-bit number
    if height not in data:
        height = struct.pack("<HHIHH", 257, 3, 1, 24, 0)
    assert data.count(height) == 1
    (tmp_path / "a.tif").write_bytes(data.replace(height, struct.pack("<HHII", 257, 4, 1, 2400)))
    assert "parts of the picture are missing" in refusal(tmp_path / "a.tif")


def test_permission_denied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")

    def refuse(*args: object) -> None:  # the tests run as root, whom no permission bit stops
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "permission denied: change its rights" in refusal(tmp_path / "a.png")


def test_a_wild_file_name_stays_on_one_line(tmp_path: Path):
    assert r"a\nb\x1b[2J.png" in refusal(tmp_path / "a\nb\x1b[2J.png")


@pytest.mark.parametrize(
    "error", [MemoryError, RecursionError, ZeroDivisionError, KeyError, zlib.error, EOFError]
)
def test_whatever_a_decoder_raises_becomes_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")

    def fail(image: object, path: object) -> None:
        raise error("two\nlines")

    monkeypatch.setattr(reading, "upright_pixels", fail)
    refusal(tmp_path / "a.png")


# Bombs


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
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)  # 192 pixels would warn
    frames = [Image.fromarray(noise(seed=seed)) for seed in (1, 2)]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        for name in ("a.png", "a.gif", "a.tif", "a.webp"):
            frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
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


# Writing


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7, 4), (5, 7)])
def test_a_png_comes_back_pixel_for_pixel_with_its_text(tmp_path: Path, shape: tuple[int, ...]):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    text = {"parents": "fox, émile, 猫", "seed": "7", "file": "two\nlines \udcff"}
    write_png(tmp_path / "a.png", pixels, text=text)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    wanted = {"parents": "fox, émile, 猫", "seed": "7", "file": "two\nlines \\udcff"}
    assert read_png_text(tmp_path / "a.png") == wanted
    assert os.listdir(tmp_path) == ["a.png"]


def test_latin_text_is_a_plain_chunk_and_other_text_an_international_one(tmp_path: Path):
    write_png(tmp_path / "a.png", noise(), text={"a": "é", "b": "猫"})
    data = (tmp_path / "a.png").read_bytes()
    assert b"tEXta\0\xe9" in data
    assert b"iTXtb\0\0\0\0\0" + "猫".encode() in data


def test_equal_input_gives_equal_bytes(tmp_path: Path):
    for name in ("a", "b"):
        write_png(tmp_path / f"{name}.png", noise(), text={"k": "v"})
        write_gif(tmp_path / f"{name}.gif", [noise(seed=1), noise(seed=2)], fps=10, text={"k": "v"})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


@pytest.mark.parametrize("key", ["", "x" * 80, "猫", "a\nb", "a\0b"])
def test_a_text_key_that_png_cannot_hold_is_refused(tmp_path: Path, key: str):
    with pytest.raises(ConfigError, match="use 1 to 79 Latin-1"):
        write_png(tmp_path / "a.png", noise(), text={key: "v"})


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2, 3), np.float32), np.zeros((3, 2, 5), np.uint8), np.zeros((0, 2, 3), np.uint8)]
)
def test_wrong_arrays_are_shape_errors_that_name_the_shape(tmp_path: Path, array: np.ndarray):
    with pytest.raises(ShapeError, match=rf"{array.dtype} \({array.shape[0]}, 2"):
        write_png(tmp_path / "a.png", array)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_a_write_that_fails_half_way_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    (tmp_path / "a.png").write_bytes(b"old")

    def half(self: object, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises((RunError, KeyboardInterrupt)) as caught:
        write_png(tmp_path / "a.png", noise())
    if isinstance(error, OSError):
        assert "the disk is full: free some space" in str(caught.value)
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_gif_of_few_colours_comes_back_exactly_and_loops(tmp_path: Path):
    # 256 colours a frame, different ones in each.
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frames = [np.stack([ramp, ramp[::-1], np.full_like(ramp, 60 * k)], axis=2) for k in range(4)]
    write_gif(tmp_path / "a.gif", frames, fps=30, text={"seed": "7"})
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.n_frames, image.info["loop"]) == (4, 0)
        assert json.loads(image.info["comment"]) == {"seed": "7"}
        durations_ms = []
        for index, frame in enumerate(frames):
            image.seek(index)
            durations_ms.append(image.info["duration"])
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), frame)
    assert durations_ms == [30, 40, 30, 30]  # 3.33 cs each: ends at 3.3, 6.7, 10, 13.3 cs


def test_a_gif_of_many_colours_is_near_its_frames(tmp_path: Path):
    y, x = np.mgrid[0:64, 0:64].astype(np.uint8) * 4
    frame = np.stack([x, y, 255 - x], axis=2)
    write_gif(tmp_path / "a.gif", [frame, frame[::-1]], fps=5)
    with Image.open(tmp_path / "a.gif") as image:
        assert abs(np.asarray(image.convert("RGB")).astype(int) - frame).mean() < 8


def test_a_gif_of_one_frame_or_equal_frames_is_fine(tmp_path: Path):
    write_gif(tmp_path / "a.gif", [noise()], fps=10)
    write_gif(tmp_path / "b.gif", iter([noise(), noise()]), fps=10)
    assert read_picture(tmp_path / "b.gif").rgb.shape == (12, 16, 3)


def test_wrong_gifs_are_refused_and_leave_nothing(tmp_path: Path):
    for fps in (0, -1, 51, float("nan")):
        with pytest.raises(ConfigError, match="fps is"):
            write_gif(tmp_path / "a.gif", [noise()], fps=fps)
    with pytest.raises(ShapeError, match="no frames"):
        write_gif(tmp_path / "a.gif", [], fps=10)
    with pytest.raises(ShapeError, match=r"frame 1 is \(5, 5, 3\) but frame 0 is \(12, 16, 3\)"):
        write_gif(tmp_path / "a.gif", [noise(), noise(5, 5)], fps=10)
    assert os.listdir(tmp_path) == []


def test_text_is_read_from_png_only(tmp_path: Path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="is JPEG, not PNG"):
        read_png_text(tmp_path / "a.jpg")


# Outputs


def test_a_good_output_is_returned_and_nothing_is_left(tmp_path: Path):
    assert check_output(tmp_path / "a.PNG") == tmp_path / "a.PNG"
    (tmp_path / "old.gif").touch()
    assert check_output(str(tmp_path / "old.gif")) == tmp_path / "old.gif"
    assert os.listdir(tmp_path) == ["old.gif"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.pgn", r"unknown ending '.pgn' \(did you mean '.png'\?\): let it end in .png or .gif"),
        ("a", "has no ending: let it end in .png or .gif"),
        ("folder", "is a folder: name a file in it, 'out.png'"),
        ("folder/", "names no file"),
        ("none/a.png", "no folder '.*none': make it first"),
        ("none/deeper/a.png", "no folder '.*deeper': make it first"),
        ("file.txt/a.png", "file.txt' is a file: choose another folder"),
        ("file.txt/deeper/a.png", "file.txt' is a file: choose another folder"),
        ("a\0b.png", r"a\\x00b.png': .*choose another name"),
        ("a\nb.jpg", r"a\\nb.jpg' has the unknown ending"),
        ("n" * 300 + ".png", "name is too long"),
    ],
)
def test_a_bad_output_is_one_line_with_the_mend(tmp_path: Path, name: str, words: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(ConfigError, match=words) as caught:
        check_output(f"{tmp_path}/{name}")
    assert str(caught.value).isprintable()
    assert sorted(os.listdir(tmp_path)) == ["file.txt", "folder"]


def test_an_empty_output_is_refused():
    with pytest.raises(ConfigError, match="names no file"):
        check_output("")


def test_a_folder_that_refuses_files_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*args: object) -> None:  # permission bits do not stop root
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigError, match="permission denied: choose a folder you may write to"):
        check_output(tmp_path / "a.png")


def test_importing_the_module_loads_neither_numpy_nor_pillow_nor_torch():
    code = "import sys, chimera_core.images; print(sorted({'numpy', 'PIL', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
