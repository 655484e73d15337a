"""One process at a time: who holds a place is said, who died holds nothing, and folders without locks are known."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files import locks
from chimera_core.files.leftovers import temporary_name
from chimera_core.files.locks import hold, holder_of
from chimera_core.runs.record import check_free, is_untouched, run_status, work_in

HOLDER = """
import sys, time
from pathlib import Path
from chimera_core.files.leftovers import temporary_name
from chimera_core.files.locks import hold
with hold(Path(sys.argv[1]), what="place", work="trained"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold ``tmp_path/.lock``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@contextmanager
def held(lock: Path, **more: Any) -> Iterator[None]:
    with hold(lock, what="run a", work="trained", **more):
        yield


def pretend(lock: Path, **changed: Any) -> None:
    """Change what the name beside a lock says."""
    path = lock.with_name(f"{lock.name}.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def leave_a_name(lock: Path, **changed: Any) -> None:
    """Leave the name of a process beside a lock, as one that was killed does."""
    path = lock.with_name(f"{lock.name}.json")
    with held(lock):
        text = path.read_text()
    path.write_text(text)
    pretend(lock, **changed)


def test_a_second_process_hears_which_one_works_there_and_since_when(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(ConfigError) as caught, held(tmp_path / ".lock"):
        pass
    pattern = rf"run a is being trained by process {other.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d: wait for it, or end it first"
    assert re.fullmatch(pattern, str(caught.value))
    found = holder_of(tmp_path / ".lock")
    assert found is not None and found.pid == other.pid


def test_whoever_only_asks_who_holds_a_place_keeps_nobody_out(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    leave_a_name(lock, begun="0")  # as of one that was killed
    asking = threading.Event()

    def ask() -> None:
        with locks._system_lock(lock):
            asking.set()
            time.sleep(0.03)

    thread = threading.Thread(target=ask)
    thread.start()
    asking.wait()
    with held(lock):
        found = holder_of(lock)
        assert found is not None and found.pid == os.getpid()
    thread.join()


def test_who_was_killed_holds_nothing(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert (tmp_path / ".lock.json").exists()
    assert holder_of(tmp_path / ".lock") is None
    with held(tmp_path / ".lock"):
        found = holder_of(tmp_path / ".lock")
        assert found is not None and found.pid == os.getpid()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock"]


def test_waiting_ends_when_the_other_does_and_says_once_what_for(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    messages: list[str] = []

    def end_it(line: str) -> None:
        messages.append(line)
        other.terminate()

    with held(tmp_path / ".lock", wait=True, on_wait=end_it):
        pass
    assert len(messages) == 1 and messages[0].startswith(f"run a is being trained by process {other.pid} on ")


def test_a_machine_that_gave_a_sign_of_life_lately_holds_its_place_and_a_silent_one_does_not(
    tmp_path: Path,
) -> None:
    lock = tmp_path / ".lock"
    leave_a_name(lock, host="elsewhere", kernel="another boot", pid=1)
    with pytest.raises(ConfigError, match="process 1 on elsewhere"), held(lock):
        pass
    assert holder_of(lock) is not None
    past = time.time() - locks.SILENCE_S - 1
    os.utime(tmp_path / ".lock.json", (past, past))
    assert holder_of(lock) is None
    with held(lock):
        pass


def test_the_holder_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 0.02)
    with held(tmp_path / ".lock"):
        os.utime(tmp_path / ".lock.json", (0, 0))
        end = time.monotonic() + 30
        while (tmp_path / ".lock.json").stat().st_mtime == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert (tmp_path / ".lock.json").stat().st_mtime > 0


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file system answer as those do that know no locks."""
    import filelock

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)


def test_where_the_folder_knows_no_locks_the_name_decides(tmp_path: Path, without_locks: None) -> None:
    lock = tmp_path / ".lock"
    with held(lock):
        found = holder_of(lock)
        assert found is not None and found.pid == os.getpid()
        with pytest.raises(ConfigError, match=f"by process {os.getpid()} on"), held(lock):
            pass
        pretend(lock, begun="1")  # its number was given to this process later
        assert holder_of(lock) is None
    leave_a_name(lock, pid=2**22 + 1)
    with held(lock):
        pass


def test_on_windows_the_sign_of_life_decides_where_no_lock_does(
    tmp_path: Path, without_locks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "on_windows", lambda: True)
    monkeypatch.setattr(os, "kill", lambda *arguments: pytest.fail("signal 0 is Ctrl-C on Windows"))
    lock = tmp_path / ".lock"
    with held(lock):
        found = holder_of(lock)
        assert found is not None and found.pid == os.getpid()
        with pytest.raises(ConfigError, match=f"by process {os.getpid()} on"), held(lock):
            pass
    leave_a_name(lock)
    past = time.time() - locks.SILENCE_S - 5
    os.utime(lock.with_name(".lock.json"), (past, past))
    with held(lock):
        pass


@pytest.mark.parametrize("number", [2**22 + 1, 10**30])
def test_a_number_that_no_process_can_have_holds_nothing(
    tmp_path: Path, without_locks: None, number: int
) -> None:
    leave_a_name(tmp_path / ".lock", pid=number)
    assert holder_of(tmp_path / ".lock") is None


@pytest.mark.parametrize("name", [".lock", ".lock.json"])
def test_a_lock_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(ConfigError, match="is a link, and locks are files: remove it"),
        held(tmp_path / ".lock"),
    ):
        pass
    assert (tmp_path / "elsewhere").read_text() == "kept"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "1"}', "[" * 50, "\0"])
def test_a_damaged_name_is_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / ".lock.json").write_text(text)
    assert holder_of(tmp_path / ".lock") is None
    with held(tmp_path / ".lock"):
        pass


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "nowhere").touch()
    with (
        pytest.raises(ChimeraError, match=r"cannot write '.*nowhere/\.lock'"),
        held(tmp_path / "nowhere" / ".lock"),
    ):
        pass


def test_a_run_that_says_running_and_has_nobody_died(tmp_path: Path) -> None:
    run = tmp_path / "a"
    with work_in(run, work="trained"):
        assert run_status(run, {"status": "running"}) == "running"
        assert not is_untouched(tmp_path) and is_untouched(run)
        with pytest.raises(ConfigError, match="run a is being trained by process"):
            check_free(run)
    assert run_status(run, {"status": "running"}) == "died"
    assert run_status(run, {"status": "done"}) == "done"
    check_free(run)


def test_a_run_that_was_killed_before_its_record_was_there_begins_anew(tmp_path: Path) -> None:
    run = tmp_path / "a"
    run.mkdir()
    leave_a_name(run / ".lock")
    (run / "config.toml").write_text("")
    (run / temporary_name("run.json")).write_text('{"status": "run')
    assert is_untouched(run)
    with pytest.raises(KeyboardInterrupt), work_in(run, work="trained"):
        raise KeyboardInterrupt
    assert not run.exists()


def test_options_that_a_user_put_into_a_folder_are_not_of_a_run_that_never_began(tmp_path: Path) -> None:
    run = tmp_path / "a"
    run.mkdir()
    (run / "config.toml").write_text("mine")
    assert not is_untouched(run)
    with pytest.raises(KeyboardInterrupt), work_in(run, work="trained"):
        raise KeyboardInterrupt
    assert (run / "config.toml").read_text() == "mine"


def test_runs_list_and_show_tell_the_living_from_the_dead(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings_read_anew: None,
    here: Callable[..., tuple[int, str, str]],
) -> None:
    monkeypatch.setenv("CHIMERA_RUNS", str(tmp_path / "runs"))
    assert here("runs", "list", "--json")[1] == "[]\n"
    for name, status in (("alive", "running"), ("dead", "running"), ("whole", "done")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text(json.dumps({"kind": "encoder", "status": status}))
    (tmp_path / "runs" / "torn").mkdir()
    (tmp_path / "runs" / "torn" / "run.json").write_text("{")
    with work_in(tmp_path / "runs" / "alive", work="trained"):
        code, out, _ = here("runs", "list", "--json")
        shown = here("runs", "show", "alive", "--json")[1]
        assert "alive" in here("runs", "list")[1]
    found = {row["run"]: row["status"] for row in json.loads(out)}
    assert code == 0 and found == {"alive": "running", "dead": "died", "whole": "done", "torn": "damaged"}
    assert json.loads(shown)["worked_on_by"].startswith(f"process {os.getpid()} on ")
    assert "status: died\n" in here("runs", "show", "dead")[1]
    assert here("runs", "show", "alvie")[0] == 2
