"""Formats that plugins read: found by their endings everywhere, held to our limits, looked at, and never in our place."""

from __future__ import annotations

import contextvars
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chimera_core.api import decode_picture, picture_shape, read_picture
from chimera_core.components import source_closure
from chimera_core.components.image_readers import reading_of
from chimera_core.errors import DataError
from chimera_core.images import check_picture, read_mask, read_notes
from chimera_core.images.folders import pictures_below
from chimera_core.library.folder import Library
from chimera_core.plugins import discovery

PLUGIN = """
from chimera_core.api import ComponentSpec, Config, hookimpl, option

CHIMERA_API = 1

class RawConfig(Config):
    add: int = option(0, help="to every value", ge=0, le=255)

@hookimpl
def chimera_image_readers():
    return [ComponentSpec("raw", "bytes", "NAME_reader:Raw", RawConfig, suffixes=(".raw",))]
"""
READER = """
import numpy as np
from chimera_core.api import ImageReader

class Raw(ImageReader):
    def size(self, path):
        with path.open("rb") as file:
            width, height = (int(part) for part in file.readline().split()[:2])
        return width, height

    def read(self, path):
        head, data = path.read_bytes().split(b"\\n", 1)
        width, height, channels = map(int, head.split())
        return np.frombuffer(data, np.uint8).reshape(height, width, channels) + np.uint8(self.config.add)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write a plugin as it lies in a site-packages folder, some of its text replaced; the name is also its module's."""
    names = []

    def write(old: str = "", new: str = "", *, name: str = "rawimages") -> None:
        place = tmp_path / "site"
        info = place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        for file, text in ((f"{name}.py", PLUGIN), (f"{name}_reader.py", READER)):
            text = text.replace("NAME", name)
            assert not old or old in PLUGIN + READER
            (place / file).write_text(text.replace(old, new) if old else text)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[chimera.plugins]\n{name} = {name}\n")
        monkeypatch.setenv("PYTHONPATH", str(place))
        monkeypatch.syspath_prepend(str(place))
        names.append(name)
        discovery._discover_once.cache_clear()
        forget_sources()

    yield write
    discovery._discover_once.cache_clear()
    for name in names:
        for module in (name, f"{name}_reader"):
            sys.modules.pop(module, None)


def forget_sources() -> None:
    for known in (source_closure.closure_of, source_closure.find_source, source_closure._folders):
        known.cache_clear()
    source_closure._digest.cache_clear()


