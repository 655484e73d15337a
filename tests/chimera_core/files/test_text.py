"""Whatever lies under the name of a text file of ours, reading it ends soon: in a value or in one line."""

from __future__ import annotations

import json
import logging
import os
import runpy
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_core.compare.experiment.cells import read_record
from chimera_core.data.packed import read_index
from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.files.locks import holder_of
from chimera_core.files.text import DEEPEST, parse_json, read_bytes, read_json, read_json_table, read_text
from chimera_core.files.toml import read_toml
from chimera_core.library.visibility_cache import VisibilityCache
from chimera_core.models.header import read_notes
from chimera_core.report.reading import read_comparison
from chimera_core.runs.checkpoints import read_checkpoint, read_state
from chimera_core.runs.record import read_run_record
from chimera_core.training.parts.metrics import read_metrics

pytestmark = pytest.mark.timeout(60)
needs_fifo = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes among files")

BAD_JSON = {
    "brackets": "[" * 100_000,
    "closed": "[" * 100_000 + "]" * 100_000,
    "tables": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "digits": '{"seed": 1' + "0" * 5000 + "}",
    "float": '{"wall_s": 1e400}',
    "cut": '{"status": "do',
    "no text": b'{"status": "\xff\xfe"}',
    "nothing": "",
    "a list": "[1, 2]",
}
"""What was met in strangers' folders, or what a parser stumbled over."""


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@contextmanager
def within(seconds: float, *, most_mb: int = 200) -> Iterator[None]:
    """Fail if the block took more of the processor's time, or of memory for Python's objects."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < seconds
        assert tracemalloc.get_traced_memory()[1] < most_mb << 20
    finally:
        tracemalloc.stop()


# The reader itself


@pytest.mark.parametrize("name", ["folder", "pipe", "/dev/zero", "long", "nul\0l"])
@needs_fifo
def test_what_is_no_file_of_text_is_refused_at_once_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "long", "wb") as file:
        file.truncate(10 << 30)  # a hole: it takes no disk
    with within(2), pytest.raises(DataError, match=r"cannot be read .*: mend it") as caught:
        read_bytes(tmp_path / name, mend="mend it")
    assert str(caught.value).isprintable()


def test_a_missing_file_is_told_from_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "gone")
    with pytest.raises(NotADirectoryError):
        read_text(write(tmp_path / "file", "") / "gone")


def test_a_file_as_long_as_allowed_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "x" * 100)
    assert read_text(path, most_bytes=100) == "x" * 100
    with pytest.raises(DataError, match="more than 99 bytes"):
        read_text(path, most_bytes=99)


@pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="only Linux has files that claim no length"
)
def test_a_file_that_claims_no_length_is_read() -> None:
    assert "VmRSS" in read_text("/proc/self/status")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert read_json(write(tmp_path / "a", '\ufeff{"a": "é"}')) == {"a": "é"}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_bad_json_is_refused_in_one_line_that_names_file_and_mend(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.json", BAD_JSON[kind])
    with within(2), pytest.raises(DataError, match=r"a\.json' is damaged.* \(.*\): mend it") as caught:
        read_json_table(path, mend="mend it")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1])
def test_depth_is_counted_outside_of_strings_alone(depth: int) -> None:
    # Brackets and escapes in the strings would fool a plain count, either way.
    text = r'["]]]}\\\"]", ' * depth + r'"[[[[{\"[["' + "]" * depth
    if depth <= DEEPEST:
        assert parse_json(text) == json.loads(text)
    else:
        with pytest.raises(ValueError, match="brackets deeper than"):
            parse_json(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**200), 10**200) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
def test_what_python_writes_is_read_as_python_reads_it(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@given(st.text('[]{}",:\\ a1'))
def test_all_other_text_ends_as_python_ends_it(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)
    else:
        assert parse_json(text) == expected


def test_strings_that_never_end_cost_no_time(tmp_path: Path) -> None:
    text = "[" * 101 + '"\\"' * 500_000
    with within(3, most_mb=400), pytest.raises(ValueError, match=r"(Expecting|brackets)"):
        parse_json(text)


# Everything that reads through it


def _read_comparison_record(folder: Path) -> Any:
    return read_record(folder, "abc")


READERS: dict[str, tuple[str, Callable[[Path], Any], type[ChimeraError] | None]] = {
    "run.json": ("run.json", read_run_record, ConfigError),
    "comparison.json": ("comparison.json", read_comparison, ConfigError),
    "index.json": ("index.json", read_index, DataError),
    "a cell": ("cells/abc.json", _read_comparison_record, None),
    "a checkpoint": ("000000007.json", lambda folder: read_checkpoint(folder, 7), DataError),
    "its state": ("000000007.json", lambda folder: read_state(folder, 7), None),
    "a lock": (".lock.json", lambda folder: holder_of(folder / ".lock"), None),
    "visibility": (
        "visibility.json",
        lambda folder: VisibilityCache(folder / "visibility.json")._read(),
        None,
    ),
}
"""File, reader, and the error it ends in; None: a damaged file is as good as none."""


@pytest.mark.parametrize("kind", BAD_JSON)
@pytest.mark.parametrize("reader", READERS)
def test_each_reader_ends_in_its_own_error_or_in_nothing(tmp_path: Path, reader: str, kind: str) -> None:
    name, read, error = READERS[reader]
    write(tmp_path / name, BAD_JSON[kind])
    with within(3):
        _ends_in(read, tmp_path, error)


@pytest.mark.parametrize("reader", READERS)
@needs_fifo
def test_no_reader_waits_for_a_pipe_or_a_device(tmp_path: Path, reader: str) -> None:
    name, read, error = READERS[reader]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with within(2):
        _ends_in(read, tmp_path, error)


def _ends_in(read: Callable[[Path], Any], folder: Path, error: type[ChimeraError] | None) -> None:
    if error is None:
        assert not read(folder)
    else:
        with pytest.raises(error) as caught:
            read(folder)
        assert str(caught.value).isprintable()


# What runs say


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", ["done"]),
        ("kind", {}),
        ("command", "chimera fuse"),
        ("command", ["chimera", 7]),
        ("classes", {"cat": 1}),
        ("classes", [1, None]),
        ("seed", "1"),
        ("images", True),
        ("images", 10**30),
        ("images", 1.5),
        ("wall_s", float("nan")),
        ("wall_s", float("-inf")),
        ("parameters", "many"),
        ("final", []),
    ],
)
def test_a_wrong_type_in_a_run_is_named(tmp_path: Path, key: str, value: Any) -> None:
    write(tmp_path / "run.json", json.dumps({"status": "done", key: value}))
    with pytest.raises(ConfigError, match=rf"run\.json' is damaged: {key} is .*: name another run"):
        read_run_record(tmp_path)


def test_what_is_not_known_of_a_run_may_be_null_or_missing(tmp_path: Path) -> None:
    record = {"status": "done", "final": None, "seed": 2**31, "parameters": {"a": 1}, "later": [[1]]}
    write(tmp_path / "run.json", json.dumps(record))
    assert read_run_record(tmp_path) == record


@needs_fifo
def test_metrics_that_are_a_pipe_or_no_json_are_named(tmp_path: Path) -> None:
    write(tmp_path / "metrics.jsonl", '{"images": 1, "loss": NaN}\n{"images": 1')
    assert [line["images"] for line in read_metrics(tmp_path)] == [1]
    write(tmp_path / "metrics.jsonl", "[" * 100_000 + "\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl' is damaged"):
        read_metrics(tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(DataError, match="a pipe"):
        read_metrics(tmp_path)


# TOML


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (".".join("a" * 20_000) + " = 1", "a key of more than 50 parts"),
        ("[" + ".".join("a" * 20_000) + "]\nb = 1", "a key of more than 50 parts"),
        ("b = {" + " . \"=,\".'#' . ".join("a" * 5000) + " = 1}", "a key of more than 50 parts"),
        ("a = " + "[" * 100_000, "brackets deeper than"),
        ("a = " + "[" * 100_000 + "]" * 100_000, "brackets deeper than"),
        ("a = " + ("{" + "a." * 30 + "a = ") * 20 + "1" + "}" * 20, "tables deeper than"),
        ("weights = [[1" + "0" * 400 + ", 1]]", r"weights\.0\.0: a number of 1,329 bits is out of range"),
        ("seed = 0x" + "f" * 10_000, "a number of 40,000 bits is out of range"),
        ("seed = -" + "1" * 5000, "cannot be read"),
        ("x" * (1 << 20) + " = 1", "more than 1,048,576 bytes"),
        ('a = """' + '\\"""' * 200_000, "cannot be read"),
    ],
    ids=lambda value: value[:12],
)
def test_toml_that_would_take_the_parser_long_is_refused_first(tmp_path: Path, text: str, why: str) -> None:
    path = write(tmp_path / "a.toml", text)
    with within(5), pytest.raises(ConfigError, match=why) as caught:
        read_toml(path, what="config file")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "a = [" + "0.5, " * 10_000 + "]",
        'a = "' + "." * 1000 + '"',
        "a = '''\n" + "." * 1000 + '["[\'[\n""" = [\n' + "[" * 1000 + "'''''\nb = 1",
        'a = """\n\\"""' + "[." * 1000 + '"""""\nb = 1',
        "# " + ". [ \" ' " * 1000 + "\nb = 1",
        ".".join("a" * 50) + " = 1",
        "a = " + "[" * 90 + "]" * 90,
        "a = 9223372036854775807",
    ],
    ids=range(8),
)
def test_dots_and_brackets_of_values_and_comments_do_not_count(tmp_path: Path, text: str) -> None:
    import tomllib

    assert read_toml(write(tmp_path / "a.toml", text), what="file").table == tomllib.loads(text)


# Headers of weights


@pytest.mark.parametrize("length", [0, 1, 3 << 30, (1 << 64) - 1])
def test_a_header_that_claims_gigabytes_is_refused_at_once(tmp_path: Path, length: int) -> None:
    path = write(tmp_path / "a.safetensors", length.to_bytes(8, "little") + b"{}" + b"\0" * 64)
    with within(1), pytest.raises(DataError, match=rf"a header of {length:,} bytes.*: get it anew"):
        read_notes(path)


def test_a_header_that_is_there_but_too_long_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with open(path, "wb") as file:
        file.write((90 << 20).to_bytes(8, "little"))
        file.truncate(100 << 20)
    with within(1), pytest.raises(DataError, match="are allowed"):
        read_notes(path)


@pytest.mark.parametrize("notes", [BAD_JSON["closed"], BAD_JSON["digits"], BAD_JSON["float"]])
def test_bad_notes_in_a_header_are_refused(tmp_path: Path, notes: str) -> None:
    header = json.dumps({"__metadata__": {"chimera": notes}}).encode()
    path = write(tmp_path / "a.safetensors", len(header).to_bytes(8, "little") + header)
    with within(2), pytest.raises(DataError, match="is damaged"):
        read_notes(path)


def test_a_header_whose_tensors_claim_gigabytes_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 4 << 30]}}).encode()
    path = write(tmp_path / "a.safetensors", len(header).to_bytes(8, "little") + header)
    with within(1), pytest.raises(DataError, match="is damaged"):
        read_notes(path)


@pytest.mark.slow
@pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="the peak of memory is measured on Linux"
)
@pytest.mark.timeout(180)
def test_damaged_files_of_every_kind_end_in_a_value_or_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmarks = Path(__file__).resolve().parents[3] / "benchmarks"
    monkeypatch.syspath_prepend(str(benchmarks))
    monkeypatch.setattr(sys, "argv", ["fuzz_texts.py", "--files", "330", "--seed", "7"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(benchmarks / "fuzz_texts.py"), run_name="__main__")
    logging.disable(logging.NOTSET)
    assert ended.value.code == 0, capsys.readouterr().out
