"""Shared by all tests: real data if there are any, the installed command, small pictures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# As `chimera fuse` does, before torch is imported: on cores that other work keeps busy, threads that spin while they
# wait made a test of 6 s last for minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Of several test processes each has its share of the cores, and what it starts too: with all of them each, threads of
# all wait for one another.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _PROCESSES)))

# A shell starts its background jobs deaf to Ctrl-C, and what they start stays so: tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real images, named by CHIMERA_TEST_DATA."""
    named = os.environ.get("CHIMERA_TEST_DATA")
    if not named:
        pytest.skip("CHIMERA_TEST_DATA is not set: it names the folder of real images")
    root = Path(named).resolve()
    assert root.is_dir(), f"CHIMERA_TEST_DATA names {root}, which is no folder"
    return root


@pytest.fixture(scope="session")
def photos(test_data: Path) -> Path:
    return test_data / "photos"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def settings_read_anew() -> Iterator[None]:
    """Let this test change the environment's settings, which are read once in a process."""
    from chimera_core import plugins

    plugins._discover_once.cache_clear()
    yield
    plugins._discover_once.cache_clear()


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def chimera() -> Command:
    """Run the installed command in a process of its own."""
    executable = Path(sys.executable).parent / "chimera"

    def run(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [str(executable), *map(str, args)], capture_output=True, text=True, timeout=240, **kwargs
        )

    return run


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process: (exit code, stdout, stderr). Saves importing torch each time."""
    from chimera_core.cli.root import run

    def call(*args: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(a) for a in args])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Write a small noisy picture of a coloured disc on a plain ground."""

    def write(
        name: str, *, colour: tuple[int, int, int] = (200, 80, 20), size: tuple[int, int] = (64, 48)
    ) -> Path:
        width, height = size
        y, x = np.mgrid[:height, :width]
        disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(size) / 3) ** 2
        pixels = np.where(disc[..., None], colour, (90, 120, 150)).astype(float)
        pixels += np.random.default_rng(sum(colour)).normal(0, 12, pixels.shape)
        path = tmp_path / name
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        return path

    return write
