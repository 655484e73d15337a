"""Interpolation of conditions, which is how creatures are fused, and their principal components.

Directions mix on the sphere, lengths linearly, which serves conditions on a sphere and Gaussian noise alike: a straight
line between two of them passes through a middle that is shorter than anything that the generator has met.
Legend of shapes: P parents, N images, C condition, D features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import DataError, ShapeError

_STEPS = 60  # of the Karcher mean, at most: three parents at right angles need 20
_BALANCED = 1e-10  # far below what float32 tells apart
_TINY = 1e-7


def linear_mix(vectors: Tensor, weights: Tensor) -> Tensor:
    """Give the weighted sum, and the very vector of a parent whose weight is 1.

    Args:
        vectors: float (P, N, C).
        weights: (P,), or (P, N): every image its own. They sum to 1.
    Returns:
        float (N, C), of the dtype of ``vectors``.
    Raises:
        ShapeError: if the shapes do not fit.
    """
    exact, shares = _prepare(vectors, weights)
    return _keep_ends((exact * shares[:, :, None]).sum(0), vectors, shares)


def spherical_mix(vectors: Tensor, weights: Tensor) -> Tensor:
    """Give the weighted mean on the sphere: for two parents slerp, for more the Karcher mean.

    The result is as long as the parents are on average. A parent without direction (a zero) has no influence on where it
    points; one of weight 1 is returned bit for bit; the parents' order has no influence. Between opposite vectors every
    half circle is as short as any: we take the one through the axis that is most across.

    Args:
        vectors: float (P, N, C).
        weights: (P,), or (P, N): every image its own. They sum to 1.
    Returns:
        float (N, C), of the dtype of ``vectors``.
    Raises:
        ShapeError: if the shapes do not fit.
    Source: Shoemake 1985, "Animating rotation with quaternion curves", for two; Buss and Fillmore 2001, "Spherical
    averages", algorithm A1, for more.
    """
    exact, shares = _prepare(vectors, weights)
    # In an order of the vectors' own, arithmetic is the same however the parents were named.
    probe = torch.arange(1, exact.shape[2] + 1, dtype=exact.dtype, device=exact.device).cos()
    order = (exact * probe).sum(2).argsort(0)
    sorted_shares = shares.gather(0, order)
    exact = exact.gather(0, order[:, :, None].expand_as(exact))
    lengths = exact.norm(dim=2)
    directions = exact / lengths.clamp_min(torch.finfo(exact.dtype).tiny)[:, :, None]
    influence = sorted_shares * (lengths > 0)
    direction = _mean_direction(directions, influence / influence.sum(0).clamp_min(_TINY))
    mixed = direction * (sorted_shares * lengths).sum(0)[:, None]
    return _keep_ends(mixed, vectors, shares)


class Principal(nn.Module):
    """Principal components of features, as conditions on the sphere of radius sqrt(C).

    Scores are not whitened: the first components keep their greater influence. ``scores`` divides them by one number, their
    common standard deviation; ``forward`` puts them on the sphere, where lengths no longer count, so that parents far from
    the mean are not stronger than others, and entries are of order 1, as noise is.

    Args:
        features: D.
        components: C.
    """

    mean: Tensor
    directions: Tensor
    scale: Tensor

    def __init__(self, features: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("directions", torch.eye(components, features))
        self.register_buffer("scale", torch.ones(()))

    @classmethod
    def fit(cls, features: Tensor, components: int) -> Principal:
        """Find the directions of greatest variance.

        Args:
            features: float (n, D); computed in float64.
            components: C, at most D and n - 1.
        Raises:
            DataError: if so few images, or features, have not as many components, or they hold NaN.
        """
        n, d = features.shape
        most = min(n - 1, d)
        if not 1 <= components <= most:
            raise DataError(
                f"{n} images with {d} features have 1 to {most} components: {components} is none of these"
            )
        exact = features.double()
        if not exact.isfinite().all():
            raise DataError("features hold NaN or infinity: train the encoder anew, or take another")
        mean = exact.mean(0)
        centred = exact - mean
        # eigh sorts upwards.
        _, vectors = torch.linalg.eigh(centred.T @ centred / (n - 1))
        directions = vectors.T.flip(0)[:components]
        # A direction and its opposite are as good: the greatest entry shall be positive, on every machine.
        greatest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        directions = directions * greatest.sign()
        fitted = cls(d, components).to(features.device)
        fitted.mean.copy_(mean)
        fitted.directions.copy_(directions)
        fitted.scale.copy_((centred @ directions.T).square().mean().sqrt())
        return fitted

    def scores(self, features: Tensor) -> Tensor:
        """Map features (N, D) to scores (N, C) whose mean square over the fitted images is 1."""
        return (features - self.mean) @ self.directions.T / self.scale.clamp_min(_TINY)

    def forward(self, features: Tensor) -> Tensor:
        """Map features, float (N, D), to conditions (N, C) of norm sqrt(C); the fitted mean itself to 0."""
        return F.normalize(self.scores(features), dim=1) * math.sqrt(len(self.directions))


def _prepare(vectors: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Give vectors (P, N, C) and weights (P, N) in float64, or float32 where the device knows no better."""
    if vectors.ndim != 3 or weights.shape not in (vectors.shape[:1], vectors.shape[:2]):
        raise ShapeError(
            f"vectors are {tuple(vectors.shape)} and weights {tuple(weights.shape)}: "
            "pass (P, N, C) with (P,) or (P, N)"
        )
    dtype = torch.float32 if vectors.device.type == "mps" else torch.float64
    shares = weights.to(vectors.device, dtype)
    return vectors.to(dtype), shares.view(len(shares), -1).expand(vectors.shape[:2])


