"""Tests of the fuser: first the laws of its learner and of itself, then what it does."""

from pathlib import Path

import pytest
from chimera_core.api import ConfigError
from chimera_core.testing import (
    Law,
    check_component,
    draw_fuser_data,
    load,
    make,
    parametrize_with_laws,
    train_fuser,
)

from chimera_cvae.fuser import Cvae
from chimera_cvae.plugin import CvaeConfig

pytest_plugins = ["chimera_core.testing.pytest_plugin"]


@parametrize_with_laws(check_component("cvae"))
def test_it_keeps_the_laws_of_a_learner_and_of_a_fuser(law: Law) -> None:
    law()


def test_it_learns_and_is_used(chimera_folders: Path) -> None:
    run = train_fuser("cvae", chimera_folders / "run", images=32)
    made = make(load(run), ["disc", "square"], size=24)
    assert made.shape == (1, 3, 24, 24)


def test_a_size_that_it_cannot_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="8 divides"):
        Cvae.learner(CvaeConfig(), draw_fuser_data(size=12), device="cpu")
