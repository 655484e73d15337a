"""``chimera studio`` says in one line what it needs."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.errors import ConfigError, RunError
from chimera_core.files.leftovers import temporary_name
from chimera_core.studio import private_folder
from chimera_core.studio.notebook import open_studio
from chimera_core.studio.private_folder import make_private_folder, remove_private_folder
from chimera_core.studio.server import serving

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def no_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "gradio" else find(name, *a)
    )


def test_without_the_extra_one_line_says_what_to_install(here: Here, no_gradio: None) -> None:
    code, out, err = here("studio")
    assert (code, out) == (2, "")
    assert err == "chimera: the studio needs the extra: pip install 'chimera-toolkit[studio]'\n"
    with pytest.raises(ConfigError, match="needs the extra"):
        open_studio()


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"host": "0.0.0.0"}, "give --password, or leave out --host"),
        ({"share": True}, "give --password, too"),
    ],
)
def test_nothing_is_opened_to_others_without_a_password(asked: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line), serving(**asked):
        pass


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"cannot listen on 127.0.0.1:{port}.*--port"), serving(port=port):
            pass


def test_the_private_folder_is_its_owners_and_removes_what_killed_studios_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / temporary_name("chimera-studio")
    gone.mkdir()
    (gone / "photograph.jpg").write_bytes(b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / temporary_name("chimera-studio")
    link.symlink_to(outside)
    folder = make_private_folder(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert gone.exists(), "its process, this one, is alive"
    monkeypatch.setattr(private_folder, "writer_is_gone", lambda name: name == gone.name or name == link.name)
    other = make_private_folder(tmp_path)
    assert not gone.exists() and outside.exists() and folder.exists()
    remove_private_folder(folder)
    remove_private_folder(other)
    remove_private_folder(outside)
    assert [p.name for p in tmp_path.iterdir() if p.name != link.name] == ["outside"]
