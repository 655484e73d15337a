"""What a killed process left half-written is removed by the next one; what somebody still writes is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chimera_core.files import atomic as files
from chimera_core.files import leftovers
from chimera_core.files.atomic import write_text_atomic
from chimera_core.files.leftovers import is_temporary, temporary_name, writer_is_gone

WRITER = """
import sys, time
from chimera_core.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def looked_through_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_swept", set())


def half_of_another(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder / "a.txt")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_next_writer_removes_what_a_killed_one_left_and_spares_what_is_being_written(
    tmp_path: Path,
) -> None:
    process, half = half_of_another(tmp_path)
    try:
        write_text_atomic(tmp_path / "b.txt", "whole")
        assert half.read_text() == "half"
        files._swept.clear()
        process.send_signal(signal.SIGKILL)
        process.wait()
        (tmp_path / ".mine.abcd1234.tmp").write_text("somebody else's")
        write_text_atomic(tmp_path / "b.txt", "whole")
        assert sorted(os.listdir(tmp_path)) == [".mine.abcd1234.tmp", "b.txt"]
    finally:
        process.kill()
        process.communicate()


def test_a_number_given_anew_is_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    name = temporary_name("a.txt")
    assert is_temporary(name) and writer_is_gone(name) is False
    begun = leftovers.begun(os.getpid())
    assert writer_is_gone(name.replace(f"-{begun}-", f"-{int(begun) - 1}-")) is True


def test_what_a_process_elsewhere_writes_stays_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_place", lambda: "0123abcd")
    names = [temporary_name(f"{k}.txt") for k in range(2)]
    monkeypatch.undo()
    monkeypatch.setattr(files, "_swept", set())
    assert all(writer_is_gone(name) is None for name in names)
    for name, age_s in zip(names, (3600, 90_000), strict=True):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    write_text_atomic(tmp_path / "b.txt", "whole")
    assert sorted(os.listdir(tmp_path)) == sorted([names[0], "b.txt"])


def test_long_and_strange_names_keep_within_what_disks_take(tmp_path: Path) -> None:
    for name in ("é" * 120, "a\nb.txt", "." * 3 + "x", "x-1-2-3.tmp"):
        write_text_atomic(tmp_path / name, "whole")
        made = temporary_name(name)
        assert is_temporary(made) and len(os.fsencode(made)) < 200
    assert not is_temporary(".picture.tmp") and not is_temporary(".a.abcd1234.tmp")
