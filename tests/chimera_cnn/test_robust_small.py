"""The second judge that the package carries: there, small, licensed, and from scratch."""

from __future__ import annotations

from importlib.metadata import metadata
from pathlib import Path

import pytest
import torch

from chimera_core import load_encoder, plugins
from chimera_core.api import Draw, FeatureEncoder, pgd
from chimera_core.images import read_picture
from chimera_core.models import model_file
from chimera_core.training.exported_header import ExportedEncoder, read_header

NAME = "robust-small-64"


@pytest.fixture(scope="module")
def encoder() -> FeatureEncoder:
    return load_encoder(NAME)


def test_it_comes_with_the_package_with_card_and_licence() -> None:
    host = plugins.default_host()
    entry, file = host.registry.models[NAME], model_file(host, NAME)
    assert file.stat().st_size < 10_000_000
    card = file.with_suffix(".md").read_text()
    assert all(word in card for word in ("## Data", "## Limits", "PGD-20", entry.licence))
    assert "NonCommercial" in (file.parent / "LICENSE").read_text()
    assert entry.licence in metadata("chimera-toolkit")["License-Expression"]
    said = read_header(file, ExportedEncoder)
    assert said.encoder == entry.encoder == "cnn:cnn" and said.classes == entry.classes
    assert said.trainer["name"] == "trades"


def test_all_weights_that_come_along_stay_under_25_megabytes() -> None:
    host = plugins.default_host()
    files = [model_file(host, name) for name, model in host.registry.models.items() if model.file]
    assert NAME in {f.stem for f in files}
    assert sum(f.stat().st_size for f in files) < 25_000_000


def test_it_is_right_on_animals_it_has_not_learned_from_also_under_attack(
    encoder: FeatureEncoder, test_data: Path
) -> None:
    classes = plugins.default_host().registry.models[NAME].classes
    files = [
        file
        for folder in sorted((test_data / "tiny-animals" / "val").iterdir())
        for file in sorted(folder.iterdir())[:10]
    ]
    x = torch.stack([torch.from_numpy(read_picture(f).rgb).permute(2, 0, 1) / 255 for f in files])
    y = torch.tensor([classes.index(f.parent.name) for f in files])
    draw = Draw(0, 0, torch.arange(len(x)))
    attacked = pgd(encoder, x, y, norm="linf", eps=4 / 255, steps=10, step=1 / 255, draw=draw)
    with torch.no_grad():
        clean, robust = ((encoder(images).argmax(1) == y).float().mean() for images in (x, attacked))
    assert clean >= 0.4 and robust >= 0.2, (clean, robust)
