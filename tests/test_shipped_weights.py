"""Weights that come along: there, small, licensed, and what their headers say."""

from __future__ import annotations

from importlib.metadata import metadata
from typing import Any

import pytest

from chimera_core.components.trained import model_file
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.plugins import discovery as plugins
from chimera_core.subjects import face_network, outline_network

LARGEST, LARGEST_TOGETHER = 12_000_000, 40_000_000


@pytest.mark.parametrize(
    ("name", "trainer", "options"),
    [
        ("robust-lite0", "pgd", {"norm": "l2", "eps": 1.0}),
        ("robust-small-64", "trades", {"norm": "linf", "eps": 4 / 255}),
    ],
)
def test_an_encoder_comes_with_card_licence_and_header(
    name: str, trainer: str, options: dict[str, Any]
) -> None:
    host = plugins.default_host()
    entry, file = host.registry.models[name], model_file(host, name)
    card = file.with_suffix(".md").read_text()
    assert all(word in card for word in ("## Data", "## Limits", "PGD-20", entry.licence))
    assert "NonCommercial" in (file.parent / "LICENSE").read_text()
    assert entry.licence in metadata("chimera-toolkit")["License-Expression"]
    exported = read_header(file, ExportedEncoder)
    assert exported.encoder == entry.encoder and exported.classes == entry.classes
    assert exported.trainer["name"] == trainer and exported.trainer["options"].items() >= options.items()


def test_weights_are_small_one_by_one_and_together() -> None:
    host = plugins.default_host()
    sizes = [model_file(host, name).stat().st_size for name, m in host.registry.models.items() if m.file]
    assert len(sizes) >= 3 and max(sizes) < LARGEST and sum(sizes) < LARGEST_TOGETHER


def test_the_outline_comes_with_card_and_licence() -> None:
    card = outline_network._WEIGHTS.with_name("OUTLINE.md").read_text()
    assert all(word in card for word in ("## Data", "## Limits", "u2netp", "CC-BY-NC-4.0"))
    assert "NonCommercial" in outline_network._WEIGHTS.with_name("LICENSE").read_text()


def test_the_face_points_come_with_card_and_licence() -> None:
    card = face_network._WEIGHTS.with_name("FACE.md").read_text()
    assert all(word in card for word in ("## Data", "## Measured", "## Limits", "CC-BY-NC-4.0"))
    licence = face_network._WEIGHTS.with_name("LICENSE").read_text()
    assert "NonCommercial" in licence and face_network._WEIGHTS.name in licence
    assert face_network._WEIGHTS.stat().st_size < 1_000_000
