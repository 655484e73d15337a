"""What is no picture, or a damaged one, is refused in one line."""

import errno
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from toys.image_files import noise, refusal

from chimera_core.images import reading


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
