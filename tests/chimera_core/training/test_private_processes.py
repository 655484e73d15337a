"""Processes that train together are reached by nobody else, and run no code of the folder that they are called in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

MODULES = (
    "queue",
    "json",
    "random",
    "tempfile",
    "struct",
    "pickle",
    "select",
    "numpy",
    "torch",
    "click",
    "multiprocessing",
)
PATIENCE_S = 600.0
pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are looked up in /proc")


def tree_of(pid: int) -> set[int]:
    """Give a process and all that descend from it."""
    parents = {}
    for folder in Path("/proc").iterdir():
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (ValueError, OSError):
            continue
    found, more = {pid}, True
    while more:
        grown = found | {child for child, parent in parents.items() if parent in found}
        more, found = grown != found, grown
    return found


def listening(pids: set[int]) -> set[str]:
    """Give the addresses, as the kernel spells them, on which any of these processes listens."""
    sockets = set()
    for pid in pids:
        for number in _files_of(pid):
            with suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{number}")
                if target.startswith("socket:["):
                    sockets.add(target[len("socket:[") : -1])
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            words = line.split()
            if words[3] == "0A" and words[9] in sockets:
                found.add(words[1].partition(":")[0])
    return found


def _files_of(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


def is_loopback(address: str) -> bool:
    # Little-endian words: 127.0.0.0/8; ::1 and 127.0.0.0/8 mapped into IPv6.
    return (
        address[-2:] == "7F"
        if len(address) == 8
        else address[-8:] == "01000000" or address[16:24] == "FFFF0000"
    )


def test_a_socket_on_all_addresses_would_be_noticed() -> None:
    import socket

    with socket.socket() as everywhere, socket.socket() as here:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        assert [a for a in listening({os.getpid()}) if not is_loopback(a)] == ["00000000"]
        everywhere.close()
        here.bind(("127.0.0.1", 0))
        here.listen()
        assert all(map(is_loopback, listening({os.getpid()})))


def write_modules(place: Path) -> Path:
    """Make a folder with files that Python would take for its own modules."""
    folder = place / "stranger"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'ran')!r}, 'a').write({name!r} + ' ')\nraise SystemExit(9)\n"
        )
    return folder


@dataclass
class Pair:
    """What was seen of two processes that trained together, under nohup, in a stranger's folder.

    Args:
        code: that they ended with.
        err: what they printed.
        hung_up: whether SIGHUP came while they trained.
        processes: most that there were at once, with the one that started the two.
        addresses: on which any of them listened, as the kernel spells them.
        strangers: the folder.
        temporary: the folder of temporary files.
        run: of the training.
    """

    code: int
    err: str
    hung_up: bool
    processes: int
    addresses: set[str]
    strangers: Path
    temporary: Path
    run: Path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, tiny_site: Path, pictures: Path) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    strangers, run = write_modules(folder), folder / "runs" / "pair"
    line = (
        f"encoder train --source folder --source.root {pictures} --encoder tiny --encoder.size 16 --trainer plain "
        "--size 16 --batch 8 --images 800 --log-images 40 --device cpu --precision fp32 --devices 2 --run pair"
    )
    environ = os.environ | {
        "PYTHONPATH": str(tiny_site),
        "CHIMERA_CACHE": str(folder / "cache"),
        "CHIMERA_RUNS": str(run.parent),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        ["nohup", Path(sys.executable).with_name("chimera"), *line.split()],
        cwd=strangers,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: set[str] = set()
    together, end, metrics = 0, time.monotonic() + PATIENCE_S, run / "metrics.jsonl"
    hung_up = False
    while process.poll() is None and time.monotonic() < end:
        tree = tree_of(process.pid)
        seen |= listening(tree)
        together = max(together, len(tree))
        if not hung_up and metrics.exists() and metrics.stat().st_size:
            process.send_signal(signal.SIGHUP)
            hung_up = True
        time.sleep(0.2)
    _, err = process.communicate(timeout=10)
    return Pair(process.returncode, err, hung_up, together, seen, strangers, folder, run)


def test_processes_that_train_together_listen_here_alone_and_run_no_code_of_the_current_folder(
    pair: Pair,
) -> None:
    assert pair.code == 0, pair.err
    assert pair.processes >= 3
    assert pair.addresses, "gloo's own sockets were not met: the processes did not talk"
    assert [address for address in pair.addresses if not is_loopback(address)] == []
    assert not (pair.strangers / "ran").exists(), (pair.strangers / "ran").read_text()
    left = [p for p in pair.temporary.iterdir() if p.name.startswith(("chimera-", "torchelastic"))]
    assert not left


def test_under_nohup_two_that_train_together_outlive_their_terminal(pair: Pair) -> None:
    assert pair.hung_up and pair.code == 0, pair.err
    assert json.loads((pair.run / "run.json").read_text())["status"] == "done"


def test_processes_of_multiprocessing_run_no_code_of_the_current_folder(tmp_path: Path) -> None:
    strangers_folder = write_modules(tmp_path)
    code = """
import multiprocessing, sys
sys.path[:] = [p for p in sys.path if p]  # as in the installed command
from chimera_core.processes import keep_current_folder_out
if __name__ == "__main__":
    keep_current_folder_out()
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        process = context.Process(target=print, args=(method,))
        lock = context.Lock()  # starts the resource tracker
        process.start()
        process.join()
        assert process.exitcode == 0, method
"""
    script = strangers_folder.parent / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script], cwd=strangers_folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not (strangers_folder / "ran").exists(), (strangers_folder / "ran").read_text()


def test_the_command_keeps_the_current_folder_from_all_it_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from chimera_core.cli import main

    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["PYTHONSAFEPATH"]


def test_every_python_process_is_started_by_one_helper() -> None:
    root = Path(__file__).resolve().parents[3]
    for folder in ("chimera_core", "plugins"):
        for file in (root / folder).rglob("*.py"):
            if file.name != "processes.py":
                assert "sys.executable" not in file.read_text(), (
                    f"{file}: call it by processes.python_command"
                )
