"""A web client that is a good guest, against a server on this machine that is no good host."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

import chimera_core
from chimera_core.downloads import web
from chimera_core.downloads.transfer import DownloadError
from chimera_core.downloads.web import WebClient
from chimera_core.errors import RunError

Answer = tuple[int, dict[str, str], bytes]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, float]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/x"

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["User-Agent"], time.monotonic()))
        code, headers, body = self.server.answers.pop(0)
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(web, "PAUSES_S", (0.01, 0.01, 0.01))
    made = Server()
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def ok(body: bytes, **headers: str) -> Answer:
    return (
        200,
        {"Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}},
        body,
    )


def test_an_answer_comes_and_we_are_named(server: Server) -> None:
    server.answers = [
        ok(b"whole"),
        ok(gzip.compress(b"packed"), Content_Encoding="gzip"),
        (200, {}, b"to the end"),
    ]
    client = WebClient(interval_s=0)
    assert [client.get(server.url, limit=100) for _ in range(3)] == [b"whole", b"packed", b"to the end"]
    assert {agent for _, agent, _ in server.asked} == {f"chimera-toolkit/{chimera_core.__version__}"}


def test_requests_start_a_pace_apart_and_large_answers_a_longer_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only waiting moves, since a busy machine's answers come late."""
    server.answers = [ok(b"x"), ok(b"x" * 3000), ok(b"x")]
    now, starts = [100.0], list[float]()
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda left_s: now.append(now.pop() + left_s))
    monkeypatch.setattr(web, "time", clock)
    client = WebClient(interval_s=0.05, bytes_per_s=10_000)
    for _ in range(3):
        client.get(server.url, limit=5000)
        starts.append(now[0])
    assert starts[1] - starts[0] == pytest.approx(0.05)
    assert starts[2] - starts[1] == pytest.approx(0.3)


def test_a_cut_line_is_tried_again(server: Server) -> None:
    server.answers = [(200, {"Content-Length": "9"}, b"half"), ok(b"wholewhol")]
    assert WebClient(interval_s=0).get(server.url, limit=9) == b"wholewhol"


@pytest.mark.slow
@pytest.mark.parametrize("late", [lambda: "1", lambda: formatdate(time.time() + 3, usegmt=True)])
def test_retry_after_is_seconds_or_a_date(server: Server, late: Callable[[], str]) -> None:
    server.answers = [(503, {"Retry-After": late()}, b""), ok(b"x")]
    WebClient(interval_s=0).get(server.url, limit=9)
    assert server.asked[1][2] - server.asked[0][2] > 0.5


@pytest.mark.parametrize("words", ["soon", "-5", "٣", "", "Mon, 99 Foo"])
def test_a_retry_after_of_no_sense_does_no_harm(server: Server, words: str) -> None:
    server.answers = [(429, {"Retry-After": words.encode().decode("latin-1")}, b""), ok(b"x")]
    assert WebClient(interval_s=0).get(server.url, limit=9) == b"x"


def test_nobody_waits_longer_than_five_minutes(server: Server) -> None:
    server.answers = [(429, {"Retry-After": "9" * 400}, b"")]
    with pytest.raises(RunError, match="asks to wait for 999,999,999 s"):
        WebClient(interval_s=0).get(server.url, limit=9)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {}, b""), "127.0.0.1:.*HTTP 404"),
        (ok(b"x" * 11), "it offers 11 bytes, more than 10"),
        ((200, {}, b"x" * 11), "sends more than 10 bytes"),
        (ok(gzip.compress(b"x" * 1_000_000)[:10_000], Content_Encoding="gzip"), "it offers"),
        (ok(b"no gzip", Content_Encoding="gzip"), "not gzip"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "is not allowed"),
        (
            (302, {"Location": "ftp://host/x"}, b""),
            "redirects from http to 'ftp://host/x', which is not safe",
        ),
        ((302, {"Location": "/x"}, b""), "HTTP 302"),
    ],
)
def test_what_an_address_cannot_give_is_one_line(server: Server, answer: Answer, message: str) -> None:
    server.answers = [answer] * 20
    with pytest.raises(DownloadError, match=message) as caught:
        WebClient(interval_s=0).get(server.url, limit=10)
    assert "\n" not in str(caught.value)


def test_a_small_gzip_does_not_grow_above_the_limit(server: Server) -> None:
    server.answers = [ok(gzip.compress(b"x" * 5_000_000), Content_Encoding="gzip")]
    with pytest.raises(DownloadError, match="sends more than 10,000 bytes"):
        WebClient(interval_s=0).get(server.url, limit=10_000)


def test_trouble_that_stays_ends_after_three_more_tries(server: Server) -> None:
    server.answers = [(500, {}, b"")] * 9
    with pytest.raises(RunError, match=r"HTTP 500 .*try again later") as caught:
        WebClient(interval_s=0).get(server.url, limit=9)
    assert len(server.asked) == 4 and not isinstance(caught.value, DownloadError)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "nonsense", "http://", "data:,x"])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(DownloadError, match="not an address of http"):
        WebClient().get(url, limit=9)
