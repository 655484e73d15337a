"""A server on this machine that misbehaves on demand, and an asset that it has."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chimera_core.downloads import transfer
from chimera_core.downloads.assets import asset_path
from chimera_core.errors import RunError
from chimera_core.plugins.entries import AssetEntry

BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
NAME = "model.pth"
PART = f"{NAME}.part"
NOWHERE = "http://127.0.0.1:9/"

Answer = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Gives ``answers`` by path, and notes every request and how many bytes of a body it sent."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.sent: list[int] = []
        self.over = threading.Event()

    def url(self, path: str = "/m") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up on purpose here


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.requests.append((self.path, self.headers["Range"], self.headers["If-Range"]))
        self.server.answers[self.path](self)

    def begin(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass


def gives(
    body: bytes = BODY,
    *,
    etag: str = '"v1"',
    ranges: bool = True,
    cuts: tuple[int, ...] = (),
    claims: int | None = None,
    block: int = 1 << 16,
    pause_s: float = 0,
) -> Answer:
    """Serve a body; ``cuts`` are the bytes after which one connection after the other breaks."""
    left = list(cuts)

    def answer(handler: Handler) -> None:
        wanted, tag = handler.headers["Range"], handler.headers["If-Range"]
        start = int(wanted[6:-1]) if ranges and wanted and tag in (None, etag) else 0
        if start and start >= len(body):
            handler.begin(416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
            return
        data = body[start:]
        extra = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        length = len(data) if claims is None else claims
        handler.begin(206 if start else 200, Content_Length=length, ETag=etag, **extra)
        data = data[: left.pop(0)] if left else data
        handler.server.sent.append(len(data))
        for at in range(0, len(data), block):
            handler.wfile.write(data[at : at + block])
            if handler.server.over.wait(pause_s):
                return

    return answer


def chunked(*pieces: bytes, finish: bool = True) -> Answer:
    """Serve a body whose length is not known beforehand."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Transfer_Encoding="chunked")
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if finish:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def status(code: int, **headers: object) -> Answer:
    return lambda handler: handler.begin(code, Content_Length=0, **headers)


def stalls_after(count: int) -> Answer:
    """Send that many bytes and then nothing, with the connection open."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(BODY))
        handler.wfile.write(BODY[:count])
        handler.server.over.wait(30)

    return answer


def one_after_the_other(*answers: Answer) -> Answer:
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def entry_of(*urls: str, body: bytes = BODY, **changes: Any) -> AssetEntry:
    digest = hashlib.sha256(body).hexdigest()
    fields = {"urls": urls, "filename": NAME, "size": len(body), "sha256": digest, "licence": "none"}
    return AssetEntry(**{**fields, **changes})


def left_in(folder: Path) -> set[str]:
    """What lies in the folder, but for the empty lock file."""
    return set(os.listdir(folder)) - {f".{NAME}.lock"}


def refused(entry: AssetEntry, folder: Path, *, timeout_s: float = 5.0) -> str:
    """Ask for an asset that must not come: one line, and nothing under its name."""
    with pytest.raises(RunError) as caught:
        asset_path(entry, folder, timeout_s=timeout_s)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert left_in(folder) <= {PART}
    return str(caught.value)


def fetched(server: Server, folder: Path) -> bytes:
    """Fetch the asset that the server has under its usual address; give what lies there then."""
    return asset_path(entry_of(server.url()), folder).read_bytes()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once, and this machine directly."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(transfer, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def server(impatient: None) -> Iterator[Server]:
    """Run a server without answers."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
