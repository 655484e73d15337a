"""Tests of the trainer: first the laws that all trainers keep, then what this one does."""

from collections.abc import Callable
from pathlib import Path

import torch
from chimera_core.api import Draw, FeatureEncoder
from chimera_core.testing import Law, check_trainer, parametrize_with_laws, train_encoder

from chimera_sign_step.plugin import SignStepConfig
from chimera_sign_step.trainer import SignStep

pytest_plugins = ["chimera_core.testing.pytest_plugin"]


@parametrize_with_laws(check_trainer(lambda: SignStep(SignStepConfig())))
def test_it_keeps_the_laws_of_a_trainer(law: Law) -> None:
    law()


def test_it_goes_to_the_rim_of_its_budget_and_raises_the_loss(
    small_encoder: FeatureEncoder, draw: Callable[..., Draw]
) -> None:
    trainer, y = SignStep(SignStepConfig(eps_255=4)), torch.tensor([0, 1, 2, 0])
    x = 0.1 + 0.8 * torch.rand(4, 3, 16, 16)
    moved = trainer.perturb(small_encoder, x, y, draw=draw(4))
    torch.testing.assert_close((moved - x).abs().max(), torch.tensor(4 / 255))
    loss, metrics = trainer.loss(small_encoder, x, y, draw=draw(4))
    assert metrics["attacked"] > metrics["clean"]
    torch.testing.assert_close(loss, (metrics["attacked"] + metrics["clean"]) / 2)


def test_it_trains_as_an_installed_component(chimera_folders: Path) -> None:
    run = train_encoder("cnn", chimera_folders / "run", trainer="sign-step", images=32)
    assert '"attacked"' in (run / "metrics.jsonl").read_text()
