"""Imports run one way, and what is said to be torch-free is."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CORE = REPOSITORY / "chimera_core"
PLUGINS = sorted(p for p in (REPOSITORY / "plugins").iterdir() if p.is_dir())


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write imports in full"
            yield node.module or ""


def ours(names: Iterator[str]) -> set[str]:
    return {name for name in names if name.split(".")[0].startswith("chimera_")}


@pytest.mark.slow
def test_core_imports_no_plugin() -> None:
    for file in CORE.rglob("*.py"):
        assert {n.split(".")[0] for n in ours(imported(file))} <= {"chimera_core"}, file


@pytest.mark.slow
def test_core_outside_the_command_line_knows_neither_click_nor_the_command_line() -> None:
    for file in CORE.rglob("*.py"):
        if CORE / "cli" not in file.parents:
            names = set(imported(file))
            assert not any(n.split(".")[0] == "click" or n.startswith("chimera_core.cli") for n in names), (
                file
            )


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_plugin_imports_only_the_api_and_itself(plugin: Path) -> None:
    for file in plugin.rglob("*.py"):
        for name in ours(imported(file)):
            is_api = name == "chimera_core.api" or (
                name == "chimera_core.testing" and file.name == "checking.py"
            )
            assert is_api or name.split(".")[0] == plugin.name, f"{file} imports {name}"


@pytest.mark.slow
def test_no_modules_of_the_core_import_each_other_in_a_circle() -> None:
    modules = {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): file
        for file in CORE.rglob("*.py")
    }
    # Imports within functions count: such a circle works, but nothing in it can be read or moved alone.
    imports = {
        name: {m for m in imported_at_run_time(file) if m in modules} for name, file in modules.items()
    }
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def imported_at_run_time(file: Path) -> Iterator[str]:
    """Name what a module imports, both as a module and as a name in its package; for types alone does not count."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from names
            # ``from package import module`` asks nothing of the package's own names.
            if not all(find_module(name) for name in names):
                yield node.module


def find_module(name: str) -> bool:
    path = REPOSITORY.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def modules_after(code: str) -> set[str]:
    code += "\nimport sys; print('MODULES', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("MODULES"))
    return set(line.split()[1:])


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import chimera_core, chimera_core.api",
        "from chimera_core.cli.root import run; run(['--help'])",
        "from chimera_core.cli.root import run; run(['plugins', 'list'])",
        "from chimera_core.cli.root import run; run(['plugins', 'show', 'style-transfer'])",
        "from chimera_core.cli.root import run; run(['plugins', 'show', 'feature-morph'])",
        "from chimera_core.cli.root import run; run(['fuse', '--help'])",
        "from chimera_core.cli.root import run; run(['compare', '--help'])",
        "from chimera_core.cli.root import run; run(['encoder', 'train', '--encoder', 'timm', '--help'])",
        "from chimera_core.cli.root import run; run(['fuse', 'a.jpg', '--weights', '2'])",
        "from chimera_core.cli.root import run; run(['report', 'no-such-run'])",
        "from chimera_core.cli.root import run; run(['library', 'list'])",
        "from chimera_core.cli.root import run; run(['studio', '--help'])",
        "from chimera_core.cli.root import run; run(['fuse', 'cat', 'no-such-animal'])",
    ],
)
def test_start_up_imports_nothing_heavy(code: str) -> None:
    loaded = modules_after(code)
    assert "chimera_core" in loaded
    assert not loaded & {"torch", "timm", "torchvision", "numpy", "PIL", "cv2", "skimage", "gradio"}


def test_every_name_of_the_api_resolves() -> None:
    from chimera_core import api

    for name in api.__all__:
        assert getattr(api, name) is not None
