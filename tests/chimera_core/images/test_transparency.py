"""What is transparent is kept apart from the colours below it; masks."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys.image_files import chunk, noise, png, read_bytes

from chimera_core.images import read_mask, read_picture


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
