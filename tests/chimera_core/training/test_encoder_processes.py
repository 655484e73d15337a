"""Training in processes of their own: killed at any moment, interrupted, shared by two."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core.files.weights import load_state
from chimera_core.runs.checkpoints import list_checkpoints
from chimera_core.training.parts.metrics import TIMINGS, read_metrics

IMAGES = 720
LOG_IMAGES = 40
# Only against hanging for ever: on cores that others keep busy, a start of torch in three processes has taken minutes.
PATIENCE_S = 600.0
ARGUMENTS = (
    "--source folder --encoder tiny --trainer plain --size 16 --batch 8 --precision fp32 --lr 0.03 --device cpu "
    f"--images {IMAGES} --ema 0.9 --log-images {LOG_IMAGES} --validate-images 240 --checkpoint-images 240"
).split()
# All that draws random numbers at once, with the trainer that people use.
VARIED = ["--trainer", "robust:pgd", "--trainer.steps", 2, "--augment", "rand-augment", "--mix", "cutmix"]


class Workshop:
    """A folder with pictures, a plugin and a cache, and ``chimera encoder train`` started in it.

    Each start is a process of its own, forked from one that has imported torch. What trains together is started by it as
    the installed command does.
    """

    def __init__(self, folder: Path, site: Path, pictures: Path, fork_server: Callable[..., Any]) -> None:
        self.folder = folder
        self.pictures = pictures
        self.environ = os.environ | {
            "PYTHONPATH": str(site),
            "CHIMERA_CACHE": str(folder / "cache"),
            "CHIMERA_RUNS": str(folder / "runs"),
            "OMP_NUM_THREADS": "1",
        }
        self.server = fork_server(sys.executable, self.environ)

    def start(self, run: str, *more: object, first: str = "") -> Any:
        """Start a training; ``first`` is Python code that its process runs before."""
        line = ["encoder", "train", "--run", run, *map(str, more)]
        order = {"code": f"{first}\nfrom chimera_core.cli import main\nmain({line})"}
        return self.server.start(
            order if first else {"arguments": line}, cwd=self.folder, environ=self.environ
        )

    def train(self, run: str, *more: object) -> tuple[int, str]:
        process = self.start(run, *more)
        _, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, err

    def new(self, *more: object) -> list[object]:
        return [*ARGUMENTS, "--source.root", self.pictures, *more]

    def varied(self, *more: object) -> list[object]:
        return self.new(*VARIED, *more)

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name


@pytest.fixture(scope="module")
def workshop(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_site: Path,
    pictures: Path,
    fork_server: Callable[..., Any],
) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"), tiny_site, pictures, fork_server)


@pytest.fixture(scope="module")
def whole(workshop: Workshop) -> Path:
    code, err = workshop.train("undisturbed", *workshop.varied())
    assert code == 0, err
    return workshop.run("undisturbed")


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(run)]


def assert_same(one: Path, two: Path) -> None:
    for name in (f"{IMAGES:09d}.safetensors", "best.safetensors"):
        assert (one / "checkpoints" / name).read_bytes() == (two / "checkpoints" / name).read_bytes(), name
    assert lines_of(one) == lines_of(two)


def wait_for(
    condition: Callable[[], bool],
    process: Any,
    pause_s: float = 0.003,
) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(pause_s)


def has_metrics(run: Path) -> bool:
    path = run / "metrics.jsonl"
    return path.exists() and path.stat().st_size > 0


def images_of(run: Path) -> int:
    return max((line["images"] for line in read_metrics(run)), default=0)


def half_written(run: Path) -> list[Path]:
    return list((run / "checkpoints").glob(".*.tmp"))


def is_stopped_while_it_writes(process: Any, run: Path) -> bool:
    """Stop a process as soon as it writes a checkpoint; True if half a file is there then."""
    if not half_written(run):
        return False
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: state_of(process.pid) in "TZX", process)
    if half_written(run):
        return True
    process.send_signal(signal.SIGCONT)
    return False


def state_of(pid: int) -> str:
    """Give the letter of a process's state, X when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


