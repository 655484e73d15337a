"""Bring one file from an address into a ``.part`` beside its place, and go on after a cut.

What was considered: *pooch* verifies and caches, but neither resumes nor locks, knows no size and no published
prefix of a checksum, and brings *requests* along; ``torch.hub.download_url_to_file`` neither resumes nor has a
timeout, and costs importing torch; ``huggingface_hub`` resumes, from its own hub only. ``urllib`` of the standard
library speaks HTTP, TLS and proxies well; what it lacks is in this module: the resuming, the refusal of redirects
that lead astray, and never reading more than was promised.
"""

from __future__ import annotations

import http.client
import io
import logging
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from chimera_core.errors import RunError
from chimera_core.files.atomic import disk_trouble, one_line, quote
from chimera_core.files.own_folders import open_own, remove_file

BLOCK_BYTES = 1 << 20
# Waited after a cut. Whoever brings another megabyte in between gets all the tries again: a line that
# breaks every minute still ends, and a server that only ever breaks does not hold us for ever.
PAUSES_S = (1.0, 4.0, 16.0)
_WORTH_BYTES = 1 << 20
PASSING_CODES = (408, 425, 429, 500, 502, 503, 504)

_log = logging.getLogger(__name__)


class DownloadError(RunError):
    """One place does not give the file; another one may."""


def fetch(
    url: str, part: Path, *, size: int, report: Callable[[float, float], None], timeout_s: float
) -> None:
    """Bring ``part`` to ``size`` bytes, going on behind what it already holds.

    The server's ETag guards the tries of one call (``If-Range``). It is not kept for the next process: the caller
    pins the content by a checksum, which says more, and mirrors of one file have different tags.

    Args:
        url: http, https or file. A redirect may lead to http and https only, and never from https to http.
        part: the unfinished file. It stays when the work is interrupted, and is removed when it grows too long.
        size: of the whole, in bytes. Never more than this is written.
        report: called with (done, size), both in bytes, while done < size.
        timeout_s: longest silence of the server. There is no limit to the whole.
    Raises:
        DownloadError: this place does not give it: unknown host, refused, HTTP error, other size, cut too often.
        RunError: the disk refuses.
    """
    connected, etag = False, ""
    pauses, furthest = list(PAUSES_S), length_of(part)
    while (done := length_of(part)) != size:
        # A part that is longer than the whole belongs to another version of the file.
        start = done if done < size else 0
        try:
            stream = _open(url, start=start, size=size, etag=etag, timeout_s=timeout_s)
            connected, etag = True, stream.etag
            with closing(stream.body):
                _copy(stream, part, size=size, report=report, timeout_s=timeout_s)
        except _CutError as cut:
            reached = length_of(part)
            if reached >= furthest + _WORTH_BYTES:
                pauses, furthest = list(PAUSES_S), reached
            # A host that never answered is not asked again: offline, the message should come at once.
            if not connected or not pauses:
                raise DownloadError(str(cut)) from cut
            _log.info("%s: %s; trying again in %g s", one_line(url), cut, pauses[0])
            time.sleep(pauses.pop(0))


def length_of(path: Path) -> int:
    """Return the length of a file in bytes, 0 if there is none."""
    with writing(path):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the disk's refusal in the block into a ``RunError`` that names the file and the mend."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise RunError(f"cannot write {quote(path)}: {disk_trouble(error)}") from error


class _CutError(Exception):
    """The network failed in a way that may pass."""


@dataclass(frozen=True)
class _Stream:
    """What a place sends: the bytes from ``start`` on. ``bounded``: it cannot send more than the rest."""

    body: http.client.HTTPResponse | io.BufferedReader
    start: int
    bounded: bool
    etag: str = ""


def _open(url: str, *, start: int, size: int, etag: str, timeout_s: float) -> _Stream:
    if urlsplit(url).scheme == "file":
        return _open_file(url, start=start, size=size)
    return _open_http(url, start=start, size=size, etag=etag, timeout_s=timeout_s)


def _open_file(url: str, *, start: int, size: int) -> _Stream:
    path = Path(urllib.request.url2pathname(urlsplit(url).path))
    try:
        # Asked before opening: opening a pipe would wait for its writer.
        if not path.is_file():
            raise DownloadError("there is no such file")
        body = open(path, "rb")  # noqa: SIM115  (the caller closes it)
    except (OSError, ValueError) as error:
        raise DownloadError(reason_of(error)) from error
    length = body.seek(0, 2)
    if length != size:
        body.close()
        raise DownloadError(_other_size(length, size))
    body.seek(start)
    return _Stream(body, start, bounded=True)


