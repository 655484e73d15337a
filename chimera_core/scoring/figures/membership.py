"""How much of each parent a picture shows: by a calibrated probe on a judge's features, and by nearness among these.

The probe also says how far a picture belongs to none of them; its probabilities saturate, nearness does not.

Legend: P parents, K = P + 1 classes (the last one is everything else), V views, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.scoring.sets.probe import Probe, fit_probe

# With so strong a penalty 60 iterations leave an error of 1e-6 in weights of 0.1.
_L2, _ITERATIONS = 0.1, 60
_FOLDS = 4
# Sharper than 1 only where a class has images enough: views of one photograph are easier to tell than the animal's
# other photographs would be.
_TEMPERATURES = torch.logspace(-2, 4, 49, base=2, dtype=torch.float64)
_MANY_IMAGES = 20
# Parents that lie nearer to each other than this cannot be told apart by likeness: it stays near 0 then.
_LEAST_SPAN = 0.05
# By the median a copy of one parent had something of the other in half of its views.
_LOW = 0.9


@dataclass(frozen=True, eq=False)
class Membership:
    """A probe whose probabilities are those of equally frequent classes.

    Args:
        log_frequency: of each class among them, float64 (K,), which is taken off.
        temperature: by which log-odds are divided, so that held-out examples are judged as surely as they should be.
        accuracy: on held-out examples, every class counting alike.
        examples: of each class.
    """

    probe: Probe
    log_frequency: Tensor
    temperature: float
    accuracy: float
    examples: tuple[int, ...]

    def probabilities(self, features: Tensor) -> Tensor:
        """Judge every view: features (n, V, D) -> float64 (n, V, K), sum 1."""
        return self._logits(features).softmax(-1)

    def log_odds(self, features: Tensor) -> Tensor:
        """Return how decidedly pictures (n, V, D) are of the second parent and not the first: float64 (n,), unsaturated."""
        logits = self._logits(features).mean(1)
        return logits[:, 1] - logits[:, 0]

    def _logits(self, features: Tensor) -> Tensor:
        return (self.probe.logits(features) - self.log_frequency) / self.temperature


@dataclass(frozen=True, eq=False)
class Likeness:
    """Likeness to each parent: 0 is what the views of another have of it, 1 what its own have.

    Args:
        centres: of the parents' views, of unit length, float32 (P, D).
        low: cosine to each centre that nine of ten views of any other parent stay below, (P,).
        high: median cosine of its own, (P,).
    """

    centres: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, views: Sequence[Tensor]) -> Likeness:
        """Take each parent's views, features (n_i, D); two parents or more."""
        unit = [F.normalize(v, dim=1) for v in views]
        centres = F.normalize(torch.stack([u.mean(0) for u in unit]), dim=1)
        cosines = [u @ centres.T for u in unit]  # of parent i's views to every centre
        others = torch.stack([c.quantile(_LOW, dim=0) for c in cosines])
        own = torch.eye(len(unit), dtype=torch.bool)
        high = torch.stack([c[:, k].median() for k, c in enumerate(cosines)])
        return cls(centres, others.masked_fill(own, -1).max(0).values, high)

    def of(self, features: Tensor) -> Tensor:
        """Give the likeness of views (n, V, D) to each parent: float32 (n, V, P) in [0, 1]."""
        cosines = F.normalize(features, dim=-1) @ self.centres.T
        return ((cosines - self.low) / (self.high - self.low).clamp(min=_LEAST_SPAN)).clamp(0, 1)


def fit_membership(examples: Sequence[Tensor], *, images: Sequence[int], seed: int) -> Membership:
    """Fit the probe, and calibrate it by cross-validation.

    Args:
        examples: features (n_k, D) of each parent, and of everything else last.
        images: how many different real images each parent's examples show.
    """
    features = torch.cat(list(examples))
    counts = torch.tensor([len(e) for e in examples])
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    log_frequency = counts.double().log()
    held = _held_out_logits(features, labels, images, seed) - log_frequency
    weight = (1 / counts.double())[labels] / len(counts)
    lowest = 1.0 if min(images) < _MANY_IMAGES else 0.0
    candidates = _TEMPERATURES[lowest <= _TEMPERATURES]
    losses = [(weight * F.cross_entropy(held / t, labels, reduction="none")).sum() for t in candidates]
    return Membership(
        fit_probe(features, labels, l2=_L2, iterations=_ITERATIONS),
        log_frequency,
        float(candidates[torch.stack(losses).argmin()]),
        float((weight * (held.argmax(1) == labels)).sum()),
        tuple(counts.tolist()),
    )


def _held_out_logits(features: Tensor, labels: Tensor, images: Sequence[int], seed: int) -> Tensor:
    """Judge every example by a probe that has not seen it, nor another view of the same image where there are many."""
    generator = torch.Generator().manual_seed(seed)
    fold = torch.empty_like(labels)
    for label in range(int(labels.max()) + 1):
        rows = (labels == label).nonzero()[:, 0]
        different = images[label] if label < len(images) and images[label] >= _FOLDS else len(rows)
        own = torch.randperm(min(different, len(rows)), generator=generator) % _FOLDS
        # Views go round the images: view v shows image v modulo their number.
        fold[rows] = own[torch.arange(len(rows)) % len(own)]
    logits = torch.empty(len(labels), int(labels.max()) + 1, dtype=torch.float64)
    for k in range(_FOLDS):
        probe = fit_probe(features[fold != k], labels[fold != k], l2=_L2, iterations=_ITERATIONS)
        logits[fold == k] = probe.logits(features[fold == k])
    return logits
