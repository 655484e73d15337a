"""Shared by all tests: real data if there are any, the installed command, small pictures."""

from __future__ import annotations

import gc
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image
from toys.browser import open_browser
from toys.hub import Hub

# As `chimera fuse` does, before torch is imported: on cores that other work keeps busy, threads that spin while they
# wait made a test of 6 s last for minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Of several test processes each has its share of the cores, and what it starts too: with all of them each, threads of
# all wait for one another.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _PROCESSES)))

# What tests start shall find our modules compiled, as a user's commands do: 0.2 s of each start. Not this process, which
# imports modules that tests write anew within a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell starts its background jobs deaf to Ctrl-C, and what they start stays so: tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Laws hold however slow the machine: a time is no assertion.
hypothesis.settings.register_profile("chimera", deadline=None)
hypothesis.settings.load_profile("chimera")

# Of all that is imported and collected hardly anything is garbage: looking for it took two fifths of the collection,
# and would take its share of each test.
gc.disable()

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist would begin with the files of most tests: those of few but long ones are last, and a process waits.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    for item in items:
        if _starts_processes(item) or "golden" in item.path.parts:
            item.add_marker(pytest.mark.slow)
    # Files that last longest first: a process that is done waits for the other one's last file.
    slow = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: (not _starts_processes(item), item.path not in slow))
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))


def _starts_processes(item: pytest.Item) -> bool:
    return "end_to_end" in item.path.parts or item.path.stem.endswith("_processes")


def pytest_report_header(config: pytest.Config) -> list[str]:
    if "not slow" not in config.option.markexpr:
        return []
    return [
        "not slow leaves out: end to end, processes that are killed, golden losses, and what is marked slow"
    ]


