"""The documentation: pages made from the code are up to date, links lead somewhere, and commands and files are understood."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chimera_core import __version__
from chimera_core.cli.root import run
from chimera_core.compare.experiment import file as experiment_file
from chimera_core.compare.experiment.file import read_experiment
from chimera_core.compare.experiment.fusers import variants_of
from chimera_core.options.config import Config

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TAUGHT = (
    "average",
    "vivid",
    "csv-list",
    "cvae",
    "dissolve",
    "focus",
    "qoi",
    "shapes",
    "sign-step",
    "sketch",
    "tiny",
)
"""Plugins that the documentation teaches, which are not installed here; end_to_end/test_example_plugins.py uses them."""

OF_THE_READER = ("named 'robust'", "named 'creature'", "named 'first'", "my-data.toml does not exist:")


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """List the arguments of every ``chimera`` of the page's shell blocks; those with NAME, RUN or dots are patterns."""
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    found = [shlex.split(part, comments=True) for line in text.splitlines() for part in line.split("&&")]
    return [
        args[1:]
        for args in found
        if args[:1] == ["chimera"] and not {"NAME", "..."} & set(args) and not set(TAUGHT) & set(args)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["reference_pages.py", "quoted_files.py"])
def test_pages_are_what_the_code_says_and_quote_what_the_examples_hold(tool: str) -> None:
    command = [sys.executable, str(DOCS / "site_tools" / tool), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_of_the_examples_is_quoted_by_a_page() -> None:
    titles = re.compile(r'^```\w+ title="(.+)"$', re.MULTILINE)
    quoted = {title for page in PAGES for title in titles.findall(page.read_text(encoding="utf-8"))}
    examples = REPOSITORY / "examples" / "plugins"
    modules = {
        f.relative_to(examples).as_posix() for f in examples.glob("*/chimera_*/*.py") if f.stat().st_size
    }
    assert modules <= quoted


def test_every_page_is_in_the_menu() -> None:
    menu = set(re.findall(r"^ *- ([\w/-]+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {page.relative_to(DOCS).as_posix() for page in PAGES}
    assert pages == {page for page in menu if not page.startswith(("models/", "examples/"))}


@pytest.mark.parametrize("pattern", ["*.md", "docs/**/*.md", "examples/**/*.md", "plugins/**/*.md"])
def test_links_lead_to_files(pattern: str) -> None:
    code = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
    lost = [
        f"{page.relative_to(REPOSITORY)}: {link}"
        for page in sorted(REPOSITORY.glob(pattern))
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", code.sub("", page.read_text(encoding="utf-8")))
        if not (page.parent / link).exists()
    ]
    assert lost == []


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", [p for p in (*PAGES, REPOSITORY / "README.md") if commands(p)], ids=lambda page: page.stem
)
def test_every_command_of_a_page_is_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for args in commands(page):
        # Options are parsed before --help answers, and nothing is done.
        code = run([*args, "--help"])
        err = capsys.readouterr().err
        # A reader's own file or run is not here, which is known only after the options have been understood.
        assert code == 0 or any(f"{name} " in err for name in OF_THE_READER), f"{shlex.join(args)}: {err}"


def test_the_experiments_of_the_tutorial_are_read(tmp_path: Path) -> None:
    whole, changed = blocks(DOCS / "tutorials" / "first-comparison.md", "toml")
    file = tmp_path / "two-fusers.toml"
    file.write_text(whole, encoding="utf-8")
    assert [v.id for v in variants_of(read_experiment(file))] == ["generator", "morph"]
    file.write_text(whole.partition("[fusers.morph]")[0] + changed, encoding="utf-8")
    assert [v.id for v in variants_of(read_experiment(file))][1:] == [
        f"morph/iterations={i}" for i in (10, 20)
    ]


def test_the_page_of_the_experiment_file_has_every_key() -> None:
    page = (DOCS / "reference" / "experiment-file.md").read_text(encoding="utf-8")
    tables = [t for t in vars(experiment_file).values() if isinstance(t, type) and issubclass(t, Config)]
    keys = {(table.__name__, key) for table in tables for key in table.model_fields}
    assert len(keys) > 20
    assert not {(table, key) for table, key in keys if not re.search(rf"[`.\[]{key}[`.\]]", page)}
