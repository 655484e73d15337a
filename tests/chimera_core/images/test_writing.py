"""Writing is whole or not at all, and outputs are checked before the work."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys.image_files import noise

from chimera_core.errors import ConfigError, RunError, ShapeError
from chimera_core.images import check_output, read_notes, read_picture, write_gif, write_png


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7, 4), (5, 7)])
def test_a_png_comes_back_pixel_for_pixel_with_its_text(tmp_path: Path, shape: tuple[int, ...]):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    text = {"parents": "fox, émile, 猫", "seed": "7", "file": "two\nlines \udcff"}
    write_png(tmp_path / "a.png", pixels, text=text)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    wanted = {"parents": "fox, émile, 猫", "seed": "7", "file": "two\nlines \\udcff"}
    assert read_notes(tmp_path / "a.png") == wanted
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