LEFT_OUT: Counter[str] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    LEFT_OUT.update(str(item.path.relative_to(TESTS)) for item in items if "slow" in item.keywords)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if LEFT_OUT:
        terminalreporter.section("slow tests left out")
        for file, count in sorted(LEFT_OUT.items()):
            terminalreporter.write_line(f"{count:4} of {file}")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real images, named by CHIMERA_TEST_DATA."""
    named = os.environ.get("CHIMERA_TEST_DATA")
    if not named:
        pytest.skip("CHIMERA_TEST_DATA is not set: it names the folder of real images")
    root = Path(named).resolve()
    assert root.is_dir(), f"CHIMERA_TEST_DATA names {root}, which is not a folder"
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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_read_anew: None) -> Iterator[Hub]:
    """Give a stand-in that this process takes for the Hugging Face hub, with assets of its own."""
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path / "assets"))
    running = Hub()
    running.lend(monkeypatch, tmp_path / "home")
    yield running
    running.stop()


# One for the tests of a module.
browser = pytest.fixture(scope="module")(open_browser)

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
    named = order["environ"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [path for path in named if path and path not in sys.path]
    sys.argv[1:] = order.get("arguments", [])  # runs keep it, and trainings start themselves with it
    code = 0
    try:
        exec(order.get("code", ""), {"__name__": "__main__"})
        if "arguments" in order:
            main(order["arguments"])
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
        """Start a process for an order of ``arguments`` to the command, of Python ``code``, or of both, code first."""
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

    def start_together(
        self, line: Sequence[str], processes: int, *, cwd: Path, environ: Mapping[str, str]
    ) -> list[Forked]:
        """Start a training shared by processes, as torchrun does: a launcher would import torch in each."""
        with socket.socket() as opened:
            opened.bind(("localhost", 0))
            port = opened.getsockname()[1]
        together = {"LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
        started = []
        for rank in range(processes):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            shared = dict(environ) | own | together if processes > 1 else environ
            order = {"arguments": [*line, "--devices", str(processes)]}
            started.append(self.start(order, cwd=cwd, environ=shared))
        return started

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.communicate(timeout=60)


# What commands import that fuse or train; 4 s. A server that lives as long as the tests imports it once.
PRELOADED = (
    "torch",
    "lightning_fabric",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "rich.console",
    "rich.table",
    "scipy.stats",
    "skimage.color",
    "timm",
    "torchvision",
    "chimera_core.cli.root",
    "chimera_core.compare.run",
    "chimera_core.fusing.fusion",
    "chimera_core.training.run",
)
READ_AT_IMPORT = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE")


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ForkServer]]:
    """Give the fork server of a Python, one for each environment that matters to what is imported."""
    started: dict[tuple[str | None, ...], ForkServer] = {}

    def start(python: str | Path, environ: Mapping[str, str]) -> ForkServer:
        path = environ.get("PYTHONPATH", "")
        has_hook = any(
            Path(folder, "sitecustomize.py").exists() for folder in path.split(os.pathsep) if folder
        )
        key = (str(python), path if has_hook else "", *map(environ.get, READ_AT_IMPORT))
        if key not in started:
            own = {name: value for name, value in environ.items() if has_hook or name != "PYTHONPATH"}
            started[key] = ForkServer(tmp_path_factory.mktemp("forked"), python, own, PRELOADED)
        return started[key]

    yield start
    for server in started.values():
        server.close()


@dataclass
class Work:
    """What a line of the command does in a place, so that it can be killed there and go on.

    Args:
        start: starts the line, or where something lies already the line that goes on, in the place of this name; gives
            the process.
        result: says what lies in a place, as values that are equal where the same was made.
        folder: where that is; nothing half-written may stay in it.
        look: called after a kill; gives what is called with the stderr of the process that went on to the end, and
            checks that nothing was lost.
        alone: the word for what is done, where a second process is sent away instead of waiting: ``trained``.
        patience_s: against hanging for ever, on cores that others keep busy.
    """

    start: Callable[[str], Any]
    result: Callable[[str], Any]
    folder: Callable[[str], Path]
    look: Callable[[str], Callable[[str], None]] = lambda name: lambda err: None
    alone: str = ""
    patience_s: float = 600.0
    _whole_s: float | None = None

    def kill_at_random_instants(self, few: int = 1, *, in_a_row: int = 1) -> None:
        """Kill it at instants over the whole time that it takes; whenever that is, going on gives the same.

        Args:
            few: how many times, where CHIMERA_TEST_KILLS does not say; a release is tried with more:
                ``CHIMERA_TEST_KILLS=34 pytest -s -k random_instants``.
            in_a_row: how often each is killed before it may come to its end.
        """
        kills = int(os.environ.get("CHIMERA_TEST_KILLS", str(few)))
        whole_s, expected = self._undisturbed()
        chance = random.Random(kills)
        # One of each equal part of the time, in any order; of what is killed again, any time of the rest.
        firsts = [(k + chance.random()) / kills for k in range(kills)]
        chance.shuffle(firsts)
        done = before = rounds = 0
        while done < kills:
            name = f"killed-{rounds}"
            rounds += 1
            left_s, check, has_ended = whole_s, None, False
            for again in range(min(in_a_row, kills - done)):
                instant_s = left_s * (chance.random() if again else firsts.pop())
                process = self.start(name)
                end = time.monotonic() + instant_s
                while process.poll() is None and (rest_s := end - time.monotonic()) > 0:
                    time.sleep(min(rest_s, 0.02))
                process.kill()
                _, err = process.communicate(timeout=self.patience_s)
                done += 1
                if has_ended := process.returncode == 0:
                    break
                assert process.returncode == -signal.SIGKILL, err
                before += 1
                check = self.look(name)
                left_s -= instant_s
            if not has_ended:
                _, err = self._finish(name)
            assert self.result(name) == expected, f"{name}, killed at {instant_s:.3f} s of {whole_s:.3f} s"
            if check is not None:
                check(err)  # of the process that went on after the last kill and came to the end
        print(f"\n{done} kills in {rounds} of {whole_s:.2f} s each, {before} before the end, all equal")

    def start_two_at_once(self) -> None:
        """Start it twice: the second one waits or finds it done, or where ``alone`` says so it is sent away."""
        _, expected = self._undisturbed()
        pair = [self.start("two") for _ in range(2)]
        errs = [process.communicate(timeout=self.patience_s)[1] for process in pair]
        codes = [process.returncode for process in pair]
        assert sorted(codes) == ([0, 2] if self.alone else [0, 0]), errs
        if self.alone:
            other, (*_, last) = pair[codes.index(0)], errs[codes.index(2)].splitlines()
            named = (
                rf"is being {self.alone} by process {other.pid} on \S+ since .*: wait for it, or end it first"
            )
            assert re.search(named, last), last
        assert not any("Traceback" in err for err in errs), errs
        assert self.result("two") == expected
        self._check_nothing_half_written("two")

    def _undisturbed(self) -> tuple[float, Any]:
        """Give how long it takes undisturbed, in seconds, and what comes out."""
        if self._whole_s is None:
            self._whole_s, _ = self._finish("whole")
        return self._whole_s, self.result("whole")

    def _finish(self, name: str) -> tuple[float, str]:
        process = self.start(name)
        begin = time.monotonic()  # now: the first start waited for a server's imports
        _, err = process.communicate(timeout=self.patience_s)
        end = time.monotonic()
        assert process.returncode == 0, err
        self._check_nothing_half_written(name)
        return end - begin, str(err)

    def _check_nothing_half_written(self, name: str) -> None:
        folder = self.folder(name)
        ends = (".part", ".partial", ".lock.json")
        assert [str(p) for p in folder.rglob("*") if ".tmp" in p.name or p.name.endswith(ends)] == []


@pytest.fixture(scope="session")
def killable() -> type[Work]:
    """Give the class of works that are killed and go on."""
    return Work


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the list of the pauses, in seconds, that the test's own thread asks for and does not get."""
    asked, sleep, own = [], time.sleep, threading.get_ident()

    def noted(seconds: float) -> None:
        if threading.get_ident() == own:
            asked.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr(time, "sleep", noted)
    return asked


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
