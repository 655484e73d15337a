"""A fuser that learns the mean image of each class: the smallest that there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import (
    Batch,
    ConfigError,
    Draw,
    Engine,
    FuserData,
    FuserLearner,
    FusionGenerator,
    Parent,
    TrainedFacts,
    build_optimizer,
    check_state,
    parameter_groups,
    resize_shorter,
    set_rate,
)
from chimera_core.testing.fakes.config import MeanImageConfig


class MeanImage(FusionGenerator):
    """Mixes mean images of classes, and photographs where its options say so."""

    accepts = frozenset({"class"})
    needs_training: ClassVar[bool] = True
    max_parents: ClassVar[int | None] = 3

    def __init__(self, config: MeanImageConfig, *, device: torch.device | str = "cpu") -> None:
        super().__init__(config, device=device)
        if config.photos:
            self.accepts = frozenset({"photo", "class"})

    @classmethod
    def learner(cls, config: MeanImageConfig, data: FuserData, *, device: torch.device | str) -> FuserLearner:
        """Begin with grey means."""
        if len(data.classes) < 2:
            raise ConfigError("mean-image mixes classes, but there is one only: give it two or more")
        return MeanImageLearner(config, data, device=device)

    def load(self, state: Mapping[str, Tensor], facts: TrainedFacts) -> None:
        """Take up the means."""
        shape = (self.config.tables * len(facts.classes), 3, facts.size, facts.size)
        check_state(state, {"means": (shape, torch.float32)}, where="the means")
        self._means = _average(state["means"], len(facts.classes)).clamp(0, 1)
        self._facts = facts

    def fuse(
        self, parents: Sequence[Parent], weights: Sequence[float], *, seeds: Sequence[int], size: int
    ) -> Tensor:
        """Mix the parents' images, with noise by seed."""
        mixed = sum(w * self._image_of(p) for p, w in zip(parents, weights, strict=True))
        made = torch.stack([mixed + self.config.noise * noise_of(s, self._facts.size) for s in seeds])
        return torch.stack([resize_shorter(image, size) for image in made.clamp(0, 1)])

    def _image_of(self, parent: Parent) -> Tensor:
        if parent.image is None:
            return self._means[self._facts.classes.index(str(parent.class_name))]
        side = self._facts.size
        return F.interpolate(parent.image[None], (side, side), mode="bilinear", antialias=True)[0]


class MeanImageLearner(FuserLearner):
    """Moves each class's mean toward the images of the class."""

    def __init__(self, config: MeanImageConfig, data: FuserData, *, device: torch.device | str) -> None:
        self.config = config
        self.size = data.size
        generator = torch.Generator().manual_seed(data.seed + config.seed)
        self.classes = len(data.classes)
        shape = (config.tables * self.classes, 3, data.size, data.size)
        start = 0.5 + 0.01 * torch.randn(shape, generator=generator)
        self._table = nn.ParameterDict({"means": nn.Parameter(start.to(device))})
        self.modules = {"table": self._table}
        self.optimizers = {
            "adam": build_optimizer(parameter_groups(self._table, weight_decay=0), "adam", lr=config.lr)
        }

    def step(self, batch: Batch, *, draw: Draw, engine: Engine) -> dict[str, Tensor]:
        """Take one step of least squares."""
        means, optimizer = self._table["means"], self.optimizers["adam"]
        set_rate(optimizer, engine.rate)
        tables = means.view(self.config.tables, self.classes, *means.shape[1:])
        error = (tables[:, batch.labels] - batch.pixels()) ** 2
        loss = error.mean()
        loss.backward()
        engine.average_gradients([means])
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": loss.detach()}

    def state(self) -> dict[str, Tensor]:
        """Give the means."""
        return {"means": self._table["means"].detach().float()}

    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        """Draw classes in turn, with noise."""
        means = _average(self.state()["means"], self.classes).cpu()
        images = [
            means[(seed + k) % len(means)] + self.config.noise * noise_of(seed + k, self.size)
            for k in range(count)
        ]
        return torch.stack(images).clamp(0, 1)


def noise_of(seed: int, size: int) -> Tensor:
    """Draw normal noise (3, S, S) by a seed."""
    return torch.randn(3, size, size, generator=torch.Generator().manual_seed(seed))


def _average(means: Tensor, classes: int) -> Tensor:
    """Average the tables: (tables * K, 3, S, S) -> (K, 3, S, S)."""
    return means.view(-1, classes, *means.shape[1:]).mean(0)
