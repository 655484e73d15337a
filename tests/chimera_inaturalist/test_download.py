"""Photographs and their terms come whole, politely and once, from a server that misbehaves on demand."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chimera_core
from chimera_core.downloads import web
from chimera_core.errors import ChimeraError, ConfigError, DataError, RunError

COLUMNS = ["file", "taxon", "photo_id", "observation_id", "licence", "attribution", "source_url", "photo_url"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "animals"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSES_S", (0.01, 0.02, 0.03))


def table(root: Path) -> dict[str, dict[str, str]]:
    with open(root / "attribution.csv", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = {row["file"]: row for row in reader}
    assert reader.fieldnames == COLUMNS
    return rows


def pictures(root: Path) -> set[str]:
    return {f"{p.parent.name}/{p.name}" for p in root.glob("*/*")}


@pytest.mark.slow
def test_twenty_of_three_kinds_come_with_all_their_terms(bring: Any, service: Any, root: Path) -> None:
    reported = bring()
    rows = table(root)
    assert set(rows) == pictures(root) and len(rows) == 60
    assert {file.split("/")[0] for file in rows} == {"lion", "tiger", "zebra"}
    row = rows["tiger/41004.jpg"]
    assert row == {
        "file": "tiger/41004.jpg",
        "taxon": "Panthera tigris",
        "photo_id": "41004",
        "observation_id": "4100003",
        "licence": "cc0",
        "attribution": '(c) Ann "Eagle" Öst 4, some rights reserved (CC BY)',
        "source_url": "https://www.inaturalist.org/observations/4100003",
        "photo_url": f"{service.address}/photos/41004/medium.jpeg?1545715684",
    }
    assert reported == sorted(reported) and reported[-1] == (60, 60)
    asked = service.asked("/v1/observations")[0].query
    assert asked["quality_grade"] == "research" and asked["photo_license"] == "cc0,cc-by"


@pytest.mark.slow
def test_every_request_names_us_and_starts_a_pace_after_the_one_before(bring: Any, service: Any) -> None:
    bring("lion", per_class=5, interval_s=0.1)
    starts = [r.at_s for r in service.requests]
    assert len(starts) == 7
    # A request may be late on a busy machine, and the next one then comes after less than a whole pace.
    assert starts[-1] - starts[0] > 0.1 * (len(starts) - 1) - 0.05
    assert min(b - a for a, b in itertools.pairwise(starts)) > 0.04
    assert {r.agent for r in service.requests} == {f"chimera-toolkit/{chimera_core.__version__}"}


def test_the_real_service_is_never_asked_more_than_once_a_second() -> None:
    from chimera_inaturalist.config import InaturalistConfig

    assert InaturalistConfig().interval_s == 1
    with pytest.raises(ValueError, match="one request a second at most"):
        InaturalistConfig(interval_s=0.5)


def test_what_is_here_is_not_fetched_again_and_more_can_be_had_later(
    bring: Any, service: Any, root: Path
) -> None:
    bring("lion", per_class=5)
    kept = {p: p.stat().st_mtime_ns for p in root.glob("lion/*")}
    service.requests.clear()
    bring("lion,tiger", per_class=8)
    assert len(service.fetched()) == 3 + 8
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert set(table(root)) == pictures(root) and len(pictures(root)) == 16


def test_a_lost_picture_comes_again(bring: Any, service: Any, root: Path) -> None:
    bring("lion", per_class=5)
    (root / "lion" / "40002.jpg").unlink()
    service.requests.clear()
    bring("lion", per_class=5)
    assert service.fetched() == [40002]


@pytest.mark.parametrize("path", ["/v1/taxa", "/v1/observations", "/photos/40003"])
@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(bring: Any, service: Any, root: Path, path: str, code: int) -> None:
    service.faults[path] = [(code, {}), (code, {})]
    bring("lion", per_class=6)
    assert len(pictures(root)) == len(table(root)) == 6


@pytest.mark.slow
def test_retry_after_is_waited_for(bring: Any, service: Any) -> None:
    service.faults["/photos/40001"] = [(429, {"Retry-After": "1"})]
    bring("lion", per_class=3)
    first, second = (r.at_s for r in service.asked("/photos/40001"))
    assert second - first > 0.95


def test_who_asks_to_wait_for_an_hour_is_left_alone(
    bring: Any, service: Any, root: Path, pauses: list[float]
) -> None:
    service.faults["/photos/40001"] = [(429, {"Retry-After": "3600"})]
    with pytest.raises(RunError, match=r"HTTP 429.*wait for 3,600 s: try again later"):
        bring("lion", per_class=3)
    assert max(pauses, default=0) < 60
    assert set(table(root)) == pictures(root) == {"lion/40000.jpg"}


def test_a_server_that_stays_in_trouble_ends_the_work_and_what_came_stays(
    bring: Any, service: Any, root: Path
) -> None:
    service.faults["/photos/40002"] = [(500, {})] * 4
    with pytest.raises(RunError, match="HTTP 500"):
        bring("lion", per_class=5)
    assert set(table(root)) == pictures(root) == {"lion/40000.jpg", "lion/40001.jpg"}
    service.requests.clear()
    bring("lion", per_class=5)
    assert service.fetched() == [40002, 40003, 40004]


def test_a_photograph_that_is_missing_is_one_line_and_the_next_one_takes_its_place(
    bring: Any, service: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.bodies[40001] = None
    bring("lion", per_class=5)
    (line,) = caplog.messages
    assert line.startswith("left out: photograph 40001 of lion: 127.0.0.1") and "HTTP 404" in line
    assert set(table(root)) == pictures(root) == {f"lion/4000{k}.jpg" for k in (0, 2, 3, 4, 5)}


@pytest.mark.parametrize("now", ["cc-by-nc-nd", None])
def test_a_licence_that_changed_since_is_one_line_and_the_picture_goes(
    bring: Any, service: Any, root: Path, caplog: pytest.LogCaptureFixture, now: str | None
) -> None:
    bring("lion", per_class=5)
    service.photos[40003]["license_code"] = now
    bring("lion", per_class=5)
    (line,) = caplog.messages
    assert line == f"lion/40003.jpg: its licence changed from cc-by to {now or 'none'}: removed"
    assert set(table(root)) == pictures(root) == {f"lion/4000{k}.jpg" for k in (0, 1, 2, 4, 5)}


def test_another_free_licence_is_noted(bring: Any, service: Any, root: Path) -> None:
    bring("lion", per_class=5)
    service.photos[40003] |= {"license_code": "cc0", "attribution": "no rights reserved"}
    bring("lion", per_class=5)
    row = table(root)["lion/40003.jpg"]
    assert (row["licence"], row["attribution"]) == ("cc0", "no rights reserved")


def test_a_photograph_without_free_licence_beside_a_free_one_is_left_out(
    bring: Any, service: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del service.photos[40001]["license_code"]  # of the same observation as 40000
    bring("lion", per_class=5)
    assert caplog.messages == ["left out: photograph 40001 of lion: its licence is none or unknown"]
    assert "lion/40001.jpg" not in pictures(root)


def test_other_licences_come_only_when_asked_for(bring: Any, service: Any, root: Path) -> None:
    for photo in service.photos.values():
        photo["license_code"] = "cc-by-nc"
    with pytest.raises(DataError, match="no photographs of lion under cc0 or cc-by"):
        bring("lion")
    bring("lion", licences="CC0, CC BY-NC", per_class=3)
    assert {row["licence"] for row in table(root).values()} == {"cc-by-nc"}


def test_duplicates_stay_out(bring: Any, service: Any, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    service.bodies[41002] = service.picture(40001)
    service.photos[99] = {**service.photos[41005], "observation_id": 4_199_999}  # the same photograph twice
    bring("lion,tiger", per_class=20)
    (line, short) = caplog.messages
    assert line == "left out: photograph 41002 of tiger: it is the same picture as lion/40001.jpg"
    assert short.startswith("tiger: 19 of 20 photographs")
    assert service.fetched().count(41005) == 1
    assert set(table(root)) == pictures(root)


def test_what_is_no_image_is_left_out(
    bring: Any, service: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.bodies |= {40000: b"<html>log in</html>", 40002: b"\xff\xd8\xff" + b"\0" * 90, 40004: b""}
    bring("lion", per_class=5)
    assert len(caplog.messages) == 3 and all("not an image that can be read" in m for m in caplog.messages)
    assert len(pictures(root)) == 5 and set(table(root)) == pictures(root)


@pytest.mark.parametrize("number", ["../../evil", "40000/../../evil", "-3", "1" * 30, 4.5, True, None, "٣"])
def test_a_hostile_number_writes_nothing_outside(
    bring: Any, service: Any, root: Path, tmp_path: Path, number: object
) -> None:
    service.photos[40000]["id"] = number
    bring("lion", per_class=3)
    assert pictures(root) == {"lion/40001.jpg", "lion/40002.jpg", "lion/40003.jpg"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["animals"]


@pytest.mark.parametrize(
    "url", ["file:///etc/square.jpg", "ftp://host/square.jpg", "/photos/1/square.jpg", "http://h/photo.jpg", None, 3,
            "http://h/a b/square.jpg", "http://h/square.exe"],
)  # fmt: skip
def test_strange_addresses_are_not_asked(bring: Any, service: Any, root: Path, url: object) -> None:
    service.photos[40000]["url"] = url
    bring("lion", per_class=3)
    assert 40000 not in service.fetched() and len(pictures(root)) == 3


def test_a_flood_is_not_read_to_its_end(
    bring: Any, service: Any, root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chimera_inaturalist.download.MOST_PHOTO_BYTES", 50_000)
    service.bodies[40000] = b"x" * 60_000
    bring("lion", per_class=3)
    assert "more than 50,000" in caplog.messages[0] and len(pictures(root)) == 3


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"results": 3}', b'{"results": [3, null, {}]}'])
def test_nonsense_is_one_line(
    bring: Any, service: Any, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.WebClient, "get", lambda self, url, limit: answer)
    with pytest.raises(ChimeraError, match=r"not a list of results|knows no animal") as caught:
        bring("lion")
    assert "\n" not in str(caught.value)


def test_pages_that_never_end_do(bring: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = service.observations
    monkeypatch.setattr(service, "observations", lambda query: whole({**query, "id_above": "0"}))
    bring("lion", per_class=30)
    assert len(service.asked("/v1/observations")) == 2


def test_an_unknown_animal_is_one_line_and_nothing_is_fetched(bring: Any, service: Any, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"knows no animal 'mussel-lion'.*lion=Panthera leo"):
        bring("lion,mussel-lion")
    assert not service.fetched() and not root.exists()


def test_a_zebra_is_no_mussel_and_it_is_said_what_was_taken(
    bring: Any, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bring("zebra,tiger", per_class=1)
    assert caplog.messages == ["zebra is taken to be Plains Zebra (Equus quagga), taxon 42"]
    assert service.asked("/v1/observations")[1].query["taxon_id"] == "41"


@pytest.mark.parametrize("query", ["Panthera leo", "40", "lions"])
def test_animals_go_by_scientific_name_number_and_plural(
    bring: Any, service: Any, root: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "find_taxa", lambda words: service.taxa[:2])
    bring(f"Big Cat={query}", per_class=2)
    assert pictures(root) == {"big-cat/40000.jpg", "big-cat/40001.jpg"}


def test_no_network_is_one_line_at_once(bring: Any, root: Path, pauses: list[float]) -> None:
    with pytest.raises(RunError, match=r"127.0.0.1:9: Connection refused: try again later"):
        bring("lion", api="http://127.0.0.1:9/v1")
    assert sum(pauses) < 1 and not root.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"taxa": ""}, "no animals are named.*--taxa"),
        ({"taxa": "lion,Lion"}, "comes twice"),
        ({"taxa": "lion,???"}, "write names of animals"),
        ({"licences": "cc-by,mine"}, "name some of cc0"),
        ({"licences": ""}, "name some of cc0"),
        ({"api": "file:///etc"}, "write api as an address"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_asked(
    bring: Callable[..., Any], service: Any, options: dict[str, str], message: str
) -> None:
    with pytest.raises((ConfigError, ValueError), match=message):
        bring(**options)
    assert not service.requests


@pytest.mark.parametrize("size", ["small", "large", "original"])
def test_the_size_is_a_word_of_the_address(bring: Any, service: Any, size: str) -> None:
    bring("lion", per_class=1, photo_size=size)
    assert re.search(rf"/40000/{size}.jpg$", service.asked("/photos/")[0].path)
