"""One day of a user twice, undisturbed and disturbed: does it end in the same bytes?

Run: python benchmarks/a_day.py [--files 20000] [--size 32] [--folder WORK]

The day: prepare a folder of pictures, train an encoder and a GAN on it, export both, fuse, compare, report. The second
time the folder is slow (each file that is opened waits), the disk fills up once under way, trainings and comparison are
killed or hang up, the data move between a kill and its resumption, and the machine swaps. Swapping is simulated: processes
stand still at random moments and go on, which is all that a process sees of it; memory is not taken away.

A line is printed for each step: which day, exit code, seconds, hash of what it made, its last words. Every disturbed
command must end with 1, 2, 130 or by the signal, in one line and without traceback, and the same command (with --resume where
trainings take it) must go on. At the end the days are compared byte by byte; of records only times, costs, places
and command lines are left out. Exit code 0: the same; 1: not, and what differs.

The disk is a tmpfs where mounting is allowed; elsewhere files are kept from growing (RLIMIT_FSIZE), which Linux alone can do
to a process that runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")
UNTRUE = ("created", "command", "cost", "seconds", "wall_s", "images_per_s", "written", "code")
"""Keys of records that tell of the way there, not of what came out."""

WIDTHS = ("--encoder.widths", 8, "--encoder.widths", 16, "--encoder.widths", 32)

# Read by every Python process on whose PYTHONPATH it lies, -P or not. What is slow is read at each call.
SLOW_HOOK = """
import builtins, io, os, time
_open, _scandir = builtins.open, os.scandir
def _wait(path):
    slow = os.environ.get("A_DAY_SLOW")
    if slow and not isinstance(path, int):
        seconds, folder = slow.split(":", 1)
        if os.path.abspath(os.fsdecode(path)).startswith(folder):
            time.sleep(float(seconds))
def open(file, *args, **kwargs):
    _wait(file)
    return _open(file, *args, **kwargs)
def scandir(path="."):
    _wait(path)
    return _scandir(path)
builtins.open = io.open = open
os.scandir = scandir
"""

EXPERIMENT = """name = "day"
size = {size}
seeds = [0]
weights = [[1, 0], [0.5, 0.5], [0, 1]]
[parents]
source = "folder"
options = {{ root = "{root}" }}
tuples = [["cat", "dog"]]
[judge]
encoder = "eye.safetensors"
[fusers.creature]
fuser = "creature.safetensors"
"""


class Process(Protocol):
    """A command that runs; a ``subprocess.Popen`` does."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def communicate(self) -> tuple[str, str]: ...


Start = Callable[[list[str], Path, Mapping[str, str]], Process]
Ready = Callable[[Path], bool]