def _open_http(url: str, *, start: int, size: int, etag: str, timeout_s: float) -> _Stream:
    """Ask for the bytes from ``start`` on; a server that cannot do that sends all, and ``start`` becomes 0."""
    headers = {"User-Agent": "chimera-toolkit", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if etag:
            headers["If-Range"] = etag
    try:
        response = opener().open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            # "bytes */TOTAL": nothing lies behind ``start``, so the part is not of that file.
            _check_total(_content_range(error.headers)[1], size)
            return _open_http(url, start=0, size=size, etag="", timeout_s=timeout_s)
        text = one_line(f"HTTP {error.code} {error.reason}", limit=160)
        raise (_CutError if error.code in PASSING_CODES else DownloadError)(text) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _CutError(reason_of(error, timeout_s)) from error
    begin, total = 0, response.length
    if response.status == 206:
        begin, total = _content_range(response.headers)
        if begin != start:
            response.close()
            if not start:
                raise DownloadError("it answers with a range that nobody asked for")
            return _open_http(url, start=0, size=size, etag="", timeout_s=timeout_s)
    try:
        _check_total(total, size)
    except DownloadError:
        response.close()
        raise
    # A weak tag (W/"...") may stand for other bytes, and anything stranger has no place in a header.
    tag = response.headers.get("ETag", "")
    tag = tag if re.fullmatch(r'"[!#-~]{0,200}"', tag) else ""
    bounded = response.length is not None and begin + response.length <= size
    return _Stream(response, begin, bounded=bounded, etag=tag)


def _copy(
    stream: _Stream, part: Path, *, size: int, report: Callable[[float, float], None], timeout_s: float
) -> None:
    """Append what comes to ``part``, block by block as it arrives, so that a cut loses nothing."""
    done = stream.start
    # Unbuffered: what has arrived is in the file, even when the process is killed.
    with open_own(part, "append" if done else "new") as file:
        while done < size or not stream.bounded:
            try:
                block = stream.body.read1(min(BLOCK_BYTES, size - done) or 1)
            except http.client.IncompleteRead:  # so ends a body in chunks that is cut; others just end
                block = b""
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise _CutError(reason_of(error, timeout_s)) from error
            if not block:
                break
            if done == size:
                remove_file(part, within=part.parent)
                raise DownloadError(f"it sends more than {size:,} bytes")
            with writing(part):
                rest = memoryview(block)
                while rest:  # a nearly full disk takes a part of a block
                    rest = rest[file.write(rest) :]
            done += len(block)
            if done < size:
                report(done, size)
    if done < size:
        raise _CutError(f"the connection ended at {done:,} of {size:,} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https, but never off an encrypted connection; urllib allows ftp too."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        fp.close()  # urllib would read the whole answer, however long it is
        before, after = urlsplit(req.full_url).scheme, urlsplit(urljoin(req.full_url, newurl)).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            raise DownloadError(
                f"it redirects from {before} to {quote(one_line(newurl, limit=160))}, which is not safe"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener() -> urllib.request.OpenerDirector:
    """Build an opener for http and https alone; ``build_opener`` would add ftp, file and data."""
    built = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        built.add_handler(handler)
    return built


def _content_range(headers: Any) -> tuple[int, int | None]:
    """Read ``Content-Range``: (first byte, length of the whole); -1 and None where it does not say."""
    match = re.fullmatch(r"bytes (?:(\d{1,15})-\d{1,15}|\*)/(\d{1,15}|\*)", headers.get("Content-Range", ""))
    if not match:
        return -1, None
    return int(match[1] or -1), None if match[2] == "*" else int(match[2])


def _check_total(total: int | None, size: int) -> None:
    # Before a byte is written: a hotel's log-in page must not replace the half of a file that is here.
    if total not in (None, size):
        raise DownloadError(_other_size(total or 0, size))


def _other_size(found: int, size: int) -> str:
    return f"it offers a file of {found:,} bytes instead of {size:,}"


def reason_of(error: Exception, timeout_s: float = 0) -> str:
    """Return why a connection or file failed, in a few words without the jargon of exceptions."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return f"no answer for {timeout_s:g} s"
    if isinstance(inner, socket.gaierror):
        return "the host is unknown, or there is no network"
    text = (inner.strerror if isinstance(inner, OSError) else "") or str(inner) or type(inner).__name__
    return one_line(text, limit=160)
