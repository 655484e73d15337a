"""Assets arrive whole, verified and once, from a real server on this machine that misbehaves on demand."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import namedtuple
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_core.downloads import assets
from chimera_core.downloads import transfer as download
from chimera_core.downloads.assets import asset_path
from chimera_core.errors import DataError, RunError
from chimera_core.plugins.entries import AssetEntry

BODY = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
NAME = "model.pth"
PART = f"{NAME}.part"

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


@pytest.fixture(autouse=True)
def _no_proxy_and_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.over.set()
        running.shutdown()


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


# --- what comes -----------------------------------------------------------------------------------------


def test_an_asset_comes_whole_and_only_once(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(pause_s=0.001)
    reported: list[tuple[float, float]] = []
    folder = tmp_path / "not" / "yet"
    for _ in range(2):
        path = asset_path(entry_of(server.url()), folder, progress=lambda *now: reported.append(now))
    assert path == folder / NAME
    assert path.read_bytes() == BODY
    assert left_in(folder) == {NAME}
    assert server.requests == [("/m", None, None)]
    assert reported == sorted(reported)
    assert [now for now in reported if now[0] >= now[1]] == [(len(BODY), len(BODY))]


def test_a_published_prefix_of_the_checksum_is_enough(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives()
    entry = entry_of(server.url(), sha256="", sha256_prefix=hashlib.sha256(BODY).hexdigest()[:8].upper())
    assert asset_path(entry, tmp_path).read_bytes() == BODY
    entry = entry_of(server.url(), sha256="", sha256_prefix="0" * 8, filename="b.pth")
    with pytest.raises(RunError, match="sha256 beginning with 00000000"):
        asset_path(entry, tmp_path)


def test_a_body_of_unannounced_length_is_taken(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = chunked(BODY[:1000], BODY[1000:])
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY


def test_a_file_address_is_copied_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    source, folder = tmp_path / "my weights.pth", tmp_path / "assets"
    folder.mkdir()
    assert "file: there is no such file" in refused(entry_of(source.as_uri()), folder)
    assert "file: there is no such file" in refused(entry_of(tmp_path.as_uri()), folder)
    source.write_bytes(BODY[:9])
    assert "a file of 9 bytes instead of 300,000" in refused(entry_of(source.as_uri()), folder)
    source.write_bytes(BODY)
    for part in (BODY[:1000], OTHER + b"more"):
        (folder / PART).write_bytes(part)
        assert asset_path(entry_of(source.as_uri()), folder).read_bytes() == BODY
        (folder / NAME).unlink()


@pytest.mark.slow
def test_a_trickle_is_waited_for_however_long_it_takes(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(block=30_000, pause_s=0.06)
    start = time.monotonic()
    asset_path(entry_of(server.url()), tmp_path, timeout_s=0.4)
    assert time.monotonic() - start > 0.4


# --- what lies there already ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (OTHER, f"has sha256 {hashlib.sha256(OTHER).hexdigest()} instead of"),
        (BODY[:-1], "has 299,999 bytes instead of 300,000"),
        (b"", "has 0 bytes instead of 300,000"),
    ],
    ids=["content", "short", "empty"],
)
def test_a_wrong_file_under_the_name_is_said_and_left_alone(tmp_path: Path, wrong: bytes, words: str) -> None:
    (tmp_path / NAME).write_bytes(wrong)
    with pytest.raises(DataError, match=rf"model\.pth' {words}.*: remove it") as caught:
        asset_path(entry_of("http://127.0.0.1:9/"), tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / NAME).read_bytes() == wrong
    assert os.listdir(tmp_path) == [NAME]


def test_a_file_that_changes_later_is_noticed(tmp_path: Path) -> None:
    entry = entry_of("http://127.0.0.1:9/")
    (tmp_path / NAME).write_bytes(BODY)
    asset_path(entry, tmp_path)
    (tmp_path / NAME).write_bytes(OTHER)
    os.utime(tmp_path / NAME, ns=(0, 0))
    with pytest.raises(DataError, match="has sha256"):
        asset_path(entry, tmp_path)


def test_a_file_is_hashed_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = entry_of("http://127.0.0.1:9/")
    (tmp_path / NAME).write_bytes(BODY)
    asset_path(entry, tmp_path)
    monkeypatch.setattr(assets.hashlib, "file_digest", None)
    asset_path(entry, tmp_path)


def test_a_folder_under_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(DataError, match="is not a file"):
        asset_path(entry_of("http://127.0.0.1:9/"), tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_the_right_file_serves_and_a_dangling_one_is_replaced(
    server: Server, tmp_path: Path
) -> None:
    server.answers["/m"] = gives()
    elsewhere = tmp_path / "shared.pth"
    (tmp_path / NAME).symlink_to(elsewhere)
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    (tmp_path / NAME).rename(elsewhere)
    (tmp_path / NAME).symlink_to(elsewhere)
    asset_path(entry_of(server.url()), tmp_path)
    assert len(server.requests) == 1


# --- cuts ------------------------------------------------------------------------------------------------


def test_after_a_cut_only_the_rest_is_sent(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(cuts=(100_000,))
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.requests == [("/m", None, None), ("/m", "bytes=100000-", '"v1"')]
    assert server.sent == [100_000, 200_000]


def test_the_part_of_an_earlier_process_is_continued(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives()
    (tmp_path / PART).write_bytes(BODY[:250_000])
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.sent == [50_000]
    assert left_in(tmp_path) == {NAME}


def test_a_part_that_is_already_whole_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / PART).write_bytes(BODY)
    assert asset_path(entry_of("http://127.0.0.1:9/"), tmp_path).read_bytes() == BODY


def test_a_server_that_cannot_continue_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(ranges=False, cuts=(100_000,))
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.sent == [100_000, 300_000]


def test_a_file_that_changes_between_the_tries_is_begun_again(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = one_after_the_other(gives(OTHER, cuts=(100_000,)), gives(BODY, etag='"v2"'))
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.requests[1] == ("/m", "bytes=100000-", '"v1"')
    assert server.sent == [100_000, 300_000]


@pytest.mark.parametrize("tag", ['W/"v1"', '"a b"', "v1", '"\xe9"'])
def test_a_weak_or_strange_etag_is_not_sent_back(server: Server, tmp_path: Path, tag: str) -> None:
    server.answers["/m"] = gives(etag=tag, cuts=(100_000,))
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.requests[1] == ("/m", "bytes=100000-", None)


@pytest.mark.parametrize("part", [OTHER[:100_000], OTHER, OTHER + b"more", bytes(299_999)])
def test_a_part_of_another_file_costs_one_clean_download(server: Server, tmp_path: Path, part: bytes) -> None:
    server.answers["/m"] = gives()
    (tmp_path / PART).write_bytes(part)
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.sent[-1] == 300_000
    assert left_in(tmp_path) == {NAME}


@pytest.mark.parametrize(
    "odd",
    [
        status(206, Content_Range="bytes 0-299999/300000"),
        status(206, Content_Range="bytes 99999-299999/300000"),
        status(206, Content_Range=f"bytes {'9' * 5000}-{'9' * 5000}/{'9' * 5000}"),
        status(206),
        status(416),
        status(416, Content_Range="bytes */300000"),
    ],
)
def test_a_nonsense_answer_to_a_range_leads_to_a_clean_start(
    server: Server, tmp_path: Path, odd: Answer
) -> None:
    server.answers["/m"] = one_after_the_other(odd, gives())
    (tmp_path / PART).write_bytes(BODY[:100_000])
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert [wanted for _, wanted, _ in server.requests] == ["bytes=100000-", None]


def test_a_line_that_breaks_every_megabyte_still_ends(server: Server, tmp_path: Path) -> None:
    body = random.Random(2).randbytes(8 << 20)
    server.answers["/m"] = gives(body, cuts=(1_100_000,) * 6)
    assert asset_path(entry_of(server.url(), body=body), tmp_path).read_bytes() == body
    assert len(server.requests) == 7


def test_a_line_that_only_breaks_is_given_up_and_the_part_stays(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(cuts=(1000,) * 10)
    assert "127.0.0.1: the connection ended at 4,000 of 300,000 bytes" in refused(
        entry_of(server.url()), tmp_path
    )
    assert (tmp_path / PART).read_bytes() == BODY[:4000]
    server.answers["/m"] = gives()
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.sent[-1] == 296_000


def test_a_host_that_is_away_for_a_moment_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = one_after_the_other(gives(cuts=(100_000,)), status(503), gives())
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.sent == [100_000, 200_000]


def test_interrupting_leaves_a_part_to_go_on_with(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(pause_s=0.001)

    def stop(done: float, total: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asset_path(entry_of(server.url()), tmp_path, progress=stop)
    assert left_in(tmp_path) == {PART}
    kept = (tmp_path / PART).stat().st_size
    assert 0 < kept < 300_000
    asset_path(entry_of(server.url()), tmp_path)
    assert server.requests[-1][1] == f"bytes={kept}-"


# --- what is refused -------------------------------------------------------------------------------------


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(OTHER)
    message = refused(entry_of(server.url()), tmp_path)
    assert f"has sha256 {hashlib.sha256(OTHER).hexdigest()} instead of" in message
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (gives(BODY[:-1]), "a file of 299,999 bytes instead of 300,000"),
        (gives(BODY + b"x"), "a file of 300,001 bytes instead of 300,000"),
        (gives(BODY, claims=299_999), "a file of 299,999 bytes instead of 300,000"),
        (gives(BODY, claims=10**18), "a file of 1,000,000,000,000,000,000 bytes instead of 300,000"),
        (gives(b""), "a file of 0 bytes instead of 300,000"),
        (chunked(BODY, b"x"), "it sends more than 300,000 bytes"),
        (chunked(BODY + OTHER * 20), "it sends more than 300,000 bytes"),
        (status(204), "instead of 300,000"),
    ],
)
def test_a_wrong_size_leaves_nothing(server: Server, tmp_path: Path, answer: Answer, words: str) -> None:
    server.answers["/m"] = answer
    assert words in refused(entry_of(server.url()), tmp_path)
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize(
    "answer",
    [gives(BODY[:-1], claims=300_000, ranges=False), chunked(BODY[:-1]), chunked(BODY[:-1], finish=False)],
)
def test_a_body_that_stays_short_of_its_promise_never_gets_the_name(
    server: Server, tmp_path: Path, answer: Answer
) -> None:
    server.answers["/m"] = answer
    assert "the connection ended at 299,999 of 300,000 bytes" in refused(entry_of(server.url()), tmp_path)
    assert (tmp_path / PART).read_bytes() == BODY[:-1]


def test_more_than_the_promised_length_is_never_read(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(BODY + OTHER, claims=300_000)
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY


def test_a_log_in_page_does_not_cost_the_part(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(b"<html>Welcome to our hotel</html>", ranges=False)
    (tmp_path / PART).write_bytes(BODY[:100_000])
    assert "a file of 33 bytes" in refused(entry_of(server.url()), tmp_path)
    assert (tmp_path / PART).read_bytes() == BODY[:100_000]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(404), "HTTP 404 Not Found"),
        (status(403), "HTTP 403 Forbidden"),
        (status(503), "HTTP 503 Service Unavailable"),
        (status(302), "HTTP 302 Found"),
        (status(302, Location="file:///etc/hostname"), "file:///etc/hostname' is not allowed"),
        (
            status(302, Location="ftp://127.0.0.1/m"),
            "redirects from http to 'ftp://127.0.0.1/m', which is not safe",
        ),
        (status(302, Location="data:,x"), "data:,x' is not allowed"),
        (status(302, Location="http://[::1"), "Invalid IPv6 URL"),
        (status(307, Location="http://127.0.0.1:99999/"), "127.0.0.1:"),
        (status(301, Location="/m"), "infinite loop"),
        (status(206, Content_Range="bytes 5-299999/300000"), "a range that nobody asked for"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n"), "127.0.0.1: SSH-2.0-OpenSSH_9.9"),
        (lambda handler: handler.wfile.write(b"HTTP/1.1 200 " + b"x" * 70_000), "127.0.0.1: got more than"),
        (lambda handler: None, "Remote end closed connection"),
    ],
)
def test_an_answer_that_is_no_file_is_one_line(
    server: Server, tmp_path: Path, answer: Answer, words: str
) -> None:
    server.answers["/m"] = answer
    message = refused(entry_of(server.url()), tmp_path)
    assert words in message
    assert left_in(tmp_path) == set()
    for needed in (NAME, "300,000 bytes", entry_of(server.url()).sha256, server.url(), str(tmp_path)):
        assert needed in message


def test_redirects_to_other_addresses_are_followed(server: Server, tmp_path: Path) -> None:
    server.answers |= {"/m": status(302, Location="/a"), "/a": status(308, Location=server.url("/b"))}
    server.answers["/b"] = gives(cuts=(100_000,))
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.requests[-1] == ("/b", "bytes=100000-", '"v1"')


def test_the_body_of_a_redirect_is_not_read(server: Server, tmp_path: Path) -> None:
    def endless(handler: Handler) -> None:
        handler.begin(302, Location="/b", Transfer_Encoding="chunked")
        while not handler.server.over.is_set():
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    server.answers |= {"/m": endless, "/b": gives()}
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY


def test_a_redirect_never_leaves_encryption() -> None:
    request = urllib.request.Request("https://example.org/m")
    with tempfile.TemporaryFile() as body, pytest.raises(RunError, match="from https to 'http://example"):
        download._Redirects().redirect_request(request, body, 302, "Found", {}, "http://example.org/m")


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 100_000])
def test_a_server_that_falls_silent_is_an_error(server: Server, tmp_path: Path, count: int) -> None:
    server.answers["/m"] = stalls_after(count)
    assert "no answer for 0.1 s" in refused(entry_of(server.url()), tmp_path, timeout_s=0.1)
    assert (tmp_path / PART).read_bytes() == BODY[:count]


def test_a_server_that_accepts_and_says_nothing_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/m"
        assert "no answer for 0.1 s" in refused(entry_of(url), tmp_path, timeout_s=0.1)


def test_offline_the_message_says_all_that_is_needed_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(download, "PAUSES_S", (5.0,))  # is not waited
    entry = entry_of("https://a.example/x/model.pth", "https://b.example/m", home_page="https://c.example/\n")
    start = time.monotonic()
    assert refused(entry, tmp_path / "assets") == (
        f"cannot download model.pth (300,000 bytes, sha256 {entry.sha256}): "
        "a.example: the host is unknown, or there is no network; "
        "b.example: the host is unknown, or there is no network. "
        "Try again, or get it from https://a.example/x/model.pth or https://b.example/m "
        rf"(see https://c.example/\n) and put it into '{tmp_path / 'assets'}' as model.pth"
    )
    assert time.monotonic() - start < 1


def test_a_refused_connection_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/m"
    assert "127.0.0.1: Connection refused" in refused(entry_of(url), tmp_path)


# --- several places --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("first", [status(404), status(500), gives(OTHER), gives(BODY[:9]), stalls_after(9)])
def test_the_next_place_is_asked_when_one_fails(server: Server, tmp_path: Path, first: Answer) -> None:
    server.answers |= {"/m": first, "/n": gives(etag='"n"')}
    entry = entry_of(server.url("/m"), server.url("/n"))
    assert asset_path(entry, tmp_path, timeout_s=0.1).read_bytes() == BODY
    assert left_in(tmp_path) == {NAME}


def test_another_place_goes_on_where_the_first_stopped(server: Server, tmp_path: Path) -> None:
    server.answers |= {"/m": gives(cuts=(1000,) * 9), "/n": gives(etag='"n"')}
    asset_path(entry_of(server.url("/m"), server.url("/n")), tmp_path)
    assert server.requests[-1] == ("/n", "bytes=4000-", None)


# --- the disk --------------------------------------------------------------------------------------------


def test_too_little_space_is_said_before_anything_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 200_000)
    monkeypatch.setattr(assets.shutil, "disk_usage", lambda path: usage)
    message = refused(entry_of(server.url()), tmp_path)
    assert "300,000 bytes are missing" in message
    assert "only 200,000 free: free some space, or name another folder with CHIMERA_ASSETS" in message
    assert server.requests == []
    # What is in the part already needs no space.
    server.answers["/m"] = gives()
    (tmp_path / PART).write_bytes(BODY[:100_000])
    asset_path(entry_of(server.url()), tmp_path)


def test_a_file_size_limit_leaves_a_part_to_go_on_with(server: Server, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are Unix's")
    server.answers["/m"] = gives()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        message = refused(entry_of(server.url()), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "model.pth.part': the file grows above the size allowed" in message
    assert (tmp_path / PART).read_bytes() == BODY[:100_000]
    asset_path(entry_of(server.url()), tmp_path)
    assert server.sent[-1] == 200_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "chimera-test", str(disk)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs Linux and root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_line_and_after_tidying_it_goes_on(
    server: Server, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/m"] = gives()
    assert "300,000 bytes are missing" in refused(entry_of(server.url()), small_disk)
    assert server.requests == []
    with monkeypatch.context() as lying:  # another program fills the disk after we looked
        usage = namedtuple("usage", "total used free")(10**9, 0, 10**9)
        lying.setattr(assets.shutil, "disk_usage", lambda path: usage)
        message = refused(entry_of(server.url()), small_disk)
    assert "model.pth.part': the disk is full: free some space" in message
    kept = (small_disk / PART).stat().st_size
    assert 100_000 < kept < 300_000
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    assert asset_path(entry_of(server.url()), small_disk).read_bytes() == BODY
    assert server.requests[-1][1] == f"bytes={kept}-"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make the folder '.*assets': a part of the path is a file"):
        asset_path(entry_of("http://127.0.0.1:9/"), tmp_path / "file" / "assets")
    with pytest.raises(RunError, match=r"a\\x00b.*choose another name"):
        asset_path(entry_of("http://127.0.0.1:9/"), tmp_path / "a\0b")


# --- other processes -------------------------------------------------------------------------------------


def start_child(entry: AssetEntry, folder: Path) -> subprocess.Popen[str]:
    code = (
        "import sys; from chimera_core.downloads.assets import asset_path; from chimera_core.plugins.entries import AssetEntry\n"
        "entry = AssetEntry.model_validate_json(sys.argv[1]); print('ready', flush=True)\n"
        "print(asset_path(entry, sys.argv[2]).name)"
    )
    arguments = [sys.executable, "-c", code, entry.model_dump_json(), str(folder)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_killed_process_leaves_a_part_that_the_next_continues(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = one_after_the_other(stalls_after(1000), gives())
    child = start_child(entry_of(server.url()), tmp_path)
    deadline = time.monotonic() + 20
    while not ((tmp_path / PART).exists() and (tmp_path / PART).stat().st_size == 1000):
        assert time.monotonic() < deadline, "nothing arrived"
        time.sleep(0.01)
    child.kill()
    _, err = child.communicate(timeout=20)
    assert child.returncode in (-signal.SIGKILL, 1) and err == ""
    assert left_in(tmp_path) == {PART, f".{NAME}.lock.json"}  # whose it was; it holds nothing by now
    assert asset_path(entry_of(server.url()), tmp_path).read_bytes() == BODY
    assert server.sent == [299_000] and left_in(tmp_path) == {NAME}


@pytest.mark.slow
def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    both_started = threading.Event()

    def held(handler: Handler) -> None:
        both_started.wait(20)
        gives(pause_s=0.05)(handler)

    server.answers["/m"] = held
    children = [start_child(entry_of(server.url()), tmp_path) for _ in range(2)]
    time.sleep(0.2)
    both_started.set()
    messages = []
    for child in children:
        out, err = child.communicate(timeout=20)
        assert (out, child.returncode) == (f"{NAME}\n", 0), err
        messages += err.splitlines()
    assert len(messages) == 1 and re.fullmatch(
        rf"{NAME} is being fetched by process \d+ on .+: waiting for it", messages[0]
    )
    assert len(server.requests) == 1
    assert left_in(tmp_path) == {NAME}


def test_importing_it_loads_neither_torch_nor_the_network() -> None:
    code = (
        "import sys, chimera_core.downloads.assets, chimera_core.files.weights\n"
        "print({'torch', 'numpy', 'filelock', 'urllib.request', 'safetensors'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


# --- whatever happens ------------------------------------------------------------------------------------

answers = st.one_of(
    st.builds(
        gives,
        st.sampled_from([BODY, BODY, OTHER, BODY[:-1]]),
        etag=st.sampled_from(['"v1"', '"v2"', 'W/"w"']),
        ranges=st.booleans(),
        cuts=st.lists(st.integers(0, 300_000), max_size=3).map(tuple),
    ),
    st.builds(chunked, st.just(BODY), finish=st.booleans()),
    st.builds(status, st.sampled_from([200, 206, 404, 416, 503])),
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(answers, min_size=1, max_size=4),
    st.sampled_from([b"", BODY[:5], BODY[:299_999], OTHER[:70_000], OTHER, OTHER * 2]),
)
def test_whatever_a_server_does_a_wrong_file_never_gets_the_name(given: list[Answer], part: bytes) -> None:
    with Server() as running, tempfile.TemporaryDirectory() as name:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        folder = Path(name)
        (folder / PART).write_bytes(part)
        running.answers["/m"] = one_after_the_other(*given)
        try:
            assert asset_path(entry_of(running.url()), folder).read_bytes() == BODY
            assert left_in(folder) == {NAME}
        except RunError as error:
            assert "\n" not in str(error)
            assert left_in(folder) <= {PART}
            running.answers["/m"] = gives()
            assert asset_path(entry_of(running.url()), folder).read_bytes() == BODY
        finally:
            running.over.set()
            running.shutdown()


def test_a_part_that_is_a_link_is_not_written_through(server: Server, tmp_path: Path) -> None:
    """Where several people share a folder of assets, one could have it laid there."""
    server.answers["/m"] = gives()
    (tmp_path / "assets").mkdir()
    for name, content in (("key", b"precious"), ("long", BODY)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / "assets" / PART).symlink_to(tmp_path / name)
        assert "it is a link: remove it" in refused(entry_of(server.url()), tmp_path / "assets")
        assert (tmp_path / name).read_bytes() == content
        (tmp_path / "assets" / PART).unlink()
    os.link(tmp_path / "key", tmp_path / "assets" / PART)
    assert asset_path(entry_of(server.url()), tmp_path / "assets").read_bytes() == BODY
    assert (tmp_path / "key").read_bytes() == b"precious"
