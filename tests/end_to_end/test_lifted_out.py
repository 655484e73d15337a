"""Every folder of plugins/ works unchanged as a distribution of its own, beside a core that has no plugin."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.images import read_picture

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = sorted(p.name for p in (REPOSITORY / "plugins").iterdir() if (p / "plugin.py").is_file())
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{distribution}"
version = "9.9"
dependencies = ["chimera-toolkit"]
[project.entry-points."chimera.plugins"]
{plugin} = "{package}.plugin"
[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""


def core_alone(folder: Path) -> Path:
    """Copy the project without its plugins."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    text = re.sub(r'\n    "plugins/\w+",', "", text)
    text = re.sub(r'(entry-points\."chimera\.plugins"\]\n)(?:[\w-]+ = .*\n)+', r"\1", text)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    for name in ("registry.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    shutil.copytree(
        REPOSITORY / "chimera_core", folder / "chimera_core", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def alone(package: str, folder: Path) -> Path:
    """Make a project out of one folder of plugins/."""
    points = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "entry-points"
    ]
    (plugin,) = (name for name, module in points["chimera.plugins"].items() if module == f"{package}.plugin")
    distribution = f"{package.replace('_', '-')}-alone"
    text = PYPROJECT.format(distribution=distribution, plugin=plugin, package=package)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "plugins" / package, folder / package, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def lifted(
    make_scratch: Callable[[], Any],
    build_wheels: Callable[..., list[Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    scratch = make_scratch()
    plugins = [alone(name, tmp_path_factory.mktemp(name)) for name in PLUGINS]
    wheels = build_wheels(core_alone(tmp_path_factory.mktemp("core")), *plugins)
    (core,) = (wheel for wheel in wheels if wheel.name.startswith("chimera_toolkit"))
    scratch.install(core)
    assert all(
        row["status"] == "not-installed"
        for row in json.loads(scratch.chimera("plugins", "list", "--json").stdout)
    )
    scratch.install(*(wheel for wheel in wheels if wheel != core))
    return scratch


def test_all_are_well_and_come_from_their_own_wheels(lifted: Any) -> None:
    rows = json.loads(lifted.chimera("plugins", "list", "--json").stdout)
    offered = [row for row in rows if row["kind"]]
    assert {row["distribution"].replace("-alone", "").replace("-", "_") for row in offered} == set(PLUGINS)
    # Some need an extra of their distribution; none is broken.
    assert {(row["version"], row["status"]) for row in offered} <= {("9.9", "ok"), ("9.9", "needs-extra")}
    code = f"import {', '.join(PLUGINS)}; print({', '.join(f'{name}.__file__' for name in PLUGINS)})"
    shown = subprocess.run(
        [lifted.python, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert all(str(lifted.root) in path for path in shown.stdout.split())


def test_source_encoder_and_fuser_run_together(lifted: Any, picture: Any, tmp_path: Path) -> None:
    for name, colour in (("cat", (255, 0, 0)), ("dog", (0, 0, 255))):
        (tmp_path / "set" / name).mkdir(parents=True)
        picture(f"{name}.png", colour=colour).rename(tmp_path / "set" / name / "1.png")
    source = ("--source", "folder", "--source.root", tmp_path / "set")
    quick = ("--size", 32, "--device", "cpu", "-o", tmp_path / "out.png")
    fuser = ("--fuser", "style-transfer", "--iterations", 2)
    done = lifted.chimera("fuse", "cat", "dog", *fuser, *source, *quick)
    assert done.returncode == 0, done.stderr
    assert min(read_picture(tmp_path / "out.png").rgb.shape[:2]) == 32
    lifted.uninstall("chimera-folder-alone")
    gone = lifted.chimera("source", "info", "folder", "--root", tmp_path / "set")
    assert (gone.returncode, len(gone.stderr.splitlines())) == (2, 1)
    assert (
        "no dataset-source is named 'folder', and plugin folder is not-installed: pip install" in gone.stderr
    )