def raw(file: Path, pixels: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = pixels.shape
    file.write_bytes(f"{width} {height} {channels}\n".encode() + pixels.astype(np.uint8).tobytes())
    return file


def drawn(channels: int = 3, height: int = 20, width: int = 30) -> Any:
    return np.random.default_rng(0).integers(0, 255, (height, width, channels), dtype=np.uint8)


def test_a_plugin_s_format_is_read_as_ours_are(install: Install, tmp_path: Path) -> None:
    install()
    plain, cutout = raw(tmp_path / "plain.raw", drawn()), raw(tmp_path / "cutout.RAW", drawn(4))
    picture = read_picture(plain)
    np.testing.assert_array_equal(picture.rgb, drawn())
    assert (picture.alpha, picture.name) == (None, "plain")
    picture = read_picture(cutout)
    np.testing.assert_array_equal(picture.alpha, drawn(4)[:, :, 3])
    assert picture.rgb.flags.c_contiguous and picture.rgb.flags.writeable
    np.testing.assert_array_equal(read_mask(cutout), drawn(4)[:, :, 3])
    assert picture_shape(plain) == (30, 20, False)
    check_picture(plain)
    assert read_notes(plain) == {}


def test_bytes_of_an_archive_are_read_by_their_name(install: Install, tmp_path: Path) -> None:
    install()
    file = raw(tmp_path / "a.raw", drawn())
    np.testing.assert_array_equal(decode_picture(file.read_bytes(), "pets.zip/a.raw").rgb, drawn())
    with pytest.raises(DataError, match=r"^'pets\.zip/b\.raw' cannot be read by image reader rawimages:raw"):
        decode_picture(b"nothing", "pets.zip/b.raw")


def test_opaque_pixels_are_no_cut_out(install: Install, tmp_path: Path) -> None:
    install()
    pixels = drawn(4)
    pixels[:, :, 3] = 255
    assert read_picture(raw(tmp_path / "a.raw", pixels)).alpha is None


def test_folders_sources_and_the_library_see_it(install: Install, tmp_path: Path) -> None:
    from chimera_folder.layout import scan

    photos = tmp_path / "photos"
    raw(photos / "cat" / "a.raw", drawn())
    (photos / "cat" / "notes.txt").write_text("no picture")
    (photos / "dog").mkdir()
    Image.fromarray(drawn()).save(photos / "dog" / "b.png")
    assert pictures_below(photos).files == (("dog", "b.png"),)
    install()
    assert pictures_below(photos).files == (("cat", "a.raw"), ("dog", "b.png"))
    assert [entry.class_name for entry in scan(photos, "auto").entries] == ["cat", "dog"]
    library = Library(tmp_path / "library")
    copy = library.add("cat", photos / "cat" / "a.raw")
    assert copy.suffix == ".raw" and library.pictures() == {"cat": [copy]}


@pytest.mark.slow
def test_commands_take_it_as_a_parent_and_say_which_files_a_reader_reads(
    install: Install, tmp_path: Path, here: Callable[..., tuple[int, str, str]]
) -> None:
    install()
    parents = (raw(tmp_path / "a.raw", drawn(3, 40, 60)), raw(tmp_path / "b.raw", drawn(3, 60, 40)))
    out = tmp_path / "out.png"
    options = ("--fuser", "pixel-average", "--weights", "1,0", "--size", 40, "--device", "cpu")
    code, _, err = here("fuse", *parents, *options, "-o", out)
    assert code == 0, err
    np.testing.assert_array_equal(read_picture(out).rgb, drawn(3, 40, 60))
    assert "reads files that end in .raw" in here("plugins", "show", "raw")[1]


def test_options_come_from_a_registry_and_are_part_of_what_decides(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    file = raw(tmp_path / "a.raw", drawn())
    before = reading_of([file, "b.png"])
    assert list(before) == [".raw"]
    (tmp_path / "mine.toml").write_text("[plugins.rawimages.options.raw]\nadd = 1\n")
    monkeypatch.setenv("CHIMERA_REGISTRY", str(tmp_path / "mine.toml"))
    discovery._discover_once.cache_clear()
    np.testing.assert_array_equal(read_picture(file).rgb, drawn() + 1)
    after = reading_of([file])
    assert after != before and after[".raw"][0]["code"] == before[".raw"][0]["code"]


def test_the_limits_hold_before_the_decoder_is_asked(install: Install, tmp_path: Path) -> None:
    install("return np.frombuffer", "import os; os.abort(); return np.frombuffer")
    huge = tmp_path / "huge.raw"
    huge.write_bytes(b"9000 9000 3\n")
    for reading in (read_picture, check_picture, read_mask):
        with pytest.raises(
            DataError, match=r"huge\.raw' is 9000 x 9000, 81 million pixels: the limit is 64 .*scale it down"
        ):
            reading(huge)
    (tmp_path / "empty.raw").write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        read_picture(tmp_path / "empty.raw")
    with pytest.raises(DataError, match="there is no file"):
        read_picture(tmp_path / "none.raw")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return np.frombuffer", "raise KeyError('x\\ny'); return np.frombuffer", r"raw of rawimages \(KeyError: 'x\\ny'\): copy"),
        ("return np.frombuffer", "raise SystemExit(3); return np.frombuffer", r"\(SystemExit: 3\): copy or download"),
        ("+ np.uint8(self.config.add)", "/ 255", r"read gave float64 instead of a uint8 array: mend the plugin"),
        (".reshape(height, width, channels)", "", r"read gave \(1800,\), and \(20, 30, 3 or 4\) was promised by size"),
        (".reshape(height, width, channels)", ".reshape(width, height, channels)", r"read gave \(30, 20, 3\), and \(20, 30"),
        ("return width, height\n", "return [width]\n", r"size gave \[30\] instead of \(width, height\)"),
        ("return width, height\n", "return 0, height\n", r"size gave 0 x 20"),
        ("import numpy as np\n", "import numpie as np\n", r"cannot be loaded from rawimages_reader:Raw .*numpie"),
    ],
    ids=["raises", "exits", "floats", "flat", "turned", "no-pair", "empty", "import"],
)  # fmt: skip
def test_what_a_reader_does_wrong_is_one_line_with_file_plugin_and_mend(
    install: Install, tmp_path: Path, old: str, new: str, message: str
) -> None:
    install(old, new)
    file = raw(tmp_path / "a.raw", drawn())
    with pytest.raises(DataError, match=message) as caught:
        read_picture(file)
    assert "a.raw'" in str(caught.value) and "\n" not in str(caught.value)


