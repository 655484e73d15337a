"""What a server may answer instead of a file: one line, and nothing under its name."""

from __future__ import annotations

import hashlib
import socket
import tempfile
import threading
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys.unruly_server import (
    BODY,
    NAME,
    OTHER,
    PART,
    Answer,
    Handler,
    Server,
    chunked,
    entry_of,
    fetched,
    gives,
    left_in,
    one_after_the_other,
    refused,
    stalls_after,
    status,
)

from chimera_core.downloads import transfer as download
from chimera_core.downloads.assets import asset_path
from chimera_core.errors import RunError

pytestmark = pytest.mark.usefixtures("impatient")


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
    assert fetched(server, tmp_path) == BODY


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
    assert fetched(server, tmp_path) == BODY
    assert server.requests[-1] == ("/b", "bytes=100000-", '"v1"')


def test_the_body_of_a_redirect_is_not_read(server: Server, tmp_path: Path) -> None:
    def endless(handler: Handler) -> None:
        handler.begin(302, Location="/b", Transfer_Encoding="chunked")
        while not handler.server.over.is_set():
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    server.answers |= {"/m": endless, "/b": gives()}
    assert fetched(server, tmp_path) == BODY


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(download, "PAUSES_S", (5.0,))  # is not waited
    entry = entry_of("https://a.example/x/model.pth", "https://b.example/m", home_page="https://c.example/\n")
    assert refused(entry, tmp_path / "assets") == (
        f"cannot download model.pth (300,000 bytes, sha256 {entry.sha256}): "
        "a.example: the host is unknown, or there is no network; "
        "b.example: the host is unknown, or there is no network. "
        "Try again, or get it from https://a.example/x/model.pth or https://b.example/m "
        rf"(see https://c.example/\n) and put it into '{tmp_path / 'assets'}' as model.pth"
    )
    assert pauses == []


def test_a_refused_connection_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/m"
    assert "127.0.0.1: Connection refused" in refused(entry_of(url), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", [status(404), status(500), gives(OTHER), gives(BODY[:9]), stalls_after(9)])
def test_the_next_place_is_asked_when_one_fails(server: Server, tmp_path: Path, first: Answer) -> None:
    server.answers |= {"/m": first, "/n": gives(etag='"n"')}
    entry = entry_of(server.url("/m"), server.url("/n"))
    assert asset_path(entry, tmp_path, timeout_s=1).read_bytes() == BODY
    assert left_in(tmp_path) == {NAME}


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
