"""``auto``: the fuser of photographs that suits what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from chimera_core.api import FusionGenerator, Parent, load_fuser
from chimera_parts.config import PartsConfig
from chimera_parts.fuser import COAT, Parts


class Auto(FusionGenerator):
    """Choose between ``parts`` and coats for the parents at hand; only fusers of ours are chosen.

    Two photographs, the first with a body and a neck and the second with a head, go to ``parts``, as do three; all others
    go to ``style-transfer``. ``remark`` gets a line that tells which, and why.
    """

    accepts = frozenset({"photo"})
    ordered: ClassVar[bool] = True

    config: PartsConfig

    def __init__(self, config: PartsConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        self._parts = Parts(config, device=device)
        self._coats: FusionGenerator | None = None
        self._chosen: dict[tuple[Parent, ...], FusionGenerator] = {}

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Make one chimera per seed, by the fuser chosen; see ``FusionGenerator.fuse``."""
        fuser = self._choose(tuple(parents))
        fuser.progress = self.progress
        return fuser.fuse(parents, weights, seeds=seeds, size=size)

    def findings(self, parents: Sequence[Parent]) -> Sequence[Mapping[str, Any]]:
        """Tell what was seen in the parents; see ``Parts.findings``."""
        return self._parts.findings(parents)

    def _choose(self, parents: tuple[Parent, ...]) -> FusionGenerator:
        if parents not in self._chosen:
            reason = self._parts.unfit(parents)
            if reason is None:
                self._chosen[parents] = self._parts
                self.stand_in = "parts"
                coat = f", the coat of {parents[2].name}" if len(parents) > 2 else ""
                self.remark(
                    f"fuser: parts (the body of {parents[0].name}, the head of {parents[1].name}{coat})"
                )
            else:
                if self._coats is None:
                    self._coats = load_fuser(COAT, device=self.device)
                self._chosen[parents] = self._coats
                self.stand_in = COAT.split(":")[1]
                self.remark(f"fuser: {self.stand_in} ({reason})")
        return self._chosen[parents]
