"""Pictures are read as they should be seen: upright, in 8 bits, in three channels."""

import struct
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from toys.image_files import noise, refusal

from chimera_core.errors import DataError
from chimera_core.images import decode_picture, read_picture, reading


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
    # Compressed: Pillow 12.3 cannot read its own uncompressed YCbCr.
    Image.new(mode, (16, 16), red).save(tmp_path / name, compression="tiff_lzw" if name == "a.tif" else None)
    rgb = read_picture(tmp_path / name).rgb[8, 8].astype(int)
    assert abs(rgb - (255, 0, 0)).max() <= 12, rgb


def test_animations_give_their_first_frame(tmp_path: Path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        red, _, blue = read_picture(tmp_path / name).rgb[4, 4]
        assert red > 240 and blue < 10


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.jp2"])
def test_bytes_give_the_pixels_of_their_file(tmp_path: Path, name: str):
    Image.fromarray(noise()).save(tmp_path / name)
    picture = decode_picture((tmp_path / name).read_bytes(), f"pets.zip/cat/{name}")
    np.testing.assert_array_equal(picture.rgb, read_picture(tmp_path / name).rgb)
    assert picture.name == "a"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"GIF89a", "is damaged or cut short"),
        (b"hello", "is text, not an image"),
        (None, "has no bytes: leave it out"),
        ("a.png", "is str, not bytes"),
        (
            struct.pack("<4sI8sI", b"RIFF", 26, b"WEBPVP8L", 10) + b"\x2f" + b"\xff" * 9,
            "the limit is 64 million pixels",
        ),
    ],
)
def test_bytes_that_are_no_picture_are_refused_by_their_name(data, reason: str):
    with pytest.raises(DataError, match=f"'pets.zip/1.png' .*{reason}"):
        decode_picture(data, "pets.zip/1.png")


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
