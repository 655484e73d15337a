"""Worker processes that make cells, each watched: what hangs, dies or eats memory costs one cell, and no other."""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chimera_core.compare.experiment.cells import Cell, read_record, write_record
from chimera_core.files.atomic import one_line
from chimera_core.files.own_folders import open_own, remove_file
from chimera_core.host_memory import resident_bytes
from chimera_core.processes import python_command

_LOOK_S = 0.05
_PATIENCE_S = 20.0


@dataclass
class Group:
    """Cells of one fuser and one tuple, made one after the other by one worker.

    ``plugin`` is whose the fuser is: a worker goes on to another fuser of the plugin, and never to another plugin.
    """

    fuser: str
    plugin: str
    job: Mapping[str, Any]
    cells: list[Cell]


@dataclass(frozen=True)
class Limits:
    """What a cell may take: seconds, and bytes of memory of its worker (0: any).

    Starting a worker and loading a fuser may take ``loading_s``: on a busy machine, or from the network, that is long.
    """

    seconds: float
    memory: int = 0
    loading_s: float = 600.0


@dataclass
class Pool:
    """Makes groups of cells in ``jobs`` processes.

    Args:
        on_cell: called with a cell's id when it is recorded; from one thread at a time.
        threads: of each worker's mathematics. The same whatever ``jobs`` is: sums over other numbers of threads differ
            in the last bits.
        log: how the files are called that hold what workers print.
    """

    folder: Path
    jobs: int
    limits: Limits
    on_cell: Callable[[str], None] = lambda cell: None
    threads: int = 1
    log: str = "worker"
    _groups: list[Group] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _errors: list[BaseException] = field(default_factory=list)
    _ended: int = 0

    def run(self, groups: Sequence[Group]) -> None:
        """Make all cells; returns when each has a record.

        Raises:
            KeyboardInterrupt: after Ctrl-C, when the workers have ended; whole cells stay.
            RunError: if a record cannot be written.
        """
        self._groups = [g for g in groups if g.cells]
        count = min(self.jobs, len(self._groups))
        lanes = [threading.Thread(target=self._lane, args=(k,), daemon=True) for k in range(count)]
        for lane in lanes:
            lane.start()
        try:
            self._wait_for(count)
        except BaseException:
            self._stop.set()
            self._wait_for(count, seconds=_PATIENCE_S)
            raise
        if self._errors:
            raise self._errors[0]

    def _wait_for(self, lanes: int, *, seconds: float = math.inf) -> None:
        """Wait until all lanes have ended.

        Not by joining: a join that Ctrl-C interrupts takes a running thread for ended (Python 3.11).
        """
        until = time.monotonic() + seconds
        while self._ended < lanes and time.monotonic() < until:
            time.sleep(_LOOK_S)

    def _lane(self, number: int) -> None:
        worker: _Worker | None = None
        try:
            while not self._stop.is_set():
                group = self._next(worker)
                if group is None:
                    break
                if worker is not None and worker.plugin != group.plugin:
                    worker.end()
                    worker = None
                while group.cells and not self._stop.is_set():
                    if worker is None:
                        worker = _Worker(group.plugin, self.folder / f"{self.log}-{number}.log", self.threads)
                    worker.fuser = group.fuser
                    if not self._make(worker, group):
                        worker.kill()
                        worker = None
        except BaseException as error:  # it is raised again where the pool was called
            self._errors.append(error)
            self._stop.set()
        finally:
            if worker is not None:
                worker.kill() if self._stop.is_set() else worker.end()
            with self._lock:
                self._ended += 1

    def _next(self, worker: _Worker | None) -> Group | None:
        """Take a group: of the fuser that is loaded, else of its plugin, else of the fuser that has most to do."""
        with self._lock:
            if not self._groups:
                return None
            left: dict[str, int] = {}
            for group in self._groups:
                left[group.fuser] = left.get(group.fuser, 0) + len(group.cells)

            def worth(group: Group) -> tuple[bool, bool, int]:
                is_of_plugin = worker is not None and group.plugin == worker.plugin
                return worker is not None and group.fuser == worker.fuser, is_of_plugin, left[group.fuser]

            best = max(self._groups, key=worth)
            self._groups.remove(best)
            return best

    def _make(self, worker: _Worker, group: Group) -> bool:
        """Let a worker make a group's cells, dropping each that is recorded; False if the worker is of no use now."""
        worker.send({**group.job, "cells": [cell.to_json() for cell in group.cells]})
        current = group.cells[0].id
        since = time.monotonic()
        allowed = self.limits.loading_s
        while not self._stop.is_set():
            event = worker.event(_LOOK_S)
            if event is None:
                if reason := worker.trouble(self.limits, time.monotonic() - since, allowed):
                    worker.kill()
                    self._failed(group, current, reason)
                    return False
                continue
            if event["event"] == "end":
                return True
            current = event["cell"]
            since = time.monotonic()
            allowed = self.limits.seconds if event["event"] == "start" else self.limits.loading_s
            if event["event"] == "done":
                self._recorded(group, current)
        return False

    def _failed(self, group: Group, cell_id: str, reason: str) -> None:
        cell = next((c for c in group.cells if c.id == cell_id), None)
        if cell is None:  # between two cells: whichever comes next is tried anew
            return
        if read_record(self.folder, cell_id) is None:
            write_record(self.folder, cell, status="failed", error=reason)
        self._recorded(group, cell_id)

    def _recorded(self, group: Group, cell_id: str) -> None:
        group.cells = [c for c in group.cells if c.id != cell_id]
        with self._lock:
            self.on_cell(cell_id)


