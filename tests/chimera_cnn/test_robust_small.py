"""The second judge that the package carries: there, small, licensed, and from scratch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chimera_core import load_encoder
from chimera_core.api import Draw, FeatureEncoder, pgd
from chimera_core.images import read_picture
from chimera_core.plugins import discovery as plugins

NAME = "robust-small-64"


@pytest.fixture(scope="module")
def encoder() -> FeatureEncoder:
    return load_encoder(NAME)


@pytest.mark.slow
def test_it_is_right_on_animals_it_has_not_learned_from_also_under_attack(
    encoder: FeatureEncoder, test_data: Path
) -> None:
    classes = plugins.default_host().registry.models[NAME].classes
    files = [
        file
        for folder in sorted((test_data / "tiny-animals" / "val").iterdir())
        for file in sorted(folder.iterdir())[:5]
    ]
    x = torch.stack([torch.from_numpy(read_picture(f).rgb).permute(2, 0, 1) / 255 for f in files])
    y = torch.tensor([classes.index(f.parent.name) for f in files])
    with torch.no_grad():
        right = encoder(x).argmax(1) == y
    # Only what was right need be attacked: what was wrong counts as wrong.
    x, y = x[right], y[right]
    draw = Draw(0, 0, torch.arange(len(x)))
    attacked = pgd(encoder, x, y, norm="linf", eps=4 / 255, steps=10, step=1 / 255, draw=draw)
    with torch.no_grad():
        stays = encoder(attacked).argmax(1) == y
    clean, robust = float(right.float().mean()), float(stays.sum()) / len(right)
    assert clean >= 0.4 and robust >= 0.2, (clean, robust)
