"""Shared by all tests: real data if there are any, the installed command, small pictures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist would begin with the files of most tests: those of few but long ones are last, and a process waits.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    # Tests that start processes last longest.
    items.sort(
        key=lambda item: not ("end_to_end" in item.path.parts or item.path.stem.endswith("_processes"))
    )
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
    from chimera_core.plugins import discovery as plugins

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


# Reads an order a line, answers with a process number, and writes each exit code when it comes. What was imported is
# neither collected nor torn down in the children: they would copy all of its memory.
SERVER = """
import atexit, gc, importlib, json, os, select, sys
from chimera_core.cli import main

def obey(order):
    for number, name in enumerate(("/dev/null", order["place"] + ".out", order["place"] + ".err")):
        os.dup2(os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    code = 0
    try:
        exec(order["code"], {"__name__": "__main__"}) if "code" in order else main(order["arguments"])
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

for name in sys.argv[1:]:
    importlib.import_module(name)
gc.freeze()
places = {}
while True:
    if select.select([0], [], [], 0.02 if places else None)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            obey(order)
        places[child] = order["place"]
        print(child, flush=True)
    while places and (ended := os.waitpid(-1, os.WNOHANG))[0]:
        place = places.pop(ended[0])
        with open(place + ".new", "w") as file:
            file.write(str(os.waitstatus_to_exitcode(ended[1])))
        os.rename(place + ".new", place + ".code")
"""


class Forked:
    """A process that a ``ForkServer`` started, used as a ``Popen`` is."""

    def __init__(self, pid: int, place: Path) -> None:
        self.pid = pid
        self._place = place

    @property
    def returncode(self) -> int | None:
        code = self._place.with_suffix(".code")
        return int(code.read_text()) if code.exists() else None

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        end = time.monotonic() + timeout
        while self.returncode is None:
            if time.monotonic() > end:
                self.kill()
                raise subprocess.TimeoutExpired("chimera", timeout)
            time.sleep(0.005)
        return self._place.with_suffix(".out").read_text(), self._place.with_suffix(".err").read_text()


class ForkServer:
    """Starts commands as the installed one does, in processes that begin with what was imported here.

    Importing torch is most of what a start costs. Plugins are looked for and imported in each process. What is
    installed must stay as it is from the first start on.

    Args:
        folder: what the processes print is kept here.
        python: interpreter.
        environ: that it begins with.
        preload: modules to import.
    """

    def __init__(
        self, folder: Path, python: str | Path, environ: Mapping[str, str], preload: Sequence[str]
    ) -> None:
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [str(python), "-c", SERVER, *preload],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )

    def start(self, order: Mapping[str, object], *, cwd: Path, environ: Mapping[str, str]) -> Forked:
        """Start a process for an order of ``arguments`` to the command, or of Python ``code``."""
        assert self._process.stdin and self._process.stdout
        place = self._folder / str(self._count)
        self._count += 1
        line = json.dumps({**order, "place": str(place), "cwd": str(cwd), "environ": dict(environ)})
        print(line, file=self._process.stdin, flush=True)
        return Forked(int(self._process.stdout.readline()), place)

    def run(
        self, order: Mapping[str, object], *, cwd: Path, environ: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Do so, and wait for its end."""
        process = self.start(order, cwd=cwd, environ=environ)
        out, err = process.communicate()
        return subprocess.CompletedProcess([], process.returncode or 0, out, err)

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ForkServer]]:
    """Start fork servers that end with this module."""
    started: list[ForkServer] = []

    def start(python: str | Path, environ: Mapping[str, str], *preload: str) -> ForkServer:
        folder = tmp_path_factory.mktemp("forked")
        started.append(ForkServer(folder, python, environ, ("chimera_core.cli.root", "torch", *preload)))
        return started[-1]

    yield start
    for server in started:
        server.close()


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
