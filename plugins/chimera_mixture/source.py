"""The ``mixture`` source."""

from __future__ import annotations

from chimera_core.api import Mixture
from chimera_mixture.config import MixtureConfig


class MixtureSource(Mixture):
    """Mixes the members that the options name; see ``Mixture``."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__(config.members, frame=config.frame, balance=config.balance)
