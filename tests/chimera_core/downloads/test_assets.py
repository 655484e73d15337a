"""An asset comes whole, verified and once; what lies under its name is never trusted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys.unruly_server import (
    BODY,
    NAME,
    NOWHERE,
    OTHER,
    PART,
    Server,
    chunked,
    entry_of,
    fetched,
    gives,
    left_in,
    refused,
)

from chimera_core.downloads import assets
from chimera_core.downloads.assets import asset_path
from chimera_core.errors import DataError, RunError

pytestmark = pytest.mark.usefixtures("impatient")


def test_an_asset_comes_whole_and_only_once(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(pause_s=0.001)
    reported: list[tuple[float, float]] = []
    folder = tmp_path / "not" / "yet"
    for _ in range(2):
        path = asset_path(entry_of(server.url()), folder, progress=lambda *now: reported.append(now))
    assert path == folder / NAME
    assert path.read_bytes() == BODY
    assert left_in(folder) == {NAME}
    assert server.requests == [("/m", None, None)]
    assert reported == sorted(reported)
    assert [now for now in reported if now[0] >= now[1]] == [(len(BODY), len(BODY))]


def test_a_published_prefix_of_the_checksum_is_enough(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives()
    entry = entry_of(server.url(), sha256="", sha256_prefix=hashlib.sha256(BODY).hexdigest()[:8].upper())
    assert asset_path(entry, tmp_path).read_bytes() == BODY
    entry = entry_of(server.url(), sha256="", sha256_prefix="0" * 8, filename="b.pth")
    with pytest.raises(RunError, match="sha256 beginning with 00000000"):
        asset_path(entry, tmp_path)


def test_a_body_of_unannounced_length_is_taken(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = chunked(BODY[:1000], BODY[1000:])
    assert fetched(server, tmp_path) == BODY


def test_a_file_address_is_copied_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    source, folder = tmp_path / "my weights.pth", tmp_path / "assets"
    folder.mkdir()
    assert "file: there is no such file" in refused(entry_of(source.as_uri()), folder)
    assert "file: there is no such file" in refused(entry_of(tmp_path.as_uri()), folder)
    source.write_bytes(BODY[:9])
    assert "a file of 9 bytes instead of 300,000" in refused(entry_of(source.as_uri()), folder)
    source.write_bytes(BODY)
    for part in (BODY[:1000], OTHER + b"more"):
        (folder / PART).write_bytes(part)
        assert asset_path(entry_of(source.as_uri()), folder).read_bytes() == BODY
        (folder / NAME).unlink()


@pytest.mark.slow
def test_a_trickle_is_waited_for_however_long_it_takes(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(block=30_000, pause_s=0.15)
    start = time.monotonic()
    asset_path(entry_of(server.url()), tmp_path, timeout_s=1)
    assert time.monotonic() - start > 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (OTHER, f"has sha256 {hashlib.sha256(OTHER).hexdigest()} instead of"),
        (BODY[:-1], "has 299,999 bytes instead of 300,000"),
        (b"", "has 0 bytes instead of 300,000"),
    ],
    ids=["content", "short", "empty"],
)
def test_a_wrong_file_under_the_name_is_said_and_left_alone(tmp_path: Path, wrong: bytes, words: str) -> None:
    (tmp_path / NAME).write_bytes(wrong)
    with pytest.raises(DataError, match=rf"model\.pth' {words}.*: remove it") as caught:
        asset_path(entry_of(NOWHERE), tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / NAME).read_bytes() == wrong
    assert os.listdir(tmp_path) == [NAME]


def test_a_file_that_changes_later_is_noticed(tmp_path: Path) -> None:
    entry = entry_of(NOWHERE)
    (tmp_path / NAME).write_bytes(BODY)
    asset_path(entry, tmp_path)
    (tmp_path / NAME).write_bytes(OTHER)
    os.utime(tmp_path / NAME, ns=(0, 0))
    with pytest.raises(DataError, match="has sha256"):
        asset_path(entry, tmp_path)


def test_a_file_is_hashed_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = entry_of(NOWHERE)
    (tmp_path / NAME).write_bytes(BODY)
    asset_path(entry, tmp_path)
    monkeypatch.setattr(assets.hashlib, "file_digest", None)
    asset_path(entry, tmp_path)


def test_a_folder_under_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(DataError, match="is not a file"):
        asset_path(entry_of(NOWHERE), tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_the_right_file_serves_and_a_dangling_one_is_replaced(
    server: Server, tmp_path: Path
) -> None:
    server.answers["/m"] = gives()
    elsewhere = tmp_path / "shared.pth"
    (tmp_path / NAME).symlink_to(elsewhere)
    assert fetched(server, tmp_path) == BODY
    (tmp_path / NAME).rename(elsewhere)
    (tmp_path / NAME).symlink_to(elsewhere)
    asset_path(entry_of(server.url()), tmp_path)
    assert len(server.requests) == 1


def test_importing_it_loads_neither_torch_nor_the_network() -> None:
    code = (
        "import sys, chimera_core.downloads.assets, chimera_core.files.weights\n"
        "print({'torch', 'numpy', 'filelock', 'urllib.request', 'safetensors'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
