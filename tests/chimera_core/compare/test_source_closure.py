"""A cell is known by the code that its fuser imports, and figures by the code that measures them; no other edit counts."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chimera_core
from chimera_core.compare.experiment import identity
from chimera_core.compare.experiment.identity import scoring_code
from chimera_core.compare.experiment.plan import check_experiment, lay_out
from chimera_core.components import source_closure
from chimera_core.components.choice import choose
from chimera_core.components.source_closure import closure_of, code_of, find_source
from chimera_core.plugins.discovery import default_host

Write = Callable[..., Path]
CORE = Path(chimera_core.__file__).parent
FUSERS = ["chimera_gan.gan_fuser", "chimera_parts.auto", "chimera_style.fuser", "chimera_controls.fusers"]


def forget() -> None:
    for module in (source_closure, identity):
        for thing in vars(module).values():
            getattr(thing, "cache_clear", lambda: None)()


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a copy of the core's source that may be edited, in the place of the core."""
    copied = tmp_path / "chimera_core"
    shutil.copytree(CORE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    real = source_closure._folders
    monkeypatch.setattr(
        source_closure, "_folders", lambda name: (copied,) if name == "chimera_core" else real(name)
    )
    forget()
    yield copied
    forget()


def edit(file: Path, old: str = "", new: str = "") -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1) if old else text + "\nEDITED = True\n", encoding="utf-8")
    forget()


def code_of_fuser(name: str) -> str:
    code: str = choose(default_host(), "fusion-generator", name).identity()["code"]
    return code


@pytest.mark.slow
def test_the_code_that_a_gan_draws_with_counts_and_the_network_and_the_commands_do_not(core: Path) -> None:
    before = code_of_fuser("gan")
    for file in (
        "downloads/web.py",
        "cli/fuse.py",
        "compare/run.py",
        "report/page.py",
        "library/fetching.py",
    ):
        edit(core / file)
        assert code_of_fuser("gan") == before, file
    for file in ("randomness.py", "arrays.py", "subjects/weights/face.safetensors"):
        edit(core / file) if file.endswith(".py") else (core / file).write_bytes(b"other weights")
        forget()
        after = code_of_fuser("gan")
        assert after != before, file
        before = after
    assert code_of_fuser("feature-morph") != (edit(core / "precision.py"), code_of_fuser("feature-morph"))[1]


def test_a_control_does_not_know_how_animals_are_found(core: Path) -> None:
    before = code_of_fuser("copy")
    edit(core / "subjects" / "outline.py")
    assert code_of_fuser("copy") == before != code_of_fuser("auto")


def test_only_edits_that_reach_a_picture_make_other_cells(core: Path, experiment: Write, place: Path) -> None:
    (place / "run").mkdir()

    def ids() -> list[str]:
        comparison = lay_out(check_experiment(experiment(), default_host()), place / "run")
        return [cell.id for cell in comparison.all_cells]

    before = ids()
    edit(core / "downloads" / "web.py")
    edit(core / "cli" / "compare.py")
    assert ids() == before
    edit(core / "fusing" / "parents.py")
    assert not set(ids()) & set(before)


def test_the_number_of_images_that_a_judge_learns_a_class_from_decides_scores(core: Path) -> None:
    host = default_host()
    before = scoring_code(host)
    edit(core / "compare" / "run.py")
    assert scoring_code(host) == before
    edit(core / "scoring" / "pictures.py", "CLASS_IMAGES = 300", "CLASS_IMAGES = 200")
    assert scoring_code(host) != before


def test_a_component_that_code_loads_by_name_counts() -> None:
    by_name = closure_of("chimera_parts.auto").components
    assert {"portrait:portrait", "style:style-transfer", "timm:timm"} <= by_name
    own = source_closure.hash_files(closure_of("chimera_parts.auto").files)
    assert not code_of(default_host(), "chimera_parts.auto").startswith(own[:24])


@pytest.mark.parametrize("module", FUSERS)
def test_no_import_that_a_parser_finds_is_missed(module: str) -> None:
    files = closure_of(module).files
    assert find_source(module) in files
    faces = {find_source("chimera_core"), find_source("chimera_core.api")}
    for file in files - faces:
        for imported, name in parsed_imports(file):
            met = {find_source(imported), find_source(f"{imported}.{name}")}
            assert met & (files | faces), f"{file} imports {name} from {imported}"


def parsed_imports(file: Path) -> Iterator[tuple[str, str]]:
    if file.suffix != ".py":
        return
    body = ast.parse(file.read_text(encoding="utf-8")).body
    kept = [
        node for node in body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    for node in (found for top in kept for found in ast.walk(top)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chimera_"):
            yield from ((str(node.module), alias.name) for alias in node.names)


TOY = {
    "__init__.py": "import math",
    "fuser.py": '''"""Says: import nothing here, from the start (ever).

from toy.prose import nothing
"""
from typing import TYPE_CHECKING
from . import sibling
from .deep.inner import (
    thing,  # with a bracket :)
)
import toy.plain as short; import toy.second
if TYPE_CHECKING:
    from toy.types_only import Thing

    from toy.types_too import Thing

def late():
    if True: from toy.late import x
    from toy.face import offered
''',
    "face.py": '''from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from toy.behind import offered
    from toy.unused import other

def __getattr__(name):
    ...
''',
    "deep/__init__.py": "from ..of_package import y",
    "deep/inner.py": "from ..upward import z",
    "broken.py": "import import\ndef (",
} | {f"{name}.py": "" for name in (
    "sibling", "plain", "second", "types_only", "types_too", "late", "behind", "unused", "of_package", "upward", "prose",
)}  # fmt: skip


def test_every_way_of_importing_is_followed_and_types_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in TOY.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    met = {str(f.relative_to(tmp_path / "toy")) for f in closure_of("toy.fuser").files}
    assert met - {"prose.py"} == {
        "__init__.py", "fuser.py", "sibling.py", "deep/__init__.py", "deep/inner.py", "of_package.py", "upward.py",
        "plain.py", "second.py", "late.py", "behind.py",
    }  # fmt: skip
    assert closure_of("toy.nowhere", "nowhere").files == frozenset()
    assert {f.name for f in closure_of("toy.broken").files} == {"__init__.py", "broken.py"}
