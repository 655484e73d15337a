"""Ctrl-C, SIGTERM and the end of a terminal: finish the step, save, and leave."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a signal asked the training to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def catch_interrupts() -> Iterator[Stop]:
    """Note SIGINT, SIGTERM and SIGHUP instead of dying of them; the second one kills as usual.

    SIGHUP comes when a terminal or an ssh connection ends; under ``nohup`` it is ignored, and stays so.

    Yields:
        What the loop looks at between its steps. Outside the main thread signals are left alone.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if (hang_up := getattr(signal, "SIGHUP", None)) and signal.getsignal(hang_up) != signal.SIG_IGN:
        before[hang_up] = signal.getsignal(hang_up)

    def note(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
