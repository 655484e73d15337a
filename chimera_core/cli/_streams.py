"""Standard streams that bear whatever is printed: closed, full, of another encoding, or with a stranger's escapes in it.

Names of files, classes and plugins, notes and licences come from others, and a terminal obeys what they hold. So what
goes out is cleaned here, in the one place that all printing passes: messages, tables, logs, warnings and tracebacks.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, TextIO

from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import clean_lines, disk_trouble


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable, whatever the caller left of them.

    A stream that is closed becomes the null device: otherwise the next file that is opened would get its number, and
    be written into by whoever prints. A stderr that is full or gone drops what it cannot take: no picture is lost for a
    remark. A stdout that is full is an error in one line.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    # Somebody's own stream, a test's or a notebook's, is theirs: to take its file would leave them without it.
    if sys.stdout is sys.__stdout__:
        sys.stdout = sys.__stdout__ = _cleaned(sys.stdout, 1, is_lossy=False)  # type: ignore[misc, assignment]
    if sys.stderr is sys.__stderr__:
        sys.stderr = sys.__stderr__ = _cleaned(sys.stderr, 2, is_lossy=True)  # type: ignore[misc, assignment]


@contextmanager
def stdout_for_bytes() -> Iterator[BinaryIO]:
    """Give stdout to bytes alone; whatever prints meanwhile, libraries of C too, goes to stderr.

    Raises:
        ConfigError: if it is a terminal.
    """
    stream = sys.stdout
    if stream.isatty():
        raise ConfigError("output '-': the standard output is a terminal: send it into a file or program")
    stream.flush()
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # somebody's own stream, a test's
        with contextlib.redirect_stdout(sys.stderr):
            yield stream.buffer
        return
    kept = os.fdopen(os.dup(number), "wb")
    os.dup2(2, number)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield kept
    finally:
        os.dup2(kept.fileno(), number)
        kept.close()


def clean(text: str) -> str:
    """Clean what is printed; see ``clean_lines``."""
    # Progress bars of libraries begin their line anew; whoever begins with that hides nothing that was there.
    return "\r" * text.startswith("\r") + clean_lines(text.removeprefix("\r"))


def terminal_of(stream: TextIO) -> IO[str]:
    """Give a stream for our own colours and progress bars, which are escapes; what others wrote must be cleaned before."""
    return _Raw(stream) if isinstance(stream, _CleanStream) else stream  # type: ignore[return-value]


class _CleanStream(io.TextIOWrapper):
    """A text stream that cleans what is written."""

    def __init__(self, buffer: Any, *, is_lossy: bool, **how: Any) -> None:
        super().__init__(buffer, **how)
        self._is_lossy = is_lossy

    def write(self, text: str) -> int:
        """Write text, cleaned."""
        # click asks by writing nothing, "" and b"", what kind of stream this is; a full device refuses even that.
        if text != "":
            self.write_raw(clean(text))
        return len(text)

    def write_raw(self, text: str) -> None:
        """Write text as it is."""
        try:
            super().write(text)
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Hand on what waits."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Send this and all the rest nowhere, so that ending the process does not fail as well."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
        if self._is_lossy:
            return
        if isinstance(error, BrokenPipeError):  # `chimera ... | head`
            raise error
        raise RunError(f"cannot write to standard output: {disk_trouble(error)}") from None


class _Raw:
    """A cleaned stream's other face."""

    def __init__(self, stream: _CleanStream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write_raw(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _cleaned(stream: TextIO | None, number: int, *, is_lossy: bool) -> TextIO:
    if isinstance(stream, _CleanStream):
        return stream
    buffer: Any = None
    encoding, is_line_wise, is_unbuffered = "utf-8", number == 2, False
    if stream is not None:
        # ASCII is what a system says that was never set up (LANG=C); click would write UTF-8 there past the cleaner.
        if stream.encoding and codecs.lookup(stream.encoding).name != "ascii":
            encoding = stream.encoding
        is_line_wise = getattr(stream, "line_buffering", is_line_wise)
        is_unbuffered = getattr(stream, "write_through", False)  # python -u
        try:
            stream.flush()
            buffer = stream.detach()  # type: ignore[attr-defined]
        except (OSError, ValueError, AttributeError):  # somebody's own stream: a test's, a notebook's
            return stream
    # As stderr has it: a name that the encoding lacks (cp1252, when Windows redirects) is written as an escape.
    how: dict[str, Any] = {"encoding": encoding, "errors": "backslashreplace", "line_buffering": is_line_wise}
    how["write_through"] = is_unbuffered
    return _CleanStream(buffer or open(number, "wb", closefd=False), is_lossy=is_lossy, **how)
