"""Files of the hub: pinned at the first use, verified at each, and never another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.hub import Hub, Repository

from chimera_core.downloads.assets import DownloadRefusedError, asset_path, no_downloads
from chimera_core.downloads.hub import read_hub_address
from chimera_core.downloads.hub_files import hub_file, local_hub_file, pin
from chimera_core.errors import ConfigError, DataError, RunError
from chimera_core.plugins.entries import AssetEntry

pytest.importorskip("huggingface_hub")
WEIGHTS, CONFIG = b"weights" * 5000, b'{"a": 1}'


@pytest.fixture
def hub(hub: Hub) -> Hub:
    hub.repositories["models", "owner/net"] = Repository({"net.safetensors": WEIGHTS, "config.json": CONFIG})
    return hub


@pytest.mark.parametrize(("file", "body"), [("net.safetensors", WEIGHTS), ("config.json", CONFIG)])
def test_a_file_is_fetched_once_pinned_and_used_without_the_hub(
    hub: Hub, tmp_path: Path, file: str, body: bytes
) -> None:
    address, commit = f"hf://owner/net/{file}", hub.repositories["models", "owner/net"].branches["main"]
    assert local_hub_file(address, tmp_path) is None and pin(address, tmp_path) == address
    assert hub.asked == []
    seen: list[float] = []
    path = hub_file(address, tmp_path, progress=lambda done, total: seen.append(done / total))
    assert path.read_bytes() == body and path == tmp_path / "hub" / "owner--net" / commit / file
    assert seen[-1] == 1 and seen == sorted(seen)
    assert pin(address, tmp_path) == f"{address}@{commit}"
    hub.asked.clear()
    for again in (address, f"{address}@{commit}", f"{address}@main"):
        assert hub_file(again, tmp_path) == path
    assert hub.asked == []
    assert not list(path.parent.glob("*.part")) and not list(path.parent.glob(".*.hub"))


def test_a_revision_stays_its_commit_and_another_one_is_named(hub: Hub, tmp_path: Path) -> None:
    first = hub_file("hf://owner/net/net.safetensors", tmp_path)
    newer = hub.repositories["models", "owner/net"].commit({"net.safetensors": b"new" * 900})
    assert hub_file("hf://owner/net/net.safetensors", tmp_path) == first
    assert hub_file(f"hf://owner/net/net.safetensors@{newer}", tmp_path).read_bytes() == b"new" * 900


@pytest.mark.parametrize("file", ["net.safetensors", "config.json"])
def test_bytes_that_the_hub_did_not_announce_are_refused(hub: Hub, tmp_path: Path, file: str) -> None:
    body = WEIGHTS if file == "net.safetensors" else CONFIG
    hub.tampered[file] = body[:-1] + b"X"
    with pytest.raises(RunError, match=r"cannot download .*(instead of|than it announced)") as caught:
        hub_file(f"hf://owner/net/{file}", tmp_path)
    assert "\n" not in str(caught.value)
    assert local_hub_file(f"hf://owner/net/{file}", tmp_path) is None
    hub.tampered.clear()
    assert hub_file(f"hf://owner/net/{file}", tmp_path).read_bytes() == body


def test_a_file_that_was_changed_on_the_disk_is_refused(hub: Hub, tmp_path: Path) -> None:
    path = hub_file("hf://owner/net/net.safetensors", tmp_path)
    path.write_bytes(WEIGHTS[:-1] + b"X")
    with pytest.raises(DataError, match=r"sha256 .* remove it, and it will be downloaded anew"):
        hub_file("hf://owner/net/net.safetensors", tmp_path)


def test_an_asset_of_a_registry_may_lie_on_the_hub(hub: Hub, tmp_path: Path) -> None:
    import hashlib

    commit = hub.repositories["models", "owner/net"].branches["main"]
    entry = AssetEntry(
        url=f"hf://owner/net/net.safetensors@{commit}",
        filename="net.safetensors",
        size=len(WEIGHTS),
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        licence="CC0-1.0",
    )
    assert asset_path(entry, tmp_path).read_bytes() == WEIGHTS
    wrong = entry.model_copy(update={"sha256": "0" * 64, "filename": "other.safetensors"})
    with pytest.raises(RunError, match="it sent a file that has sha256"):
        asset_path(wrong, tmp_path)


def test_what_the_hub_refuses_is_one_line_with_the_mend(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["models", "owner/gated"] = Repository({}, error="GatedRepo")
    for address, words in (
        (
            "hf://owner/nothing/net.safetensors",
            "no such repository, or shows it only to those who are logged in",
        ),
        ("hf://owner/net/other.safetensors", "no such file: check its name"),
        ("hf://owner/net/net.safetensors@v9", "no such revision"),
        ("hf://owner/gated/net.safetensors", "accept their terms first"),
    ):
        with pytest.raises(RunError, match=words) as caught:
            hub_file(address, tmp_path)
        assert "\n" not in str(caught.value) and address in str(caught.value)
    hub.stop()
    with pytest.raises(RunError, match="check the connection and try again"):
        hub_file("hf://owner/net/net.safetensors", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RunError, match="unset HF_HUB_OFFLINE"):
        hub_file("hf://owner/net/net.safetensors", tmp_path)


def test_nothing_is_fetched_for_a_file_that_is_not_trusted(hub: Hub, tmp_path: Path) -> None:
    with no_downloads("file x"), pytest.raises(DownloadRefusedError, match="file x asks for hf://owner/net"):
        hub_file("hf://owner/net/net.safetensors", tmp_path)
    assert hub.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "hf://owner/net",
        "hf://owner/../x.safetensors",
        "hf://owner/net/../x",
        "hf://owner/net/a@b@c",
        "hf:///x/y",
        "hf://o/n/x@../y",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not hf://owner/name/file"):
        read_hub_address(address)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"pip install 'chimera-toolkit\[hf\]'"):
        hub_file("hf://owner/net/net.safetensors", tmp_path)