class _Worker:
    """One process, and what it says."""

    def __init__(self, plugin: str, log: Path, threads: int) -> None:
        self.plugin = plugin
        self.fuser = ""
        self._folder, self._log_path, self._log = log.parent, log, open_own(log, "new")
        environ = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"} | os.environ
        self._process = subprocess.Popen(
            python_command("-m", "chimera_core.compare.making.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environ,
            start_new_session=True,  # Ctrl-C is for the comparison, which ends its workers
        )
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._is_closed = False

    def send(self, job: Mapping[str, Any]) -> None:
        """Send a job; one that has died already is noticed by ``trouble``."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()

    def event(self, seconds: float) -> dict[str, Any] | None:
        """Wait for what it says next."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None

    def trouble(self, limits: Limits, seconds: float, allowed: float) -> str:
        """Return what is wrong with a worker that has been silent for so long of what is allowed; empty: nothing."""
        if seconds > allowed:
            if allowed != limits.seconds:
                return f"its fuser took longer than {allowed / 60:g} minutes to load"
            return f"took longer than the {allowed / 60:.3g} minutes that a cell may take (--cell-minutes)"
        used = resident_bytes(self._process.pid)
        if limits.memory and used > limits.memory:
            gib = 1 << 30
            return (
                f"took {used / gib:.1f} GiB of memory, more than the {limits.memory / gib:.1f} that a worker may "
                "take (--cell-memory)"
            )
        code = self._process.poll()
        if code is None:
            return ""
        self._listener.join(1)  # what it said before it ended counts
        if not self._events.empty():
            return ""
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return one_line(f"its process ended {how}{self._last_line()}")

    def end(self) -> None:
        """Let it end by itself."""
        self.send({})
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close()

    def kill(self) -> None:
        """End it, and whatever it started."""
        if self._is_closed:
            return
        if hasattr(os, "killpg"):  # Windows knows no groups
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._log.close()
        if self._log_path.is_file() and not self._log_path.stat().st_size:
            remove_file(self._log_path, within=self._folder)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError, OSError):
            for line in self._process.stdout:
                self._events.put(json.loads(line))

    def _last_line(self) -> str:
        self._log.flush()
        with suppress(OSError, ValueError):
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            if lines:
                return f": {lines[-1]}"
        return ""
