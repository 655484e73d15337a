"""Ask a web service for small things as a good guest: paced, named, patient, and never reading more than was allowed.

``chimera_core.downloads.transfer`` brings one large file whose size and checksum are known; here are many answers of unknown
size from a host whose patience counts. What was considered: *requests* with its packages for pace and retries are
five more dependencies for what the standard library and the opener of ``download`` do in this file.
"""

from __future__ import annotations

import email.utils
import http.client
import logging
import math
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from chimera_core import __version__
from chimera_core.downloads.transfer import (
    BLOCK_BYTES,
    PASSING_CODES,
    PAUSES_S,
    DownloadError,
    opener,
    reason_of,
)
from chimera_core.errors import RunError
from chimera_core.files.atomic import one_line

USER_AGENT = f"chimera-toolkit/{__version__}"
LONGEST_WAIT_S = 300.0
"""The longest ``Retry-After`` that is waited for, and the longest that one answer may take to arrive."""

_log = logging.getLogger(__name__)


class WebClient:
    """Sends requests one after the other, with a pause between their starts.

    Args:
        interval_s: least time between the starts of two requests; tries count.
        bytes_per_s: what is read is followed by a pause as long as this rate needs for it.
        timeout_s: longest silence of the server.
        pauses_s: before further tries, where the host is in trouble; None: 1, 4 and 16 s.
        longest_s: that one answer may take to arrive; None: ``LONGEST_WAIT_S``.
    """

    def __init__(
        self,
        *,
        interval_s: float = 1.0,
        bytes_per_s: float = math.inf,
        timeout_s: float = 30.0,
        pauses_s: Sequence[float] | None = None,
        longest_s: float | None = None,
    ) -> None:
        self._interval_s = interval_s
        self._bytes_per_s = bytes_per_s
        self._timeout_s = timeout_s
        self._pauses_s = tuple(PAUSES_S if pauses_s is None else pauses_s)
        self._longest_s = LONGEST_WAIT_S if longest_s is None else longest_s
        self._due_s = -math.inf
        self._is_online = False

    def get(self, url: str, *, limit: int) -> bytes:
        """Read what lies at an address.

        A host that is too busy (429), in trouble (5xx) or cuts the line is asked again after 1, 4 and 16 s, or after
        as long as it says. But when nothing ever answered, the message comes at once: there is no network.

        Args:
            url: http or https. A redirect may lead to these two only, and never from https to http.
            limit: the most bytes to read, unpacked.
        Raises:
            DownloadError: this address does not give it (404, too long, an unsafe redirect); others may.
            RunError: the host cannot be reached, or stays in trouble.
        """
        host = one_line(urlsplit(url).netloc, limit=100)
        if urlsplit(url).scheme not in ("http", "https") or not host:
            raise DownloadError(f"'{one_line(url, limit=160)}' is not an address of http or https")
        pauses = list(self._pauses_s)
        while True:
            start_s = self._wait()
            try:
                body = self._read(url, limit)
            except _BusyError as busy:
                pause_s = pauses.pop(0) if pauses and self._is_online else None
                if pause_s is None or busy.wait_s > LONGEST_WAIT_S:
                    asked = f", and asks to wait for {busy.wait_s:,.0f} s" if busy.wait_s else ""
                    raise RunError(f"{host}: {busy}{asked}: try again later") from busy
                pause_s = max(pause_s, busy.wait_s)
                _log.info("%s: %s; trying again in %g s", host, busy, pause_s)
                time.sleep(pause_s)
            except DownloadError as error:
                raise DownloadError(f"{host}: {error}") from error
            else:
                self._due_s = start_s + max(self._interval_s, len(body) / self._bytes_per_s)
                return body

    def _wait(self) -> float:
        while (left_s := self._due_s - time.monotonic()) > 0:
            time.sleep(left_s)
        now_s = time.monotonic()
        self._due_s = now_s + self._interval_s
        return now_s

    def _read(self, url: str, limit: int) -> bytes:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
        try:
            response = opener().open(urllib.request.Request(url, headers=headers), timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            error.close()
            self._is_online = True
            text = one_line(f"HTTP {error.code} {error.reason}", limit=160)
            if error.code in PASSING_CODES:
                raise _BusyError(text, _retry_after(error.headers)) from error
            raise DownloadError(text) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _BusyError(reason_of(error, self._timeout_s)) from error
        self._is_online = True
        with closing(response):
            body = self._drain(response, limit)
        if response.headers.get("Content-Encoding", "").lower() == "gzip":
            return _unpack(body, limit)
        return body

    def _drain(self, response: Any, limit: int) -> bytes:
        expected = response.length
        if expected is not None and expected > limit:
            raise DownloadError(f"it offers {expected:,} bytes, more than {limit:,}")
        body, deadline_s = bytearray(), time.monotonic() + self._longest_s
        try:
            while len(body) <= limit and (block := response.read1(min(BLOCK_BYTES, limit + 1 - len(body)))):
                body += block
                if time.monotonic() > deadline_s:
                    raise _BusyError(f"it still sends after {self._longest_s:g} s")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _BusyError(reason_of(error, self._timeout_s)) from error
        if len(body) > limit:
            raise DownloadError(f"it sends more than {limit:,} bytes")
        if expected is not None and len(body) < expected:
            raise _BusyError(f"the connection ended at {len(body):,} of {expected:,} bytes")
        return bytes(body)


class _BusyError(Exception):
    """It did not go well this time. ``wait_s``: how long the host asks to be left alone, 0 if it does not say."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _retry_after(headers: Any) -> float:
    """Read ``Retry-After``, seconds or a date, as seconds from now; 0 where there is none that makes sense."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _unpack(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise DownloadError("it sends what is not gzip") from error
    if len(data) > limit:
        raise DownloadError(f"it sends more than {limit:,} bytes")
    if not unpacker.eof:
        raise _BusyError("it sends half of a gzip")
    return data
