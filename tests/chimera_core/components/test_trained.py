"""What names of trained things mean, to the host that is asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from chimera_core.components.trained import model_file
from chimera_core.plugins.discovery import PluginHost
from chimera_core.plugins.entries import AssetEntry, ModelEntry
from chimera_core.plugins.registry import Registry
from chimera_core.plugins.settings import Setting, Settings


def test_a_model_is_the_asset_of_the_registry_that_its_host_has(tmp_path: Path) -> None:
    body = b"weights that only this registry knows"
    (tmp_path / "mine.safetensors").write_bytes(body)
    asset = AssetEntry(
        filename="mine.safetensors",
        url="https://localhost/mine.safetensors",
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        licence="CC0-1.0",
    )
    registry = Registry(
        assets={"mine": asset},
        models={"my-encoder": ModelEntry(encoder="timm:timm", asset="mine", licence="CC0-1.0")},
    )
    settings = Settings({"assets": Setting("assets", "CHIMERA_ASSETS", str(tmp_path), "test")})
    assert model_file(PluginHost((), registry, settings), "my-encoder") == tmp_path / "mine.safetensors"
