"""The decoder and the weights that come with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from chimera_core.errors import DataError, ShapeError
from chimera_core.subjects import outline_network
from chimera_core.subjects.outline_network import OutlineDecoder, outline_decoder

CHANNELS = (16, 24, 40, 112, 320)


def maps(height: int, width: int, channels=CHANNELS) -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return [
        torch.rand(2, c, height // 2**k, width // 2**k, generator=drawn)
        for k, c in enumerate(channels, start=1)
    ]


def test_it_answers_for_each_cell_of_the_finest_level() -> None:
    answers = OutlineDecoder().all_answers(maps(64, 96))
    assert [tuple(a.shape) for a in answers] == [(2, 1, 32, 48), (2, 1, 8, 12), (2, 1, 4, 6)]


def test_other_channels_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(64, 64, 128, 256, 512\)"):
        OutlineDecoder()(maps(64, 64, (64, 64, 128, 256, 512)))


def test_the_scale_takes_out_what_an_encoder_adds() -> None:
    """Features that are shifted and stretched alike with the scale give the very same answer."""
    torch.manual_seed(0)
    decoder = OutlineDecoder().eval()
    plain = maps(32, 32)
    with torch.no_grad():
        before = decoder(plain)
        decoder.scale[0].fill_(3.0)
        decoder.scale[1].fill_(2.0)
        after = decoder([level * 2 + 3 for level in plain])
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)


def test_what_comes_with_us_is_small_frozen_and_loaded_once() -> None:
    decoder = outline_decoder(torch.device("cpu"))
    assert decoder is outline_decoder(torch.device("cpu"))
    assert not decoder.training
    assert not any(p.requires_grad for p in decoder.parameters())
    assert sum(p.numel() for p in decoder.parameters()) < 250_000  # half a megabyte in half precision
    assert os.path.getsize(outline_network._WEIGHTS / "outline.safetensors") < 500_000


def test_weights_of_another_model_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"answer.weight": torch.zeros(1, 16, 1, 1)}, tmp_path / "outline.safetensors")
    monkeypatch.setattr(outline_network, "_WEIGHTS", tmp_path)
    outline_network._decoder.cache_clear()
    with pytest.raises(DataError, match=r"outline\.safetensors has no tensor"):
        outline_decoder(torch.device("cpu"))
    outline_network._decoder.cache_clear()
