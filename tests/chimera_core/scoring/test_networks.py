"""A judge is no fuser's own encoder, whichever command asks, and under whatever name it goes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chimera_core.components.choice import Choice
from chimera_core.components.trained import model_file
from chimera_core.errors import ConfigError
from chimera_core.options.config import Config, EncoderRef, option
from chimera_core.plugins.discovery import Component, default_host
from chimera_core.records import ComponentSpec
from chimera_core.scoring.judge.names import check_judge, judge_network, network_of, networks_of


class Fuser(Config):
    """Looks through one encoder."""

    encoder: EncoderRef = option(EncoderRef(name="timm"), help="of the fuser")


def fuser(name: str, **options: object) -> Choice:
    host = default_host()
    config = Fuser(encoder=EncoderRef(name=name, options=options))
    spec = ComponentSpec("mine", summary="of the test", config=Fuser, target="nowhere:Mine")
    return Choice(Component("fusion-generator", "test", spec), config, host)


def test_a_network_is_the_same_however_it_is_read_and_another_with_other_weights() -> None:
    host = default_host()
    plain = network_of(host, "timm", {})
    assert network_of(host, "timm:timm", {"pool": "avg"}) == network_of(host, "timm", {"seed": 3}) == plain
    assert judge_network(host, "tf_efficientnet_lite0") == plain
    others = [{"weights": "none"}, {"model": "tf_efficientnet_lite2"}]
    assert len({plain, *(network_of(host, "timm", o) for o in others)}) == 3


def test_networks_without_a_model_are_told_apart_by_all_their_options() -> None:
    host = default_host()
    assert network_of(host, "cnn", {"widths": [4]}) != network_of(host, "cnn", {"widths": [8]})
    assert network_of(host, "cnn", {}) == network_of(host, "cnn:cnn", {})


def test_trained_weights_are_one_network_in_every_place(tmp_path: Path) -> None:
    host = default_host()
    copied = tmp_path / "copied.safetensors"
    shutil.copyfile(model_file(host, "robust-lite0"), copied)
    assert (
        network_of(host, str(copied), {})
        == network_of(host, "robust-lite0", {})
        != network_of(host, "timm", {})
    )
    with pytest.raises(ConfigError, match="is the encoder that mine uses itself: name another with --judge"):
        check_judge(str(copied), fuser("robust-lite0"))
    check_judge("tf_efficientnet_lite0", fuser("robust-lite0"))


def test_weights_that_a_fuser_names_as_a_file_are_known_by_their_bytes(tmp_path: Path) -> None:
    host = default_host()
    for name, held in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / f"{name}.pth").write_bytes(held)
    one, same, other = ({"weights": str(tmp_path / f"{name}.pth")} for name in "abc")
    assert networks_of(fuser("timm", **one)) == {network_of(host, "timm", same)}
    assert network_of(host, "timm", one) != network_of(host, "timm", other)


def test_weights_that_would_be_downloaded_are_known_without(monkeypatch: pytest.MonkeyPatch) -> None:
    host = default_host()
    asset = next(iter(host.registry.assets))
    entry = host.registry.models["robust-lite0"].model_copy(update={"file": "", "asset": asset})
    monkeypatch.setitem(host.registry.models, "far-away", entry)  # type: ignore[misc]
    assert network_of(host, "far-away", {}) == f"weights {host.registry.assets[asset].checksum}"
