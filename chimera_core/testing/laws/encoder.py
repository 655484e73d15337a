"""The laws of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from chimera_core.errors import ConfigError
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.laws import Law, NotTriedError, law, laws_of
from chimera_core.testing.laws.randomness import GlobalState, seed_everything
from chimera_core.testing.laws.subject import Once, describe

PAGE = "reference/laws.md#of-an-encoder"
SHAPES_PAGE = "reference/contract.md#shapes-and-ranges"
_IMAGES = 3
_BEYOND = 10_000  # a level that no encoder has


def check_encoder(
    build: Callable[[], FeatureEncoder],
    *,
    size: int = 64,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Law]:
    """List the laws of an encoder, to be tried one by one.

    Args:
        build: makes it; called at the first law that is tried.
        size: side of the images in pixels; one that it takes.
        expected_failures: by the law's name, why this encoder does not keep it.
    Raises:
        ConfigError: if a failure is declared of no law.
    """
    return laws_of(EncoderLaws(build, size), expected_failures)


class EncoderLaws:
    """What is asked of an encoder."""

    def __init__(self, build: Callable[[], FeatureEncoder], size: int) -> None:
        self._build, self._size = build, size

    @cached_property
    def _encoder(self) -> Once[FeatureEncoder]:
        return Once(lambda: self._build().eval(), "it cannot be built")

    @cached_property
    def _images(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(_IMAGES, 3, self._size, self._size, generator=generator)

    @cached_property
    def _logits(self) -> Once[Tensor]:
        return Once(lambda: self._ask(self._encoder().__call__), "it classifies no images")

    @cached_property
    def _features(self) -> Once[Tensor]:
        return Once(lambda: self._ask(self._encoder().embed), "it embeds no images")

    @cached_property
    def _maps(self) -> Once[list[Tensor]]:
        def read() -> list[Tensor]:
            encoder = self._encoder()
            with torch.no_grad():
                return list(encoder.feature_maps(self._images.clone(), range(len(encoder.levels))))

        return Once(read, "it gives no feature maps")

    def _ask(self, method: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.no_grad():
            return method(self._images.clone())

    def _has_levels(self) -> FeatureEncoder:
        encoder = self._encoder()
        if not getattr(encoder, "levels", ()):
            raise NotTriedError("it has no levels")
        return encoder

    def _tensors(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        if not all(isinstance(t, Tensor) for t in tensors):
            raise NotTriedError("not all that it gives is a tensor")
        return tensors

    @law(PAGE)
    def builds(self) -> str | None:
        """Its constructor takes the options, and makes a FeatureEncoder with ``levels``."""
        encoder = self._encoder.first()
        if not isinstance(encoder, FeatureEncoder):
            return f"{describe(encoder)}."
        return None if isinstance(getattr(encoder, "levels", None), tuple) else "no tuple `levels`."

    @law(PAGE)
    def constructor_leaves_generators(self) -> str | None:
        """Its constructor leaves the global generators of torch, numpy and random as they were."""
        self._encoder()
        seed_everything(5)
        before = GlobalState()
        self._build()
        moved = before.changed()
        before.restore()
        return f"{moved} moved." if moved else None

    @law(SHAPES_PAGE)
    def logits(self) -> str | None:
        """Called with images (N, 3, H, W), it gives finite logits (N, K)."""
        self._encoder()
        return _fault(self._logits.first(), _IMAGES)

    @law(SHAPES_PAGE)
    def embedding(self) -> str | None:
        """``embed`` gives finite features (N, D)."""
        self._encoder()
        return _fault(self._features.first(), _IMAGES)

    @law(SHAPES_PAGE)
    def maps(self) -> str | None:
        """``feature_maps`` gives one finite tensor (N, C, H, W) for each level that is asked for."""
        encoder = self._has_levels()
        found = self._maps.first()
        if len(found) != len(encoder.levels):
            return f"{len(found)} maps for {len(encoder.levels)} levels."
        for level, each in zip(encoder.levels, found, strict=True):
            if not isinstance(each, Tensor) or each.ndim != 4 or len(each) != _IMAGES:
                return f"{describe(each)} at level {level.name}."
            if not torch.isfinite(each).all():
                return f"numbers that are not finite at level {level.name}."
        return None

    def _sound_maps(self) -> list[Tensor]:
        encoder, maps = self._has_levels(), self._maps()
        if len(maps) != len(encoder.levels) or not all(isinstance(m, Tensor) and m.ndim == 4 for m in maps):
            raise NotTriedError("its feature maps have other shapes")
        return maps

    @law(PAGE)
    def channels_as_declared(self) -> str | None:
        """Every map has the channels that its level declares."""
        for level, found in zip(self._has_levels().levels, self._sound_maps(), strict=True):
            if found.shape[1] != level.channels:
                return f"{found.shape[1]} channels at level {level.name}, which declares {level.channels}."
        return None

    @law(PAGE)
    def strides_as_declared(self) -> str | None:
        """Every map has one cell for as many pixels as its level's stride says."""
        encoder = self._has_levels()
        for level, found in zip(encoder.levels, self._sound_maps(), strict=True):
            cells = self._size / level.stride
            # Rounded up or down, or a cell more or less by padding.
            if not all(cells - 1 < side < cells + 1.5 or side == 1 > cells for side in found.shape[2:]):
                return (
                    f"{found.shape[2]} x {found.shape[3]} cells at level {level.name} for {self._size} pixels, "
                    f"where its stride of {level.stride} would give {cells:g}."
                )
        return None

    @law(PAGE)
    def levels_in_order_asked(self) -> str | None:
        """Maps come in the order in which their levels are asked for."""
        encoder, maps = self._has_levels(), self._sound_maps()
        order = [len(maps) - 1, 0]
        with torch.no_grad():
            found = encoder.feature_maps(self._images.clone(), order)
        shapes = [tuple(f.shape) for f in found]
        expected = [tuple(maps[k].shape) for k in order]
        return None if shapes == expected else f"maps of {shapes} for levels {order}, which have {expected}."

    @law(PAGE)
    def unknown_level(self) -> str | None:
        """A level that it does not have is a ConfigError."""
        encoder = self._has_levels()
        try:
            encoder.feature_maps(self._images.clone(), [_BEYOND])
        except ConfigError:
            return None
        return f"level {_BEYOND} was read."

    @law(PAGE)
    def gradient_to_pixels(self) -> str | None:
        """The gradients of logits, features and maps reach the pixels."""
        encoder = self._encoder()
        self._logits(), self._features()
        asked: dict[str, Callable[[Tensor], Tensor]] = {"the logits": encoder, "the features": encoder.embed}
        if getattr(encoder, "levels", ()):
            self._sound_maps()
            asked["the first map"] = lambda x: encoder.feature_maps(x, [0])[0]
        for name, method in asked.items():
            x = self._images.clone().requires_grad_()
            given = method(x)
            if not given.requires_grad:
                return f"{name} have no gradient."
            # Not the sum, which a last norm makes a constant.
            (slope,) = torch.autograd.grad(given.square().sum(), x, allow_unused=True)
            if slope is None or not torch.isfinite(slope).all() or not slope.any():
                return f"no finite gradient from {name} to the pixels."
        return None

    @law(PAGE)
    def deterministic(self) -> str | None:
        """In evaluation mode the same images give the same logits, whatever the global generators."""
        logits = self._logits()
        seed_everything(2)
        return _gap(logits, self._ask(self._encoder().__call__), 0.0)

    @law(PAGE, after=("deterministic",))
    def batch_independent(self) -> str | None:
        """In evaluation mode an image is seen alike by itself and in a batch."""
        encoder, logits = self._encoder(), self._logits()
        with torch.no_grad():
            alone = encoder(self._images[1:2].clone())
        scale = max(1.0, float(logits.abs().max()))
        return _gap(logits[1:2], alone, 1e-3 * scale)

    @law(PAGE)
    def images_stay(self) -> str | None:
        """The images are left as they were."""
        encoder = self._encoder()
        self._logits(), self._features()
        before, images = self._images.clone(), self._images.clone()
        with torch.no_grad():
            encoder(images)
            encoder.embed(images)
            if getattr(encoder, "levels", ()):
                encoder.feature_maps(images, [0])
        off = float((before - images).abs().max())
        return f"pixels changed by up to {off:.3g}." if off else None

    @law(PAGE)
    def mode_stays(self) -> str | None:
        """It stays in training or evaluation mode, whichever it is in, and changes no gradient's switch."""
        self._logits(), self._features()
        encoder = self._build()
        switches = [p.requires_grad for p in encoder.parameters()]
        for mode in (True, False):
            encoder.train(mode)
            with torch.no_grad():
                encoder(self._images.clone())
                encoder.embed(self._images.clone())
            if encoder.training is not mode:
                return f"training is {encoder.training} after a call in {'training' if mode else 'evaluation'} mode."
        changed = switches != [p.requires_grad for p in encoder.parameters()]
        return "requires_grad of parameters changed." if changed else None

    @law(PAGE, after=("deterministic",))
    def state_is_all(self) -> str | None:
        """Its ``state_dict`` is all that decides its logits: a second one that takes it up gives the same."""
        self._logits()
        encoder, other, fresh = (self._build().eval() for _ in range(3))
        for called in (encoder, other):
            self._ask(called.__call__)  # whatever they keep of a call, they keep now
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.mul_(1 + 0.1 * torch.rand(parameter.shape, generator=generator))
        for taking in (other, fresh):
            taking.load_state_dict(encoder.state_dict())
        expected = self._ask(fresh.__call__)
        tolerance = 1e-5 * max(1.0, float(expected.abs().max()))
        gaps = (_gap(expected, self._ask(each.__call__), tolerance) for each in (encoder, other))
        return next(filter(None, gaps), None)


def _fault(given: object, count: int) -> str | None:
    if not isinstance(given, Tensor) or given.ndim != 2 or len(given) != count or not given.shape[1]:
        return f"{describe(given)} for {count} images."
    if not given.is_floating_point():
        return f"{describe(given)}."
    return None if torch.isfinite(given).all() else "numbers that are not finite."


def _gap(one: Tensor, other: Tensor, tolerance: float) -> str | None:
    if one.shape != other.shape:
        return f"{describe(other)} after {describe(one)}."
    off = float((one - other).abs().max())
    return f"logits differ by up to {off:.3g}." if off > tolerance else None
