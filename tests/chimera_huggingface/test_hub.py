"""Data sets of the hub, from a stand-in on this machine: brought on request, whole or as a stream, then read offline."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from chimera_huggingface import fetching
from chimera_huggingface.checking import draw_tables, encode, write_parquet
from chimera_huggingface.config import HuggingFaceConfig
from chimera_huggingface.source import HuggingFaceSource
from toys.hub import Hub, Repository

from chimera_core import open_source
from chimera_core.api import ConfigError, DataError, MissingDataError, RunError

pytest.importorskip("datasets")
pytestmark = pytest.mark.slow


def files_of(folder: Path) -> dict[str, bytes]:
    return {f"data/{p.name}": p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture
def drawn(hub: Hub, tmp_path: Path) -> Repository:
    files = files_of(write_parquet(tmp_path / "written", images=20))
    shutil.rmtree(tmp_path / "written")
    files["README.md"] = b"---\nlicense: cc0-1.0\n---\n"
    repository = Repository(files, {"license": "cc0-1.0"})
    hub.repositories["datasets", "owner/drawn"] = repository
    return repository


def bring(**options: Any) -> list[tuple[float, float]]:
    """Download, and give what was reported."""
    reports: list[tuple[float, float]] = []
    HuggingFaceSource.download(
        HuggingFaceConfig(**options), progress=lambda done, total: reports.append((done, total))
    )
    return reports


def test_a_set_is_brought_once_on_request_and_read_without_the_hub(
    hub: Hub, drawn: Repository, tmp_path: Path
) -> None:
    with pytest.raises(MissingDataError, match="--download` brings it"):
        open_source("huggingface", name="owner/drawn")
    assert hub.asked == []
    bring(name="owner/drawn")
    commit = drawn.branches["main"]
    hub.asked.clear()
    source = open_source("huggingface", name="owner/drawn")
    theirs = draw_tables(images=20)["train"]
    split = source.open("train")
    assert [e.label for e in split] == list(theirs["label"])
    assert source.info.licence == "cc0-1.0"
    assert any(f"at commit {commit}" in note for note in source.info.notes)
    assert source.made_of() == ["owner/drawn", commit]
    assert hub.asked == []
    bring(name="owner/drawn")  # only the commit is asked for
    assert hub.asked == ["/api/datasets/owner/drawn"]
    # What was needed on the way is gone: the copy alone stays.
    left = sorted(
        p.name for p in (tmp_path / "assets" / "huggingface" / "owner--drawn" / "default").iterdir()
    )
    assert left == [".copy.lock", commit, "latest.json"]


def test_bytes_are_reported_while_they_come_and_the_library_shows_no_bar(
    hub: Hub, drawn: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_LOOK_S", 0.001)
    reports = bring(name="owner/drawn")
    whole = sum(len(body) for name, body in drawn.commits[drawn.branches["main"]].items() if "data/" in name)
    assert len(reports) > 1 and reports[-1] == (whole, whole)
    assert all(0 <= done < whole and total == whole for done, total in reports[:-1])
    assert capsys.readouterr() == ("", "")


def test_a_revision_stays_what_it_was_until_it_is_downloaded_again(
    hub: Hub, drawn: Repository, tmp_path: Path
) -> None:
    bring(name="owner/drawn")
    first = drawn.branches["main"]
    drawn.commit(files_of(write_parquet(tmp_path / "written", images=8)))
    assert open_source("huggingface", name="owner/drawn").made_of()[1] == first
    bring(name="owner/drawn")
    assert dict(open_source("huggingface", name="owner/drawn").info.splits) == {"train": 8, "test": 8}
    assert dict(open_source("huggingface", name="owner/drawn", revision=first).info.splits) == {
        "train": 20,
        "test": 20,
    }


def test_a_stream_keeps_some_images_of_each_split(hub: Hub, drawn: Repository) -> None:
    bring(name="owner/drawn", stream=6)
    source = open_source("huggingface", name="owner/drawn", stream=6)
    assert dict(source.info.splits) == {"train": 6, "test": 6}
    assert any("first 6 images" in note for note in source.info.notes)
    assert len(set(source.open("train").labels)) == 2
    assert source.open("train")[5].image.shape == (3, 24, 32)
    with pytest.raises(MissingDataError):
        open_source("huggingface", name="owner/drawn")


@pytest.mark.parametrize("stream", [0, 3])
def test_images_that_are_files_of_their_own_are_kept_in_the_copy(hub: Hub, stream: int) -> None:
    files = {f"train/{kind}/{k}.png": encode(k) for k, kind in enumerate(("lion", "zebra") * 3)}
    hub.repositories["datasets", "owner/files"] = Repository(files)
    bring(name="owner/files", stream=stream)
    source = open_source("huggingface", name="owner/files", stream=stream)
    assert source.info.classes == ("lion", "zebra")
    split = source.open("train")
    assert len(split) == (stream or 6)
    assert all(e.image.shape == (3, 24, 32) for e in split)


@pytest.mark.parametrize("stream", [0, 2])
def test_a_row_that_names_a_file_of_this_machine_does_not_bring_it_along(
    hub: Hub, tmp_path: Path, stream: int
) -> None:
    import pyarrow
    from datasets import Features, Image, Value
    from pyarrow import parquet

    secret = tmp_path / "secret.png"
    secret.write_bytes(encode(5))
    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    cells = [{"bytes": None, "path": str(secret)}, {"bytes": None, "path": f"{hub.address}/elsewhere.png"}]
    table = pyarrow.table({"image": pyarrow.array(cells, kind), "label": ["a", "b"]})
    features = Features({"image": Image(), "label": Value("string")})
    parquet.write_table(table.cast(features.arrow_schema), tmp_path / "train.parquet")
    hub.repositories["datasets", "owner/sly"] = Repository(
        {"train.parquet": (tmp_path / "train.parquet").read_bytes()}
    )
    bring(name="owner/sly", stream=stream)
    assert "/elsewhere.png" not in hub.asked
    split = open_source("huggingface", name="owner/sly", stream=stream).open("train")
    for index in range(2):
        with pytest.raises(
            DataError, match=r"row \d names '.*', a file outside the data set, which is not read"
        ):
            split[index]


def test_a_card_of_the_hub_that_names_a_file_of_this_machine_does_not_bring_it_along(
    hub: Hub, tmp_path: Path
) -> None:
    mine = write_parquet(tmp_path / "mine") / "train-00000-of-00001.parquet"
    card = f"---\nconfigs:\n- config_name: default\n  data_files: '{mine}'\n---\n"
    hub.repositories["datasets", "owner/sly"] = Repository({"README.md": card.encode()})
    with pytest.raises(DataError, match=r"owner/sly .*(lies outside of it|don't belong to owner/sly)"):
        bring(name="owner/sly")


def test_what_the_hub_refuses_is_one_line_with_the_mend(hub: Hub, drawn: Repository) -> None:
    hub.repositories["datasets", "owner/gated"] = Repository({}, error="GatedRepo")
    hub.repositories["datasets", "owner/tables"] = Repository({"train.csv": b"a,b\n1,2\n"})
    for options, error, words in (
        (
            {"name": "owner/nothing"},
            RunError,
            "the hub has no such repository, or shows it only to those who are logged in",
        ),
        ({"name": "owner/gated"}, RunError, "accept their terms first"),
        ({"name": "owner/drawn", "revision": "v9"}, RunError, "no such revision: check it"),
        ({"name": "owner/drawn", "config": "small"}, ConfigError, "choose one with --config"),
        ({"name": "owner/tables"}, DataError, "'csv', which is not used here"),
        ({"path": "."}, ConfigError, "give its --name"),
    ):
        with pytest.raises(error, match=words) as caught:
            bring(**options)
        assert "\n" not in str(caught.value)


def test_without_a_network_it_is_one_line(
    hub: Hub, drawn: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.stop()
    with pytest.raises(
        RunError, match=r"cannot download owner/drawn .*check the connection and try again"
    ) as caught:
        bring(name="owner/drawn")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RunError, match="unset HF_HUB_OFFLINE"):
        bring(name="owner/drawn")
