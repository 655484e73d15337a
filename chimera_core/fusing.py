"""From names and weights to chimeras: what ``chimera fuse`` and ``chimera_core.fuse`` do.

``plan_fusion`` checks everything that can be checked without torch, so that a wrong weight costs no second;
``Fusion`` then holds the loaded fuser and parents and makes as many chimeras as are asked for.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from chimera_core.errors import ConfigError, DataError, PluginError
from chimera_core.files import quote
from chimera_core.images import check_picture
from chimera_core.options import suggest
from chimera_core.plugins import Component, PluginHost, default_host
from chimera_core.records import Parent
from chimera_core.use import build, layered_options, resolve_config

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from chimera_core.interfaces import DatasetSource, FusionGenerator, Split

_log = logging.getLogger(__name__)

# With its plugin, so that a stranger who offers the same name cannot get into the default's way.
DEFAULT_PHOTO_FUSER = "style:style-transfer"
MIN_SIZE, MAX_SIZE = 16, 2048
# Photographs are handed to fusers no larger than this (shorter side), or than the result if that is larger:
# enough for a small animal's coat, and a 50-megapixel photograph stays affordable.
PARENT_SIZE = 1024


@dataclass(frozen=True)
class FusionPlan:
    """A checked request: every name exists, weights and sizes are right, no torch was needed."""

    parents: tuple[str, ...]
    masks: tuple[str, ...]
    component: Component
    config: BaseModel
    source: str | None
    source_options: Mapping[str, Any]
    size: int
    device: str
    host: PluginHost = field(repr=False)

    @property
    def fuser_name(self) -> str:
        """The fuser as users name it."""
        return self.component.spec.name


def plan_fusion(
    parents: Sequence[str | Path],
    *,
    fuser: str | None = None,
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    masks: Sequence[str | Path] = (),
    source: str | None = None,
    source_options: Mapping[str, Any] | None = None,
    size: int = 256,
    device: str = "auto",
    host: PluginHost | None = None,
) -> FusionPlan:
    """Check a request.

    Args:
        parents: image files or, with a source, class names; two or more.
        fuser: a component; style transfer when None.
        preset: a preset of the fuser.
        options: the fuser's options, over the preset.
        masks: at most one per parent, in their order: an image file (white = animal), ``auto`` or ``none``.
        source: where class names find their images.
        source_options: its options.
        size: shorter side of the result in pixels.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        host: plugins to use; the installed ones when None.
    Raises:
        ConfigError, DataError, PluginError: naming what is wrong and the mend.
    """
    host = host or default_host()
    if len(parents) < 2:
        raise ConfigError(f"a chimera needs two parents or more, but it got {len(parents)}: name another")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ConfigError(f"size must lie between {MIN_SIZE} and {MAX_SIZE} pixels, but it is {size}")
    if len(masks) > len(parents):
        raise ConfigError(
            f"{len(masks)} masks were given for {len(parents)} parents: give one per parent, in order"
        )
    component = host.find("fusion-generator", fuser or DEFAULT_PHOTO_FUSER)
    config = resolve_config(component, host, layered_options(component, host, preset, options or {}))
    if source is not None:
        named = host.find("dataset-source", source)
        resolve_config(named, host, layered_options(named, host, None, source_options or {}))
    for parent in parents:
        _check_parent(str(parent), source)
    for mask in masks:
        if str(mask) not in ("auto", "none"):
            _check_parent(str(mask), None)
    return FusionPlan(
        tuple(str(p) for p in parents),
        tuple(str(m) for m in masks),
        component,
        config,
        source,
        source_options or {},
        size,
        device,
        host,
    )


def check_weights(weights: Sequence[float] | None, parents: int) -> tuple[float, ...]:
    """Check one weight per parent, none negative, sum 1; None means equal shares.

    A sum within 0.001 of 1 is taken for 1 (".333,.333,.334") and scaled to it.

    Raises:
        ConfigError: naming the weights.
    """
    if weights is None:
        return (1 / parents,) * parents
    said = ",".join(f"{w:g}" for w in weights)
    if len(weights) != parents:
        raise ConfigError(f"{len(weights)} weights ({said}) for {parents} parents: give one per parent")
    if not all(math.isfinite(w) for w in weights) or min(weights) < 0:
        raise ConfigError(f"weights must be 0 or more, but they are {said}")
    total = sum(weights)
    if abs(total - 1) > 1e-3:
        raise ConfigError(f"weights must sum to 1, but {said} sum to {total:g}")
    return tuple(w / total for w in weights)


def sweep_weights(weights: Sequence[float], frames: int) -> list[tuple[float, ...]]:
    """Go from the first parent alone to none of it; the others keep their shares among themselves.

    Args:
        weights: their ratios beyond the first one count; equal where they are all 0.
        frames: number of weights, 2 or more, both ends included.
    """
    rest = sum(weights[1:])
    shares = [w / rest if rest else 1 / (len(weights) - 1) for w in weights[1:]]
    firsts = [1 - k / (frames - 1) for k in range(frames)]
    return [(first, *((1 - first) * share for share in shares)) for first in firsts]


class Fusion:
    """A loaded fuser with its parents. ``make`` may be called with many weights and seeds."""

    def __init__(self, plan: FusionPlan) -> None:
        from chimera_core.devices import select_device

        self.plan = plan
        self.device = select_device(plan.device)
        self.fuser: FusionGenerator = plan.component.load_class()(plan.config, device=self.device)
        _check_limits(self.fuser, plan)
        self._source: DatasetSource | None = None
        self._sampled: dict[tuple[int, int], Parent] = {}
        self._photos = [self._read(k) for k in range(len(plan.parents))]

    def make(
        self,
        weights: Sequence[float],
        seeds: Sequence[int],
        *,
        progress: Callable[[float, float], None] | None = None,
    ) -> Tensor:
        """Make one chimera per seed.

        Args:
            weights: one per parent, sum 1 (``check_weights``).
            seeds: image k depends on ``seeds[k]`` alone.
            progress: called with (done, total) while it works.
        Returns:
            float32 (len(seeds), 3, H, W) in [0, 1], on the CPU.
        Raises:
            PluginError: if the fuser breaks its contract.
        """
        import torch

        if progress is not None:
            self.fuser.progress = progress
        if all(photo is not None for photo in self._photos):
            made = self.fuser.fuse(self.parents(seeds[0]), weights, seeds=seeds, size=self.plan.size)
        else:  # each seed draws its own images of a class
            made = torch.cat(
                [self.fuser.fuse(self.parents(s), weights, seeds=[s], size=self.plan.size) for s in seeds]
            )
        _check_made(made, len(seeds), self.plan.fuser_name)
        return made.detach().float().cpu()

    def parents(self, seed: int) -> list[Parent]:
        """Give the parents; a class name becomes an image of that class drawn by ``seed``."""
        return [photo or self._draw(k, seed) for k, photo in enumerate(self._photos)]

    def text(self, weights: Sequence[float], seed: int) -> dict[str, str]:
        """What is written into the PNG. Folders are left out: pictures travel, paths are private."""
        import json

        from chimera_core import __version__

        return {
            "Software": f"chimera-toolkit {__version__}",
            "chimera.version": __version__,
            "chimera.fuser": self.plan.fuser_name,
            "chimera.parents": json.dumps([Path(p).name for p in self.plan.parents], ensure_ascii=False),
            "chimera.weights": json.dumps([round(w, 6) for w in weights]),
            "chimera.seed": str(seed),
            "chimera.size": str(self.plan.size),
            "chimera.options": json.dumps(
                _without_folders(self.plan.config.model_dump(mode="json")), ensure_ascii=False
            ),
        }

    def _read(self, index: int) -> Parent | None:
        name = self.plan.parents[index]
        if not Path(name).is_file():
            return None if "photo" in self.fuser.accepts else Parent(name, class_name=name)
        from chimera_core.images import read_picture
        from chimera_core.pixels import from_uint8

        picture = read_picture(name)
        image, alpha = from_uint8(picture.rgb), None
        if picture.alpha is not None:
            alpha = from_uint8(picture.alpha)
            # What lies under full transparency is whatever the drawing program left there.
            image = alpha * image + (1 - alpha)
            alpha = _at_most(alpha, self.plan.size, of=name)
        image = _at_most(image, self.plan.size, of=name)
        return Parent(picture.name, image, self._mask(index, image, alpha))

    def _mask(self, index: int, image: Tensor, alpha: Tensor | None) -> Tensor | None:
        import torch

        choice = self.plan.masks[index] if index < len(self.plan.masks) else "auto"
        if choice == "auto":
            return alpha
        if choice == "none":
            return torch.ones_like(image[:1])
        from torch.nn import functional as F

        from chimera_core.images import read_mask
        from chimera_core.pixels import from_uint8

        mask = from_uint8(read_mask(choice))
        (height, width), (h, w) = image.shape[-2:], mask.shape[-2:]
        if abs(h * width - w * height) > 0.02 * h * width:
            raise DataError(
                f"mask {choice} is {w} x {h} but its parent is {width} x {height}: give them one aspect ratio"
            )
        return F.interpolate(mask[None], (height, width), mode="bilinear", antialias=True)[0].clamp(0, 1)

    def _draw(self, index: int, seed: int) -> Parent:
        from chimera_core.pixels import from_uint8

        if (index, seed) in self._sampled:
            return self._sampled[index, seed]
        plan = self.plan
        if self._source is None:
            self._source = build(plan.host, "dataset-source", str(plan.source), plan.source_options)
        info = self._source.info
        name = plan.parents[index]
        if name not in info.classes:
            raise ConfigError(
                f"there is no file {quote(name)}, and source {plan.source} has no class of that name"
                + suggest(name, info.classes)
            )
        split = self._source.open("train" if "train" in info.splits else next(iter(info.splits)))
        wanted = info.classes.index(name)
        members = [i for i, label in enumerate(split.labels) if label == wanted]
        if not members:
            raise DataError(f"source {plan.source} has no image of class '{name}' in its first split")
        import torch

        generator = torch.Generator().manual_seed(seed * 1009 + index)
        image = from_uint8(_readable(split, members, generator, of=name).permute(1, 2, 0))
        image = _at_most(image, plan.size, of=name)
        parent = Parent(name, image, self._mask(index, image, None), class_name=name)
        self._sampled[index, seed] = parent
        return parent


def _readable(split: Split, members: list[int], generator: torch.Generator, *, of: str) -> Tensor:
    """Draw an image of a class, passing over files that cannot be read."""
    import torch

    for k in torch.randperm(len(members), generator=generator).tolist():
        try:
            return split[members[k]].image
        except DataError as error:
            _log.warning("%s is passed over", error)
    raise DataError(f"none of the {len(members)} images of class {quote(of)} can be read")


def _check_parent(name: str, source: str | None) -> None:
    path = Path(name)
    is_bare = len(path.parts) == 1
    if source is not None and is_bare and not path.is_file():
        # A class name; the source knows whether it has it. It may hold a dot ("St. Bernard"), and a folder of
        # that name may lie here: the class's own.
        return
    if is_bare and not path.suffix and not path.exists():
        raise DataError(
            f"there is no file {quote(name)}: name an image file, or give --source for class names"
        )
    check_picture(path)


def _without_folders(value: Any) -> Any:
    """Shorten every absolute path in options to its last part."""
    if isinstance(value, dict):
        return {key: _without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_folders(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _check_limits(fuser: FusionGenerator, plan: FusionPlan) -> None:
    limit = fuser.max_parents
    if limit is not None and len(plan.parents) > limit:
        raise ConfigError(
            f"{plan.fuser_name} takes {limit} parents at most, but {len(plan.parents)} were given"
        )
    if fuser.needs_training:
        raise ConfigError(f"{plan.fuser_name} must be trained first: name a run of it")
    files = [p for p in plan.parents if Path(p).is_file()]
    if files and "photo" not in fuser.accepts:
        raise ConfigError(f"{plan.fuser_name} takes class names, not photographs: leave out {files[0]}")


def _at_most(image: Tensor, size: int, *, of: str) -> Tensor:
    from chimera_core.pixels import MAX_ASPECT, resize_shorter

    height, width = image.shape[-2:]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise DataError(
            f"{quote(of)} is {width} x {height}, too elongated: crop it to at most {MAX_ASPECT}:1"
        )
    limit = max(PARENT_SIZE, size)
    return resize_shorter(image, limit) if min(height, width) > limit else image


def _check_made(made: Any, count: int, name: str) -> None:
    import torch

    if not isinstance(made, torch.Tensor) or made.ndim != 4 or made.shape[:2] != (count, 3):
        met = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
        raise PluginError(f"fuser {name} gave {met} instead of ({count}, 3, H, W): mend the plugin")
    if not torch.isfinite(made).all():
        raise PluginError(f"fuser {name} gave pixels that are no numbers: try other options or report it")


@dataclass(frozen=True)
class FusionResult:
    """What ``chimera_core.fuse`` gives back: images float32 (n, 3, H, W) in [0, 1], and how they were made."""

    images: Tensor
    fuser: str
    parents: tuple[str, ...]
    weights: tuple[float, ...]
    seeds: tuple[int, ...]
    device: str
    wall_s: float
    texts: tuple[Mapping[str, str], ...] = field(repr=False, default=())

    def save(self, path: str | Path, index: int = 0) -> Path:
        """Write one image as PNG, with its origin as text inside.

        Raises:
            ConfigError: if the path cannot be written.
        """
        from chimera_core.images import check_output, write_png
        from chimera_core.pixels import to_uint8

        checked = check_output(path, (".png",))
        write_png(checked, to_uint8(self.images[index]), text=self.texts[index])
        return checked


def fuse(
    parents: Sequence[str | Path],
    weights: Sequence[float] | None = None,
    *,
    fuser: str | None = None,
    preset: str | None = None,
    n: int = 1,
    seed: int = 0,
    size: int = 256,
    device: str = "auto",
    masks: Sequence[str | Path] = (),
    source: str | None = None,
    source_options: Mapping[str, Any] | None = None,
    progress: Callable[[float, float], None] | None = None,
    **options: Any,
) -> FusionResult:
    """Make chimeras; the Python face of ``chimera fuse``.

    Args:
        parents: image files or, with ``source``, class names; two or more.
        weights: how much of each, sum 1; equal shares when None.
        fuser: a component; style transfer when None.
        preset: a preset of the fuser.
        n: how many, from seeds ``seed``, ``seed + 1``, ...
        seed: first seed.
        size: shorter side in pixels.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        masks: per parent an image file (white = animal), ``auto`` or ``none``.
        source: data set in which class names find their images.
        source_options: its options.
        progress: called with (done, total).
        options: the fuser's options, e.g. ``iterations=100``.
    Raises:
        ChimeraError: one line that says what is wrong and how to mend it.
    """
    if n < 1:
        raise ConfigError(f"n must be 1 or more, but it is {n}")
    start = time.perf_counter()
    plan = plan_fusion(
        parents,
        fuser=fuser,
        preset=preset,
        options=options,
        masks=masks,
        source=source,
        source_options=source_options,
        size=size,
        device=device,
    )
    checked = check_weights(weights, len(parents))
    fusion = Fusion(plan)
    seeds = tuple(range(seed, seed + n))
    images = fusion.make(checked, seeds, progress=progress)
    return FusionResult(
        images=images,
        fuser=plan.fuser_name,
        parents=plan.parents,
        weights=checked,
        seeds=seeds,
        device=str(fusion.device),
        wall_s=time.perf_counter() - start,
        texts=tuple(fusion.text(checked, s) for s in seeds),
    )
