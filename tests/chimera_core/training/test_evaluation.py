from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.data.batches import TensorSplit, evaluation_batches
from chimera_core.training.parts.accuracy import count_predictions, macro_f1_of
from chimera_core.training.parts.memory import estimate_memory
from chimera_core.training.parts.plot import draw_progress


class ByRed(nn.Module):
    """Says class k for a red of k."""

    def forward(self, x: Tensor) -> Tensor:
        return F.one_hot((x[:, 0, 0, 0] * 255).round().long(), 3).float() * 10


def test_counts_are_those_by_hand() -> None:
    true, predicted, domain = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1]
    images = torch.tensor(predicted, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    split = TensorSplit(images, torch.tensor(true), torch.tensor(domain))
    encoder = ByRed().train()
    counts = count_predictions(encoder, evaluation_batches(split, batch=4), classes=3, domains=3)
    assert encoder.training
    assert counts.n == 6 and counts.accuracy == pytest.approx(4 / 6)
    # Class 0: TP 2, FP 0, FN 1 -> 0.8; class 1: TP 2, FP 1, FN 1 -> 2/3; class 2 is never true: not counted.
    assert counts.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    right, wrong = math.log(math.exp(10) + 2) - 10, math.log(math.exp(10) + 2)
    assert counts.mean_loss == pytest.approx((4 * right + 2 * wrong) / 6, rel=1e-5)
    together = count_predictions(encoder, evaluation_batches(split, batch=4), classes=3)
    assert torch.equal(together.confusion, counts.confusion.sum(0, keepdim=True))
    first, second = counts.by_domain(["a", "b", "c"])
    assert (first["domain"], first["n"], first["accuracy"]) == ("a", 4, 0.75)
    assert (second["domain"], second["n"], second["accuracy"]) == ("b", 2, 0.5)


def test_macro_f1_of_nothing_is_nan() -> None:
    assert math.isnan(macro_f1_of(torch.zeros(3, 3, dtype=torch.int64)))


def test_memory_counts_weights_moments_and_what_backward_keeps() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(100, 50, bias=False), nn.ReLU(), nn.Linear(50, 10, bias=False))

    def step(batch: int) -> Tensor:
        return module(torch.empty(batch, 100, device="meta")).sum()

    found = estimate_memory(module, step, optimizer="sgd", has_ema=True, precision="fp32")
    weights = 4 * (100 * 50 + 50 * 10)
    assert (found.weights, found.gradients, found.optimizer, found.ema) == (weights,) * 4
    # The input of each product; ReLU's output is the second one's.
    assert found.per_image == 4 * (100 + 50)
    bf16 = estimate_memory(module, step, optimizer="adamw", has_ema=False, precision="bf16")
    assert bf16.per_image == found.per_image // 2 and bf16.optimizer == 2 * weights
    assert found.fitting_batch(found.total(64) * 2) >= 64
    assert found.fitting_batch(found.fixed // 2) == 0


def test_a_picture_is_drawn_of_whatever_metrics_there_are(tmp_path: Path) -> None:
    from PIL import Image

    metrics = [{"images": k, "loss": 1 / k, "val_accuracy": None if k % 2 else 0.5} for k in range(1, 9)]
    draw_progress(tmp_path / "a.png", metrics, [["loss"], ["val_accuracy", "none"], ["nothing"]], title="a")
    draw_progress(tmp_path / "b.png", [], [["loss"]], title="b")
    with Image.open(tmp_path / "a.png") as two, Image.open(tmp_path / "b.png") as one:
        assert two.height > one.height