def start_command(arguments: list[str], cwd: Path, environ: Mapping[str, str]) -> Process:
    """Start ``chimera`` in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "chimera_core.cli", *arguments],
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@dataclass
class Day:
    """One day in one folder.

    Args:
        name: printed with each step.
        home: working folder, where ``pictures`` lie.
        start: starts a command.
        environ: of the commands.
        swaps: let commands stand still at random moments.
        notify: called with each line.
    """

    name: str
    home: Path
    start: Start
    environ: dict[str, str]
    swaps: bool
    notify: Callable[[str], None]
    faults: list[str] = field(default_factory=list)

    def run(self, step: str, *arguments: object, made: str | None = None) -> None:
        """Run a command to its end, which must be a good one."""
        code, err, wall_s = self._through(list(map(str, arguments)))
        if code != 0:
            self.faults.append(f"{step}: exit code {code}: {_last(err)}")
        self._log(step, f"exit {code}", wall_s, made, err)

    def disturb(
        self,
        step: str,
        *arguments: object,
        when: Ready,
        how: Callable[[Process], None],
        ends: tuple[int, ...],
    ) -> None:
        """Run a command and do something to it when the time has come; it must end so, in one line."""
        code, err, wall_s = self._through(list(map(str, arguments)), when, how)
        if code == 0:
            self._log(step, "was through before", wall_s, None, err)
            return
        if code not in ends or "Traceback" in err:
            self.faults.append(f"{step}: exit code {code}, not one of {ends}, or a traceback: {err[-600:]}")
        self._log(step, f"exit {code}", wall_s, None, err)

    def _through(
        self, arguments: list[str], when: Ready | None = None, how: Callable[[Process], None] | None = None
    ) -> tuple[int, str, float]:
        begin = time.monotonic()
        process = self.start(arguments, self.home, self.environ)
        ended = threading.Event()
        swapping = threading.Thread(target=_swap, args=(process, ended))
        if self.swaps:
            swapping.start()
        watching = threading.Thread(target=_wait_for, args=(process, self.home, ended, when, how))
        if when is not None:
            watching.start()
        try:
            _, err = process.communicate()
        finally:
            ended.set()
            for thread in (swapping, watching):
                if thread.ident is not None:
                    thread.join()
        return process.returncode or 0, err, time.monotonic() - begin

    def _log(self, step: str, outcome: str, wall_s: float, made: str | None, err: str) -> None:
        sums = f" {made} {hash_of(self.home / made)}" if made and (self.home / made).exists() else ""
        detail = f" | {_last(err)}" if outcome != "exit 0" else ""
        self.notify(f"{self.name:9} {step:32} {outcome:18} {wall_s:6.1f} s{sums}{detail}")


def main(argv: list[str] | None = None, start: Start = start_command) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000, help="pictures, of two classes")
    parser.add_argument("--size", type=int, default=32, help="their side in pixels")
    parser.add_argument("--images", type=int, default=0, help="images that each training sees; 0: by --files")
    parser.add_argument("--folder", type=Path, help="a new folder to work in, kept; else one that is removed")
    args = parser.parse_args(argv)
    work = args.folder or Path(tempfile.mkdtemp(prefix="a-day-"))
    work = work.resolve()
    (work / "hook").mkdir(parents=True, exist_ok=True)
    (work / "hook" / "sitecustomize.py").write_text(SLOW_HOOK)
    try:
        return _both_days(
            work, args.files, args.size, args.images or max(640, min(args.files // 4, 4000)), start
        )
    finally:
        if args.folder is None:
            shutil.rmtree(work, ignore_errors=True)


def _both_days(work: Path, files: int, size: int, images: int, start: Start) -> int:
    quiet, rough = work / "quiet", work / "rough"
    quiet.mkdir()
    draw_pictures(quiet / "pictures", files, size)
    _notify(f"{files:,} pictures of {size} px, {images:,} images a training")
    lines = Lines(size, images)
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": hooked(work / "hook"), "COLUMNS": "200"}
    room = 3 * files * size * size * 3 + (400 << 20)  # packed twice, runs, pictures themselves
    calm = Day("calm", quiet, start, environ | _places(quiet), swaps=False, notify=_notify)
    undisturbed_day(calm, lines)
    with small_disk(rough, room) as fill:
        shutil.copytree(quiet / "pictures", rough / "pictures")
        slow_s = max(0.0005, 2 / files)
        slow = {"A_DAY_SLOW": f"{slow_s}:{rough / 'pictures'}"}
        stormy = Day("disturbed", rough, start, environ | _places(rough) | slow, swaps=True, notify=_notify)
        disturbed_day(stormy, lines, fill, slow_s)
        faults = calm.faults + stormy.faults + differences(quiet, rough)
    for fault in faults:
        _notify(f"FAULT: {fault}")
    _notify("both days end in the same bytes" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


@dataclass(frozen=True)
class Lines:
    """The command lines of the day."""

    size: int
    images: int

    def prepare(self, root: str = "pictures") -> list[object]:
        return ["source", "prepare", "folder", "--root", root, "--size", self.size, "--workers", 1]

    def encoder(self, root: str = "pictures") -> list[object]:
        narrow = ["--encoder", "cnn", *WIDTHS, "--encoder.depth", 1]
        return ["encoder", "train", *narrow, "--run", "eye", *self._training(root)]

    def gan(self, root: str = "pictures") -> list[object]:
        narrow = ["--channels", 8, "--noise", 16, "--judge", "none"]
        return ["fuser", "train", "gan", *narrow, "--run", "maker", *self._training(root)]

    def _training(self, root: str) -> list[object]:
        step = max(32, self.images // 20 // 32 * 32)
        return [
            *("--size", self.size, "--batch", 32, "--images", self.images, "--precision", "fp32"),
            *("--device", "cpu", "--log-images", 32, "--checkpoint-images", step),
            *("--source", "folder", "--source.root", root),
        ]  # fmt: skip

    fuse = ("fuse", "cat", "dog", "--fuser", "creature.safetensors", "--device", "cpu", "--n", 2, "--seed", 3)
    compare = ("compare", "day.toml", "--jobs", 1, "--device", "cpu")

    def write_experiment(self, home: Path, root: str = "pictures") -> None:
        (home / "day.toml").write_text(EXPERIMENT.format(size=self.size, root=root))


def hooked(hook: Path) -> str:
    """Give the PYTHONPATH on which the hook lies first."""
    return os.pathsep.join(filter(None, (str(hook), os.environ.get("PYTHONPATH"))))


def undisturbed_day(day: Day, lines: Lines) -> None:
    day.run("prepare", *lines.prepare())
    day.run("train the encoder", *lines.encoder(), made="runs/eye/checkpoints/best.safetensors")
    day.run("train the GAN", *lines.gan())
    _evening(day)
    lines.write_experiment(day.home)
    day.run("compare", *lines.compare, made="runs/day/results.csv")
    day.run("report", "report", "day", made="runs/day/report.md")


def disturbed_day(day: Day, lines: Lines, fill: Callable[[Process], None], slow_s: float) -> None:
    killed = (-signal.SIGKILL,)
    stopped = (130, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)

    def has_packed_more() -> Ready:
        # Blocks that are there, not sizes: shards are made at their full length.
        before = _blocks(day.home / "cache")
        return lambda home: _blocks(home / "cache") > before + 16

    def has_learned(run: str, share: float) -> Ready:
        return lambda home: _images_seen(home / "runs" / run) >= share * lines.images

    day.disturb("prepare: the disk is full", *lines.prepare(), when=has_packed_more(), how=fill, ends=(1, 2))
    empty(day.home)
    day.disturb(
        "prepare: killed", *lines.prepare(), when=has_packed_more(), how=_signal(signal.SIGKILL), ends=killed
    )
    day.run("prepare, again", *lines.prepare())
    day.disturb(
        "encoder: killed",
        *lines.encoder(),
        when=has_learned("eye", 0.3),
        how=_signal(signal.SIGKILL),
        ends=killed,
    )
    day.disturb(
        "encoder: the disk is full",
        *lines.encoder(),
        "--resume",
        when=has_learned("eye", 0.5),
        how=fill,
        ends=(1, 2),
    )
    empty(day.home)
    (day.home / "pictures").rename(day.home / "elsewhere")
    day.environ["A_DAY_SLOW"] = f"{slow_s}:{day.home / 'elsewhere'}"
    day.disturb("encoder: the data are gone", *lines.encoder(), "--resume", when=_never, how=fill, ends=(2,))
    day.run(
        "encoder, data elsewhere",
        *lines.encoder("elsewhere"),
        "--resume",
        made="runs/eye/checkpoints/best.safetensors",
    )
    gan = lines.gan("elsewhere")
    for number, name in (
        (signal.SIGHUP, "the line drops"),
        (signal.SIGTERM, "SIGTERM"),
        (signal.SIGKILL, "killed"),
    ):
        resume = ["--resume"] if (day.home / "runs" / "maker" / "run.json").exists() else []
        share = {signal.SIGHUP: 0.2, signal.SIGTERM: 0.4, signal.SIGKILL: 0.6}[number]
        day.disturb(
            f"GAN: {name}",
            *gan,
            *resume,
            when=has_learned("maker", share),
            how=_signal(number),
            ends=killed if number == signal.SIGKILL else stopped,
        )
    day.run("GAN, again", *gan, "--resume")
    _evening(day)
    lines.write_experiment(day.home, "elsewhere")
    day.disturb(
        "compare: killed",
        *lines.compare,
        when=lambda home: len(list((home / "runs" / "day" / "cells").glob("*.png"))) > 2,
        how=_signal(signal.SIGKILL),
        ends=killed,
    )
    day.disturb(
        "compare: the disk is full",
        *lines.compare,
        when=lambda home: len(list((home / "runs" / "day" / "cells").glob("*.png"))) > 6,
        how=fill,
        ends=(1, 2),
    )
    empty(day.home)
    day.run("compare, again", *lines.compare, made="runs/day/results.csv")
    day.run("report", "report", "day", made="runs/day/report.md")


def _evening(day: Day) -> None:
    day.run("export the encoder", "encoder", "export", "eye", "-o", "eye.safetensors", made="eye.safetensors")
    day.run(
        "export the GAN",
        "fuser",
        "export",
        "maker",
        "-o",
        "creature.safetensors",
        made="creature.safetensors",
    )
    day.run("fuse", *Lines.fuse, "-o", "creature.png", made="creature-1.png")


def differences(quiet: Path, rough: Path) -> list[str]:
    """Say which results of two days differ."""
    found = []
    runs = Path("runs")
    pictures = ["creature-1.png", "creature-2.png"]
    pictures += sorted(
        str(path.relative_to(quiet)) for path in (quiet / runs / "day" / "cells").glob("*.png")
    )
    for name in [
        *pictures,
        "eye.safetensors",
        "creature.safetensors",
        "runs/day/results.csv",
        "runs/day/summary.csv",
    ]:
        if hash_of(quiet / name) != hash_of(rough / name):
            found.append(f"{name} differs")
    if len(pictures) < 8:
        found.append("hardly any creature was compared")
    if _figures(quiet / runs / "day") != _figures(rough / runs / "day"):
        found.append("comparison.json differs in more than times")
    for run in ("eye", "maker"):
        if _metrics(quiet / runs / run) != _metrics(rough / runs / run):
            found.append(f"runs/{run}/metrics.jsonl differs in more than times")
    if not all((rough / runs / "day" / name).is_file() for name in ("report.html", "report.md", "sheet.png")):
        found.append("the report is not whole")
    found += [f"{path} was left behind" for path in rough.rglob("*.tmp")]
    return found


def _figures(run: Path) -> Any:
    if not (run / "comparison.json").exists():
        return None
    return _without(json.loads((run / "comparison.json").read_text()))


def _metrics(run: Path) -> Any:
    lines = (run / "metrics.jsonl").read_text().splitlines() if run.exists() else []
    return [_without(json.loads(line)) for line in lines]


def _without(value: Any) -> Any:
    """Leave out what tells of the way there."""
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if k not in UNTRUE}
    return [_without(v) for v in value] if isinstance(value, list) else value


def draw_pictures(root: Path, files: int, size: int) -> None:
    """Write noisy JPEGs as train/CLASS and val/CLASS, every fifth to validate on; the same for the same numbers."""
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
    for number in range(files):
        kind = number % 2
        pixels = generator.normal(110, 30, (size, size, 3))
        pixels[size // 4 : size * 3 // 4, size // 4 : size * 3 // 4, kind] += 80
        split = "val" if number // 2 % 5 == 4 else "train"
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        picture.save(root / split / CLASSES[kind] / f"{number:06d}.jpg", quality=90)


@contextmanager
def small_disk(folder: Path, room: int) -> Iterator[Callable[[Process], None]]:
    """Make a folder on a disk of its own; gives what fills it."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        _notify("no disk could be mounted: files are kept from growing instead")
        yield lambda process: resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        return

    def fill(process: Process) -> None:
        with open(folder / "filler", "wb") as file:
            for block in (1 << 20, 4096):
                try:
                    while True:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), block)
                except OSError:
                    continue

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def empty(home: Path) -> None:
    """Free the space again."""
    (home / "filler").unlink(missing_ok=True)


