"""Ctrl-C while modules are being imported."""

from __future__ import annotations

import _thread
import signal
import threading
from types import FrameType

_RETRY_S = 0.05


def let_imports_finish() -> None:
    """Let Ctrl-C wait until no import is under way; a second one does not wait.

    Torn apart, an import may swallow the KeyboardInterrupt: torch goes on without numpy and fails later, and the
    import system's own callbacks print a traceback and carry on (2 of 28 trials). A handler that is not Python's own
    stays: somebody wants it, or ``nohup``.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    is_waiting = is_retry = False

    def retry() -> None:
        nonlocal is_retry
        is_retry = True
        if hasattr(signal, "pthread_kill"):
            # A real signal, because interrupt_main would not end a wait.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            _thread.interrupt_main()

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_waiting, is_retry
        is_pressed_again, is_retry = is_waiting and not is_retry, False
        is_waiting = _is_importing(frame) and not is_pressed_again
        if not is_waiting:
            raise KeyboardInterrupt
        timer = threading.Timer(_RETRY_S, retry)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGINT, handle)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
