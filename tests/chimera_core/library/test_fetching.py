"""Fetching through the source named inaturalist: a source of this test's writes what that one does."""

from __future__ import annotations

import csv
import os
import sys
import types
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chimera_core.errors import ConfigError, DataError, PluginError, RunError
from chimera_core.interfaces.components import DatasetSource
from chimera_core.library.fetching import fetch_into_library
from chimera_core.library.folder import Library
from chimera_core.library.records import read_record
from chimera_core.options.config import Config, option
from chimera_core.plugins.discovery import PluginHost
from chimera_core.plugins.hookspecs import ENTRY_POINT_GROUP, hookimpl
from chimera_core.records import ComponentSpec, SourceInfo

COLUMNS = ("file", "taxon", "photo_id", "observation_id", "licence", "attribution", "source_url", "photo_url")


class Options(Config):
    root: str = option("", help="folder")
    taxa: str = option("", help="names, with commas")
    per_class: int = option(5, gt=0, help="pictures of each")


class Observations(DatasetSource):
    """Writes as many pictures as are asked for; ``spoil`` may change what it leaves."""

    asked: tuple[Options, ...] = ()
    spoil: Callable[[Path], None] = staticmethod(lambda root: None)

    @property
    def info(self) -> SourceInfo:
        raise NotImplementedError

    def open(self, split: str) -> Any:
        raise NotImplementedError

    @classmethod
    def download(cls, config: Options, *, progress: Callable[[float, float], None]) -> None:
        Observations.asked += (config,)
        root = Path(config.root)
        (root / config.taxa).mkdir(parents=True, exist_ok=True)
        rows = []
        for k in range(config.per_class):
            file = root / config.taxa / f"{100 + k}.jpg"
            Image.new("RGB", (64, 48), (20 * k, 90, 30)).save(file)
            address = f"https://www.inaturalist.org/observations/{k}"
            row = (
                f"{config.taxa}/{file.name}",
                config.taxa,
                100 + k,
                k,
                "CC-BY-4.0",
                f"(c) P{k}",
                address,
                "",
            )
            rows.append(dict(zip(COLUMNS, row, strict=True)))
            progress(k + 1, config.per_class)
        write_manifest(root, rows)
        Observations.spoil(root)


def write_manifest(root: Path, rows: list[dict[str, Any]]) -> None:
    with open(root / "attribution.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read_manifest(root: Path) -> list[dict[str, Any]]:
    with open(root / "attribution.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def host(make_host: Callable[..., PluginHost], monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    @hookimpl
    def chimera_dataset_sources() -> list[ComponentSpec]:
        return [ComponentSpec("inaturalist", "a test's", "made_up_fetch:Observations", Options)]

    module = types.ModuleType("made_up_fetch")
    module.__dict__.update(
        CHIMERA_API=1, chimera_dataset_sources=chimera_dataset_sources, Observations=Observations
    )
    monkeypatch.setitem(sys.modules, "made_up_fetch", module)
    monkeypatch.setattr(Observations, "asked", ())
    monkeypatch.setattr(Observations, "spoil", staticmethod(lambda root: None))
    return make_host(EntryPoint("fetch", "made_up_fetch", ENTRY_POINT_GROUP))


def test_fetched_pictures_come_with_their_terms(host: PluginHost, root: Path) -> None:
    seen: list[tuple[float, float]] = []
    added = fetch_into_library(
        "Golden Eagle", host=host, count=3, progress=lambda done, total: seen.append((done, total))
    )
    assert Library(root).pictures() == {"golden_eagle": sorted(added)}
    assert (Observations.asked[0].taxa, Observations.asked[0].per_class) == ("golden eagle", 3)
    record = read_record(added[1])
    assert (record.licence, record.attribution) == ("CC-BY-4.0", "(c) P1")
    assert record.source == "https://www.inaturalist.org/observations/1" and record.original == "101.jpg"
    assert seen[-1] == (3, 3)
    assert os.listdir(root / ".fetching") == [".lock"]


def test_what_has_no_licence_or_leads_outside_or_is_broken_stays_out(
    host: PluginHost,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "secret.png")

    def spoil(place: Path) -> None:
        rows = read_manifest(place)
        rows[0]["licence"] = ""
        rows[1]["file"] = "../../../secret.png"
        rows[2]["file"] = str(tmp_path / "secret.png")
        (place / rows[3]["file"]).write_bytes(b"no picture")
        (place / rows[4]["file"]).unlink()
        write_manifest(place, rows)

    monkeypatch.setattr(Observations, "spoil", staticmethod(spoil))
    (added,) = fetch_into_library("okapi", host=host, count=6)
    assert read_record(added).original == "105.jpg"
    assert len([r for r in caplog.records if r.getMessage().startswith("left out")]) == 5


@pytest.mark.parametrize("spoiled", ["gone", "bytes", "empty"])
def test_without_known_terms_nothing_is_added(
    host: PluginHost, root: Path, monkeypatch: pytest.MonkeyPatch, spoiled: str
) -> None:
    def spoil(place: Path) -> None:
        if spoiled == "gone":
            (place / "attribution.csv").unlink()
        else:
            (place / "attribution.csv").write_bytes(b"\xff\xfe\0" if spoiled == "bytes" else b"")

    monkeypatch.setattr(Observations, "spoil", staticmethod(spoil))
    with pytest.raises(DataError, match="inaturalist"):
        fetch_into_library("okapi", host=host)
    assert Library(root).pictures() == {}


def test_an_interrupted_fetch_keeps_what_it_has_and_goes_on(
    host: PluginHost, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(place: Path) -> None:
        raise RunError("no network: try again")

    monkeypatch.setattr(Observations, "spoil", staticmethod(fail))
    with pytest.raises(RunError, match="no network"):
        fetch_into_library("okapi", host=host)
    assert (root / ".fetching/okapi/okapi/100.jpg").exists()
    assert Library(root).pictures() == {}
    monkeypatch.setattr(Observations, "spoil", staticmethod(lambda place: None))
    assert len(fetch_into_library("okapi", host=host)) == 5
    assert Observations.asked[0].root == Observations.asked[1].root


def test_a_link_in_the_place_of_the_scratch_folder_is_refused(
    host: PluginHost, root: Path, tmp_path: Path
) -> None:
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / ".fetching").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigError, match="would lead out of the library"):
        fetch_into_library("okapi", host=host)
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize("name", ["../x", "/etc", "a,b"])
def test_a_hostile_name_asks_nobody(host: PluginHost, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a name"):
        fetch_into_library(name, host=host)
    assert Observations.asked == ()


def test_without_the_source_nothing_can_be_fetched(make_host: Callable[..., PluginHost], root: Path) -> None:
    with pytest.raises(PluginError, match="nothing can be fetched without the data set inaturalist"):
        fetch_into_library("okapi", host=make_host())
    assert not root.exists()
