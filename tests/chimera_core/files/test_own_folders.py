"""Nothing outside a folder of our own is read, written or removed, wherever links in it lead."""

import os
import stat
import sys
from pathlib import Path

import pytest

from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.files.atomic import atomic_path, check_writable, leads_out, write_text_atomic
from chimera_core.files.own_folders import (
    check_file_part,
    inside,
    make_folder,
    move,
    open_own,
    refuse_link,
    relative_name,
    remove_file,
    remove_tree,
)
from chimera_core.runs.record import make_run_folder, read_run_record

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a user's folder with something precious in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "key").write_text("precious")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def test_a_file_behind_a_link_out_is_never_written(home: Path, own: Path) -> None:
    for target in (home / "key", home / "new"):
        link = own / f"link-{target.name}"
        link.symlink_to(target)
        with pytest.raises(RunError, match=r"link.* leaves its folder: remove the link"):
            write_text_atomic(link, "stolen")
        with pytest.raises(RunError, match="leaves its folder"):
            check_writable(link)
        with pytest.raises(RunError, match="leaves its folder"), atomic_path(link):
            pass
    assert sorted(os.listdir(home)) == ["key"] and (home / "key").read_text() == "precious"


def test_a_link_within_its_folder_is_followed(own: Path) -> None:
    (own / "last.txt").symlink_to("first.txt")
    write_text_atomic(own / "last.txt", "text")
    assert (own / "first.txt").read_text() == "text" and (own / "last.txt").is_symlink()


def test_a_folder_that_is_itself_behind_a_link_is_its_owners_choice(tmp_path: Path, own: Path) -> None:
    (tmp_path / "runs").symlink_to(own)
    write_text_atomic(tmp_path / "runs" / "a.txt", "text")
    assert inside(tmp_path / "runs", "a.txt").read_text() == "text"
    assert not leads_out(tmp_path / "runs" / "a.txt", tmp_path / "runs")


def test_a_chain_of_links_counts_by_where_it_ends(home: Path, own: Path) -> None:
    (own / "b").symlink_to(home / "key")
    (own / "a").symlink_to("b")
    with pytest.raises(RunError):
        write_text_atomic(own / "a", "stolen")
    with pytest.raises(DataError):
        inside(own, "a")
    assert (home / "key").read_text() == "precious"


@pytest.mark.parametrize("mode", ["new", "append"])
def test_a_log_is_not_opened_through_a_link(home: Path, own: Path, mode: str) -> None:
    (own / "log").symlink_to(home / "key")
    with pytest.raises(RunError, match=r"'.*log': it is a link: remove it"):
        open_own(own / "log", mode)  # type: ignore[arg-type]
    with pytest.raises(RunError):
        refuse_link(own / "log")
    assert (home / "key").read_text() == "precious"


@pytest.mark.parametrize("mode", ["new", "append"])
def test_a_hard_link_keeps_what_its_other_name_holds(home: Path, own: Path, mode: str) -> None:
    os.link(home / "key", own / "log")
    with open_own(own / "log", mode) as file:  # type: ignore[arg-type]
        file.write(b" more")
    assert (home / "key").read_text() == "precious"
    assert (own / "log").read_text() == {"new": " more", "append": "precious more"}[mode]


def test_a_log_can_be_begun_continued_and_read_back(own: Path) -> None:
    for mode, expected in (("append", b"1"), ("append", b"11"), ("new", b"1")):
        with open_own(own / "log", mode) as file:  # type: ignore[arg-type]
            file.write(b"1")
            file.seek(0)
            assert file.read() == expected
    assert stat.S_IMODE((own / "log").stat().st_mode) & 0o600 == 0o600


@pytest.mark.timeout(20)
def test_a_pipe_or_folder_in_the_place_of_a_log_is_one_line(own: Path) -> None:
    os.mkfifo(own / "pipe")
    with pytest.raises(RunError, match="cannot write"):
        open_own(own / "pipe", "append")
    (own / "folder").mkdir()
    for mode in ("new", "append"):
        with pytest.raises(RunError, match="cannot write"):
            open_own(own / "folder", mode)  # type: ignore[arg-type]


