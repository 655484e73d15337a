"""Networks for what stands out, on a tiny one; and the real u2netp where it lies."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import skimage.data
import torch

from chimera_core.errors import DataError
from chimera_core.images.pixels import from_uint8
from chimera_core.plugins.discovery import default_host
from chimera_core.subjects.salient import NETWORKS, Salient, find_salient

PLAIN = Salient(32, (0.5, 0.5, 0.5), (0.1, 0.1, 0.1))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.onnx"
    file.write_bytes(mean_of_channels(32))
    return file


def test_what_is_bright_is_masked_in_the_pictures_own_size(tiny: Path) -> None:
    image = torch.zeros(3, 64, 96)
    image[:, 16:48, 24:72] = 1
    outline = find_salient(tiny, image, PLAIN)
    assert outline.mask.shape == (1, 64, 96)
    assert torch.equal(outline.mask[0, 20:44, 30:66] > 0.99, torch.ones(24, 36, dtype=torch.bool))
    assert float(outline.mask[0, :12].max()) < 0.01
    assert outline.confidence == pytest.approx(1 / (1 + math.exp(-5)), abs=0.02)  # (1 - 0.5) / 0.1 is 5


def test_where_nothing_stands_out_the_mask_is_empty(tiny: Path) -> None:
    # Stretching alone would make something of it.
    image = torch.zeros(3, 32, 32)
    image[0, 0, 0] = 1
    outline = find_salient(tiny, image, PLAIN)
    assert outline.confidence == 0
    assert not bool(outline.mask.any())


def test_another_network_and_no_network_are_one_line(tmp_path: Path) -> None:
    several, broken = tmp_path / "several.onnx", tmp_path / "broken.onnx"
    several.write_bytes(mean_of_channels(32, outputs_channels=True))
    broken.write_bytes(b"not a network")
    with pytest.raises(DataError, match=r"several\.onnx' gives \(1, 3, 32, 32\)"):
        find_salient(several, torch.rand(3, 32, 32), PLAIN)
    with pytest.raises(DataError, match=r"broken\.onnx' is not a network"):
        find_salient(broken, torch.rand(3, 32, 32), PLAIN)


def test_the_real_u2netp_finds_the_astronaut() -> None:
    host = default_host()
    file = host.settings.path("assets") / host.registry.assets["u2netp"].filename
    if not file.exists():
        pytest.skip(
            f"u2netp is not among the assets ({file.name} in CHIMERA_ASSETS), and tests download nothing"
        )
    outline = find_salient(file, from_uint8(skimage.data.astronaut()), NETWORKS["u2netp"])
    assert outline.confidence > 0.8
    assert float(outline.mask[0, 80:190, 200:290].mean()) > 0.9


def mean_of_channels(side: int, *, outputs_channels: bool = False) -> bytes:
    """Write ONNX by hand, for tests need no package for it: a model of (1, 3, side, side): the mean over channels through a sigmoid; or the sigmoid alone."""
    squash = _text(1, "input" if outputs_channels else "mean") + _text(2, "map") + _text(4, "Sigmoid")
    nodes = [_message(1, squash)]
    if not outputs_channels:
        axes = _text(1, "axes") + _number(8, 1) + _number(20, 7)
        keep = _text(1, "keepdims") + _number(3, 1) + _number(20, 2)
        mean = (
            _text(1, "input")
            + _text(2, "mean")
            + _text(4, "ReduceMean")
            + _message(5, axes)
            + _message(5, keep)
        )
        nodes.insert(0, _message(1, mean))
    channels = 3 if outputs_channels else 1
    graph = (
        b"".join(nodes)
        + _text(2, "tiny")
        + _message(11, _value("input", (1, 3, side, side)))
        + _message(12, _value("map", (1, channels, side, side)))
    )
    return _number(1, 7) + _message(7, graph) + _message(8, _text(1, "") + _number(2, 11))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_message(1, _number(1, size)) for size in shape)
    return _text(1, name) + _message(2, _message(1, _number(1, 1) + _message(2, dimensions)))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, content: str) -> bytes:
    return _message(field, content.encode())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
