"""Signals that end a command, while it runs and after."""

from __future__ import annotations

import signal

from chimera_core.cli._interrupts import end_by_signals


def test_when_a_command_is_through_signals_are_as_they_were() -> None:
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(number) for number in numbers]
    try:
        for number in numbers[1:]:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        restore = end_by_signals()
        assert len({signal.getsignal(number) for number in numbers}) == 1
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by somebody who came later: it stays
        restore()
        after = [signal.getsignal(number) for number in numbers]
        assert after == [signal.default_int_handler, signal.SIG_DFL, signal.SIG_IGN]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
