"""The laws of a fuser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.images.pixels import resize_shorter
from chimera_core.interfaces.components import FusionGenerator
from chimera_core.laws import Law, NotTriedError, law, laws_of
from chimera_core.records import Parent
from chimera_core.testing.laws.randomness import GlobalState, seed_everything
from chimera_core.testing.laws.subject import Once, describe
from chimera_core.testing.pictures import draw_parents

PAGE = "reference/laws.md#of-a-fuser"
SHAPES_PAGE = "reference/contract.md#shapes-and-ranges"
_STEP = 1 / 255 + 1e-4  # of 8 bits: what a batch may change
_INTERVALS = 6  # of the sweep
_JUMP = 0.5  # of the whole way, within one interval
_HALVINGS = 4  # of an interval with a jump: 1/96 of the weight at last
_SEEDS = (3, 11)


def check_fuser(
    build: Callable[[], FusionGenerator],
    *,
    parents: Sequence[Parent] | Callable[[], Sequence[Parent]] | None = None,
    size: int = 48,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Law]:
    """List the laws of a fuser, to be tried one by one.

    Args:
        build: makes it; called at the first law that is tried.
        parents: three or more that it takes, or what makes them; photographs drawn in code when None.
        size: shorter side of the creatures in pixels; an unusual one, so that it is seen whether it is obeyed.
        expected_failures: by the law's name, why this fuser does not keep it.
    Raises:
        ConfigError: if a failure is declared of no law.
    """
    return laws_of(FuserLaws(build, parents, size), expected_failures)


class FuserLaws:
    """What is asked of a fuser. Creatures that several laws look at are made once."""

    def __init__(
        self,
        build: Callable[[], FusionGenerator],
        parents: Sequence[Parent] | Callable[[], Sequence[Parent]] | None,
        size: int,
    ) -> None:
        self._build, self._given, self._size = build, parents or draw_parents, size
        self._moved: list[str] = []

    @cached_property
    def _fuser(self) -> Once[FusionGenerator]:
        def build() -> FusionGenerator:
            with self._watched("its constructor"):
                return self._build()

        return Once(build, "it cannot be built")

    @cached_property
    def _parents(self) -> list[Parent]:
        return list(self._given() if callable(self._given) else self._given)

    @cached_property
    def _pristine(self) -> list[Parent]:
        """The parents as they were before any fuser saw them."""
        kept = [[None if t is None else t.clone() for t in (p.image, p.mask)] for p in self._parents]
        return [replace(p, image=i, mask=m) for p, (i, m) in zip(self._parents, kept, strict=True)]

    @cached_property
    def _made(self) -> Once[Tensor]:
        """The creatures that most laws look at."""

        def make() -> Tensor:
            seed_everything(1)
            with self._watched("`fuse`"):
                return self._fuse(self._weights(), _SEEDS)

        return Once(make, "it makes no creatures")

    @contextmanager
    def _watched(self, who: str) -> Iterator[None]:
        """Note which global generators move in the block."""
        before = GlobalState()
        yield
        if moved := before.changed():
            self._moved.append(f"{moved} moved by {who}")

    def _weights(self, first: float = 0.6, count: int = 2) -> tuple[float, ...]:
        return (first, 1 - first, *[0.0] * (count - 2))

    def _fuse(self, weights: Sequence[float], seeds: Sequence[int]) -> Tensor:
        self._pristine  # noqa: B018
        parents = self._parents[: len(weights)]
        return self._fuser().fuse(parents, tuple(weights), seeds=list(seeds), size=self._size)

    def _sound(self) -> Tensor:
        """The creatures, where their shape is right."""
        made = self._made()
        if self._shape_fault(made, len(_SEEDS)):
            raise NotTriedError("its result has another shape than was asked for")
        return made

    def _shape_fault(self, made: Any, count: int) -> str:
        if not isinstance(made, Tensor):
            return f"{describe(made)}."
        if made.ndim != 4 or made.shape[0] != count or made.shape[1] not in (3, 4) or not made.numel():
            return f"{describe(made)} for {count} seeds."
        return ""

    @law(PAGE)
    def builds(self) -> str | None:
        """Its constructor takes the options and the device, and makes a FusionGenerator."""
        fuser: Any = self._fuser.first()
        return None if isinstance(fuser, FusionGenerator) else f"{describe(fuser)}."

    @law(PAGE)
    def declares_its_parents(self) -> str | None:
        """It says what its parents may be: ``accepts`` photo, class or both, ``max_parents`` 2 or more, or None."""
        fuser = self._fuser()
        if not fuser.accepts or not set(fuser.accepts) <= {"photo", "class"}:
            return f"accepts {sorted(map(str, fuser.accepts))}."
        limit = fuser.max_parents
        if limit is not None and not (isinstance(limit, int) and limit >= 2):
            return f"max_parents {limit!r}."
        return None

    @law(PAGE)
    def makes_creatures(self) -> str | None:
        """``fuse`` gives a result for two parents with weights 0.6 and 0.4, and two seeds."""
        self._fuser()
        self._made.first()
        return None

    @law(SHAPES_PAGE)
    def one_picture_a_seed(self) -> str | None:
        """The result is a tensor (len(seeds), 3, H, W), or with a fourth channel of opacity."""
        return self._shape_fault(self._made(), len(_SEEDS))

    @law(SHAPES_PAGE)
    def size_asked_for(self) -> str | None:
        """The shorter side of the result is the size that was asked for."""
        shorter = min(self._sound().shape[-2:])
        return None if shorter == self._size else f"{shorter} pixels, where {self._size} were asked for."

    @law(SHAPES_PAGE)
    def float32(self) -> str | None:
        """The result is float32."""
        made = self._sound()
        return None if made.dtype == torch.float32 else f"{made.dtype}."

    @law(SHAPES_PAGE)
    def finite(self) -> str | None:
        """Every pixel is a finite number."""
        wrong = int((~torch.isfinite(self._sound())).sum())
        return f"{wrong} pixels that are not finite numbers." if wrong else None

    @law(SHAPES_PAGE, after=("float32",))
    def in_range(self) -> str | None:
        """Every pixel lies in [0, 1]."""
        made = self._sound()
        made = made[torch.isfinite(made)]
        low, high = float(made.min()), float(made.max())
        return None if low >= -1e-6 and high <= 1 + 1e-6 else f"pixels from {low:.3g} to {high:.3g}."

    @law(PAGE, after=("makes_creatures",))
    def parents_stay(self) -> str | None:
        """The parents' images and masks are left as they were."""
        self._made()
        names = [f"the {what} of parent {k + 1}" for k in range(2) for what in ("image", "mask")]
        pairs = zip(names, _tensors(self._pristine[:2]), _tensors(self._parents[:2]), strict=True)
        changed = [name for name, old, new in pairs if old is not None and not torch.equal(old, new)]
        return f"{' and '.join(changed)} changed." if changed else None

    @law(PAGE, after=("parents_stay", "finite"))
    def same_seed_same_bytes(self) -> str | None:
        """The same parents, weights and seeds give the same bytes again."""
        made = self._sound()
        seed_everything(1)
        again = self._fuse(self._weights(), _SEEDS)
        return _difference(made, again, tolerance=0.0)

    @law(PAGE, after=("same_seed_same_bytes",))
    def global_generators_unread(self) -> str | None:
        """The global generators of torch, numpy and random decide nothing."""
        made = self._sound()
        seed_everything(2)
        return _difference(made, self._fuse(self._weights(), _SEEDS), tolerance=0.0)

    @law(PAGE, after=("global_generators_unread",))
    def global_generators_unmoved(self) -> str | None:
        """The global generators of torch, numpy and random are left as they were, by the constructor too."""
        self._made()
        return f"{self._moved[0]}." if self._moved else None

    @law(PAGE, after=("global_generators_unread",))
    def seed_alone(self) -> str | None:
        """Image k depends on ``seeds[k]`` alone: by itself it comes out the same, to a step of 8 bits."""
        made = self._sound()
        alone = self._fuse(self._weights(), [_SEEDS[1]])
        return _difference(made[1:], alone, tolerance=_STEP)

    @law(PAGE, after=("seed_alone",))
    def order_of_seeds(self) -> str | None:
        """Other seeds beside it, or in another order, change no image."""
        made = self._sound()
        turned = self._fuse(self._weights(), [_SEEDS[1], _SEEDS[0]])
        return _difference(made.flip(0), turned, tolerance=_STEP)

    @law(PAGE)
    def many_parents(self) -> str | None:
        """It takes as many parents as ``max_parents`` says."""
        limit = self._fuser().max_parents
        count = min(limit or 3, 3, len(self._parents))
        if count < 3:
            raise NotTriedError("it takes two parents" if limit == 2 else "there are two parents to try")
        self._sound()
        return self._shape_fault(self._fuse((0.5, 0.3, 0.2), [_SEEDS[0]]), 1)

    @law(PAGE, after=("in_range", "finite", "size_asked_for", "same_seed_same_bytes"))
    def weight_one(self) -> str | None:
        """Weight 1 on a photograph gives its very pixels, resized; an ordered fuser promises it of the first alone."""
        fuser, _ = self._fuser(), self._sound()
        if "class" in fuser.accepts or self._parents[0].image is None:
            raise NotTriedError("it makes samples of classes")
        for index in range(1 if fuser.ordered else 2):
            weights = tuple(float(k == index) for k in range(2))
            made = self._fuse(weights, [_SEEDS[0]])[0, :3]
            image = self._pristine[index].image
            assert image is not None
            off = _distance(made, image, self._size)
            if off > 1 / 255:
                return f"a mean difference of {off:.3f} from parent {index + 1}."
        return None

    @law(PAGE, after=("in_range", "finite", "same_seed_same_bytes", "global_generators_unread"))
    def smooth_way(self) -> str | None:
        """A little more weight is a little more of the parent: no jump of half the way from one parent to the other."""
        self._sound()
        frame = partial(self._frame, {})
        shares = [k / _INTERVALS for k in range(_INTERVALS + 1)]
        steps = [_gap(frame(a), frame(b)) for a, b in pairwise(shares)]
        whole = sum(steps)
        if whole < 1e-3 and self._fuser().needs_training:
            raise NotTriedError("what it has learned so far looks alike at all weights")
        if whole < 1e-3:
            return f"all weights give the same picture: their mean difference is {whole:.2g}."
        widest = max(range(_INTERVALS), key=lambda k: steps[k])
        low, high = shares[widest], shares[widest + 1]
        for _ in range(_HALVINGS):
            if _gap(frame(low), frame(high)) <= _JUMP * whole:
                return None
            middle = (low + high) / 2
            is_left = _gap(frame(low), frame(middle)) > _gap(frame(middle), frame(high))
            low, high = (low, middle) if is_left else (middle, high)
        jump = _gap(frame(low), frame(high)) / whole
        if jump <= _JUMP:
            return None
        return f"between weights {low:.3f} and {high:.3f} of parent 2 it goes {jump:.0%} of the way."

    def _frame(self, known: dict[float, Tensor], share: float) -> Tensor:
        """The creature at a share of the second parent."""
        if share not in known:
            known[share] = self._fuse(self._weights(1 - share), [_SEEDS[0]])[0, :3].float()
        return known[share]


def _tensors(parents: Sequence[Parent]) -> list[Any]:
    return [t for p in parents for t in (p.image, p.mask)]


def _distance(made: Tensor, image: Tensor, size: int) -> float:
    """Mean difference from a photograph at the size; a fuser may have given it the shape of another parent."""
    expected = resize_shorter(image, size)
    if expected.shape != made.shape:
        expected = F.interpolate(image[None], made.shape[-2:], mode="bicubic", antialias=True)[0].clamp(0, 1)
    return float((made.cpu().float() - expected).abs().mean())


def _gap(one: Tensor, other: Tensor) -> float:
    """Mean difference of two pictures, the second brought to the first's shape."""
    if one.shape != other.shape:
        other = F.interpolate(other[None], one.shape[-2:], mode="bilinear", antialias=True)[0]
    return float((one - other).abs().mean())


def _difference(one: Tensor, other: Any, *, tolerance: float) -> str | None:
    if not isinstance(other, Tensor) or one.shape != other.shape:
        return f"{describe(other)} after {describe(one)}."
    off = float((one.double() - other.double()).abs().nan_to_num(nan=0.0).max())
    return f"pixels differ by up to {off:.3g}." if off > tolerance else None
