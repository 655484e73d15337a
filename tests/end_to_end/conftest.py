"""Scratch environments: a new virtual environment that sees our dependencies, and no network."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def build_wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Build a project's wheel with the build backend that is installed here; no network."""

    def build(project: Path) -> Path:
        out = tmp_path_factory.mktemp("wheels")
        command = [
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "-w",
            str(out),
        ]
        subprocess.run([sys.executable, *command, str(project)], check=True, timeout=120)
        (wheel,) = out.glob("*.whl")
        return wheel

    return build


class Scratch:
    """A virtual environment of its own, with this one's packages visible behind it."""

    def __init__(self, root: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True, timeout=60)
        self.python = root / "bin" / "python"
        self.root = root
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
        nowhere = "http://127.0.0.1:9"
        return subprocess.run(
            [str(self.python), "-m", "chimera_core.cli", *map(str, args)],
            capture_output=True,
            text=True,
            timeout=280,
            cwd=cwd or self.root,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "http_proxy": nowhere, "https_proxy": nowhere} | environ,
        )

    def _pip(self, *args: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "pip", "-q", "--python", str(self.python), *args], check=True, timeout=120
        )


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "scratch")


@pytest.fixture(scope="session")
def make_scratch(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Scratch]:
    """Make environments that several tests share."""
    return lambda: Scratch(tmp_path_factory.mktemp("shared") / "scratch")
