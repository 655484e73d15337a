from __future__ import annotations

import os
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_core.errors import ConfigError
from chimera_core.files import toml
from chimera_core.files.toml import LARGEST_BYTES, read_toml, to_toml, write_toml

TEXT = '''\
# a comment with a = 1
top = 1   # line 2

[plugins.timm]
enabled = true
words = [
    "a",
    "b ] = [",
]
"quoted key" = { inner = { deep = 2 }, other = 3 }
long = """
[not.a.table]
enabled = 4
"""
after.dotted = 5

[[members]]
label = "x"
[members.source]
name = "celeba"
[[members]]
label = "y"
[[members.marks]]
size = 1
[[members.marks]]
size = 2
'''


def read(tmp_path: Path, text: str) -> Any:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8", newline="")
    return read_toml(tmp_path / "a.toml", what="registry")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("top",), 2),
        (("plugins",), 4),
        (("plugins", "timm"), 4),
        (("plugins", "timm", "enabled"), 5),
        (("plugins", "timm", "words", 1), 6),
        (("plugins", "timm", "quoted key", "inner", "deep"), 10),
        (("plugins", "timm", "long"), 11),
        (("plugins", "timm", "after", "dotted"), 15),
        (("members", 0, "label"), 18),
        (("members", 0, "source", "name"), 20),
        (("members", 1, "label"), 22),
        (("members", 1, "marks", 0, "size"), 24),
        (("members", 1, "marks", 1, "size"), 26),
        (("plugins", "timm", "missing"), 4),
        (("members", 1, "missing"), 21),
        (("nowhere", "at", "all"), None),
    ],
)
def test_the_line_of_every_key_is_found(
    tmp_path: Path, newline: str, keys: tuple[str | int, ...], line: int | None
) -> None:
    assert read(tmp_path, TEXT.replace("\n", newline)).line_of(keys) == line


def test_a_place_names_file_and_line(tmp_path: Path) -> None:
    file = read(tmp_path, TEXT)
    assert file.place(("top",)) == f"registry {tmp_path / 'a.toml'} line 2"
    assert file.place(("nothing",)) == f"registry {tmp_path / 'a.toml'}"


keys = st.text(string.ascii_letters + "-_ .\"'#=[]", min_size=1, max_size=6)
leaves = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)
tables = st.dictionaries(keys, values, max_size=5)


@pytest.mark.slow
@given(tables)
def test_what_is_written_is_read_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(table)) == table


@settings(max_examples=60)
@given(tables)
def test_every_value_that_is_written_has_the_line_where_it_stands(table: dict[str, Any]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.toml"
        write_toml(path, table, comment="first\nsecond")
        file = read_toml(path, what="config file")
        lines = path.read_text(encoding="utf-8").split("\n")
        for key, value in table.items():
            line = file.line_of((key,))
            assert line is not None and line > 2
            if not isinstance(value, dict):
                assert tomllib.loads(lines[line - 1]) == {key: value}


def test_none_is_left_out(tmp_path: Path) -> None:
    write_toml(tmp_path / "a.toml", {"a": None, "b": {"c": None, "d": 1}, "e": [{"f": None, "g": Path("x")}]})
    assert tomllib.loads((tmp_path / "a.toml").read_text()) == {"b": {"d": 1}, "e": [{"g": "x"}]}


@pytest.mark.parametrize("name", ["gone.toml", "folder", "pipe", "/dev/zero", "big.toml", "nul\0l"])
def test_what_is_no_file_of_toml_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "big.toml", "wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(ConfigError, match=r"name a TOML file|mend the file") as caught:
        read_toml(tmp_path / name, what="registry")
    assert str(caught.value).isprintable()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        'a = """\n' + "x" * 1000 + ("\n" + "y" * 1000) * 1000 + '\n"""\nb = 1\n',
        "a = [\n" + "1,\n" * 100_000 + "]\nb = 1\n",
        ("a." * 40 + "b = 1\n[[x]]\n") * 8000 + "b = 1\n",
    ],
)
def test_looking_for_a_line_parses_no_more_than_it_may(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, loads = read(tmp_path, text), tomllib.loads
    lengths: list[int] = []

    def counted(statement: str) -> dict[str, Any]:
        lengths.append(len(statement))
        return loads(statement)

    monkeypatch.setattr(tomllib, "loads", counted)
    file.line_of(("b",))  # it may give up
    assert 0 < sum(lengths) <= toml._BUDGET_CHARACTERS


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\x7f\x9bb", "a\u202eb", "a\u00a0b", "\U000e0041", "虎 é"])
def test_what_does_not_print_is_escaped_and_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.toml"
    write_toml(path, {"name": name, name: 1})
    assert read_toml(path, what="file").table == {"name": name, name: 1}
    assert path.read_text().replace("\n", "").isprintable()


# What editors and folders do


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_skipped_and_lines_are_still_known(tmp_path: Path, encoding: str) -> None:
    text = 'top = "é"\r\n[a]\r\nb = 2\r\n'
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "a.toml").write_bytes((mark + text).encode(encoding))
    file = read_toml(tmp_path / "a.toml", what="config file")
    assert file.table == {"top": "é", "a": {"b": 2}}
    assert (file.line_of(("top",)), file.line_of(("a", "b"))) == (1, 3)


def test_relative_paths_are_found_in_the_current_folder_first_and_then_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sub/data", "sub/both", "here/both", "sub/deep/er"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sub" / "lion.jpg").touch()
    (tmp_path / "sub" / "zebra").touch()
    monkeypatch.chdir(tmp_path / "here")
    table = {
        "root": "data",
        "celeba_root": "both",
        "parents": ["lion.jpg", "zebra", "nowhere.jpg"],
        "source": {"options": {"root": "data", "size": 4, "label": "data"}},
        "members": [{"source": {"options": {"root": "deep/er"}}}],
        "output_folder": "new",
        "file": "",
    }
    path = tmp_path / "sub" / "a.toml"
    write_toml(path, table)
    found = read_toml(Path("../sub/a.toml"), what="config file", paths_beside=True).table
    assert found == {
        "root": "../sub/data",
        "celeba_root": "both",
        "parents": ["../sub/lion.jpg", "zebra", "nowhere.jpg"],  # zebra may be a class
        "source": {"options": {"root": "../sub/data", "size": 4, "label": "data"}},
        "members": [{"source": {"options": {"root": "../sub/deep/er"}}}],
        "output_folder": "new",
        "file": "",
    }
    assert read_toml(path, what="registry").table == table
