"""Files are written whole or not at all; names never break a one-line message."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from chimera_core.errors import ConfigError, RunError
from chimera_core.files import atomic as files
from chimera_core.files.atomic import (
    atomic_path,
    broken_link,
    check_writable,
    describe_folder,
    one_line,
    quote,
    refuse_inputs,
    write_text_atomic,
)


def test_quote_escapes_what_could_break_a_line_or_the_terminal():
    assert quote("cat photo é.png") == "'cat photo é.png'"
    assert quote("a\nb\x1b[31m\u202e\udcff") == r"'a\nb\x1b[31m\u202e\udcff'"


def test_one_line_cuts_to_the_limit_with_an_ellipsis():
    assert one_line("abcdef", limit=4) == "abc…"
    assert one_line("abcd", limit=4) == "abcd"


def test_text_is_written_as_utf8_with_its_own_newlines(tmp_path: Path):
    write_text_atomic(tmp_path / "a.toml", "name = 'é'\n")
    assert (tmp_path / "a.toml").read_bytes() == b"name = '\xc3\xa9'\n"
    assert os.listdir(tmp_path) == ["a.toml"]


def test_text_with_undecodable_bytes_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(RunError, match=r"'photo \\udcff' is not Unicode") as caught:
        write_text_atomic(tmp_path / "a.toml", "photo \udcff")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, ConfigError])
def test_whatever_ends_the_block_the_old_file_stays_and_nothing_is_left(
    tmp_path: Path, error: type[BaseException]
):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".a.txt.")
        assert temporary.name.endswith(".tmp")
        raise error("stop")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EACCES, "permission denied: choose a folder you may write to"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, "[Ii]nput/output error: try another"),
    ],
)
def test_a_refusing_disk_is_one_line_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
):
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(RunError, match=words) as caught:
        write_text_atomic(tmp_path / "a\nb.txt", "text")
    assert str(caught.value).startswith("cannot write '") and "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_file_size_limit_met_while_writing_leaves_nothing(tmp_path: Path):
    resource = pytest.importorskip("resource", reason="file size limits are Unix's")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with pytest.raises(RunError, match="grows above the size allowed"):
            write_text_atomic(tmp_path / "a.txt", "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert os.listdir(tmp_path) == []


def test_an_error_without_a_number_keeps_its_own_words(tmp_path: Path):
    with (
        pytest.raises(RunError, match="encoder error -2: try another folder"),
        atomic_path(tmp_path / "a.png"),
    ):
        raise OSError("encoder error -2")


def test_a_missing_folder_is_named_as_such(tmp_path: Path):
    with pytest.raises(RunError, match="there is no such folder: make it first"):
        write_text_atomic(tmp_path / "none" / "a.txt", "")


def test_a_folder_and_a_nul_in_the_name_are_refused(tmp_path: Path):
    with pytest.raises(RunError, match="it is a folder"):
        write_text_atomic(tmp_path, "")
    with pytest.raises(RunError, match=r"a\\x00b.*choose another name"):
        write_text_atomic(tmp_path / "a\0b", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix special files")
def test_a_pipe_or_device_is_never_replaced_by_a_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="device or pipe"):
        write_text_atomic(tmp_path / "pipe", "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(RunError, match="device or pipe"):
        check_writable("/dev/null")


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix links and permission bits")
def test_links_stay_and_permissions_are_kept(tmp_path: Path):
    real = tmp_path / "real.txt"
    real.write_text("old")
    real.chmod(0o640)
    (tmp_path / "link.txt").symlink_to(real)
    write_text_atomic(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="needs a umask")
def test_a_new_file_follows_the_umask(tmp_path: Path):
    old = os.umask(0o027)
    try:
        write_text_atomic(tmp_path / "a.txt", "")
        with atomic_path(tmp_path / "replaced.txt") as temporary:
            temporary.unlink()  # as safetensors does
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "replaced.txt").stat().st_mode) == 0o640


def test_the_longest_allowed_name_can_be_written(tmp_path: Path):
    write_text_atomic(tmp_path / ("n" * 255), "text")
    with pytest.raises(RunError, match="name is too long"):
        write_text_atomic(tmp_path / ("n" * 256), "text")


def test_check_writable_leaves_no_trace(tmp_path: Path):
    check_writable(tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_an_output_that_is_an_input_by_any_name_is_refused(tmp_path: Path):
    lion = tmp_path / "lion.png"
    lion.write_text("a photograph")
    (tmp_path / "link.png").symlink_to(lion)
    os.link(lion, tmp_path / "LION.PNG")  # as a disk shows it that tells no letters apart
    (tmp_path / "folder").mkdir()
    (tmp_path / "here").symlink_to(tmp_path)
    for output in ("lion.png", "link.png", "LION.PNG", "folder/../lion.png", "here/lion.png"):
        with pytest.raises(ConfigError, match=r"' is a parent, which would be lost: name another"):
            refuse_inputs([tmp_path / "new.png", tmp_path / output], [("a parent", lion)])
    refuse_inputs([tmp_path / "new.png"], [("a parent", lion), ("a mask", tmp_path / "missing")])


def test_inputs_are_not_even_listed_where_no_output_is_there(tmp_path: Path):
    refuse_inputs([tmp_path / "new.png"], (pytest.fail("asked") for _ in range(1)))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_broken_link_is_called_that(tmp_path: Path):
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "fine").symlink_to(tmp_path)
    assert broken_link(tmp_path / "gone").endswith("gone' is a broken link: there is no 'nowhere'")
    assert broken_link(tmp_path / "circle") and describe_folder(tmp_path / "gone") == "it is a broken link"
    assert [broken_link(tmp_path / n) for n in ("fine", "missing", "a\0b")] == ["", "", ""]
