"""The worker process as the page sees it: jobs go in, pictures come out, and what takes too long is stopped.

One worker, kept warm, does one job after the other, those that somebody waits for first. Stopping is asked for, which a
fuser hears at its next report of progress and keeps everything loaded; one that does not hear it in time is killed, and
another worker starts at once. Torch-free.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from chimera_core.errors import ChimeraError, RunError
from chimera_core.processes import python_command
from chimera_core.studio.private_folder import remove_private_folder

_LOOK_S = 0.05
# From so many reports over so much of the work on, its pace is known; silent for so long, it is not any more.
_LEAST_REPORTS, _LEAST_SHARE, _SILENCE_S, _MOST_GROWTH_S = 4, 0.05, 1.5, 1.0
_PICTURES = ("draw", "gif")
# So long a worker has to stop by itself.
PATIENCE_S = 0.7


class Job:
    """One piece of work.

    ``state`` is waiting, working, done, stopped or failed; ``share`` in [0, 1] is how far it is; ``remarks`` are lines
    for the user; ``result`` what came out, or ``error`` what went wrong.
    """

    def __init__(self, number: int, order: Mapping[str, Any], *, is_urgent: bool) -> None:
        self.number, self.order, self.is_urgent = number, order, is_urgent
        self.state = "waiting"
        self.share = 0.0
        self.begun: float | None = None
        self._reports: list[tuple[float, float]] = []
        self._least_left = float("inf")
        self.remarks: list[str] = []
        self.result: dict[str, Any] = {}
        self.error = ""
        self._ended = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._ended.is_set()

    def report(self, share: float) -> None:
        """Note how far it is; a fuser that begins to count anew takes nothing back.

        Args:
            share: of the work, in [0, 1].
        """
        self.share = max(self.share, min(1.0, share))
        self._reports.append((time.monotonic(), self.share))
        if (left := self._estimate()) is not None:
            self._least_left = min(self._least_left, left)

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was begun."""
        return 0.0 if self.begun is None else time.monotonic() - self.begun

    @property
    def left_s(self) -> float | None:
        """Seconds left where its progress moves steadily; None where that cannot be known: it never grows."""
        left = self._estimate()
        if left is None or left > self._least_left + _MOST_GROWTH_S:
            return None
        times = [at for at, _ in self._reports[-2:]]
        silent_s = time.monotonic() - times[1]
        if silent_s > _SILENCE_S + 2 * (times[1] - times[0]):
            return None
        self._least_left = min(self._least_left, max(0.0, left - silent_s))
        return self._least_left

    def _estimate(self) -> float | None:
        """Give the seconds left at the last report, at the pace since the first."""
        if len(self._reports) < _LEAST_REPORTS:
            return None
        (first, before), (last, share) = self._reports[0], self._reports[-1]
        if share - before < _LEAST_SHARE:
            return None
        return (last - first) / (share - before) * (1 - share)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; say whether it came."""
        return self._ended.wait(seconds)

    def end(self, state: str, *, result: Mapping[str, Any] | None = None, error: str = "") -> None:
        """Note how it ended."""
        self.state, self.result, self.error = state, dict(result or {}), error
        self._ended.set()


class Workshop:
    """A worker, and the jobs that wait for it.

    Args:
        folder: the private one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._waiting: list[Job] = []
        self._current: Job | None = None
        self._asked_to_stop: float | None = None
        self._wake = threading.Condition()
        self._is_closed = False
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="studio-workshop")
        self._thread.start()

    def put(self, task: str, *, is_urgent: bool = True, **arguments: Any) -> Job:
        """Order a job; one that nobody waits for makes room for one that somebody does."""
        job = Job(next(self._numbers), {"task": task, **arguments}, is_urgent=is_urgent)
        with self._wake:
            if self._is_closed:
                job.end("failed", error="the studio is closing")
                return job
            self._waiting.append(job)
            current = self._current
            if is_urgent and current is not None and _is_in_the_way(current, job):
                self._ask_to_stop(current)
            self._wake.notify_all()
        return job

    def ask(self, task: str, **arguments: Any) -> dict[str, Any]:
        """Order a job and wait for what comes out.

        Raises:
            RunError: with the worker's line, if it failed.
        """
        job = self.put(task, **arguments)
        job.wait()
        if job.state != "done":
            raise RunError(job.error or "stopped")
        return job.result

    def stop(self, job: Job) -> None:
        """Stop a job: at once where it waits, else within about ``PATIENCE_S``."""
        with self._wake:
            if job in self._waiting:
                self._waiting.remove(job)
                job.end("stopped")
            elif job is self._current:
                self._ask_to_stop(job)

    def ahead_of(self, job: Job) -> int:
        """Count the pictures that come before one that waits; what only prepares for it is none."""
        with self._wake:
            if job not in self._waiting:
                return 0
            urgent = [other for other in self._waiting if other.is_urgent]
            before = urgent[: urgent.index(job)] if job in urgent else urgent
            if self._current is not None:
                before = [self._current, *before]
            return sum(other.order["task"] in _PICTURES for other in before)

    def close(self) -> None:
        """End the worker and all jobs."""
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()
        self._kill()
        self._thread.join(5)

    def _ask_to_stop(self, job: Job) -> None:
        if self._asked_to_stop is None:
            self._asked_to_stop = time.monotonic()
            self._send({"stop": job.number})

    def _work(self) -> None:
        self._start()
        while True:
            with self._wake:
                while not self._waiting and not self._is_closed:
                    self._wake.wait()
                if self._is_closed:
                    for job in self._waiting:
                        job.end("stopped")
                    return
                job = next((j for j in self._waiting if j.is_urgent), self._waiting[0])
                self._waiting.remove(job)
                self._current, self._asked_to_stop = job, None
                job.state, job.begun = "working", time.monotonic()
            if self._process is None or self._process.poll() is not None:
                self._start()
            self._send({"id": job.number, **job.order})
            self._follow(job)
            with self._wake:
                self._current = None

    def _follow(self, job: Job) -> None:
        """Wait for a job's end, whatever happens to its worker."""
        while not job.is_over:
            try:
                event = self._events.get(timeout=_LOOK_S)
            except queue.Empty:
                asked = self._asked_to_stop
                if asked is not None and time.monotonic() - asked > PATIENCE_S:
                    self._kill()
                    job.end("stopped")
                    if not self._is_closed:
                        self._start()
                continue
            if event is None:  # its worker is gone
                if self._asked_to_stop is not None or self._is_closed:
                    job.end("stopped")
                else:
                    job.end("failed", error=self._how_it_ended())
            elif event.get("id") == job.number:
                self._take(job, event)

    def _take(self, job: Job, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "progress":
                job.report(event["share"])
            case "remark":
                job.remarks.append(event["line"])
            case "end":
                job.share = 1.0
                job.end("done", result=event["result"])
            case "stopped":
                job.end("stopped")
            case "error":
                job.end("failed", error=self._without_private_folder(event["text"]))

    def _without_private_folder(self, text: str) -> str:
        """Call files as the user does: where they are kept is nothing to him."""
        return re.sub(re.escape(f"{self.folder}{os.sep}") + r"\w+/([0-9a-f]+/)?", "", text)

    def _start(self) -> None:
        """Start a worker that knows nothing yet."""
        if self._is_closed:
            return
        environ = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ
        process = subprocess.Popen(
            python_command("-m", "chimera_core.studio.worker", str(self.folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            start_new_session=True,  # Ctrl-C is for the studio, which ends its worker
        )
        self._events = queue.SimpleQueue()
        self._process = process
        threading.Thread(target=_listen, args=(process, self._events), daemon=True).start()
        if self._is_closed:
            self._kill()

    def _send(self, message: Mapping[str, Any]) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(BrokenPipeError, ValueError, OSError):
                process.stdin.write(json.dumps(message).encode() + b"\n")
                process.stdin.flush()

    def _kill(self) -> None:
        """End the worker, and whatever it started."""
        process = self._process
        if process is None:
            return
        if hasattr(os, "killpg"):  # Windows knows no groups
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()

    def _how_it_ended(self) -> str:
        code = self._process.wait() if self._process is not None else 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return f"the process that draws ended {how}, perhaps for want of memory: try a smaller size"


def _is_in_the_way(current: Job, job: Job) -> bool:
    """Say whether a job that nobody waits for is to make room: not where it prepares what the other one needs."""
    if current.is_urgent or current.order["task"] == "warm":
        return False
    return current.order.get("arguments") != job.order.get("arguments")


def _listen(process: subprocess.Popen[bytes], events: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    with suppress(ValueError, OSError):
        for line in process.stdout:
            events.put(json.loads(line))
    events.put(None)


def close_workshop(workshop: Workshop) -> None:
    """End a workshop and remove its private folder."""
    with suppress(ChimeraError, OSError):
        workshop.close()
    remove_private_folder(workshop.folder)
