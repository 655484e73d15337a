"""A new plugin's package is an example under another name, written whole or not at all."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from chimera_core.cli.root import run
from chimera_core.errors import ConfigError, RunError
from chimera_core.files.shipped import shipped_path
from chimera_core.plugins import licences
from chimera_core.plugins.new_package import EXAMPLES, Words, check_name, package_files, write_package

KINDS = sorted(EXAMPLES)


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_under_its_own_name_is_itself(kind: str) -> None:
    words = Words(EXAMPLES[kind])
    files = package_files(words, kind=kind, licence="Apache-2.0")
    of_new = {".github/workflows/test.yml", "LICENSE", "README.md"}  # the last is written from the kind
    folder = shipped_path("examples/plugins") / words.distribution
    assert files.keys() >= of_new | {"pyproject.toml"}
    for path in files.keys() - of_new:
        assert files[path] == (folder / path).read_text(encoding="utf-8"), path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x", "my-very-own-thing", "b2-c3"])
def test_nothing_of_the_example_s_name_is_left_and_the_code_is_python(kind: str, name: str) -> None:
    words = Words(name)
    files = package_files(words, kind=kind)
    left = re.compile(EXAMPLES[kind].replace("-", "[-_]?") + r"|dissolve", re.IGNORECASE)
    for path, text in files.items():
        found = [line for line in (path, *text.splitlines()) if left.search(line)]
        assert found == [], path
        if path.endswith(".py"):
            compile(text, path, "exec")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == f"chimera-{name}"
    assert project["entry-points"]["chimera.plugins"] == {name: f"{words.package}.plugin"}
    assert f"{words.package}/__init__.py" in files
    assert f"tests/test_{words.snake}.py" in files
    assert f"plugins check {name} --deep" in files[".github/workflows/test.yml"]


def test_each_licence_is_named_in_the_project_and_its_text_lies_beside() -> None:
    for licence in licences.NAMES:
        files = package_files(Words("x"), kind="fuser", licence=licence)
        project = tomllib.loads(files["pyproject.toml"])["project"]
        if licence == "none":
            assert "license" not in project
            assert "LICENSE" not in files
        else:
            assert project["license"] == licence
            assert {"MIT": "MIT", "Apache-2.0": "Apache", "BSD-3-Clause": "BSD"}[licence] in files["LICENSE"]
            assert "{" not in files["LICENSE"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "not a name"),
        ("My-Fuser", "not a name"),
        ("my_fuser", "not a name"),
        ("2d", "not a name"),
        ("a--b", "not a name"),
        ("a/../../b", "not a name"),
        ("a\nb", "not a name"),
        ("x" * 41, "not a name"),
        ("core", "chimera_core is installed"),
        ("chimera-gan", "chimera_gan is installed"),
        ("style-transfer", "plugin style has"),
        ("tensor", "a class Tensor"),
        ("none", "a class None"),
        ("exception", "a class Exception"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_line(
    name: str, why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    args = ["plugins", "new", name, "--kind", "fuser", "--folder", str(tmp_path / "new")]
    assert run(args) == 2
    said = capsys.readouterr().err
    assert why in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_the_distribution_means_the_same() -> None:
    assert check_name("chimera-glue") == check_name("glue") == Words("glue")


def test_a_class_that_hides_one_of_the_api_is_refused_only_where_it_does() -> None:
    with pytest.raises(ConfigError, match="class FuserLearner"):
        package_files(Words("fuser"), kind="trained-fuser")
    assert package_files(Words("fuser"), kind="source")


@pytest.mark.parametrize("there", ["file", "folder", "broken link"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    place = tmp_path / "new"
    if there == "file":
        place.write_text("mine")
    elif there == "folder":
        place.mkdir()
    else:
        place.symlink_to("nowhere")
    with pytest.raises(ConfigError, match="name another --folder"):
        write_package(place, {"a.txt": "ours"})
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
    if there == "file":
        assert place.read_text() == "mine"


def test_a_package_that_cannot_be_finished_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def refuse(path: str, to: str) -> None:
        if os.path.isdir(path):  # the last step, which gives the whole folder its name
            raise OSError(28, os.strerror(28))
        replace(path, to)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunError, match="disk is full"):
        write_package(tmp_path / "new", {"sub/a.txt": "a"})
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["plugins", "new", "glue", "--kind", "encoder"]) == 0
    out = capsys.readouterr().out
    assert "cd chimera-glue" in out
    assert "chimera plugins check glue --deep" in out
    assert "no licence" in out
    assert (tmp_path / "chimera-glue" / "chimera_glue" / "encoder.py").is_file()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_readme_is_of_the_kind_and_shows_no_option_of_the_example(kind: str) -> None:
    readme = package_files(check_name("my-thing"), kind=kind)["README.md"]
    assert readme.startswith("# chimera-my-thing\n") and "chimera plugins check my-thing --deep" in readme
    shared = {
        "--fuser",
        "--source",
        "--source.root",
        "--images",
        "--run",
        "--encoder",
        "--trainer",
        "--parents",
    }
    flags = set(re.findall(r"--[a-z.0-9-]+", readme)) - shared
    assert flags <= {"--metric", "--deep"}
    what = {"trained-fuser": "A fuser for Chimera that learns.", "encoder": "An encoder for Chimera."}
    assert what.get(kind, f"A {kind} for Chimera.") in readme
    assert EXAMPLES[kind] not in readme
