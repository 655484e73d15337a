"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chimera_core.cli._streams import terminal_of
from chimera_core.files.atomic import one_line

PLAIN_INTERVAL_S = 5.0
_SLOW_INTERVAL_S = 30.0


@contextmanager
def progress(
    title: str, parts: int = 1, *, quiet: bool = False, unit: str = ""
) -> Iterator[Callable[[float, float], None]]:
    """Show how far a piece of work is.

    Args:
        parts: how many pieces of equal size follow each other; each counts from 0 to its own total.
        unit: what is counted, e.g. ``images``; how many of them a second is shown too. Empty: it is not.
    Yields:
        A function of (done, total) of the current piece; reaching the total goes on to the next piece.
    """
    if quiet:
        yield lambda done, total: None
    elif sys.stderr is not None and sys.stderr.isatty():
        with _bar(title, parts, unit) as report:
            yield report
    else:
        yield _plain(title, parts, unit)


@contextmanager
def _bar(title: str, parts: int, unit: str) -> Iterator[Callable[[float, float], None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]
    if unit:
        columns.append(TextColumn("{task.fields[speed]}"))
    share, speed = _shares(parts), _Speed(unit)
    with Progress(*columns, console=Console(file=terminal_of(sys.stderr)), transient=True) as shown:
        task = shown.add_task(escape(one_line(title)), total=1.0, speed="")

        def report(done: float, total: float) -> None:
            shown.update(task, completed=share(done, total), speed=speed(done))

        yield report


def _plain(title: str, parts: int, unit: str) -> Callable[[float, float], None]:
    share, speed = _shares(parts), _Speed(unit)
    start = last = time.monotonic()
    begun: float | None = None

    def report(done: float, total: float) -> None:
        nonlocal last, begun
        fraction, rate = share(done, total), speed(done)
        begun = fraction if begun is None else begun
        now = time.monotonic()
        # After ten minutes a line every five seconds is more than anyone reads.
        if now - last < (PLAIN_INTERVAL_S if now - start < 600 else _SLOW_INTERVAL_S):
            return
        last = now
        line = f"{title}: {fraction:.0%}"
        if unit and fraction > begun:
            left_s = (now - start) / (fraction - begun) * (1 - fraction)
            line += f", {rate}, {_duration(left_s)} left"
        print(line, file=sys.stderr, flush=True)

    return report


class _Speed:
    """Says how many of a unit are done per second, over about the last ten seconds."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self._marks: list[tuple[float, float]] = []

    def __call__(self, done: float) -> str:
        now = time.monotonic()
        if self._marks and done < self._marks[-1][1]:  # the next piece
            self._marks = []
        if not self._marks or now - self._marks[-1][0] > 0.5:
            self._marks = [*self._marks[-20:], (now, done)]
        (then, before), elapsed = self._marks[0], now - self._marks[0][0]
        return f"{(done - before) / elapsed:.3g} {self.unit}/s" if self.unit and elapsed > 0 and then else ""


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{minutes:.0f} min"
        if minutes < 90
        else f"{minutes / 60:.1f} h"
    )


def _shares(parts: int) -> Callable[[float, float], float]:
    finished = 0

    def share(done: float, total: float) -> float:
        nonlocal finished
        fraction = min(1.0, (finished + done / total) / parts) if total else 0.0
        if total and done >= total:
            finished += 1
        return fraction

    return share
