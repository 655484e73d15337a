"""Signals that ask a command to end, while modules are being imported and after."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from types import FrameType

_RETRY_S = 0.05


def end_by_signals() -> Callable[[], None]:
    """Let SIGTERM, and SIGHUP when a terminal goes, end a command as Ctrl-C does; all wait until an import is through.

    So files that are half written are removed, and records say ``interrupted``. What is set otherwise stays: a signal
    that is ignored (``nohup``), or a handler that is not Python's own.

    Torn apart, an import may swallow the KeyboardInterrupt: torch goes on without numpy and fails later, and the
    import system's own callbacks print a traceback and carry on (2 of 28 trials). A second signal does not wait.

    Returns:
        what sets signals as they were, for when the command is through: raised while Python ends, a KeyboardInterrupt
        is printed with its traceback, of processes that their launcher stops because another one was killed, say.
    """
    is_waiting = is_retry = False

    def retry(number: int) -> None:
        nonlocal is_retry
        is_retry = True
        if hasattr(signal, "pthread_kill"):
            # A real signal, because interrupt_main would not end a wait.
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        else:
            _thread.interrupt_main()

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_waiting, is_retry
        is_pressed_again, is_retry = is_waiting and not is_retry, False
        is_waiting = _is_importing(frame) and not is_pressed_again
        if not is_waiting:
            raise KeyboardInterrupt
        timer = threading.Timer(_RETRY_S, retry, (number,))
        timer.daemon = True
        timer.start()

    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            before[number] = signal.signal(number, handle)

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)

    return restore


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
