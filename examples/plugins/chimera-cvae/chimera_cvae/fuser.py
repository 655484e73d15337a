"""Creatures of classes: the decoder draws what has a share of each."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from chimera_core.api import (
    ConfigError,
    FuserData,
    FuserLearner,
    FusionGenerator,
    Parent,
    TrainedFacts,
    check_state,
    resize_shorter,
)
from torch import Tensor
from torch.nn.functional import one_hot

from chimera_cvae.learner import CvaeLearner
from chimera_cvae.networks import Decoder, code_of
from chimera_cvae.plugin import CvaeConfig


class Cvae(FusionGenerator):
    """Mixes classes that it has learned."""

    accepts = frozenset({"class"})
    needs_training: ClassVar[bool] = True

    @classmethod
    def learner(cls, config: CvaeConfig, data: FuserData, *, device: torch.device | str) -> FuserLearner:
        """Begin to learn."""
        if data.size % 8:
            raise ConfigError(f"cvae draws sides that 8 divides, not {data.size}: change --size")
        return CvaeLearner(config, data, device=device)

    def load(self, state: Mapping[str, Tensor], facts: TrainedFacts) -> None:
        """Take up what the learner's ``state`` gave. It may come from a stranger's file."""
        config: CvaeConfig = self.config
        with torch.device("meta"):  # no memory for wrong facts
            self.decoder = Decoder(
                classes=len(facts.classes), codes=config.codes, width=config.width, size=facts.size
            )
        expected = {n: (tuple(t.shape), t.dtype) for n, t in self.decoder.state_dict().items()}
        check_state(state, expected, where="the decoder")
        self.decoder.load_state_dict(state, assign=True)
        self.decoder.to(self.device).eval()
        self.classes = facts.classes

    @torch.no_grad()
    def fuse(
        self,
        parents: Sequence[Parent],
        weights: Sequence[float],
        *,
        seeds: Sequence[int],
        size: int,
    ) -> Tensor:
        """Make one creature per seed: float32 (len(seeds), 3, size, size) in [0, 1]."""
        labels = torch.tensor([self.classes.index(str(p.class_name)) for p in parents])
        shares = torch.tensor(weights) @ one_hot(labels, len(self.classes)).float()
        codes = torch.stack([code_of(seed, self.config.codes) for seed in seeds])
        images = self.decoder(codes.to(self.device), shares.expand(len(seeds), -1).to(self.device))
        return torch.stack([resize_shorter(image, size) for image in images])
