"""Scratch environments: a new virtual environment that sees our dependencies, and no network."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NOWHERE = "http://127.0.0.1:9"
OFFLINE = {"HF_HUB_OFFLINE": "1", "http_proxy": NOWHERE, "https_proxy": NOWHERE}


# The hook that pip calls, too, without a process of its own for each project.
BUILD = """
import os, sys
from hatchling.build import build_wheel
for project in sys.argv[2:]:
    os.chdir(project)
    build_wheel(sys.argv[1])
"""


@pytest.fixture(scope="session")
def build_wheels(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Path]]:
    """Build projects' wheels with the build backend that is installed here, in one process; no network."""

    def build(*projects: Path) -> list[Path]:
        out = tmp_path_factory.mktemp("wheels")
        subprocess.run(
            [sys.executable, "-c", BUILD, str(out), *map(str, projects)],
            check=True,
            timeout=240,
            env=os.environ | OFFLINE,
        )
        wheels = sorted(out.glob("*.whl"))
        assert len(wheels) == len(projects)
        return wheels

    return build


@pytest.fixture(scope="session")
def build_wheel(build_wheels: Callable[..., list[Path]]) -> Callable[[Path], Path]:
    """Build one project's wheel."""
    return lambda project: build_wheels(project)[0]


class Scratch:
    """A virtual environment of its own, with this one's packages visible behind it."""

    def __init__(self, root: Path, fork_server: Callable[..., Any] | None = None) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True, timeout=60)
        self.python = root / "bin" / "python"
        self.root = root
        self._fork_server = fork_server
        self._server: Any = None
        (packages,) = (root / "lib").glob("python*/site-packages")
        ours = {sysconfig.get_paths()["purelib"], *site.getsitepackages()}
        lines = [f"import site; site.addsitedir({path!r})" for path in sorted(ours)]
        (packages / "zz_parent.pth").write_text("\n".join(lines))

    def install(self, *wheels: Path) -> None:
        self._pip("install", "--no-deps", "--no-index", *map(str, wheels))

    def uninstall(self, *names: str) -> None:
        self._pip("uninstall", "-y", *names)

    def chimera(
        self, *args: object, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "chimera_core.cli", *args, cwd=cwd, **environ)

    def run(self, *args: object, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python."""
        return subprocess.run(
            [str(self.python), *map(str, args)],
            capture_output=True,
            text=True,
            timeout=280,
            cwd=cwd or self.root,
            env=os.environ | OFFLINE | environ,
        )

    def forked(self, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process that begins with our core and torch imported."""
        return self._order({"arguments": [str(argument) for argument in arguments]}, environ)

    def python_forked(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in such a process."""
        return self._order({"code": code}, {})

    def _order(self, order: dict[str, object], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        if self._server is None:
            assert self._fork_server is not None
            self._server = self._fork_server(self.python, os.environ | OFFLINE)
        done: subprocess.CompletedProcess[str] = self._server.run(
            order, cwd=self.root, environ=os.environ | OFFLINE | environ
        )
        return done

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _pip(self, *args: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "pip", "-q", "--python", str(self.python), *args], check=True, timeout=120
        )


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "scratch")


@pytest.fixture(scope="module")
def make_scratch(
    tmp_path_factory: pytest.TempPathFactory, fork_server: Callable[..., Any]
) -> Iterator[Callable[[], Scratch]]:
    """Make environments that several tests share."""
    made: list[Scratch] = []

    def make() -> Scratch:
        made.append(Scratch(tmp_path_factory.mktemp("shared") / "scratch", fork_server))
        return made[-1]

    yield make
    for scratch in made:
        scratch.close()
