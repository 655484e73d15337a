"""Streams that are closed, full or of another encoding, and what strangers' names may do to a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.cli._output import print_json, print_table
from chimera_core.cli._streams import _cleaned, clean, terminal_of
from chimera_core.errors import RunError

pytestmark = pytest.mark.slow

NASTY = "dog\x1b]0;owned\x07\x1b[2J\u202e\x9bgod"
FULL = Path("/dev/full")
# As `chimera` does, with a command that writes a file between two prints.
PROGRAM = """
import click, sys
from chimera_core.cli import main, root
@click.command()
def made():
    print("remark", file=sys.stderr)
    open("picture", "w").write("whole")
    click.echo(chr(0x864e))
    print("done", file=sys.stderr)
root.root.get_command = lambda ctx, name: made
root._COMMANDS["made"] = ""
main(["made"])
"""


def shell(redirect: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = f'"{sys.executable}" -P program.py {redirect}'
    (folder / "program.py").write_text(PROGRAM)
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environ,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix shell")
@pytest.mark.parametrize(
    "redirect", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-", "2>/dev/full", "2>/dev/full >/dev/null"]
)
def test_a_stream_that_is_closed_or_full_costs_neither_the_picture_nor_the_exit_code(
    tmp_path: Path, redirect: str
) -> None:
    if "full" in redirect and not FULL.exists():
        pytest.skip("no /dev/full")
    done = shell(redirect, tmp_path)
    assert done.returncode == 0, done.stderr
    # With number 2 free, the picture would have got it, and the remarks would be in it.
    assert (tmp_path / "picture").read_text() == "whole"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_stdout_is_one_line_and_the_picture_stays(tmp_path: Path, unbuffered: str) -> None:
    done = shell(">/dev/full", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1 and (tmp_path / "picture").read_text() == "whole"
    assert done.stderr.splitlines()[-1] == (
        "chimera: cannot write to standard output: the disk is full: free some space or write elsewhere"
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix shell")
@pytest.mark.parametrize(
    ("encoding", "written"), [("cp1252", b"\\u864e"), ("ascii", "虎".encode()), ("utf-8", "虎".encode())]
)
def test_a_name_that_the_encoding_lacks_is_an_escape(tmp_path: Path, encoding: str, written: bytes) -> None:
    done = shell("> out.txt", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.txt").read_bytes().strip() == written


def test_what_moves_the_cursor_becomes_an_escape_and_lines_and_tabs_stay() -> None:
    assert clean("plain\tand\n虎 é\n") == "plain\tand\n虎 é\n"
    assert clean(NASTY) == r"dog\x1b]0;owned\x07\x1b[2J\u202e\x9bgod"
    assert clean("50 %\rchimera: all is well\n") == "50 %\\rchimera: all is well\n"
    assert clean("\r 50 %") == "\r 50 %"
    assert clean("\udcff") == r"\udcff"


def stream(
    encoding: str = "utf-8", *, is_lossy: bool = False, raw: io.RawIOBase | None = None
) -> tuple[Any, Any]:
    memory = raw or io.BytesIO()
    return _cleaned(io.TextIOWrapper(memory, encoding=encoding), 1, is_lossy=is_lossy), memory  # type: ignore[arg-type]


def test_everything_that_is_printed_passes_one_cleaner(monkeypatch: pytest.MonkeyPatch) -> None:
    import logging
    import traceback
    import warnings

    found, memory = stream()
    monkeypatch.setattr(sys, "stderr", found)
    print(NASTY, file=sys.stderr)
    handler = logging.StreamHandler(sys.stderr)
    handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, NASTY, (), None))
    sys.stderr.write(warnings.formatwarning(NASTY, UserWarning, "x.py", 1, ""))
    try:
        raise ValueError(NASTY)
    except ValueError:
        traceback.print_exc()
    found.flush()
    text = memory.getvalue().decode()
    assert text.count(r"dog\x1b]0;owned") == 4 and "\x1b" not in text and "\x9b" not in text


def test_our_own_colours_go_round_the_cleaner_and_cells_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found, memory = stream()
    monkeypatch.setattr(sys, "stdout", found)
    terminal_of(found).write("\x1b[1m")
    print_table((NASTY, "[bold]b"), [(NASTY + "\nforged", "[red]c")])
    found.flush()
    text = memory.getvalue().decode()
    assert text.startswith("\x1b[1m") and "\x1b" not in text[4:]
    assert text.count(r"dog\x1b]0;owned") == 2 and r"god\nforged" in text and "[red]c" in text


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_json_stays_json_whatever_the_names_and_the_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    found, memory = stream(encoding)
    monkeypatch.setattr(sys, "stdout", found)
    value = {"é虎": [NASTY, "a\nb\tc", "\udcff", "\U0001f984\u200d", 1.5, None]}
    print_json(value)
    found.flush()
    text = memory.getvalue().decode(encoding)
    assert json.loads(text) == value and text.replace("\n", "").isprintable()
    assert ("虎" in text) == (encoding == "utf-8")


class Refusing(io.RawIOBase):
    """A device that takes nothing."""

    def __init__(self, number: int, error: OSError) -> None:
        self.number, self.error = number, error

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def write(self, data: Any) -> int:
        raise self.error


@pytest.mark.parametrize("is_lossy", [True, False])
def test_a_refusing_stream_is_dropped_or_an_error_once_and_then_goes_nowhere(
    tmp_path: Path, is_lossy: bool
) -> None:
    with open(tmp_path / "a", "wb") as file:
        found, _ = stream(
            is_lossy=is_lossy, raw=Refusing(file.fileno(), OSError(28, "No space left on device"))
        )
        found.write("text\n" * 5000) if is_lossy else None
        if not is_lossy:
            with pytest.raises(RunError, match="cannot write to standard output: the disk is full"):
                found.write("text\n" * 5000)
                found.flush()
        assert os.fstat(file.fileno()).st_rdev == os.stat(os.devnull).st_rdev


def test_a_source_with_escapes_in_its_names_shows_them_as_such(
    tmp_path: Path, here: Callable[..., tuple[int, str, str]], picture: Callable[..., Path]
) -> None:
    for name in ("dog\x1b[31m", "cat\nclasses (9): forged"):
        (tmp_path / "root" / name).mkdir(parents=True)
        picture("x.png").rename(tmp_path / "root" / name / "a.png")
    code, out, _ = here("source", "info", "folder", "--root", tmp_path / "root")
    assert code == 0 and r"dog\x1b[31m" in out and r"cat\nclasses (9): forged" in out
    code, out, _ = here("source", "info", "folder", "--root", tmp_path / "root", "--json")
    assert set(json.loads(out)["classes"]) == {"dog\x1b[31m", "cat\nclasses (9): forged"}


def test_bytes_have_stdout_for_themselves_whoever_prints_meanwhile() -> None:
    code = """
import os, subprocess, sys
from chimera_core.cli._streams import prepare_streams, stdout_for_bytes
prepare_streams()
with stdout_for_bytes() as stream:
    print("a print")
    os.write(1, b"of C\\n")
    subprocess.run([sys.executable, "-c", "print('of a child')"])
    stream.write(bytes(range(256)))
print("afterwards")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.stdout == bytes(range(256)) + b"afterwards" + os.linesep.encode()
    assert sorted(done.stderr.decode().splitlines()) == ["a print", "of C", "of a child"]
