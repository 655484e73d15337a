"""Tests of the encoder: first the laws that all encoders keep, then what this one does."""

from pathlib import Path

import pytest
import torch
from chimera_core.api import DataError
from chimera_core.testing import Law, check_encoder, load, parametrize_with_laws, train_encoder

from chimera_tiny.encoder import Tiny
from chimera_tiny.plugin import TinyConfig

pytest_plugins = ["chimera_core.testing.pytest_plugin"]


@parametrize_with_laws(check_encoder(lambda: Tiny(TinyConfig())))
def test_it_keeps_the_laws_of_an_encoder(law: Law) -> None:
    law()


def test_weights_of_a_file_are_taken_up_and_others_refused(tmp_path: Path) -> None:
    other, x = Tiny(TinyConfig(seed=1)), torch.rand(2, 3, 32, 32)
    torch.save(other.state_dict(), tmp_path / "weights.pth")
    assert Tiny(TinyConfig(weights=tmp_path / "weights.pth"))(x).equal(other(x))
    with pytest.raises(DataError):
        Tiny(TinyConfig(width=4, weights=tmp_path / "weights.pth"))


def test_it_is_trained_as_an_installed_component(chimera_folders: Path) -> None:
    run = train_encoder("tiny", chimera_folders / "run", images=32)
    assert load(run)(torch.rand(1, 3, 16, 16)).shape == (1, 2)
