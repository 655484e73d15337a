"""The laws of a learner: of a fuser while it learns."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chimera_core.data.batches import Batch
from chimera_core.interfaces.components import FusionGenerator
from chimera_core.interfaces.learner import Engine, FuserData, FuserLearner, TrainedFacts
from chimera_core.laws import Law, NotTriedError, law, laws_of
from chimera_core.randomness import Draw, seed_step
from chimera_core.records import Parent
from chimera_core.runs import checkpoints
from chimera_core.testing.laws.randomness import seed_all_but_torch, seed_everything
from chimera_core.testing.laws.subject import Once, describe
from chimera_core.testing.training_data import draw_fuser_data
from chimera_core.training.parts.metrics import RESERVED_BY_FUSERS

PAGE = "reference/laws.md#of-a-learner"
SHAPES_PAGE = "reference/contract.md#shapes-and-ranges"
_BEFORE, _AFTER = 2, 3
"""Steps before a checkpoint is taken up, and after it."""
_STEP = 1 / 255 + 1e-4

BuildLearner = Callable[[FuserData], FuserLearner]


def check_learner(
    build: BuildLearner,
    *,
    load: Callable[[Mapping[str, Tensor], TrainedFacts], FusionGenerator] | None = None,
    parents: Callable[[], Sequence[Parent]] | None = None,
    data: Callable[[], FuserData] = draw_fuser_data,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Law]:
    """List the laws of a learner, to be tried one by one.

    Args:
        build: makes it of what it learns from, as ``FusionGenerator.learner`` does.
        load: makes the fuser of what it has learned; None: this is not tried.
        parents: makes two or more that the fuser takes; classes of the data when None.
        data: what it learns from; drawn images of 16 pixels when None.
        expected_failures: by the law's name, why this learner does not keep it.
    Raises:
        ConfigError: if a failure is declared of no law.
    """
    return laws_of(LearnerLaws(build, load, parents, data), expected_failures)


class LearnerLaws:
    """What is asked of a learner."""

    def __init__(
        self,
        build: BuildLearner,
        load: Callable[[Mapping[str, Tensor], TrainedFacts], FusionGenerator] | None,
        parents: Callable[[], Sequence[Parent]] | None,
        data: Callable[[], FuserData],
    ) -> None:
        self._make, self._load, self._parents, self._draw_data = build, load, parents, data

    @cached_property
    def _data(self) -> FuserData:
        return self._draw_data()

    def _new(self) -> FuserLearner:
        seed_step(self._data.seed, -1)  # as a training does before it builds the networks
        return self._make(self._data)

    @cached_property
    def _built(self) -> Once[FuserLearner]:
        return Once(self._new, "it cannot be built")

    @cached_property
    def _stepped(self) -> Once[tuple[FuserLearner, list[Any]]]:
        """One that has taken a step or two, and what its steps gave."""

        def take_steps() -> tuple[FuserLearner, list[Any]]:
            learner = self._new()
            return learner, [self._step(learner, step) for step in range(_BEFORE)]

        return Once(take_steps, "it takes no step")

    def _step(self, learner: FuserLearner, step: int, **lent: Any) -> Any:
        data = self._data
        rows = torch.arange(step * data.batch, (step + 1) * data.batch) % len(data.images)
        batch = Batch(data.images.take(rows), data.images.labels[rows], data.images.domains[rows], rows)
        engine = Engine(torch.device("cpu"), images=step * data.batch, **lent)
        seed_step(data.seed, step)
        return learner.step(batch, draw=Draw(data.seed, 0, rows, step=step), engine=engine)

    def _learner(self) -> FuserLearner:
        return self._stepped()[0]

    @law(PAGE)
    def learner_builds(self) -> str | None:
        """``learner`` makes a FuserLearner with ``modules`` and ``optimizers``, each of a name of its own."""
        learner: Any = self._built.first()
        if not isinstance(learner, FuserLearner):
            return f"{describe(learner)}."
        for what, kind in (("modules", nn.Module), ("optimizers", torch.optim.Optimizer)):
            found = getattr(learner, what, None)
            if not isinstance(found, Mapping) or not all(isinstance(v, kind) for v in found.values()):
                return f"`{what}` is {describe(found)}, and no dict of {kind.__name__}."
        shared = sorted(learner.modules.keys() & learner.optimizers.keys())
        return f"a module and an optimizer are both called {shared[0]!r}." if shared else None

    @law(PAGE)
    def begins_alike(self) -> str | None:
        """Two of the same data and seed begin with the same weights, whatever numpy's and Python's generators."""
        first = self._built()
        seed_all_but_torch(99)
        return _states_differ(first, self._new())

    @law(PAGE, after=("begins_alike",))
    def takes_steps(self) -> str | None:
        """``step`` can be called with a batch, its draw and an engine."""
        self._built()
        self._stepped.first()
        return None

    @law(PAGE)
    def metrics_are_scalars(self) -> str | None:
        """``step`` gives a dict of scalar tensors, detached and finite."""
        for given in self._stepped()[1]:
            if not isinstance(given, dict):
                return f"{describe(given)}."
            for name, value in given.items():
                if not isinstance(name, str) or not isinstance(value, Tensor) or value.numel() != 1:
                    return f"{name!r} is {describe(value)}."
                if value.requires_grad:
                    return f"{name!r} is not detached."
                if not torch.isfinite(value):
                    return f"{name!r} is {float(value)}."
        return None

    @law(PAGE)
    def metric_names_are_free(self) -> str | None:
        """No scalar has a name that the training itself logs, such as ``rate``, ``images`` or ``epoch``."""
        names = {name for given in self._stepped()[1] if isinstance(given, dict) for name in given}
        taken = sorted(names & RESERVED_BY_FUSERS)
        return f"a scalar named {taken[0]!r}." if taken else None

    @law(PAGE, after=("begins_alike",))
    def no_hidden_state(self) -> str | None:
        """All that the next steps depend on lies in ``modules`` and ``optimizers``: taken up again, it goes the same way."""
        self._stepped()
        whole, other = self._new(), self._new()
        for step in range(_BEFORE):
            self._step(whole, step)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints.save_checkpoint(
                Path(folder), 1, modules=whole.modules, optimizers=whole.optimizers, state={}
            )
            kept = checkpoints.read_checkpoint(Path(folder), 1)
            checkpoints.restore(kept, modules=other.modules, optimizers=other.optimizers)
        for learner in (whole, other):
            seed_all_but_torch(3)
            for step in range(_BEFORE, _BEFORE + _AFTER):
                self._step(learner, step)
        # What is loaded may lie beside the modules, such as an average of weights that no checkpoint keeps.
        fault, given = _states_differ(whole, other), [learner.state() for learner in (whole, other)]
        is_sound = all(isinstance(state, Mapping) for state in given)
        return fault or (_tensors_differ("state", *given) if is_sound else None)

    @law(PAGE, after=("begins_alike",))
    def draws_alone(self) -> str | None:
        """A step's random numbers come from its draw, or torch's generator, which is seeded for it: from no other."""
        self._stepped()
        one, other = self._new(), self._new()
        for seed, learner in enumerate((one, other)):
            for step in range(_BEFORE):
                seed_all_but_torch(17 * seed + step)
                self._step(learner, step)
        return _states_differ(one, other)

    @law(PAGE, after=("begins_alike",))
    def rate_is_obeyed(self) -> str | None:
        """At an engine's rate of 0 no optimizer moves a parameter."""
        self._stepped()
        learner = self._new()
        owned = [p for o in learner.optimizers.values() for g in o.param_groups for p in g["params"]]
        before = [p.detach().clone() for p in owned]
        self._step(learner, 0, rate=0.0)
        off = max(
            (float((a.detach() - b).abs().max()) for a, b in zip(owned, before, strict=True)), default=0.0
        )
        return f"parameters moved by up to {off:.3g}." if off else None

    @law(PAGE, after=("begins_alike",))
    def learns(self) -> str | None:
        """Its steps change its parameters."""
        stepped, fresh = self._learner(), self._new()
        return None if _states_differ(stepped, fresh) else f"the same weights after {_BEFORE} steps."

    @law(PAGE, after=("begins_alike",))
    def gradients_are_averaged(self) -> str | None:
        """``engine.average_gradients`` is called for every parameter that a step moves."""
        self._stepped()
        learner, averaged = self._new(), set[int]()

        def note(parameters: Iterable[nn.Parameter]) -> None:
            averaged.update(id(p) for p in parameters)

        owned = {
            f"{name} {k}": p
            for name, o in learner.optimizers.items()
            for k, p in enumerate(p for g in o.param_groups for p in g["params"])
        }
        before = {name: p.detach().clone() for name, p in owned.items()}
        self._step(learner, 0, average_gradients=note)
        left = [n for n, p in owned.items() if id(p) not in averaged and not torch.equal(p, before[n])]
        return f"parameters of optimizer {left[0]} moved without it." if left else None

    @cached_property
    def _samples(self) -> Once[Tensor]:
        return Once(lambda: self._learner().sample(3, seed=5), "it draws no samples")

    @law(SHAPES_PAGE)
    def samples(self) -> str | None:
        """``sample`` gives float32 images (count, 3, S, S) on the CPU."""
        self._stepped()
        given: Any = self._samples.first()
        side = self._data.size
        if not isinstance(given, Tensor) or given.shape != (3, 3, side, side):
            return f"{describe(given)} for 3 images of {side} pixels."
        return f"{describe(given)} on {given.device}." if given.dtype != torch.float32 else None

    def _sound_samples(self) -> Tensor:
        given: Any = self._samples()
        if not isinstance(given, Tensor) or len(given) != 3:
            raise NotTriedError("its samples have another shape")
        return given

    @law(SHAPES_PAGE)
    def samples_in_range(self) -> str | None:
        """Samples are finite and lie in [0, 1]."""
        given = self._sound_samples()
        low, high = float(given.min()), float(given.max())
        return None if low >= -1e-6 and high <= 1 + 1e-6 else f"pixels from {low:.3g} to {high:.3g}."

    @law(PAGE, after=("begins_alike",))
    def samples_change_nothing(self) -> str | None:
        """Drawing samples changes neither weights nor buffers."""
        self._sound_samples()
        learner, other = self._new(), self._new()
        learner.sample(2, seed=0)
        return _states_differ(learner, other)

    @law(PAGE, after=("samples_change_nothing",))
    def samples_by_seed(self) -> str | None:
        """Sample k depends on ``seed + k`` alone, not on the global generators, and not on its neighbours."""
        given, learner = self._sound_samples(), self._learner()
        seed_everything(8)
        alone = torch.cat([learner.sample(1, seed=5 + k) for k in (1, 2)])
        off = float((alone - given[1:]).abs().max())
        return f"pixels differ by up to {off:.3g} for the same seed." if off > _STEP else None

    @law(PAGE)
    def state_is_fp32(self) -> str | None:
        """``state`` gives a dict of tensors by name, of which no floating one is rounded below fp32."""
        given: Any = self._learner().state()
        if not isinstance(given, Mapping):
            return f"{describe(given)}."
        for name, value in given.items():
            if not isinstance(value, Tensor):
                return f"{name!r} is {describe(value)}."
            if value.is_floating_point() and value.dtype != torch.float32:
                return f"{name!r} is {describe(value)}."
        return None

    @law(PAGE)
    def facts_are_json(self) -> str | None:
        """``facts`` are plain values: written as JSON and read again they are the same."""
        given: Any = self._learner().facts()
        if not isinstance(given, dict):
            return f"{describe(given)}."
        try:
            read = json.loads(json.dumps(given, allow_nan=False))
        except (TypeError, ValueError) as error:
            return f"{error}."
        return None if _plain(given) == read else f"{read!r} was read after {given!r} was written."

    @law(PAGE)
    def loads(self) -> str | None:
        """What ``state`` and ``facts`` give is enough for ``load``, and the fuser then makes creatures."""
        learner = self._learner()
        if self._load is None:
            raise NotTriedError("no `load` was given")
        state = {name: t.detach().cpu() for name, t in learner.state().items()}
        fuser = self._load(state, TrainedFacts(self._data.classes, self._data.size, learner.facts()))
        classes = [Parent(name, class_name=name) for name in self._data.classes]
        parents = self._parents() if self._parents else classes
        made: Any = fuser.fuse(parents[:2], (0.5, 0.5), seeds=[0], size=self._data.size)
        if not isinstance(made, Tensor) or made.ndim != 4 or len(made) != 1:
            return f"{describe(made)} for one seed."
        return None if torch.isfinite(made).all() else "pixels that are not finite numbers."


def _plain(value: Any) -> Any:
    """Write tuples as lists, which JSON cannot tell apart."""
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _states_differ(one: FuserLearner, other: FuserLearner) -> str | None:
    """Name the first tensor of the networks that differs, and by how much."""
    for name, module in one.modules.items():
        if fault := _tensors_differ(name, module.state_dict(), other.modules[name].state_dict()):
            return fault
    return None


def _tensors_differ(name: str, one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    for key, value in one.items():
        if not torch.equal(value, other[key]):
            off = float((value.double() - other[key].double()).abs().max())
            return f"{name}.{key} differs by up to {off:.3g}."
    return None