def test_of_two_readers_of_one_ending_the_user_chooses(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    install(name="otherimages")
    file = raw(tmp_path / "a.raw", drawn())
    assert pictures_below(tmp_path, deepest=0).files == (("a.raw",),)
    with pytest.raises(
        DataError,
        match=r"otherimages:raw and rawimages:raw both read \.raw: switch one plugin off, by CHIMERA_PL",
    ):
        read_picture(file)
    monkeypatch.setenv("CHIMERA_PLUGINS_DISABLE", "otherimages")
    discovery._discover_once.cache_clear()
    assert read_picture(file).rgb.shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("suffixes", "fault"),
    [
        ("('.png',)", "image-reader raw takes .png, which the toolkit reads itself"),
        ("('.toml',)", "image-reader raw takes .toml, which the toolkit reads itself"),
        ("('raw',)", "has the suffix 'raw': write it in small letters with its dot, '.qoi'"),
        ("('.tar.gz',)", "has the suffix '.tar.gz': write it"),
        ("'.raw'", "does not say which files it reads with suffixes="),
        ("()", "does not say which files it reads with suffixes="),
    ],
)
def test_endings_that_are_none_or_ours_are_refused_when_the_plugin_is_loaded(
    install: Install, suffixes: str, fault: str
) -> None:
    install("suffixes=('.raw',)".replace("'", '"'), f"suffixes={suffixes}")
    (record,) = [r for r in discovery.default_host().records if r.name == "rawimages"]
    assert record.status == "broken" and fault in record.error


def test_a_changed_reader_makes_packed_data_anew(install: Install, tmp_path: Path) -> None:
    from chimera_core.components.by_name import open_source
    from chimera_core.data.packing import data_of, pack, staleness

    install()
    photos = tmp_path / "photos"
    for k in range(3):
        raw(photos / f"{k}.raw", drawn())
    packing = {"source": "folder", "plugin": "folder", "size": 8, "fit": "crop", "format": 1}
    source = open_source("folder", root=str(photos))
    packed = pack(source, packing, tmp_path / "cache", workers=0)
    assert len(packed.splits["all"]) == 3 and staleness(packed.folder, packing, source) is None
    before = data_of(source)
    reader = tmp_path / "site" / "rawimages_reader.py"
    reader.write_text(reader.read_text() + "# another one\n")
    forget_sources()
    assert "have changed" in str(staleness(packed.folder, packing, source))
    assert data_of(source) != before


def test_a_worker_that_packs_takes_the_registries_of_the_command_along(tmp_path: Path) -> None:
    from chimera_core.data import blocks

    context = contextvars.copy_context()
    context.run(blocks._begin, os.getppid(), (tmp_path / "mine.toml",), 0)
    assert context[discovery.registry_files] == (tmp_path / "mine.toml",)


@pytest.mark.slow
def test_a_spawned_process_that_knows_nothing_but_a_split_reads_it(install: Install, tmp_path: Path) -> None:
    from chimera_core.components.by_name import open_source

    install()
    raw(tmp_path / "photos" / "a.raw", drawn())
    split = open_source("folder", root=str(tmp_path / "photos")).open("all")
    (tmp_path / "split.pickle").write_bytes(pickle.dumps(split))
    # As multiprocessing's spawn does: the process imports what the pickle names, and nothing else.
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))[0].image.shape)"
    command = [sys.executable, "-c", code, str(tmp_path / "split.pickle")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "torch.Size([3, 20, 30])\n", done.stderr
