"""The robust encoder that the package carries: there, small, licensed, and robust."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core import load_encoder
from chimera_core.api import Draw, FeatureEncoder, pgd
from chimera_core.images import read_picture
from chimera_core.plugins import discovery as plugins

NAME = "robust-lite0"


@pytest.fixture(scope="module")
def encoder() -> FeatureEncoder:
    return load_encoder(NAME)


def test_it_is_an_encoder_like_any_other(encoder: FeatureEncoder) -> None:
    x = torch.rand(2, 3, 128, 128)
    logits, maps = encoder.logits_and_maps(x, [0, 4])
    assert logits.shape == (2, 25) and [m.shape[-1] for m in maps] == [64, 4]
    assert encoder.embed(x).shape == (2, 1280)


@pytest.mark.slow
def test_attacks_leave_it_right_where_they_leave_a_plain_network_wrong(
    encoder: FeatureEncoder, test_data: Path
) -> None:
    x, y = held_out(test_data, encoder, per_class=1)
    right = is_right(encoder, x, y)
    # Only what was right need be attacked: what was wrong counts as wrong.
    x, y = x[right], y[right]
    attacked = pgd(
        encoder, x, y, norm="l2", eps=1.0, steps=10, step=0.25, draw=Draw(0, 0, torch.arange(len(x)))
    )
    clean, robust = float(right.float().mean()), float(is_right(encoder, attacked, y).sum()) / len(right)
    assert clean >= 0.5 and robust >= 0.25, (clean, robust)


def held_out(data: Path, encoder: FeatureEncoder, *, per_class: int) -> tuple[Tensor, Tensor]:
    """Read pictures of Tiny ImageNet's validation split, which it has not learned from."""
    classes = plugins.default_host().registry.models[NAME].classes
    images, labels = [], []
    for folder in sorted((data / "tiny-animals" / "val").iterdir()):
        for path in sorted(folder.iterdir())[:per_class]:
            image = torch.from_numpy(read_picture(path).rgb).permute(2, 0, 1)[None] / 255
            images.append(F.interpolate(image, 128, mode="bicubic", antialias=True))
            labels.append(classes.index(folder.name))
    return torch.cat(images).clamp(0, 1), torch.tensor(labels)


@torch.no_grad()
def is_right(encoder: FeatureEncoder, x: Tensor, y: Tensor) -> Tensor:
    return encoder(x).argmax(1) == y
