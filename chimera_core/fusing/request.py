"""What ``chimera fuse`` is asked for, checked: all that can be checked without torch, so that a mistake costs no second."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chimera_core.components.choice import choose
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import quote
from chimera_core.fusing.backgrounds import Background, check_background
from chimera_core.images import check_picture
from chimera_core.library.choosing import PictureScores
from chimera_core.library.lookup import NamedPicture, find_pictures
from chimera_core.models.fusers import TrainedFuser, choose_model, find_trained_fuser, is_class_name
from chimera_core.plugins.discovery import Component, PluginHost, default_host

# With its plugin, so that a stranger who offers the same name cannot get into the default's way.
DEFAULT_PHOTO_FUSER = "parts:auto"
MIN_SIZE, MAX_SIZE = 16, 2048
MAX_SEED = 2**31 - 1
DEFAULT_SIZE = 256
"""Of what a fuser of photographs makes; a trained one has a size of its own."""
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
    trained: TrainedFuser | None = None
    """The run, file or model whose weights the fuser takes up, if it is one that learns."""
    is_chosen: bool = False
    """Whether the fuser was chosen for the classes that were named, and not by the user."""
    square: bool = False
    """Photographs are cut to their middle square first, the one shape in which creatures are scored."""
    background: Background = "keep"
    """What creatures stand on."""
    pictures: tuple[NamedPicture | None, ...] = ()
    """For each parent that was given by name and is a picture of the library or a collection: which one."""
    may_download: bool = True
    """Whether the fuser may bring what it asks for: an exported file may be a stranger's, so it needs leave."""

    @property
    def named(self) -> tuple[str, ...]:
        """The parents as the user named them; ``parents`` are the files that stand for them."""
        found = self.pictures or (None,) * len(self.parents)
        return tuple(p.name if p else parent for p, parent in zip(found, self.parents, strict=True))

    @property
    def fuser_name(self) -> str:
        """The fuser as users name it."""
        return self.trained.name if self.trained else self.component.spec.name

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """Name the files that creatures are made from, each with what it is; no output may be one of them."""
        for what, names in (("a parent", self.parents), ("a mask", self.masks)):
            yield from ((what, Path(name)) for name in names if os.path.isfile(name))
        if self.source is not None:
            source = choose(self.host, "dataset-source", self.source, self.source_options).load()
            for split in source.info.splits:
                yield from ((f"a picture of source {self.source}", file) for file in source.files(split))


def plan_fusion(
    parents: Sequence[str | Path],
    *,
    fuser: str | None = None,
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    masks: Sequence[str | Path] = (),
    source: str | None = None,
    source_options: Mapping[str, Any] | None = None,
    size: int | None = None,
    device: str = "auto",
    square: bool = False,
    seed: int = 0,
    background: str = "keep",
    fetch: Callable[[str], object] | None = None,
    visibility: PictureScores | None = None,
    host: PluginHost | None = None,
) -> FusionPlan:
    """Check a request.

    Args:
        parents: image files, classes that the fuser knows, names of pictures in the library or a collection or,
            with a source, classes of it; two or more.
        fuser: a run, an exported file, a model or a component. None: the first model that knows all the names,
            or, for photographs, ``auto``, which goes by what they hold.
        preset: a preset of the fuser.
        options: the fuser's options, over the preset; over those that it was trained with, if it was.
        masks: at most one per parent, in their order: an image file (white = animal), ``auto`` or ``none``; where
            none is given, a picture that was found by name may bring one.
        source: where class names find their images.
        source_options: its options.
        size: shorter side of the result in pixels; None: 256, or the size that a trained fuser makes.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        square: cut photographs to their middle square first.
        seed: the first one asked for. It picks among several pictures of a name, once for all creatures of a
            request, so that they share their parents.
        background: ``keep``, ``white`` or ``transparent``: what creatures stand on.
        fetch: brings pictures of a name that is found nowhere into the library; None: nothing is fetched, nor is
            anything that an exported fuser asks for.
        visibility: looks at pictures where a name has several (``library.visibility_cache.VisibilityCache``), which needs torch;
            None: the best is known by headers alone.
        host: plugins to use; the installed ones when None.
    Raises:
        ConfigError, DataError, PluginError: naming what is wrong and the mend.
    """
    host = host or default_host()
    names = tuple(str(parent) for parent in parents)
    if len(names) < 2:
        raise ConfigError(f"a chimera needs two parents or more, but it got {len(names)}: name another")
    if "-" in names:
        raise DataError("parent '-': the standard input is not read: name an image file")
    if size is not None and not MIN_SIZE <= size <= MAX_SIZE:
        raise ConfigError(f"size must lie between {MIN_SIZE} and {MAX_SIZE} pixels, but it is {size}")
    if len(masks) > len(names):
        raise ConfigError(
            f"{len(masks)} masks were given for {len(names)} parents: give one per parent, in order"
        )
    by_name = source is None and any(map(is_class_name, names))
    model = choose_model(host, names) if by_name and fuser is None else None
    chosen = fuser if model is None else model
    trained = find_trained_fuser(host, chosen) if chosen is not None else None
    if trained is not None:
        names = tuple(map(trained.spelled, names))
    component, config = _with_options(host, fuser, trained, preset, options or {})
    for mask in masks:
        if str(mask) not in ("auto", "none"):
            _check_parent(str(mask), None)
    pictures: tuple[NamedPicture | None, ...] = (None,) * len(names)
    if by_name and _wants_pictures(component, trained, is_default=fuser is None):
        for name in names:
            if not is_class_name(name):
                _check_parent(name, None)
        wanted = [name for name in names if is_class_name(name)]
        found = iter(find_pictures(wanted, host=host, seed=seed, fetch=fetch, visibility=visibility))
        pictures = tuple(next(found) if is_class_name(name) else None for name in names)
        names = tuple(str(p.file) if p else name for p, name in zip(pictures, names, strict=True))
    if trained is not None:
        trained.check_parents(names, source)
    if source is not None:
        choose(host, "dataset-source", source, source_options or {})
    for name in names if trained is None else ():
        _check_parent(name, source)
    return FusionPlan(
        parents=names,
        masks=(*map(str, masks), *(str((p and p.mask) or "auto") for p in pictures[len(masks) :])),
        component=component,
        config=config,
        source=source,
        source_options=source_options or {},
        size=size or (trained.header.size if trained else DEFAULT_SIZE),
        device=device,
        host=host,
        trained=trained,
        is_chosen=model is not None,
        square=square,
        background=check_background(background),
        pictures=pictures,
        may_download=fetch is not None or trained is None or trained.trained.form != "file",
    )