def _never(home: Path) -> bool:
    return False


def _signal(number: int) -> Callable[[Process], None]:
    return lambda process: _send(process, number)


def _send(process: Process, number: int) -> None:
    """Send to the whole group, if it is one of its own."""
    try:
        group = os.getpgid(process.pid)
        os.killpg(group, number) if group == process.pid else os.kill(process.pid, number)
    except ProcessLookupError:
        pass


def _swap(process: Process, ended: threading.Event) -> None:
    chance = random.Random(process.pid)
    while not ended.wait(chance.uniform(0.05, 0.6)):
        _send(process, signal.SIGSTOP)
        ended.wait(chance.uniform(0.01, 0.15))
        _send(process, signal.SIGCONT)


def _wait_for(
    process: Process, home: Path, ended: threading.Event, when: Ready, how: Callable[[Process], None]
) -> None:
    while not ended.wait(0.005):
        if when(home):
            how(process)
            return


def _blocks(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(place, name)).st_blocks
    return total


def _images_seen(run: Path) -> int:
    try:
        return int(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["images"])
    except (OSError, ValueError, IndexError, KeyError):
        return 0


def hash_of(path: Path) -> str:
    """Give the first twelve digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "is missing"


def _places(home: Path) -> dict[str, str]:
    return {"CHIMERA_CACHE": str(home / "cache"), "CHIMERA_RUNS": str(home / "runs")}


def _last(err: str) -> str:
    lines = [line for line in err.splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else ""


def _notify(line: str) -> None:
    print(line, flush=True)


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # so that the disk is given back


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
