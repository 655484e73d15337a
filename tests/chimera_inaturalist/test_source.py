"""The source reads what the table lists, offline; and the commands, in processes of their own."""

from __future__ import annotations

import csv
import json
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chimera_core import open_source
from chimera_core.errors import DataError, MissingDataError
from chimera_core.testing import Law, check_component, parametrize_with_laws

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path, bring: Any) -> Path:
    bring()
    return tmp_path / "animals"


@pytest.fixture(scope="module")
def server(fork_server: Callable[..., Any]) -> Any:
    return fork_server(sys.executable, os.environ)


@pytest.fixture
def command(service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A download and its preparation, from this test's service, with caches of its own."""
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path / "assets"))
    options = "--source.taxa lion,tiger,zebra --source.per-class 20 --source.interval-s 0"
    line = f"source prepare inaturalist {options} --source.api {service.api} --size 16 --workers 0"
    return line.split()


def start(server: Any, command: list[str]) -> Any:
    return server.start({"arguments": command}, cwd=Path.cwd(), environ=os.environ)


def finish(server: Any, command: list[str]) -> tuple[int, str]:
    process = start(server, command)
    _, err = process.communicate()
    return process.returncode, err


@parametrize_with_laws(check_component("inaturalist"))
def test_inaturalist_keeps_the_laws_of_a_source(law: Law) -> None:
    law()


@pytest.mark.slow
def test_a_tenth_is_for_validation_and_observations_are_never_split(root: Path) -> None:
    source = open_source("inaturalist", root=str(root))
    assert source.info.classes == ("lion", "tiger", "zebra")
    assert sum(source.info.splits.values()) == 60 and source.info.licence == "mixed: see attribution.csv"
    with open(root / "attribution.csv", encoding="utf-8", newline="") as file:
        observation = {row["photo_id"]: row["observation_id"] for row in csv.DictReader(file)}
    sides = [{observation[p.stem] for p in source.open(s).paths} for s in source.info.splits]
    assert len(sides) == 2 and not sides[0] & sides[1]


def test_a_split_stays_as_it_is_when_more_photographs_come() -> None:
    from chimera_inaturalist.source import split_of

    sides = [split_of(str(k)) for k in range(5000)]
    assert 0.08 < sides.count("val") / 5000 < 0.12
    # Written down, so that no other hash can take this one's place unnoticed.
    assert [k for k in range(40) if split_of(str(k)) == "val"] == [15, 22]


@pytest.mark.slow
def test_examples_are_photographs_with_their_class(root: Path) -> None:
    split = pickle.loads(pickle.dumps(open_source("inaturalist", root=str(root)).open("train")))
    example = split[len(split) - 1]
    assert example.image.shape == (3, 60, 80) and example.image.dtype == torch.uint8
    assert (example.label, split.paths[-1].parent.name) == (2, "zebra")
    assert list(split.labels) == sorted(split.labels)


@pytest.mark.slow
def test_taxa_and_licences_choose_among_what_is_here(root: Path) -> None:
    some = open_source("inaturalist", root=str(root), taxa="zebra,lion", licences="cc0")
    assert some.info.classes == ("lion", "zebra") and sum(some.info.splits.values()) == 20
    assert any("under other licences than cc0, left out: 20" in note for note in some.info.notes)
    with pytest.raises(DataError, match="no split 'test'"):
        some.open("test")


@pytest.mark.slow
def test_a_kind_that_is_not_here_is_named_with_the_command_that_brings_it(root: Path) -> None:
    with pytest.raises(
        MissingDataError, match=r"no photographs of eagle in .*--taxa \"lion,eagle\" --download"
    ) as e:
        open_source("inaturalist", root=str(root), taxa="lion,eagle")
    assert e.value.downloadable


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "../secret/40000.jpg,x,40000,1,cc0,a,b,c",
        "/etc/40000.jpg,x,40000,1,cc0,a,b,c",
        "lion/40001.jpg,x,40000,1,cc0,a,b,c",
        "lion/40000.jpg,x,40000,1,,a,b,c",
        "lion/40000.jpg,x,40000,x,cc0,a,b,c",
        "lion/40000.jpg",
        "lion/40000.jpg,x,40000,1,cc0,a,b,c,d,e",
    ],
)
def test_lines_that_make_no_sense_are_left_out_and_counted(root: Path, line: str) -> None:
    lines = (root / "attribution.csv").read_text().splitlines(keepends=True)
    kept = [text for text in lines if not text.startswith("lion/40000.jpg")]
    (root / "attribution.csv").write_text("".join(kept) + line + "\n")
    info = open_source("inaturalist", root=str(root)).info
    assert sum(info.splits.values()) == 59
    assert any("make no sense, left out: 1" in note for note in info.notes)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b'file,taxon\n"open'])
def test_another_table_is_one_line(root: Path, content: bytes) -> None:
    (root / "attribution.csv").write_bytes(content)
    with pytest.raises(DataError, match="move it away and download anew"):
        open_source("inaturalist", root=str(root))


