"""Creatures are written in every format that is promised, with their notes, and come back with both."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimera_core.errors import ConfigError, DataError, RunError, ShapeError
from chimera_core.images import read_notes, read_picture, write_gif, write_picture
from chimera_core.images.formats import JPEG, PNG, TIFF, WEBP, check_quality, encode_picture, format_of
from chimera_core.images.notes import mp4_box_of
from chimera_core.images.video import write_mp4

NOTES = {
    "Software": "chimera-toolkit 1",
    "chimera.parents": '["fox, émile, 猫", "b"]',
    "file": "two\nlines \udcff",
}
READ_BACK = NOTES | {"file": "two\nlines \\udcff"}


def smooth(channels: int = 3) -> Any:
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, 255 - x * 4, 255 - y * 6], axis=2)[:, :, :channels].astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "off"),
    [("a.png", 0), ("a.PNG", 0), ("a.jpg", 4), ("a.JPEG", 4), ("a.webp", 12), ("a.tif", 0), ("a.tiff", 0)],
)
def test_a_picture_comes_back_with_its_notes(tmp_path: Path, name: str, off: int) -> None:
    write_picture(tmp_path / name, smooth(), text=NOTES)
    read = read_picture(tmp_path / name)
    assert abs(read.rgb.astype(int) - smooth()).max() <= off and read.alpha is None
    assert read_notes(tmp_path / name) == READ_BACK
    assert os.listdir(tmp_path) == [name]
    first = (tmp_path / name).read_bytes()
    write_picture(tmp_path / name, smooth(), text=NOTES)
    assert (tmp_path / name).read_bytes() == first


def test_notes_of_a_gif_are_read_alike_and_what_holds_none_has_none(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", [smooth()], fps=5, text={"seed": "7"})
    assert read_notes(tmp_path / "a.gif") == {"seed": "7"}
    for name in ("a.jpg", "b.gif", "a.webp", "a.tif", "a.bmp"):
        Image.fromarray(smooth()).save(tmp_path / name)
        assert read_notes(tmp_path / name) == {}


@pytest.mark.parametrize(
    "comment", [b"ASCII\0\0\0[1]", b"UNICODE\0a", b"\xff", b'ASCII\0\0\0{"a": {}}', b"[" * 9999]
)
def test_a_stranger_s_comment_is_no_note(tmp_path: Path, comment: bytes) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif.tobytes())
    assert read_notes(tmp_path / "a.jpg") == {}


def test_notes_that_exif_cannot_hold_lose_their_longest(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", smooth(), text={"seed": "7", "options": "x" * 70_000})
    assert read_notes(tmp_path / "a.jpg") == {"seed": "7"}


@pytest.mark.parametrize(("form", "has_alpha"), [(PNG, True), (WEBP, True), (TIFF, True), (JPEG, False)])
def test_opacity_is_kept_where_the_format_has_it_and_lies_on_white_elsewhere(
    tmp_path: Path, form: Any, has_alpha: bool
) -> None:
    file = tmp_path / f"a{form.suffix}"
    pixels = smooth(4)
    pixels[:9, :, 3] = 0
    file.write_bytes(encode_picture(pixels, form))
    read = read_picture(file)
    if has_alpha:
        np.testing.assert_array_equal(read.alpha, pixels[:, :, 3])
    else:
        assert read.alpha is None and read.rgb[:5].min() > 250


def test_quality_decides_size_and_100_keeps_every_pixel_of_a_webp() -> None:
    sizes = [len(encode_picture(smooth(), JPEG, quality=quality)) for quality in (10, 60, 95)]
    assert sizes == sorted(sizes) and sizes[2] == len(encode_picture(smooth(), JPEG))
    import io

    whole = Image.open(io.BytesIO(encode_picture(smooth(4), WEBP, quality=100)))
    np.testing.assert_array_equal(np.asarray(whole), smooth(4))


def test_a_quality_that_means_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"quality is for .jpg or .webp, and PNG has none"):
        check_quality(90, PNG)
    with pytest.raises(ConfigError, match="quality is 101: choose 1 to 100"):
        check_quality(101, JPEG)
    assert check_quality(None, TIFF) is None and format_of("a.bmp") is None


def test_a_side_that_a_format_cannot_hold_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"WebP holds 16,383 pixels a side, and this is 16,384 or more: name"
    ):
        encode_picture(np.zeros((1, 16_384, 3), np.uint8), WEBP)
    assert encode_picture(np.zeros((1, 16_384, 3), np.uint8), JPEG)


def test_what_is_no_still_format_or_no_picture_is_refused(tmp_path: Path) -> None:
    for name in ("a.gif", "a.mp4", "a.bmp", "a"):
        with pytest.raises(ConfigError, match=r"let it end in .png or .jpg or"):
            write_picture(tmp_path / name, smooth())
    with pytest.raises(ShapeError):
        write_picture(tmp_path / "a.jpg", smooth()[:, :, 0])
    assert os.listdir(tmp_path) == []


def frames_of(file: Path) -> list[Any]:
    import cv2

    film = cv2.VideoCapture(str(file))
    found = []
    while (read := film.read())[0]:
        found.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return found


def test_a_film_is_written_by_opencv_where_there_is_no_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    frames = [np.ascontiguousarray(smooth()[:39, :59]), smooth()[:39, :59] // 2]
    line = write_mp4(tmp_path / "a.mp4", frames, fps=6, text=NOTES)
    assert "by OpenCV, which browsers do not play: for H.264 install ffmpeg (it is not installed)" in line
    read = frames_of(tmp_path / "a.mp4")
    assert [frame.shape for frame in read] == [(40, 60, 3)] * 2
    assert abs(read[0][:39, :59].astype(int) - frames[0]).mean() < 8
    assert read_notes(tmp_path / "a.mp4") == READ_BACK
    with pytest.raises(ShapeError, match=r"frame 1 is \(5, 5, 3\)"):
        write_mp4(tmp_path / "a.mp4", [frames[0], frames[0][:5, :5]], fps=6)


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for ffmpeg")
def test_a_film_is_written_by_ffmpeg_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor last; do :; done\n{ echo "$@"; wc -c; } > "$last"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    line = write_mp4(tmp_path / "a.mp4", [smooth()] * 3, fps=6, text={"seed": "7"})
    assert line == "H.264, by ffmpeg"
    written = (tmp_path / "a.mp4").read_bytes().partition(b"uuid")[0][:-4].decode()
    assert "-s 60x40 -r 6 -i - -c:v libx264" in written and 'comment={"seed": "7"}' in written
    assert written.split()[-1] == str(3 * 40 * 60 * 3)
    program.write_text("#!/bin/sh\necho no such encoder >&2\nexit 1\n")
    assert "(no such encoder)" in write_mp4(tmp_path / "a.mp4", [smooth()], fps=6)
    assert len(frames_of(tmp_path / "a.mp4")) == 1


XMP = mp4_box_of({"seed": "7"})


@pytest.mark.parametrize(
    ("data", "notes"),
    [
        (b"\0\0\0\x0cmdat1234" + XMP, {"seed": "7"}),
        (b"\0\0\0\x01mdat" + (20).to_bytes(8, "big") + b"1234" + XMP, {"seed": "7"}),
        (b"\0\0\0\x1duuid" + b"another program's key" + XMP, {"seed": "7"}),
        (b"\0\0\0\x00mdat" + XMP, {}),  # goes on up to the end
        (b"\0\0\0\x01mdat" + b"\xff" * 8 + XMP, {}),
        (XMP.replace(b"{", b"["), {}),
        (XMP[:40], {}),
        (b"", {}),
    ],
)
def test_notes_of_a_film_are_found_behind_any_boxes_and_a_damaged_one_has_none(
    tmp_path: Path, data: bytes, notes: dict[str, str]
) -> None:
    (tmp_path / "a.MP4").write_bytes(data)
    assert read_notes(tmp_path / "a.MP4") == notes


def test_a_film_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*a\.mp4'"):
        read_notes(tmp_path / "a.mp4")


def test_without_any_writer_the_mend_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cv2.VideoWriter, "fourcc", lambda *code: 0)
    with pytest.raises(
        RunError, match=r"no MP4 can be written to .*a\.mp4': install ffmpeg, or name a \.gif"
    ):
        write_mp4(tmp_path / "a.mp4", [smooth()], fps=6)
    assert os.listdir(tmp_path) == []
