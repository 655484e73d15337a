"""Where assets are kept: full disks, limits, links, and other processes that fetch the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from toys.unruly_server import (
    BODY,
    NAME,
    NOWHERE,
    PART,
    Handler,
    Server,
    entry_of,
    fetched,
    gives,
    left_in,
    one_after_the_other,
    refused,
    stalls_after,
)

from chimera_core.downloads import assets
from chimera_core.downloads.assets import asset_path
from chimera_core.errors import RunError
from chimera_core.plugins.entries import AssetEntry

pytestmark = pytest.mark.usefixtures("impatient")


def test_too_little_space_is_said_before_anything_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 200_000)
    monkeypatch.setattr(assets.shutil, "disk_usage", lambda path: usage)
    message = refused(entry_of(server.url()), tmp_path)
    assert "300,000 bytes are missing" in message
    assert "only 200,000 free: free some space, or name another folder with CHIMERA_ASSETS" in message
    assert server.requests == []
    # What is in the part already needs no space.
    server.answers["/m"] = gives()
    (tmp_path / PART).write_bytes(BODY[:100_000])
    asset_path(entry_of(server.url()), tmp_path)


def test_a_file_size_limit_leaves_a_part_to_go_on_with(server: Server, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are Unix's")
    server.answers["/m"] = gives()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        message = refused(entry_of(server.url()), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "model.pth.part': the file grows above the size allowed" in message
    assert (tmp_path / PART).read_bytes() == BODY[:100_000]
    asset_path(entry_of(server.url()), tmp_path)
    assert server.sent[-1] == 200_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "chimera-test", str(disk)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs Linux and root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_line_and_after_tidying_it_goes_on(
    server: Server, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/m"] = gives()
    assert "300,000 bytes are missing" in refused(entry_of(server.url()), small_disk)
    assert server.requests == []
    with monkeypatch.context() as lying:  # another program fills the disk after we looked
        usage = namedtuple("usage", "total used free")(10**9, 0, 10**9)
        lying.setattr(assets.shutil, "disk_usage", lambda path: usage)
        message = refused(entry_of(server.url()), small_disk)
    assert "model.pth.part': the disk is full: free some space" in message
    kept = (small_disk / PART).stat().st_size
    assert 100_000 < kept < 300_000
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    assert asset_path(entry_of(server.url()), small_disk).read_bytes() == BODY
    assert server.requests[-1][1] == f"bytes={kept}-"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make the folder '.*assets': a part of the path is a file"):
        asset_path(entry_of(NOWHERE), tmp_path / "file" / "assets")
    with pytest.raises(RunError, match=r"a\\x00b.*choose another name"):
        asset_path(entry_of(NOWHERE), tmp_path / "a\0b")


def start_child(entry: AssetEntry, folder: Path) -> subprocess.Popen[str]:
    code = (
        "import sys; from chimera_core.downloads.assets import asset_path; from chimera_core.plugins.entries import AssetEntry\n"
        "entry = AssetEntry.model_validate_json(sys.argv[1]); print('ready', flush=True)\n"
        "print(asset_path(entry, sys.argv[2]).name)"
    )
    arguments = [sys.executable, "-c", code, entry.model_dump_json(), str(folder)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_killed_process_leaves_a_part_that_the_next_continues(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = one_after_the_other(stalls_after(1000), gives())
    child = start_child(entry_of(server.url()), tmp_path)
    deadline = time.monotonic() + 20
    while not ((tmp_path / PART).exists() and (tmp_path / PART).stat().st_size == 1000):
        assert time.monotonic() < deadline, "nothing arrived"
        time.sleep(0.01)
    child.kill()
    _, err = child.communicate(timeout=20)
    assert child.returncode in (-signal.SIGKILL, 1) and err == ""
    assert left_in(tmp_path) == {PART, f".{NAME}.lock.json"}  # whose it was; it holds nothing by now
    assert fetched(server, tmp_path) == BODY
    assert server.sent == [299_000] and left_in(tmp_path) == {NAME}


@pytest.mark.slow
def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    both_started = threading.Event()

    def held(handler: Handler) -> None:
        both_started.wait(20)
        gives(pause_s=0.05)(handler)

    server.answers["/m"] = held
    children = [start_child(entry_of(server.url()), tmp_path) for _ in range(2)]
    time.sleep(0.2)
    both_started.set()
    messages = []
    for child in children:
        out, err = child.communicate(timeout=20)
        assert (out, child.returncode) == (f"{NAME}\n", 0), err
        messages += err.splitlines()
    assert len(messages) == 1 and re.fullmatch(
        rf"{NAME} is being fetched by process \d+ on .+: waiting for it", messages[0]
    )
    assert len(server.requests) == 1
    assert left_in(tmp_path) == {NAME}


def test_a_part_that_is_a_link_is_not_written_through(server: Server, tmp_path: Path) -> None:
    """Where several people share a folder of assets, one could have it laid there."""
    server.answers["/m"] = gives()
    (tmp_path / "assets").mkdir()
    for name, content in (("key", b"precious"), ("long", BODY)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / "assets" / PART).symlink_to(tmp_path / name)
        assert "it is a link: remove it" in refused(entry_of(server.url()), tmp_path / "assets")
        assert (tmp_path / name).read_bytes() == content
        (tmp_path / "assets" / PART).unlink()
    os.link(tmp_path / "key", tmp_path / "assets" / PART)
    assert asset_path(entry_of(server.url()), tmp_path / "assets").read_bytes() == BODY
    assert (tmp_path / "key").read_bytes() == b"precious"
