"""What critic and generator want of each other, as functions of the critic's logits.

Every objective has the same two methods; ``real`` and ``fake`` are float logits (N,) of the critic, and those that need
only one of them ignore the other. The methods give scalars to minimise: means over the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


class Objective(ABC):
    """One objective of a GAN."""

    @abstractmethod
    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of the critic: low where it tells real from fake."""

    @abstractmethod
    def generator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return how badly the generator deceives the critic."""


@dataclass(frozen=True)
class Bce(Objective):
    """Cross entropy of "is real"; the generator maximises log D(fake), which does not saturate.

    Args:
        real_label: what the critic shall say of real images. Below 1: one-sided label smoothing (Salimans et al.
            2016, arXiv:1606.03498, section 3.4), so that it does not grow sure of itself. Fakes stay at 0.
    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """

    real_label: float = 1.0

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give -y log D(real) - (1 - y) log(1 - D(real)) - log(1 - D(fake)). See ``Objective``."""
        # -log sigmoid(x) is softplus(-x), and -log(1 - sigmoid(x)) is softplus(x).
        y = self.real_label
        return (y * F.softplus(-real) + (1 - y) * F.softplus(real)).mean() + F.softplus(fake).mean()

    def generator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give -log D(fake). See ``Objective``."""
        return F.softplus(-fake).mean()


@dataclass(frozen=True)
class Lsgan(Objective):
    """Squared distance of logits to 1 for real, to 0 for fake.

    Source: Mao et al. 2017, arXiv:1611.04076, equation 9.
    """

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give ((D(real) - 1)^2 + D(fake)^2) / 2. See ``Objective``."""
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give (D(fake) - 1)^2 / 2. See ``Objective``."""
        return (fake - 1).square().mean() / 2


@dataclass(frozen=True)
class Hinge(Objective):
    """Margins: the critic cares for real images below 1, and for fakes above -1.

    Source: Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, equations 16 and 17.
    """

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give max(0, 1 - D(real)) + max(0, 1 + D(fake)). See ``Objective``."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give -D(fake). See ``Objective``."""
        return -fake.mean()


@dataclass(frozen=True)
class Wasserstein(Objective):
    """Difference of means; minus the critic's loss estimates the distance of real from fake.

    The critic has to be held near Lipschitz: by ``penalties.clip_weights`` or ``penalties.one_centred_penalty``.
    Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.
    """

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give D(fake) - D(real). See ``Objective``."""
        return fake.mean() - real.mean()

    def generator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give -D(fake). See ``Objective``."""
        return -fake.mean()


@dataclass(frozen=True)
class Relativistic(Objective):
    """Each real image against one fake: which of the two is more real? Meant for R1 and R2 beside it.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2024 (R3GAN), arXiv:2501.05441, section 2.
    """

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give softplus(D(fake) - D(real)). See ``Objective``."""
        return F.softplus(fake - real).mean()

    def generator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Give softplus(D(real) - D(fake)). See ``Objective``."""
        return F.softplus(real - fake).mean()


OBJECTIVES: dict[str, Objective] = {
    "bce": Bce(),
    "lsgan": Lsgan(),
    "hinge": Hinge(),
    "wasserstein": Wasserstein(),
    "relativistic": Relativistic(),
}


def choose_objective(name: str, *, real_label: float = 1.0) -> Objective:
    """Give the objective of this name; ``real_label`` is of ``bce`` alone."""
    return Bce(real_label) if name == "bce" else OBJECTIVES[name]