def _keep_ends(mixed: Tensor, vectors: Tensor, shares: Tensor) -> Tensor:
    """Put back, bit for bit, the vector of a parent whose weight is 1."""
    mixed = mixed.to(vectors.dtype)
    for vector, share in zip(vectors, shares, strict=True):
        mixed = torch.where((share == 1)[:, None], vector, mixed)
    return mixed


def _mean_direction(directions: Tensor, influence: Tensor) -> Tensor:
    """Average unit vectors (P, N, C) with weights (P, N) on the sphere: (N, C)."""
    # From one parent to the next: this is the mean of two, and a good start for that of more.
    mean, total = directions[0], influence[0]
    for direction, more in zip(directions[1:], influence[1:], strict=True):
        total = total + more
        mean = _slerp(mean, direction, more / total.clamp_min(_TINY))
    if len(directions) > 2:
        for _ in range(_STEPS):
            # Seen from the mean, the parents lie at these arrows; they balance where it is the mean.
            pull = (_logarithm(mean, directions) * influence[:, :, None]).sum(0)
            length = pull.norm(dim=1, keepdim=True)
            if length.amax() < _BALANCED:
                break
            mean = mean * length.cos() + pull * torch.special.sinc(length / math.pi)
            mean = F.normalize(mean, dim=1)
    return mean


def _slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Go from unit vectors a (N, C) towards b by a share (N,) of the angle."""
    arrow = _logarithm(a, b)
    angle = arrow.norm(dim=1, keepdim=True)
    across = arrow / angle.clamp_min(torch.finfo(a.dtype).tiny)
    way = angle * share[:, None]
    there: Tensor = a * way.cos() + across * way.sin()
    return there


def _logarithm(a: Tensor, b: Tensor) -> Tensor:
    """Give the arrows, at right angles to a (N, C), that lead along the sphere to b (..., N, C) in a time of 1."""
    cosine = (a * b).sum(-1, keepdim=True)
    arrow = b - cosine * a
    sine = arrow.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, cosine)
    # The same axis for a and for -a, so that the way back is the way there.
    axis = F.one_hot(a.abs().argmin(-1), a.shape[-1]).to(a.dtype)
    across = F.normalize(axis - (axis * a).sum(-1, keepdim=True) * a, dim=-1)
    opposite = (sine < _TINY) & (cosine < 0)
    unit = torch.where(opposite, across, arrow / sine.clamp_min(torch.finfo(a.dtype).tiny))
    arrows: Tensor = unit * angle
    return arrows