@pytest.fixture(scope="module")
def work(workshop: Workshop, killable: Callable[..., Any]) -> Any:
    def start(name: str) -> Any:
        resume = ["--resume"] if (workshop.run(name) / "run.json").exists() else []
        often = ["--checkpoint-minutes", 0.002] if name != "whole" else []
        return workshop.start(name, *workshop.varied(*often, *resume))

    def result(name: str) -> dict[str, Any]:
        folder = workshop.run(name) / "checkpoints"
        files = {n: (folder / n).read_bytes() for n in (f"{IMAGES:09d}.safetensors", "best.safetensors")}
        return {**files, "lines": lines_of(workshop.run(name)), "status": status_of(workshop.run(name))}

    def look(name: str) -> Callable[[str], None]:
        """It goes on from the newest checkpoint."""
        newest = max(list_checkpoints(workshop.run(name) / "checkpoints"), default=0)

        def check(err: str) -> None:
            assert not newest or f"going on from {newest:,} images" in err

        return check

    return killable(start=start, result=result, folder=workshop.run, look=look, alone="trained", patience_s=PATIENCE_S)  # fmt: skip


def test_killed_at_random_instants_and_resumed_by_the_same_line_it_gives_the_same_bytes(work: Any) -> None:
    work.kill_at_random_instants(few=3, in_a_row=3)


def test_of_two_that_train_at_once_one_is_sent_away(work: Any) -> None:
    work.start_two_at_once()


def test_sigkill_while_a_checkpoint_is_written_and_resume_give_the_same_bytes(
    workshop: Workshop, whole: Path
) -> None:
    run = workshop.run("killed-writing")
    # Every step's checkpoint is written: the only way to be met while one is.
    process = workshop.start(run.name, *workshop.varied("--checkpoint-minutes", 1e-6))
    wait_for(lambda: images_of(run) >= LOG_IMAGES, process)
    wait_for(lambda: is_stopped_while_it_writes(process, run), process, pause_s=0)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert half_written(run)
    code, err = workshop.train(run.name, "--resume")
    assert code == 0, err
    assert "going on from " in err and "from the beginning" not in err
    assert not half_written(run)
    assert_same(whole, run)