def test_no_folder_is_made_through_a_link_out(home: Path, own: Path) -> None:
    (own / "cells").symlink_to(home)
    for place in ("cells", "cells/deeper", "../elsewhere"):
        with pytest.raises(RunError, match="leaves its folder"):
            make_folder(own / place, within=own)
    assert make_folder(own / "a" / "b", within=own).is_dir() and make_folder(own / "a" / "b", within=own)
    assert os.listdir(home) == ["key"]
    (own / "file").write_text("")
    with pytest.raises(RunError, match="a file is in the way: remove it, or set X"):
        make_folder(own / "file", within=own, mend="set X")


def test_nothing_is_removed_or_moved_behind_a_link_out(home: Path, own: Path) -> None:
    (home / "tree").mkdir()
    (own / "cells").symlink_to(home)
    for remove in (remove_file, remove_tree):
        with pytest.raises(RunError, match="cannot change"):
            remove(own / "cells" / "key", within=own)
    (own / "mine").write_text("")
    for a, b in (("cells/key", "stolen"), ("mine", "cells/key")):
        with pytest.raises(RunError, match="cannot change"):
            move(own / a, own / b, within=own)
    assert (home / "key").read_text() == "precious" and (home / "tree").is_dir()
    # A link itself may go; what it leads to stays.
    remove_tree(own / "cells", within=own)
    (own / "again").symlink_to(home / "key")
    remove_file(own / "again", within=own)
    remove_file(own / "again", within=own)
    move(own / "mine", own / "yours", within=own)
    assert os.listdir(own) == ["yours"] and (home / "key").read_text() == "precious"


def test_a_tree_with_a_link_in_it_is_removed_without_what_the_link_leads_to(home: Path, own: Path) -> None:
    (own / "old").mkdir()
    (own / "old" / "link").symlink_to(home)
    remove_tree(own / "old", within=own)
    assert not (own / "old").exists() and (home / "key").exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../key",
        "a/../../key",
        "C:\\key",
        "\\\\host\\share",
        "a\\..\\..\\key",
        "C:key",
        "a\0b",
    ],
)
def test_names_that_leave_the_folder_of_their_list_are_refused_on_every_system(own: Path, name: str) -> None:
    with pytest.raises(DataError, match="lies outside the folder"):
        relative_name(name)
    with pytest.raises(DataError):
        inside(own, name)


@pytest.mark.parametrize("name", ["a.jpg", "train/a b.jpg", "..a", "a..b/c", "é/虎.png", "./a.png"])
def test_names_below_the_folder_are_given_back(own: Path, name: str) -> None:
    assert relative_name(name) == name and inside(own, name) == own / name


@pytest.mark.parametrize(
    "name", ["/any/dir/pwn:all", "..", ".hidden", "a/b", "a\\b", "a:b", "", "a\nb", "x" * 101, "a*"]
)
def test_a_split_that_could_lead_elsewhere_is_no_part_of_a_file_name(name: str) -> None:
    with pytest.raises(DataError, match=r"split '.*' cannot be part of a file's name \(.*\): rename it"):
        check_file_part(name, what="split")


@pytest.mark.parametrize("name", ["train", "id_val", "held-out", "Val 2", "é", "a.b"])
def test_usual_split_names_pass(name: str) -> None:
    assert check_file_part(name, what="split") == name


def test_a_run_is_not_written_into_other_things_behind_a_link(home: Path, tmp_path: Path, own: Path) -> None:
    (tmp_path / "demo").symlink_to(home)
    with pytest.raises(ConfigError, match="is a link to a folder that is not a run"):
        make_run_folder(tmp_path / "demo")
    (tmp_path / "empty").symlink_to(own)
    assert make_run_folder(tmp_path / "empty").is_dir()
    (own / "run.json").write_text("{}")
    assert make_run_folder(tmp_path / "empty").is_dir()
    assert os.listdir(home) == ["key"]


def test_the_record_of_a_run_is_not_read_through_a_link_out(home: Path, own: Path) -> None:
    (home / "tokens.json").write_text('{"command": ["token"]}')
    (own / "run.json").symlink_to(home / "tokens.json")
    with pytest.raises(DataError, match="leaves its folder"):
        read_run_record(own)
