"""Small components that keep all laws, and mutants of them: each breaks one."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import (
    DataError,
    DatasetSource,
    Example,
    FeatureEncoder,
    FuserLearner,
    FusionGenerator,
    RobustnessTrainer,
    SourceInfo,
)
from chimera_core.randomness import Draw
from chimera_core.testing.encoders import SmallEncoder
from chimera_core.testing.fakes.config import MeanImageConfig
from chimera_core.testing.fakes.mean_image import MeanImage, MeanImageLearner, noise_of


class Fade(FusionGenerator):
    """Fades from one parent to the other, with noise of the seed on the way."""

    def __init__(self, config: Any = None, *, device: Any = "cpu") -> None:
        super().__init__(config, device=device)
        self.calls = 0

    def fuse(self, parents: Any, weights: Any, *, seeds: Any, size: int) -> Any:
        self.calls += 1
        images = [self.picture(p, size) for p in parents]
        mixed = sum(w * i for w, i in zip(self.shares(weights), images, strict=True))
        swing = 0.1 * (1 - max(weights))
        return torch.stack([mixed + swing * self.noise(k, seeds, size) for k in range(len(seeds))]).clamp(
            0, 1
        )

    def picture(self, parent: Any, size: int) -> Tensor:
        return F.interpolate(parent.image[None], (size, size), mode="bicubic", antialias=True)[0]

    def shares(self, weights: Any) -> Any:
        return weights

    def noise(self, k: int, seeds: Any, size: int) -> Tensor:
        return torch.randn(3, size, size, generator=torch.Generator().manual_seed(seeds[k]))


class HalfTheSize(Fade):
    def fuse(self, parents: Any, weights: Any, *, seeds: Any, size: int) -> Any:
        return super().fuse(parents, weights, seeds=seeds, size=size // 2)


class Bytes(Fade):
    def fuse(self, *args: Any, **kwargs: Any) -> Any:
        return (super().fuse(*args, **kwargs) * 255).to(torch.uint8)


class Doubles(Fade):
    def fuse(self, *args: Any, **kwargs: Any) -> Any:
        return super().fuse(*args, **kwargs).double()


class To255(Fade):
    def fuse(self, *args: Any, **kwargs: Any) -> Any:
        return super().fuse(*args, **kwargs) * 255


class Holes(Fade):
    def fuse(self, *args: Any, **kwargs: Any) -> Any:
        made = super().fuse(*args, **kwargs)
        made[:, 0, 0, 0] = torch.nan
        return made


class OnePicture(Fade):
    def fuse(self, *args: Any, **kwargs: Any) -> Any:
        return super().fuse(*args, **kwargs)[0]


class Raises(Fade):
    def fuse(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("out of\npaint")


class PaintsOverParents(Fade):
    def picture(self, parent: Any, size: int) -> Tensor:
        parent.image.clamp_(0.2, 0.8)
        return super().picture(parent, size)


class RollsTorchsDice(Fade):
    def noise(self, k: int, seeds: Any, size: int) -> Tensor:
        return super().noise(k, seeds, size) + 0.1 * torch.randn(())


class ReseedsTorch(Fade):
    def noise(self, k: int, seeds: Any, size: int) -> Tensor:
        torch.manual_seed(seeds[k])
        return torch.randn(3, size, size)


class ReseedsNumpy(Fade):
    def __init__(self, config: Any = None, *, device: Any = "cpu") -> None:
        super().__init__(config, device=device)
        np.random.seed(0)


class Counts(Fade):
    def shares(self, weights: Any) -> Any:
        tired = 0.01 * self.calls * weights[1]
        return (weights[0] + tired, weights[1] - tired, *weights[2:])


class OneDrawForAll(Fade):
    def noise(self, k: int, seeds: Any, size: int) -> Tensor:
        return super().noise(0, [seeds[0] + k], size)


class SortsSeeds(Fade):
    def noise(self, k: int, seeds: Any, size: int) -> Tensor:
        return super().noise(k, sorted(seeds), size)


class Neighbours(Fade):
    def noise(self, k: int, seeds: Any, size: int) -> Tensor:
        return super().noise(k, seeds, size) + (0 if len(seeds) == 1 else seeds[0] / 10)


class Gamma(Fade):
    def fuse(self, *args: Any, **kwargs: Any) -> Any:
        return super().fuse(*args, **kwargs) ** 0.8


class Nearest(Fade):
    def picture(self, parent: Any, size: int) -> Tensor:
        return F.interpolate(parent.image[None], (size, size))[0]


class Jumps(Fade):
    def shares(self, weights: Any) -> Any:
        return (1.0, 0.0, 0.0)[: len(weights)] if weights[0] > 0.37 else (0.0, 1.0, 0.0)[: len(weights)]


class Stands(Fade):
    ordered = True

    def shares(self, weights: Any) -> Any:
        return (1.0, 0.0, 0.0)[: len(weights)]

    def noise(self, k: int, seeds: Any, size: int) -> Tensor:
        return torch.zeros(3, size, size)


class TwoOnly(Fade):
    def shares(self, weights: Any) -> Any:
        if len(weights) > 2:
            raise ValueError("two parents, please")
        return weights


class OneParent(Fade):
    max_parents = 1


class AcceptsPictures(Fade):
    accepts = frozenset({"picture"})


FUSERS: Mapping[type[Fade], str] = {
    HalfTheSize: "size-asked-for",
    Bytes: "float32",
    Doubles: "float32",
    To255: "in-range",
    Holes: "finite",
    OnePicture: "one-picture-a-seed",
    Raises: "makes-creatures",
    PaintsOverParents: "parents-stay",
    RollsTorchsDice: "global-generators-unread",
    ReseedsTorch: "global-generators-unmoved",
    ReseedsNumpy: "global-generators-unmoved",
    Counts: "same-seed-same-bytes",
    OneDrawForAll: "seed-alone",
    SortsSeeds: "order-of-seeds",
    Neighbours: "seed-alone",
    Gamma: "weight-one",
    Nearest: "weight-one",
    Jumps: "smooth-way",
    Stands: "smooth-way",
    TwoOnly: "many-parents",
    OneParent: "declares-its-parents",
    AcceptsPictures: "declares-its-parents",
}


class Learner(MeanImageLearner):
    """The fake's, on two classes."""

    def __init__(self, data: Any) -> None:
        super().__init__(MeanImageConfig(), data, device="cpu")
        self.count = 0