def check_seeds(first: int, count: int) -> None:
    """Check that seeds ``first``, ``first + 1``, ... can each be asked for by themselves.

    Raises:
        ConfigError: if one is negative or above ``MAX_SEED``.
    """
    last = first + count - 1
    if first < 0 or last > MAX_SEED:
        many = f" and so the last of {count} is {last}" if count > 1 else ""
        raise ConfigError(
            f"seeds lie between 0 and {MAX_SEED}, but the seed is {first}{many}: take another --seed"
        )


def check_weights(
    weights: Sequence[float] | None, parents: int, *, remark: Callable[[str], object] | None = None
) -> tuple[float, ...]:
    """Check one weight per parent, none negative, sum 1; None means equal shares.

    A sum within 0.001 of 1 is taken for 1 (".333,.333,.334") and scaled to it.

    Args:
        weights: one per parent.
        parents: how many there are.
        remark: called with one line when weights of another sum (7,3) are scaled to 1. None: these are refused.
    Raises:
        ConfigError: naming the weights.
    """
    if weights is None:
        return (1 / parents,) * parents
    header = ",".join(f"{w:g}" for w in weights)
    if len(weights) != parents:
        raise ConfigError(f"{len(weights)} weights ({header}) for {parents} parents: give one per parent")
    if not all(math.isfinite(w) for w in weights) or min(weights) < 0:
        raise ConfigError(f"weights must be 0 or more, but they are {header}")
    total = sum(weights)
    if abs(total - 1) > 1e-3 and (remark is None or not total or math.isinf(total)):
        raise ConfigError(f"weights must sum to 1, but {header} sum to {total:g}")
    scaled = tuple(w / total for w in weights)
    if abs(total - 1) > 1e-3 and remark is not None:
        remark(f"weights {header} sum to {total:g}: taken as {','.join(f'{w:.3g}' for w in scaled)}")
    return scaled


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


def triangle_weights(side: int) -> list[list[tuple[float, float, float]]]:
    """Give the weights of three parents at the points of a triangle: row k has k + 1 of them.

    The first parent is the top, the second the left corner below, the third the right one.

    Args:
        side: points along each edge, 2 or more.
    """
    last = side - 1
    return [
        [((last - row) / last, (row - k) / last, k / last) for k in range(row + 1)] for row in range(side)
    ]


def learns(component: Component) -> bool:
    """Return whether a fuser needs training. This imports it."""
    fuser: Any = component.load_class()
    return bool(fuser.needs_training)


def untrained(component: Component) -> ConfigError:
    """Report that a fuser learns, and has not yet."""
    name = component.spec.name
    return ConfigError(f"{name} must be trained first: `chimera fuser train {name}`, then name its run")


def _wants_pictures(component: Component, trained: TrainedFuser | None, *, is_default: bool) -> bool:
    """Return whether names are pictures to a fuser, and not classes that it knows or means to know.

    Raises:
        ConfigError: if it learns, and has not yet.
    """
    if trained is not None:
        return "class" not in trained.header.accepts
    if is_default:  # of photographs; asking its class would import torch before a wrong name is noticed
        return True
    if learns(component):
        raise untrained(component)
    fuser: Any = component.load_class()
    return "photo" in fuser.accepts


def _with_options(
    host: PluginHost,
    fuser: str | None,
    trained: TrainedFuser | None,
    preset: str | None,
    options: Mapping[str, Any],
) -> tuple[Component, BaseModel]:
    """Find the fuser's component, and check its options."""
    if trained is not None:
        if preset is not None:
            raise ConfigError(f"{trained} has the options that it was trained with: leave out --preset")
        return trained.component, trained.options(host, dict(options))
    choice = choose(host, "fusion-generator", fuser or DEFAULT_PHOTO_FUSER, options, preset=preset)
    return choice.component, choice.config


def _check_parent(name: str, source: str | None) -> None:
    path = Path(name)
    is_bare = len(path.parts) == 1
    if source is not None and is_bare and not os.path.isfile(path):
        # A class name; the source knows whether it has it. It may hold a dot ("St. Bernard"), and a folder of
        # that name may lie here: the class's own.
        return
    if is_bare and not path.suffix and not os.path.lexists(path):
        raise DataError(
            f"there is no file {quote(name)}: name an image file, or give --source for class names"
        )
    check_picture(path)
