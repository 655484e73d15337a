"""All that is promised of a GPU, in one command: prints each figure with its unit, and writes them as JSON.

    python benchmarks/gpu.py [--device cuda] [--most-minutes 9] [--only training] [--quick] [-o gpu.json]

Sections: ``training`` (the share of the device's peak and of its roofline that training steps reach), ``data`` (the
time that a training waits for images), ``parts``, ``style`` (both coats at 512 px), ``person-cat``, ``pgd-10`` (beside
torchattacks' where that is installed), and ``tests`` (those marked gpu). It needs no data: images are made up, the
photographs and generators come with the installation.

Sections share a process beside this one. One that fails is recorded with its error, and the next begins in a new process, as a GPU
that has failed serves its process no more. One that no longer fits into the time is skipped. The exit status is 1 if one
failed. ``--quick --device cpu`` tries on tiny settings that everything works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from chimera_core.files.atomic import write_text_atomic
from chimera_core.runs.record import git_commit, versions

SECONDS = {
    "training": 100,
    "data": 40,
    "parts": 60,
    "style": 70,
    "person-cat": 40,
    "pgd-10": 40,
    "tests": 150,
}
"""What each section may take. It begins if so much is left; ``tests``, the last, may take all that is left."""
QUICK_S = 10
"""What a section needs to begin with tiny settings; it may take all that is left, as a CPU may be busy."""
MACHINE_S = 60

Answer = dict[str, Any]
"""``status`` (done or failed), ``figures`` and, of a failed section, ``error``."""


class Runner(Protocol):
    """Runs sections."""

    def run(self, name: str, device: str, *, quick: bool, seconds: float) -> Answer:
        """Run one section, or describe the machine."""

    def close(self) -> None:
        """End what was started."""


def main(arguments: Sequence[str] | None = None, *, runner: Runner | None = None) -> int:
    """Measure, print and write; give the exit status."""
    given = _arguments(arguments)
    start = time.monotonic()

    def left() -> float:
        return 60 * float(given.most_minutes) - (time.monotonic() - start)

    runner = runner or Process()
    found: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": git_commit(),
        "versions": versions(),
        "device": given.device,
        "quick": given.quick,
        "most_minutes": given.most_minutes,
        "machine": None,
        "sections": {},
    }
    try:
        if left() > 0:
            answer = runner.run("machine", given.device, quick=given.quick, seconds=min(MACHINE_S, left()))
            found["machine"] = answer["figures"] or answer
        print(describe(found), flush=True)
        for name in given.only or SECONDS:
            began = time.monotonic()
            needed = QUICK_S if given.quick else SECONDS[name]
            if left() < needed:
                reason = f"it may take {needed} s, and {max(left(), 0):.0f} s are left"
                answer = {"status": "skipped", "figures": {}, "error": reason}
            else:
                seconds = left() if given.quick or name == "tests" else needed
                answer = runner.run(name, given.device, quick=given.quick, seconds=seconds)
            answer["wall_s"] = round(time.monotonic() - began, 1)
            found["sections"][name] = answer
            print(as_text(name, answer), flush=True)
            found["wall_s"] = round(time.monotonic() - start, 1)
            # After each: what is known outlives a machine that is taken away.
            write_text_atomic(given.output, json.dumps(found, indent=1) + "\n")
    finally:
        runner.close()
    print(f"{found['wall_s']:.0f} s in all, written to {given.output}")
    return int(any(answer["status"] == "failed" for answer in found["sections"].values()))


class Process:
    """A process for sections, with those that it starts a group of its own; a new one after each failure."""

    def __init__(self, serve: Callable[[Connection], None] | None = None) -> None:
        self._serve = serve or serve_sections
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None

    def run(self, name: str, device: str, *, quick: bool, seconds: float) -> Answer:
        """Run one section; an error, a death and a time that is up end the process."""
        if self._process is None or self._line is None:
            context = multiprocessing.get_context("spawn")
            self._line, there = context.Pipe()
            self._process = context.Process(target=self._serve, args=(there,))
            self._process.start()
            there.close()  # so that its death is the end of the line
        try:
            self._line.send((name, device, quick, seconds))
            if self._line.poll(seconds):
                answer: Answer = self._line.recv()
            else:
                answer = failure(f"it had not ended after {seconds:.0f} s")
        except (EOFError, OSError):
            self._process.join(10)
            answer = failure(f"its process ended with status {self._process.exitcode}")
        if answer["status"] == "failed":
            self.close()
        return answer

    def close(self) -> None:
        """Kill the process and what it has started."""
        if self._process is not None and self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()  # it may not have its group yet
            self._process.join()
        self._process = self._line = None


def serve_sections(line: Connection) -> None:
    """Run what is asked for, until the line ends."""
    os.setsid()
    with suppress(EOFError):
        while True:
            name, device, quick, seconds = line.recv()
            line.send(run_section(name, device, quick=quick, seconds=seconds))


def run_section(name: str, device: str, *, quick: bool, seconds: float) -> Answer:
    """Run one section in this process, or describe the machine; record an error."""
    try:
        import gpu_sections

        setting = gpu_sections.Setting(device, quick, seconds)
        section = gpu_sections.describe if name == "machine" else gpu_sections.SECTIONS[name]
        return {"status": "done", "figures": section(setting)}
    except (Exception, SystemExit) as error:  # whatever happens, the other sections are measured
        traceback.print_exc()
        return failure(f"{type(error).__name__}: {error}", getattr(error, "figures", {}))


def failure(error: str, figures: dict[str, Any] | None = None) -> Answer:
    return {"status": "failed", "figures": figures or {}, "error": error}


def describe(found: dict[str, Any]) -> str:
    """Say where the figures come from."""
    machine = found["machine"] or {"error": "not asked: no time"}
    if "error" in machine:
        return f"machine: {machine['error']}"
    card = f"{machine['gpu']}, driver {machine['driver']}" if machine["gpu"] else machine["cpu"]
    lines = [
        f"{card}; torch {machine['torch']}; {machine['precision']}; {machine['threads']} threads",
        f"commit {found['commit']}",
    ]
    return "\n".join([*lines, "QUICK: tiny settings, the figures mean nothing"][: 3 if found["quick"] else 2])


def as_text(name: str, answer: Answer) -> str:
    """Lay out a section's figures, one a line."""
    lines = [f"\n{name}: {answer['status']}, {answer['wall_s']:.1f} s"]
    lines += [f"  {title:62} {_number(f['value']):>10} {f['unit']}" for title, f in answer["figures"].items()]
    if "error" in answer:
        lines.append(f"  {answer['error']}")
    return "\n".join(lines)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--most-minutes", type=float, default=9.0, help="what no longer fits is skipped")
    parser.add_argument("--only", action="append", choices=SECONDS, help="a section; several may be named")
    parser.add_argument("--quick", action="store_true", help="tiny settings: does it work at all?")
    parser.add_argument("-o", "--output", type=Path, default=Path("gpu.json"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # on a busy CPU, threads that spin wait for one another
    sys.exit(main())