@pytest.mark.slow
def test_listing_and_describing_ask_nothing_of_the_network(
    service: Any,
    root: Path,
    here: Here,
    settings_read_anew: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CHIMERA_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("CHIMERA_CACHE", str(tmp_path / "cache"))
    service.requests.clear()
    code, out, _ = here("source", "list", "--json")
    row = next(row for row in json.loads(out) if row["name"] == "inaturalist")
    assert code == 0 and row["state"] == "needs data" and "--taxa" in row["mend"]
    api = ("--api", service.api, "--interval-s", 0)
    assert here("source", "info", "inaturalist", "--root", root, *api)[0] == 0
    assert here("source", "info", "inaturalist", "--taxa", "eagle", *api)[0] == 2
    assert here("source", "prepare", "inaturalist", "--taxa", "eagle", *api)[0] == 2
    assert (
        here("source", "prepare", "inaturalist", "--root", root, "--size", 16, "--workers", 0, *api)[0] == 0
    )
    assert not service.requests


def test_address_and_pace_are_not_in_the_help(here: Here) -> None:
    code, out, _ = here("source", "prepare", "inaturalist", "--help")
    assert code == 0 and "--per-class" in out
    assert "--api" not in out and "--interval-s" not in out and "--source." not in out


@pytest.mark.slow
def test_killed_and_resumed_it_has_each_photograph_once(
    service: Any, server: Any, command: list[str], tmp_path: Path
) -> None:
    service.pause_s = 0.03
    process = start(server, [*command, "--download"])
    deadline = time.monotonic() + 60
    while len(service.fetched()) < 25 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    root = tmp_path / "assets" / "inaturalist"
    whole = {int(p.stem) for p in root.glob("*/[0-9]*")}
    assert 20 <= len(whole) < 60
    listed = {row["file"] for row in csv.DictReader((root / "attribution.csv").open(newline=""))}
    assert {f"{p.parent.name}/{p.name}" for p in root.glob("*/[0-9]*")} <= listed
    service.pause_s = 0
    service.requests.clear()
    service.faults = {"/v1/observations": [(429, {"Retry-After": "1"})], "/photos/42003": [(500, {})]}
    service.bodies[42004] = None
    service.photos[42005]["license_code"] = "cc-by-nc"
    service.photos[min(whole)]["license_code"] = None
    code, err = finish(server, [*command, "--download"])
    assert code == 0, err
    assert not set(service.fetched()) & whole
    lines = [line for line in err.splitlines() if "left out" in line or "licence" in line]
    assert sum("42004" in line and "HTTP 404" in line for line in lines) == 1
    assert sum("42005" in line and "its licence is cc-by-nc" in line for line in lines) in (0, 1)
    assert sum("removed" in line for line in lines) == 1
    assert "Traceback" not in err
    rows = {row["file"] for row in csv.DictReader((root / "attribution.csv").open(newline=""))}
    assert rows == {f"{p.parent.name}/{p.name}" for p in root.glob("*/[0-9]*")} and len(rows) == 57
    code, err = finish(server, command)
    assert code == 0, err


@pytest.mark.slow
def test_without_network_the_command_ends_with_one_line(
    server: Any, command: list[str], tmp_path: Path
) -> None:
    at = command.index("--source.api") + 1
    code, err = finish(server, [*command[:at], "http://127.0.0.1:9/v1", *command[at + 1 :], "--download"])
    assert code == 1 and len(err.splitlines()) == 1 and "127.0.0.1:9" in err, err
    assert not (tmp_path / "assets").exists()


@pytest.mark.slow
def test_an_unknown_animal_ends_the_command_with_one_line(server: Any, command: list[str]) -> None:
    at = command.index("--source.taxa") + 1
    code, err = finish(server, [*command[:at], "lion,wolpertinger", *command[at + 1 :], "--download"])
    assert code == 2 and len(err.splitlines()) == 1 and "'wolpertinger'" in err, err


def test_the_library_fetches_through_this_source(
    service: Any, here: Here, tmp_path: Path, settings_read_anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the service is may be said in a registry, too: `library fetch` has no option for it.
    mine = f'[plugins.inaturalist.options.inaturalist]\napi = "{service.api}"\ninterval_s = 0\n'
    (tmp_path / "registry.toml").write_text(mine, encoding="utf-8")
    monkeypatch.setenv("CHIMERA_REGISTRY", str(tmp_path / "registry.toml"))
    monkeypatch.setenv("CHIMERA_LIBRARY", str(tmp_path / "library"))
    service.bodies[41001] = None
    code, out, err = here("library", "fetch", "tiger")
    assert code == 0, err
    pictures = [Path(line) for line in out.splitlines()]
    assert len(pictures) == 5 and all(p.is_file() and p.parent.name == "tiger" for p in pictures)
    assert "Ann" in "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "library").rglob("*.toml"))
