"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_INTERVAL_S = 5.0


@contextmanager
def progress(title: str, parts: int = 1, *, quiet: bool = False) -> Iterator[Callable[[float, float], None]]:
    """Show how far a piece of work is.

    Args:
        title: what is being done.
        parts: how many pieces of equal size follow each other; each counts from 0 to its own total.
        quiet: show nothing.
    Yields:
        A function of (done, total) of the current piece; reaching the total goes on to the next piece.
    """
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        with _bar(title, parts) as report:
            yield report
    else:
        yield _plain(title, parts)


@contextmanager
def _bar(title: str, parts: int) -> Iterator[Callable[[float, float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    share = _shares(parts)
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=1.0)
        yield lambda done, total: shown.update(task, completed=share(done, total))


def _plain(title: str, parts: int) -> Callable[[float, float], None]:
    share = _shares(parts)
    last = time.monotonic()

    def report(done: float, total: float) -> None:
        nonlocal last
        fraction = share(done, total)
        if time.monotonic() - last >= PLAIN_INTERVAL_S:
            last = time.monotonic()
            print(f"{title}: {fraction:.0%}", file=sys.stderr)

    return report


def _shares(parts: int) -> Callable[[float, float], float]:
    finished = 0

    def share(done: float, total: float) -> float:
        nonlocal finished
        fraction = min(1.0, (finished + done / total) / parts) if total else 0.0
        if total and done >= total:
            finished += 1
        return fraction

    return share