class CountsSteps(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        self.count += 1
        scaled = Engine_with(engine, rate=engine.rate * (1 + self.count))
        return super().step(batch, draw=draw, engine=scaled)


class KeepsMomentum(Learner):
    momentum = 0.0

    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        found = super().step(batch, draw=draw, engine=engine)
        self.momentum = 0.9 * self.momentum + float(found["loss"]) * engine.rate
        with torch.no_grad():
            self._table["means"].add_(0.01 * self.momentum)
        return found


class LogsRate(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        return {**super().step(batch, draw=draw, engine=engine), "rate": torch.tensor(engine.rate)}


class LogsFloats(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        return {name: float(v) for name, v in super().step(batch, draw=draw, engine=engine).items()}


class LogsATensor(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        return super().step(batch, draw=draw, engine=engine)["loss"]


class LogsNan(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        return {name: v * torch.nan for name, v in super().step(batch, draw=draw, engine=engine).items()}


class Shouts(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        raise RuntimeError("no step")


class IgnoresTheRate(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        return super().step(batch, draw=draw, engine=Engine_with(engine, rate=1.0))


class AveragesNothing(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        return super().step(
            batch, draw=draw, engine=Engine_with(engine, average_gradients=lambda parameters: None)
        )


class RollsPythonsDice(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        found = super().step(batch, draw=draw, engine=engine)
        with torch.no_grad():
            self._table["means"].add_(0.01 * engine.rate * random.random())
        return found


class Stays(Learner):
    def step(self, batch: Any, *, draw: Any, engine: Any) -> Any:
        return super().step(batch, draw=draw, engine=Engine_with(engine, rate=0.0))


class SamplesTo255(Learner):
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        return super().sample(count, seed=seed) * 255


class SamplesSmall(Learner):
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        return super().sample(count, seed=seed)[..., ::2, ::2]


class SamplesByChance(Learner):
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        return (super().sample(count, seed=seed) + 0.1 * torch.rand(())).clamp(0, 1)


class SamplesAndLearns(Learner):
    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        made = super().sample(count, seed=seed)
        with torch.no_grad():
            self._table["means"].mul_(0.99)
        return made


class TensorFacts(Learner):
    def facts(self) -> dict[str, Any]:
        return {"mean": torch.zeros(3)}


class NumberedFacts(Learner):
    def facts(self) -> dict[str, Any]:
        return {"names": {0: "disc", 1: "square"}}


class HalfState(Learner):
    def state(self) -> dict[str, Tensor]:
        return {name: t.half() for name, t in super().state().items()}


class ForgetsItsState(Learner):
    def state(self) -> dict[str, Tensor]:
        return {"means": super().state()["means"][:1]}

    def sample(self, count: int, *, seed: int, averaged: bool = True) -> Tensor:
        return torch.stack([noise_of(seed + k, 16) for k in range(count)]).clamp(0, 1)


class OneName(Learner):
    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.optimizers = {"table": self.optimizers["adam"]}


class BeginsByChance(Learner):
    def __init__(self, data: Any) -> None:
        super().__init__(data)
        with torch.no_grad():
            self._table["means"].add_(0.1 * random.random())


def Engine_with(engine: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(engine, **changes)


LEARNERS: Mapping[type[FuserLearner], str] = {
    CountsSteps: "no-hidden-state",
    KeepsMomentum: "no-hidden-state",
    LogsRate: "metric-names-are-free",
    LogsFloats: "metrics-are-scalars",
    LogsATensor: "metrics-are-scalars",
    LogsNan: "metrics-are-scalars",
    Shouts: "takes-steps",
    IgnoresTheRate: "rate-is-obeyed",
    AveragesNothing: "gradients-are-averaged",
    RollsPythonsDice: "draws-alone",
    Stays: "learns",
    SamplesTo255: "samples-in-range",
    SamplesSmall: "samples",
    SamplesByChance: "samples-by-seed",
    SamplesAndLearns: "samples-change-nothing",
    TensorFacts: "facts-are-json",
    NumberedFacts: "facts-are-json",
    HalfState: "state-is-fp32",
    ForgetsItsState: "loads",
    OneName: "learner-builds",
    BeginsByChance: "begins-alike",
}


def load_mean(state: Mapping[str, Tensor], facts: Any) -> FusionGenerator:
    fuser = MeanImage(MeanImageConfig())
    fuser.load({name: t.float() for name, t in state.items()}, facts)
    return fuser


@dataclass
class Squares:
    """A split of plain squares, each of a colour of its own."""

    first: int
    count: int = 12
    labels: list[int] = field(default_factory=list)
    domains: list[int] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.labels = self.labels or [k % 2 for k in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return Example(self.image(index), self.labels[index], self.domains[index] if self.domains else 0)

    def image(self, index: int) -> Tensor:
        return torch.full((3, 8, 8), self.first + index, dtype=torch.uint8)


class Plain(DatasetSource):
    """Two classes, two splits."""

    split: type[Squares] = Squares
    domains: tuple[str, ...] = ()

    def __init__(self, config: Any = None) -> None:
        pass

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("plain", ("a", "b"), {"train": 12, "test": 12}, self.domains)

    def open(self, split: str) -> Any:
        if split not in ("train", "test"):
            raise DataError(f"no split {split}: train or test")
        return self.split(0 if split == "train" else 100)


def source(split: type[Squares] = Squares, **more: Any) -> type[Plain]:
    return type(split.__name__, (Plain,), {"split": split, **more})


class TwoLabels(Squares):
    def __post_init__(self) -> None:
        self.labels = [0, 1]

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return Example(self.image(index), index % 2)


class ThirdClass(Squares):
    def __post_init__(self) -> None:
        self.labels = [k % 3 for k in range(self.count)]


class OtherLabels(Squares):
    def __getitem__(self, index: int) -> Example:
        return super().__getitem__(index)._replace(label=1 - self.labels[index])


class Floats(Squares):
    def image(self, index: int) -> Tensor:
        return super().image(index).float() / 255


class ChannelsLast(Squares):
    def image(self, index: int) -> Tensor:
        return super().image(index).permute(1, 2, 0)


class NightWithoutName(Squares):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.domains = [k % 2 for k in range(self.count)]


class FewDomains(Squares):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.domains = [0, 0]

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return Example(self.image(index), self.labels[index])


class Endless(Squares):
    def __getitem__(self, index: int) -> Example:
        return super().__getitem__(index % self.count)


class Noisy(Squares):
    def image(self, index: int) -> Tensor:
        return torch.randint(0, 255, (3, 8, 8), dtype=torch.uint8, generator=_CHANCE)


class RollsDice(Squares):
    def image(self, index: int) -> Tensor:
        torch.rand(())
        return super().image(index)


class FileTwice(Squares):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.paths = [Path(f"{self.first + k // 2}.png") for k in range(self.count)]


class SharedFiles(Squares):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.paths = [Path(f"{k}.png") for k in range(self.count)]


class Rooted(Squares):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.read = lambda index: index


class Broken(Squares):
    def image(self, index: int) -> Tensor:
        raise KeyError("pixels")


class AnySplit(Plain):
    def open(self, split: str) -> Any:
        return Squares(100 if split == "test" else 0)


class CountsWrong(Plain):
    @property
    def info(self) -> SourceInfo:
        return SourceInfo("plain", ("a", "b"), {"train": 12, "test": 11})


class SameNames(Plain):
    @property
    def info(self) -> SourceInfo:
        return SourceInfo("plain", ("a", "a"), {"train": 12, "test": 12})


_CHANCE = torch.Generator().manual_seed(0)
SOURCES: Mapping[type[Plain], str] = {
    source(TwoLabels): "label-for-each-image",
    source(ThirdClass): "labels-are-classes",
    source(OtherLabels): "labels-of-examples",
    source(Floats): "uint8-rgb",
    source(ChannelsLast): "uint8-rgb",
    source(NightWithoutName): "domains-are-listed",
    source(FewDomains, domains=("day",)): "domain-for-each-image",
    source(Endless): "ends",
    source(Noisy): "stable",
    source(RollsDice): "generators-stay",
    source(FileTwice): "no-example-twice",
    source(SharedFiles): "splits-are-disjoint",
    source(Rooted): "travels",
    source(Broken): "examples-decode",
    AnySplit: "unknown-split",
    CountsWrong: "counts-match",
    SameNames: "describes-itself",
}


class SaysMoreChannels(SmallEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.levels = tuple(type(level)(level.name, 64, level.stride) for level in self.levels)


class SaysOtherStrides(SmallEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.levels = tuple(type(level)(level.name, level.channels, 8) for level in self.levels)


class SortsLevels(SmallEncoder):
    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        return super().feature_maps(x, sorted(levels))


class TakesAnyLevel(SmallEncoder):
    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        return super().feature_maps(x, [min(level, 1) for level in levels])


class FlatMaps(SmallEncoder):
    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        return [found.flatten(2) for found in super().feature_maps(x, levels)]


class DropsAlways(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.1 * torch.randn(())


class LooksAtTheBatch(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits - logits.mean(0)


class Detached(SmallEncoder):
    def embed(self, x: Tensor) -> Tensor:
        return super().embed(x).detach()


class NormalisesInPlace(SmallEncoder):
    def embed(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            x.sub_(0.01)
        return super().embed(x)


class StaysInEvaluation(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        self.eval()
        return super().forward(x)


class ReseedsInConstructor(SmallEncoder):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()


class LogitsOfMaps(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., None]


class EmbedsMaps(SmallEncoder):
    def embed(self, x: Tensor) -> Tensor:
        return self._maps(x)[1]

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.embed(x).mean((2, 3)))
        return found


class KeepsATableAside(SmallEncoder):
    table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None:
            self.table = self.head.weight.clone()
        return F.linear(self.embed(x), self.table, self.head.bias)


class WithoutLevels(SmallEncoder):
    def __init__(self) -> None:
        super().__init__()
        del self.levels


ENCODERS: Mapping[type[FeatureEncoder], str] = {
    SaysMoreChannels: "channels-as-declared",
    SaysOtherStrides: "strides-as-declared",
    SortsLevels: "levels-in-order-asked",
    TakesAnyLevel: "unknown-level",
    FlatMaps: "maps",
    DropsAlways: "deterministic",
    LooksAtTheBatch: "batch-independent",
    Detached: "gradient-to-pixels",
    NormalisesInPlace: "images-stay",
    StaysInEvaluation: "mode-stays",
    ReseedsInConstructor: "constructor-leaves-generators",
    LogitsOfMaps: "logits",
    EmbedsMaps: "embedding",
    KeepsATableAside: "state-is-all",
    WithoutLevels: "builds",
}


@dataclass(frozen=True)
class SignConfig:
    eps: float = 4 / 255
    norm: str = "linf"


class Sign(RobustnessTrainer):
    """One signed step from a random start."""

    def __init__(self, config: Any = None) -> None:
        self.config = config or SignConfig()

    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        start = x + self.config.eps * self.start(x, draw)
        start = start.clamp(0, 1).detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(F.cross_entropy(encoder(start), y), start)
        moved = start + 2 * self.config.eps * slope.sign()
        return (
            torch.minimum(torch.maximum(moved, x - self.config.eps), x + self.config.eps).clamp(0, 1).detach()
        )

    def start(self, x: Tensor, draw: Draw) -> Tensor:
        return 2 * draw.uniform(*x.shape[1:], purpose="start") - 1

    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        logits = encoder(self.perturb(encoder, x, y, draw=draw))
        return F.cross_entropy(logits, y), {"attacked": logits.detach().abs().mean()}


class LeavesTheBall(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return (x + 2 * (super().perturb(encoder, x, y, draw=draw) - x)).clamp(0, 1)


class LeavesTheBox(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return x + self.config.eps * (super().perturb(encoder, x, y, draw=draw) - x).sign()


class LeavesEvaluation(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return super().perturb(encoder.eval(), x, y, draw=draw)


class LeavesGradients(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        with torch.enable_grad():
            F.cross_entropy(encoder(x), y).backward()
        return super().perturb(encoder, x, y, draw=draw)


class FreezesTheHead(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        found = super().perturb(encoder, x, y, draw=draw)
        next(encoder.parameters()).requires_grad_(False)
        return found

    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return F.cross_entropy(encoder(super().perturb(encoder, x, y, draw=draw)), y), {}


class KeepsTheGraph(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return super().perturb(encoder, x, y, draw=draw).requires_grad_()


class MovesImages(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        found = super().perturb(encoder, x, y, draw=draw)
        x.copy_(found)
        return found


class MeansOfExamples(Sign):
    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        logits = encoder(self.perturb(encoder, x, y, draw=draw))
        return F.cross_entropy(logits, y, reduction="none"), {}


class LossAlone(Sign):
    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return super().loss(encoder, x, y, draw=draw)[0]


class FloatMetrics(Sign):
    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        loss, _ = super().loss(encoder, x, y, draw=draw)
        return loss, {"attacked": 0.5}


class LogsLr(Sign):
    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        loss, _ = super().loss(encoder, x, y, draw=draw)
        return loss, {"lr": torch.tensor(0.5)}


class StartsByChance(Sign):
    def start(self, x: Tensor, draw: Draw) -> Tensor:
        return 2 * torch.rand(x.shape) - 1


class StartsByPlace(Sign):
    def start(self, x: Tensor, draw: Draw) -> Tensor:
        return 2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(draw.seed)) - 1


class GetsTired(Sign):
    steps = 0

    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        loss, metrics = super().loss(encoder, x, y, draw=draw)
        self.steps += 1
        return loss / max(1, self.steps - 2), metrics


class WantsIndices(Sign):
    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        if y.ndim != 1:
            raise ValueError("indices, please")
        return super().loss(encoder, x, y, draw=draw)


class Scales(Sign):
    def perturb(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return super().perturb(encoder, x, y, draw=draw)[..., 1:]

    def loss(self, encoder: Any, x: Tensor, y: Tensor, *, draw: Draw) -> Any:
        return F.cross_entropy(encoder(x), y), {}


TRAINERS: Mapping[type[Sign], str] = {
    LeavesTheBall: "within-budget",
    LeavesTheBox: "in-range",
    LeavesEvaluation: "encoder-mode-stays",
    LeavesGradients: "encoder-gradients-stay",
    FreezesTheHead: "encoder-gradients-stay",
    KeepsTheGraph: "attacked-images",
    MovesImages: "images-stay",
    MeansOfExamples: "scalar-loss",
    LossAlone: "scalar-loss",
    FloatMetrics: "metrics-are-scalars",
    LogsLr: "metric-names-are-free",
    StartsByChance: "draws-alone",
    StartsByPlace: "draws-belong-to-examples",
    GetsTired: "no-state",
    WantsIndices: "shares-of-classes",
    Scales: "attacked-images",
}