def status_of(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["status"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_exits_with_130(workshop: Workshop, whole: Path, number: signal.Signals) -> None:
    name = f"signal-{number.name}"
    run = workshop.run(name)
    process = workshop.start(name, *workshop.varied())
    wait_for(lambda: has_metrics(run), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "interrupted after" in err and "--resume" in err and "Traceback" not in err
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    code, err = workshop.train(name, "--resume")
    assert code == 0, err
    assert_same(whole, run)


@pytest.fixture(scope="module")
def alike(workshop: Workshop) -> tuple[Path, Path]:
    """Train the same 20 steps in one process and in two."""
    more = workshop.new("--no-encoder.norm", "--encoder.dropout", 0, "--encoder.width", 8, "--log-images", 8)
    short = [x for x in more if x != str(IMAGES)]
    short[short.index("--images")] = "--images=160"
    for name, devices in (("alone", 1), ("shared", 2)):
        line = ["encoder", "train", "--run", name, *map(str, short)]
        for process in workshop.server.start_together(
            line, devices, cwd=workshop.folder, environ=workshop.environ
        ):
            _, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, err
    return workshop.run("alone"), workshop.run("shared")


def test_two_processes_learn_as_one(alike: tuple[Path, Path]) -> None:
    alone, shared = (read_metrics(run) for run in alike)
    losses = [[line["loss"] for line in lines if "loss" in line] for lines in (alone, shared)]
    assert len(losses[0]) == len(losses[1]) == 20
    assert losses[0][0] != losses[0][-1]
    assert max(abs(a - b) for a, b in zip(*losses, strict=True)) < 1e-4
    last = [[line for line in lines if "val_accuracy" in line][-1] for lines in (alone, shared)]
    assert last[0]["val_loss"] == pytest.approx(last[1]["val_loss"], abs=1e-4)
    weights = [load_state(run / "checkpoints" / "best.safetensors") for run in alike]
    for name in weights[0]:
        assert torch.allclose(weights[0][name], weights[1][name], atol=1e-4), name


def children_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def test_a_killed_process_ends_the_others_with_a_clear_word(workshop: Workshop) -> None:
    run = workshop.run("bereft")
    process = workshop.start("bereft", *workshop.new("--devices", 2, "--images=10M"))
    wait_for(lambda: has_metrics(run), process)
    ranks = children_of(process.pid)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, err
    messages = [line for line in err.splitlines() if line.startswith("chimera: ")]
    assert re.search(
        r"process 1 of 2 was killed \(SIGKILL\) and the others were stopped: go on with --resume",
        messages[-1],
    )
    assert "Traceback" not in err
    assert not any(os.path.exists(f"/proc/{rank}") for rank in ranks)
    assert json.loads((run / "run.json").read_text())["status"] == "failed"


def test_a_run_that_is_being_trained_is_left_alone(workshop: Workshop) -> None:
    run = workshop.run("live")
    process = workshop.start("live", *workshop.new("--images=10M"))
    wait_for(lambda: has_metrics(run), process)
    for more in (["--resume"], workshop.new()):
        code, err = workshop.train("live", *more)
        assert code == 2, err
        assert re.search(rf"run live is being trained by process {process.pid} on \S+ since ", err), err
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    order = [line["images"] for line in read_metrics(run)]
    assert order == sorted(order)


def test_two_that_begin_a_run_without_a_name_at_once_are_two_runs(workshop: Workshop) -> None:
    short = ["--images=240" if x == "--images" else x for x in workshop.new() if x != str(IMAGES)]
    line = ["encoder", "train", *map(str, short)]
    start = lambda: workshop.server.start({"arguments": line}, cwd=workshop.folder, environ=workshop.environ)  # noqa: E731
    pair = [start() for _ in range(2)]
    outs = [process.communicate(timeout=PATIENCE_S) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outs
    assert len({out for out, _ in outs}) == 2


OF_A_TERMINAL = """
import os, sys
os.setsid()
terminal = os.open({name!r}, os.O_RDWR | os.O_NOCTTY)
for number in range(3):
    os.dup2(terminal, number)
sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
"""


def test_a_lost_terminal_saves(workshop: Workshop) -> None:
    """SIGHUP with a terminal that answers every write with an error."""
    import pty

    run = workshop.run("hung-up")
    main, side = pty.openpty()
    first = OF_A_TERMINAL.format(name=os.ttyname(side))
    process = workshop.start("hung-up", *workshop.new("--images=10M"), first=first)
    wait_for(lambda: has_metrics(run), process)
    os.close(side)
    os.close(main)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE_S)
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert (
        images_of(run) <= record["images"] == max(int(p.stem) for p in (run / "checkpoints").glob("0*.json"))
    )


# What nohup does before it becomes the command; test_private_processes.py has it do so for two that train together.
IGNORING_HANGUPS = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)"


def test_under_nohup_a_training_outlives_its_terminal(workshop: Workshop) -> None:
    run = workshop.run("nohup")
    short = ["--images=800" if x == "--images" else x for x in workshop.new() if x != str(IMAGES)]
    process = workshop.start(run.name, *short, first=IGNORING_HANGUPS)
    wait_for(lambda: has_metrics(run), process)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert json.loads((run / "run.json").read_text())["status"] == "done"


def test_processes_whose_agent_was_killed_still_hold_their_run(workshop: Workshop) -> None:
    run = workshop.run("orphans")
    process = workshop.start("orphans", *workshop.new("--devices", 2, "--images=10M"))
    wait_for(lambda: has_metrics(run), process)
    ranks = children_of(process.pid)
    try:
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        code, err = workshop.train("orphans", "--resume")
        assert code == 2 and re.search(rf"is being trained by process ({ranks[0]}|{ranks[1]}) on ", err), err
    finally:
        for rank in ranks:
            os.kill(rank, signal.SIGTERM)
    wait_for(lambda: not any(os.path.exists(f"/proc/{rank}") for rank in ranks), process)
