from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chimera_core import load_encoder
from chimera_core.api import FeatureEncoder


@pytest.fixture
def encoder() -> FeatureEncoder:
    """A small network with batch norm, whose running statistics are not those of its birth."""
    network = load_encoder("cnn", widths=(8, 16), depth=1, classes=5, seed=3)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():  # blocks start as their short cuts: wake them
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    network.train()
    with torch.no_grad():
        for _ in range(10):
            network(torch.rand(8, 3, 16, 16, generator=generator))
    return network.eval()


@pytest.fixture
def batch(encoder: FeatureEncoder) -> tuple[Tensor, Tensor]:
    """Ten images, some at the border of the box, with the classes that the network sees."""
    x = torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    x[0] = 0.0
    x[1] = 1.0
    with torch.no_grad():
        return x, encoder(x).argmax(1)
