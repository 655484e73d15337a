"""What an encoder is worth under attacks: accuracy under each, and under the worst of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chimera_core.attacks.catalogue import Attack, Fgsm, Pgd, Square
from chimera_core.attacks.gradients import attack_mode
from chimera_core.errors import DataError
from chimera_core.randomness import Draw

CLEAN, WORST = "clean", "worst"


@dataclass(frozen=True)
class AttackResults:
    """Who stayed right under what.

    ``right`` maps ``clean``, each attack and ``worst`` (right under all of them) to bool (n,) on the CPU, in the order
    of the batches; ``indices`` are the examples'. So results can be counted over any part of the data.
    """

    right: Mapping[str, Tensor]
    indices: Tensor

    @property
    def n(self) -> int:
        """Count the examples."""
        return len(self.indices)

    def count(self, name: str) -> int:
        """Count those that stayed right under one attack, ``clean`` or ``worst``."""
        return int(self.right[name].sum())

    def accuracy(self, name: str) -> float:
        """Give the share of all examples that stayed right."""
        return self.count(name) / self.n

    def accuracies(self) -> dict[str, float]:
        """Give every accuracy by name."""
        return {name: self.accuracy(name) for name in self.right}


def evaluate_attacks(
    encoder: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor, Tensor]],
    attacks: Mapping[str, Attack],
    *,
    seed: int,
) -> AttackResults:
    """Attack every image that the encoder knows; one that it does not know counts as lost.

    Args:
        encoder: the network; its modes and gradients are left as they were.
        batches: (x float (N, 3, H, W) in [0, 1], y (N,), indices int64 (N,)), each example once, on the encoder's
            device.
        attacks: by name. An attack's numbers depend on seed and index, not on the batch nor on other attacks.
    Returns:
        The results for ``clean``, each attack, and ``worst``: images that no attack fooled.
    Raises:
        DataError: if there is no example.
    """
    right: dict[str, list[Tensor]] = {name: [] for name in (CLEAN, *attacks, WORST)}
    indices: list[Tensor] = []
    with attack_mode(encoder):
        for x, y, index in batches:
            clean = _is_right(encoder, x, y)
            worst = clean.clone()
            right[CLEAN].append(clean.cpu())
            for name, attack in attacks.items():
                stays = clean.clone()
                known = clean.nonzero().flatten()
                if len(known):
                    draw = Draw(seed, 0, index.to(x.device)[known])
                    x_adv = attack(encoder, x[known], y[known], draw=draw)
                    stays[known] = _is_right(encoder, x_adv, y[known])
                worst &= stays
                right[name].append(stays.cpu())
            right[WORST].append(worst.cpu())
            indices.append(index.cpu())
    if not indices:
        raise DataError("there is no image to evaluate: name another split")
    return AttackResults({name: torch.cat(parts) for name, parts in right.items()}, torch.cat(indices))


def masking_attacks(*, norm: str, eps: float, shape: tuple[int, int, int]) -> Mapping[str, Attack]:
    """Choose the attacks that ``masking_signs`` compares.

    Args:
        norm: ``linf`` or ``l2``.
        shape: (C, H, W) of the images; the large budget reaches the grey image from every other.
    """
    channels, height, width = shape
    large = 0.5 if norm == "linf" else 0.5 * (channels * height * width) ** 0.5
    return {
        "fgsm": Fgsm(eps, norm),
        "pgd": Pgd(eps, norm, steps=20),
        "square": Square(eps, norm, queries=500),
        "large": Pgd(large, norm, steps=50),
    }


def masking_signs(results: AttackResults, *, slack: float = 0.02) -> list[str]:
    """Look for signs that gradients are masked, so that white-box attacks say too much good of the encoder.

    Args:
        results: of the attacks of ``masking_attacks``, under their names.
        slack: by how much accuracies may be in the wrong order.
    Returns:
        One sentence for each check that failed; none where all is well.
    Source: Athalye et al. 2018, arXiv:1802.00420, section 3.1; Carlini et al. 2019, arXiv:1902.06705.
    """
    return list(_failed_checks(results.accuracies(), slack))


def _failed_checks(accuracy: Mapping[str, float], slack: float) -> Iterator[str]:
    fgsm, pgd, square, large = (accuracy[name] for name in ("fgsm", "pgd", "square", "large"))
    if pgd > fgsm + slack:
        yield f"one step is stronger than twenty: {fgsm:.1%} stay right under fgsm, but {pgd:.1%} under pgd"
    if pgd > square + slack:
        yield (
            f"the black box is stronger than the white box: {square:.1%} stay right under square, but {pgd:.1%} "
            "under pgd"
        )
    if large > slack:
        yield f"a budget without limit does not win: {large:.1%} stay right, but none should"


def _is_right(encoder: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = encoder(x).argmax(1) == y
    return found
