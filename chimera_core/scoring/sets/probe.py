"""A linear probe: which class an image belongs to, by a judge's features, and how decidedly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import ConfigError, DataError, ShapeError

_ITERATIONS = 500


@dataclass(frozen=True, eq=False)
class Probe:
    """Multinomial logistic regression on standardised features; all float64.

    ``mean`` and ``std`` are (D,), ``weight`` (D, K), ``bias`` (K,).
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Classify features (..., D): float64 (..., K), not saturated by a softmax.

        Raises:
            ShapeError: if they have another number of dimensions than those it was fitted to.
        """
        if features.shape[-1] != len(self.mean):
            raise ShapeError(
                f"features are {tuple(features.shape)}, but the probe was fitted to (n, {len(self.mean)}): "
                "use one judge at one size"
            )
        return ((features.double() - self.mean) / self.std) @ self.weight + self.bias

    def log_odds(self, features: Tensor, *, first: int = 0, second: int = 1) -> Tensor:
        """Return how decidedly features (..., D) are of the second class and not of the first: float64 (...)."""
        logits = self.logits(features)
        return logits[..., second] - logits[..., first]

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """Give the share of features (n, D), held out from the fit, that get their label (n,)."""
        return float((self.logits(features).argmax(-1) == labels).double().mean())


def fit_probe(features: Tensor, labels: Tensor, *, l2: float = 0.01, iterations: int = _ITERATIONS) -> Probe:
    """Fit a probe by L-BFGS, from zero, in float64: nothing in it is random.

    What is minimised is the mean cross entropy + l2 / 2 * the sum of squared weights, the bias left free. Without l2
    classes that can be told apart, as persons and cats can, drive the weights to infinity.

    Args:
        features: of real images, float (n, D).
        labels: their classes, int64 (n,), each of 0 to K - 1 at least once.
        l2: strength of the penalty.
        iterations: at most; the stronger the penalty, the fewer are needed.
    Raises:
        ShapeError: if the two do not go together.
        ConfigError: if l2 is not above 0.
        DataError: if a class has no image, there is one class only, or features are not finite.
    """
    if features.ndim != 2 or labels.shape != (len(features),):
        raise ShapeError(
            f"features are {tuple(features.shape)} and labels {tuple(labels.shape)}: pass (n, D) and (n,)"
        )
    if not l2 > 0:
        raise ConfigError(f"l2 must be above 0, but it is {l2:g}")
    counts = torch.bincount(labels) if len(labels) else labels
    if len(counts) < 2 or int(counts.min()) == 0:
        raise DataError(
            f"a probe needs images of two classes or more, but it got {counts.tolist()} by class: give others"
        )
    x = features.double()
    if not bool(torch.isfinite(x).all()):
        raise DataError("features are not finite: leave those images out")
    mean, std = x.mean(0), x.std(0, correction=0)
    std = torch.where(std > 0, std, 1.0)  # a feature that never changes says nothing: it stays 0
    x = (x - mean) / std
    weight = x.new_zeros(x.shape[1], len(counts), requires_grad=True)
    bias = x.new_zeros(len(counts), requires_grad=True)
    optimizer: Any = torch.optim.LBFGS(
        [weight, bias],
        max_iter=iterations,
        tolerance_grad=1e-9,
        tolerance_change=0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        value = F.cross_entropy(x @ weight + bias, labels) + l2 / 2 * weight.square().sum()
        weight.grad, bias.grad = torch.autograd.grad(value, [weight, bias])
        return value

    optimizer.step(loss)
    return Probe(mean, std, weight.detach(), bias.detach())
