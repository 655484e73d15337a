"""Weights that come along: there, small, licensed, and what their headers say."""

from __future__ import annotations

from importlib.metadata import metadata
from typing import Any

import pytest
from safetensors import safe_open

from chimera_core.components.trained import model_file
from chimera_core.files.hashing import hash_file
from chimera_core.files.weights import load_state
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.plugins import discovery as plugins
from chimera_core.scoring import built_in_files
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
    card = (outline_network._WEIGHTS / "OUTLINE.md").read_text()
    assert all(word in card for word in ("## Data", "## Limits", "u2netp", "CC-BY-NC-4.0"))
    assert "NonCommercial" in (outline_network._WEIGHTS / "LICENSE").read_text()


def test_heads_and_cuts_come_with_card_and_licence_and_are_small() -> None:
    folder = outline_network._WEIGHTS
    card, licence = (folder / "HEAD.md").read_text(), (folder / "LICENSE").read_text()
    assert all(word in card for word in ("## Data", "## Measured", "## Limits", "CC-BY-NC-4.0"))
    for name in ("head", "head_mask", "cuts"):
        assert f"`{name}.safetensors`" in card and f"{name}.safetensors" in licence
    # What a photograph holds: at most 4 MB in all.
    assert sum(file.stat().st_size for file in folder.glob("*.safetensors")) < 4_000_000


def test_the_face_points_come_with_card_and_licence() -> None:
    card = face_network._WEIGHTS.with_name("FACE.md").read_text()
    assert all(word in card for word in ("## Data", "## Measured", "## Limits", "CC-BY-NC-4.0"))
    licence = face_network._WEIGHTS.with_name("LICENSE").read_text()
    assert "NonCommercial" in licence and face_network._WEIGHTS.name in licence
    assert face_network._WEIGHTS.stat().st_size < 1_000_000


def test_the_built_in_reference_is_what_its_card_gives() -> None:
    card = (built_in_files.FOLDER / "REFERENCE.md").read_text(encoding="utf-8")
    licence = (built_in_files.FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "CC-BY-NC-4.0" in card and "NonCommercial" in licence and "## Limits" in card
    sizes = []
    for judge, checksum in built_in_files.CHECKSUMS.items():
        file = built_in_files.FOLDER / f"{judge}.safetensors"
        sizes.append(file.stat().st_size)
        assert hash_file(file) == checksum, judge
        state, features = load_state(file), 256 if judge == "robust-small-64" else 1280
        assert f"| `{judge}` | {sizes[-1]:,} |" in card and file.name in licence
        for size in (64, 128):
            assert state[f"views_{size}"].shape == (250, features)
            assert state[f"empty_{size}"].shape == (48, features)
        with safe_open(file, framework="pt") as opened:
            assert opened.metadata() == {"judge": judge, "images": "1486", "format": "pt"}
    assert "1,486 pictures of 190 kinds" in card and sum(sizes) < 3_000_000
    assert sorted(file.name for file in built_in_files.FOLDER.glob("*.safetensors")) == sorted(
        f"{judge}.safetensors" for judge in built_in_files.CHECKSUMS
    )
