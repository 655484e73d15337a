"""How well an encoder classifies: accuracy, macro F1, and accuracy by domain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.data.batches import Batch
from chimera_core.interfaces.components import FeatureEncoder, RobustnessTrainer
from chimera_core.interfaces.guards import check_attacked
from chimera_core.randomness import Draw


@dataclass(frozen=True)
class Counts:
    """What was predicted: ``confusion`` int64 (domains, K, K), by domain, true class and predicted class.

    ``loss`` is the sum of the cross entropies, float64 ().
    """

    confusion: Tensor
    loss: Tensor

    @property
    def n(self) -> int:
        """Number of examples."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of the examples that are right; NaN of none."""
        return accuracy_of(self.confusion.sum(0))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur among the true ones."""
        return macro_f1_of(self.confusion.sum(0))

    @property
    def mean_loss(self) -> float:
        """Mean cross entropy."""
        return float(self.loss) / max(1, self.n)

    def by_domain(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Tell n, accuracy and macro F1 of every domain that has examples."""
        return [
            {
                "domain": name,
                "n": int(table.sum()),
                "accuracy": accuracy_of(table),
                "macro_f1": macro_f1_of(table),
            }
            for name, table in zip(names, self.confusion, strict=True)
            if table.sum()
        ]


@torch.no_grad()
def count_predictions(
    encoder: nn.Module,
    batches: Iterable[Batch],
    *,
    classes: int,
    domains: int = 1,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda images: None,
) -> Counts:
    """Classify batches with an encoder in evaluation mode; its mode is left as it was.

    Args:
        encoder: gives logits (N, K).
        batches: on the encoder's device.
        domains: how many to tell apart; with 1 all count together.
        progress: called with the images done.
    """
    confusion = torch.zeros(max(1, domains) * classes * classes, dtype=torch.int64, device=device)
    # Not float64, which an Apple GPU lacks: one number a batch is added.
    loss = torch.zeros((), device=device)
    was_training, done = encoder.training, 0
    encoder.eval()
    for batch in batches:
        logits = encoder(batch.pixels()).float()
        loss += F.cross_entropy(logits, batch.labels, reduction="sum")
        domain = batch.domains if domains > 1 else 0
        cell = (domain * classes + batch.labels) * classes + logits.argmax(1)
        confusion += torch.bincount(cell, minlength=len(confusion))
        done += len(batch.labels)
        progress(done)
    encoder.train(was_training)
    return Counts(confusion.view(-1, classes, classes), loss)


def count_attacked(
    encoder: nn.Module,
    batches: Iterable[Batch],
    trainer: RobustnessTrainer,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Count right answers on images as a trainer attacks them; the encoder's mode is left as it was.

    Args:
        encoder: gives logits (N, K).
        batches: on the encoder's device.
        seed: of the attacks, which are the same every time.
    Returns:
        int64 (2,): how many are right, of how many; of none if the trainer hands images on as they are.
    """
    found = torch.zeros(2, dtype=torch.int64, device=device)
    was_training = encoder.training
    encoder.eval()
    for batch in batches:
        x = batch.pixels()
        x_adv = trainer.perturb(
            cast(FeatureEncoder, encoder), x, batch.labels, draw=Draw(seed, 0, batch.indices)
        )
        if x_adv is x:
            break
        check_attacked(x_adv, x, f"trainer {type(trainer).__name__}")
        with torch.no_grad():
            right = encoder(x_adv).argmax(1) == batch.labels
        found += torch.stack([right.sum(), torch.as_tensor(len(right), device=device)])
    encoder.train(was_training)
    return found


def accuracy_of(table: Tensor) -> float:
    """Give the share on the diagonal of a confusion table (K, K); NaN of an empty one."""
    n = int(table.sum())
    return int(table.diagonal().sum()) / n if n else float("nan")


def macro_f1_of(table: Tensor) -> float:
    """Average F1 = 2 TP / (2 TP + FP + FN) over the classes that occur among the true ones; NaN of none.

    Source: as wilds counts it for iWildCam (scikit-learn's macro F1 with ``labels=unique(y_true)``).
    """
    right, true, predicted = table.diagonal().double(), table.sum(1).double(), table.sum(0).double()
    occurs = true > 0
    f1 = 2 * right / (true + predicted).clamp(min=1)
    return float(f1[occurs].mean()) if bool(occurs.any()) else float("nan")
