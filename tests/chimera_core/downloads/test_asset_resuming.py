"""A download goes on where it was cut, and begins anew where the rest would be of another file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from toys.unruly_server import (
    BODY,
    NAME,
    NOWHERE,
    OTHER,
    PART,
    Answer,
    Server,
    entry_of,
    fetched,
    gives,
    left_in,
    one_after_the_other,
    refused,
    status,
)

from chimera_core.downloads.assets import asset_path

pytestmark = pytest.mark.usefixtures("impatient")


def test_after_a_cut_only_the_rest_is_sent(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(cuts=(100_000,))
    assert fetched(server, tmp_path) == BODY
    assert server.requests == [("/m", None, None), ("/m", "bytes=100000-", '"v1"')]
    assert server.sent == [100_000, 200_000]


def test_the_part_of_an_earlier_process_is_continued(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives()
    (tmp_path / PART).write_bytes(BODY[:250_000])
    assert fetched(server, tmp_path) == BODY
    assert server.sent == [50_000]
    assert left_in(tmp_path) == {NAME}


def test_a_part_that_is_already_whole_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / PART).write_bytes(BODY)
    assert asset_path(entry_of(NOWHERE), tmp_path).read_bytes() == BODY


def test_a_server_that_cannot_continue_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(ranges=False, cuts=(100_000,))
    assert fetched(server, tmp_path) == BODY
    assert server.sent == [100_000, 300_000]


def test_a_file_that_changes_between_the_tries_is_begun_again(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = one_after_the_other(gives(OTHER, cuts=(100_000,)), gives(BODY, etag='"v2"'))
    assert fetched(server, tmp_path) == BODY
    assert server.requests[1] == ("/m", "bytes=100000-", '"v1"')
    assert server.sent == [100_000, 300_000]


@pytest.mark.parametrize("tag", ['W/"v1"', '"a b"', "v1", '"\xe9"'])
def test_a_weak_or_strange_etag_is_not_sent_back(server: Server, tmp_path: Path, tag: str) -> None:
    server.answers["/m"] = gives(etag=tag, cuts=(100_000,))
    assert fetched(server, tmp_path) == BODY
    assert server.requests[1] == ("/m", "bytes=100000-", None)


@pytest.mark.parametrize("part", [OTHER[:100_000], OTHER, OTHER + b"more", bytes(299_999)])
def test_a_part_of_another_file_costs_one_clean_download(server: Server, tmp_path: Path, part: bytes) -> None:
    server.answers["/m"] = gives()
    (tmp_path / PART).write_bytes(part)
    assert fetched(server, tmp_path) == BODY
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
    assert fetched(server, tmp_path) == BODY
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
    assert fetched(server, tmp_path) == BODY
    assert server.sent[-1] == 296_000


def test_a_host_that_is_away_for_a_moment_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = one_after_the_other(gives(cuts=(100_000,)), status(503), gives())
    assert fetched(server, tmp_path) == BODY
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


def test_another_place_goes_on_where_the_first_stopped(server: Server, tmp_path: Path) -> None:
    server.answers |= {"/m": gives(cuts=(1000,) * 9), "/n": gives(etag='"n"')}
    asset_path(entry_of(server.url("/m"), server.url("/n")), tmp_path)
    assert server.requests[-1] == ("/n", "bytes=4000-", None)


def test_a_log_in_page_does_not_cost_the_part(server: Server, tmp_path: Path) -> None:
    server.answers["/m"] = gives(b"<html>Welcome to our hotel</html>", ranges=False)
    (tmp_path / PART).write_bytes(BODY[:100_000])
    assert "a file of 33 bytes" in refused(entry_of(server.url()), tmp_path)
    assert (tmp_path / PART).read_bytes() == BODY[:100_000]
