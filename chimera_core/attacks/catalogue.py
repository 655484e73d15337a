"""The attacks of an evaluation: each a small record that is called with an encoder and a batch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from chimera_core.attacks.budget import check_budget
from chimera_core.attacks.geometry import project
from chimera_core.attacks.gradients import attack_mode
from chimera_core.attacks.iterated import fgsm, pgd
from chimera_core.attacks.square import square
from chimera_core.errors import ConfigError
from chimera_core.randomness import Draw


class Attack(Protocol):
    """Whatever moves images against an encoder: (N, 3, H, W) in [0, 1] and classes (N,) -> attacked images."""

    def __call__(self, encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack one batch; the result is in [0, 1] and without gradient."""
        ...


@dataclass(frozen=True)
class Fgsm:
    """One step from the image itself."""

    eps: float
    norm: str = "linf"

    def __call__(self, encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack a batch; see ``Attack``."""
        return fgsm(encoder, x, y, norm=self.norm, eps=self.eps)


@dataclass(frozen=True)
class Pgd:
    """Projected gradient steps from a random start; ``step`` is 2.5 eps / steps by default."""

    eps: float
    norm: str = "linf"
    steps: int = 20
    step: float | None = None
    restarts: int = 1

    def __call__(self, encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack a batch; see ``Attack``."""
        return pgd(
            encoder,
            x,
            y,
            norm=self.norm,
            eps=self.eps,
            steps=self.steps,
            step=self.step,
            restarts=self.restarts,
            draw=draw,
        )


@dataclass(frozen=True)
class Square:
    """Black-box random search."""

    eps: float
    norm: str = "linf"
    queries: int = 1000

    def __call__(self, encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack a batch; see ``Attack``."""
        return square(encoder, x, y, norm=self.norm, eps=self.eps, queries=self.queries, draw=draw)


@dataclass(frozen=True)
class AutoAttack:
    """The standard AutoAttack (APGD-CE, targeted APGD-DLR, targeted FAB, Square), as torchattacks implements it.

    Source: Croce and Hein 2020, arXiv:2003.01690. It attacks nine target classes, as the authors do, or as many as
    there are.
    """

    eps: float
    norm: str = "linf"

    def __post_init__(self) -> None:
        check_budget(self.norm, self.eps)
        _torchattacks()

    def __call__(self, encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        """Attack a batch; see ``Attack``.

        Raises:
            ConfigError: if the encoder tells fewer than four classes apart.
        """
        with attack_mode(encoder):
            with torch.no_grad():
                classes = encoder(x[:1]).shape[1]
            if classes < 4:
                raise ConfigError(
                    f"AutoAttack needs four classes, but there are {classes}: use pgd and square"
                )
            # It seeds the global generators.
            devices = [x.device] if x.device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices), torch.enable_grad():
                attack = _torchattacks().AutoAttack(
                    _PlainLayout(encoder).eval(),
                    norm={"linf": "Linf", "l2": "L2"}[self.norm],
                    eps=self.eps,
                    n_classes=min(classes, 10),
                    seed=draw.seed,
                )
                x_adv: Tensor = attack(x.contiguous(), y)
        # FAB looks for the nearest border of the class, and may stop a rounding error outside the ball.
        return project(x_adv.detach(), x, norm=self.norm, eps=self.eps)


def standard_attacks(
    *, norm: str, eps: float, queries: int = 1000, autoattack: bool = False
) -> Mapping[str, Attack]:
    """Choose the attacks of a full evaluation, cheapest first: fgsm, pgd-20, pgd-50 with 5 restarts, square.

    Raises:
        ConfigError: for a norm or radius that makes no sense, or for AutoAttack without torchattacks.
    """
    check_budget(norm, eps)
    attacks: dict[str, Attack] = {
        "fgsm": Fgsm(eps, norm),
        "pgd-20": Pgd(eps, norm),
        "pgd-50x5": Pgd(eps, norm, steps=50, restarts=5),
        "square": Square(eps, norm, queries),
    }
    if autoattack:
        attacks["autoattack"] = AutoAttack(eps, norm)
    return attacks


class _PlainLayout(nn.Module):
    """An encoder whose gradients lie in memory as torchattacks expects: its FAB takes views of them."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous().view(x.shape)  # a tensor of its own, for the hook
        if x.requires_grad:
            x.register_hook(lambda gradient: gradient.contiguous())  # type: ignore[no-untyped-call]
        logits: Tensor = self.encoder(x)
        return logits


def _torchattacks() -> Any:
    try:
        return importlib.import_module("torchattacks")
    except ImportError:
        raise ConfigError(
            "AutoAttack needs torchattacks: pip install 'chimera-toolkit[parity]', or leave it out"
        ) from None
