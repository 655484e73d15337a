"""What creatures are asked for, checked: all that can be checked without torch, so that a mistake costs no second."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chimera_core.components.choice import Choice, choose
from chimera_core.errors import ConfigError, DataError
from chimera_core.files.atomic import quote
from chimera_core.fusing.backgrounds import Background, check_background
from chimera_core.fusing.weights import Weights, check_weights
from chimera_core.images import check_picture
from chimera_core.library.choosing import PictureScores
from chimera_core.library.lookup import NamedPicture, find_pictures
from chimera_core.models.fusers import FuserChoice, TrainedFuser, choose_model, is_class_name, resolve_fuser
from chimera_core.options.config import suggest
from chimera_core.plugins.discovery import Component, PluginHost, default_host

# With its plugin, so that a stranger who offers the same name cannot get into the default's way.
DEFAULT_PHOTO_FUSER = "parts:auto"
MIN_SIZE, MAX_SIZE = 16, 2048
MAX_SEED = 2**31 - 1
DEFAULT_SIZE = 256
"""Of what a fuser of photographs makes; a trained one has a size of its own."""


@dataclass(frozen=True)
class FusionRequest:
    """What creatures are to be made, checked: every name exists, weights and sizes are right, no torch was needed."""

    parents: tuple[str, ...]
    weights: tuple[Weights, ...]
    """Those at which creatures are made."""
    seeds: tuple[int, ...]
    """Those of the creatures at each of the weights."""
    size: int
    masks: tuple[str, ...]
    fuser: FuserChoice
    device: str
    source: Choice | None = field(default=None, repr=False)
    """Where names of classes find their images."""
    is_chosen: bool = False
    """Whether the fuser was chosen for the classes that were named, and not by the user."""
    square: bool = False
    """Photographs are cut to their middle square first, the one shape in which creatures are scored."""
    background: Background = "keep"
    """What creatures stand on."""
    pictures: tuple[NamedPicture | None, ...] = ()
    """For each parent that was given by name and is a picture of the library or a collection: which one."""
    originals: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of files that stand for something else, an address or the standard input, what that was."""
    may_download: bool = True
    """Whether the fuser may bring what it asks for: an exported file may be a stranger's, so it needs leave."""

    @property
    def named(self) -> tuple[str, ...]:
        """The parents as the user named them; ``parents`` are the files that stand for them."""
        return tuple(
            p.name if p else self.originals.get(parent, parent)
            for p, parent in zip(self.pictures, self.parents, strict=True)
        )

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """Name the files that creatures are made from, each with what it is; no output may be one of them."""
        for what, names in (("a parent", self.parents), ("a mask", self.masks)):
            yield from ((what, Path(name)) for name in names if os.path.isfile(name))
        if self.source is not None:
            source = self.source.load()
            for split in source.info.splits:
                yield from (
                    (f"a picture of source {self.source.label}", file) for file in source.files(split)
                )


def check_request(
    parents: Sequence[str | Path],
    weights: Sequence[Sequence[float]] = (),
    *,
    seed: int = 0,
    count: int = 1,
    size: int | None = None,
    fuser: str | None = None,
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    masks: Sequence[str | Path] = (),
    source: str | None = None,
    source_options: Mapping[str, Any] | None = None,
    device: str = "auto",
    square: bool = False,
    background: str = "keep",
    fetch: Callable[[str], object] | None = None,
    visibility: PictureScores | None = None,
    remark: Callable[[str], object] | None = None,
    originals: Mapping[str, str] | None = None,
    host: PluginHost | None = None,
) -> FusionRequest:
    """Check what creatures are asked for.

    Args:
        parents, size, fuser, preset, options, masks, source, source_options, device, background: as of
            ``chimera_core.fuse``; masks that are not given may come with a picture that is found by name.
        weights: those at which creatures are made, a row each, as ``check_weights`` takes them; none: equal shares.
        seed: of the first creature at each of the weights. It picks among several pictures of a name, once for all
            creatures of a request, so that they share their parents.
        count: of creatures at each of the weights, from seeds ``seed``, ``seed + 1``, ...
        square: cut photographs to their middle square first.
        fetch: brings pictures of a name that is found nowhere into the library; None: nothing is fetched, nor is
            anything that an exported fuser asks for.
        visibility: looks at pictures where a name has several (``library.visibility_cache.VisibilityCache``), which needs torch;
            None: the best is known by headers alone.
        remark: called with a line where weights of another sum are scaled to 1; None: these are refused.
        originals: of files that stand for something else what that was; see ``fusing.incoming``.
        host: plugins to use; the installed ones when None.
    Raises:
        ConfigError, DataError, PluginError: naming what is wrong and the mend.
    """
    host = host or default_host()
    names = tuple(str(parent) for parent in parents)
    check_seeds(seed, count)
    rows = tuple(check_weights(row, max(2, len(names)), remark=remark) for row in weights or (None,))
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
    chosen = resolve_fuser(host, model or fuser or DEFAULT_PHOTO_FUSER, options or {}, preset=preset)
    trained = chosen.trained
    if trained is not None:
        names = tuple(map(trained.spelled, names))
    for mask in masks:
        if str(mask) not in ("auto", "none"):
            _check_parent(str(mask), None)
    pictures: tuple[NamedPicture | None, ...] = (None,) * len(names)
    if by_name and _wants_pictures(chosen, is_default=fuser is None):
        for name in names:
            if not is_class_name(name):
                _check_parent(name, None)
        wanted = [name for name in names if is_class_name(name)]
        given = iter(find_pictures(wanted, host=host, seed=seed, fetch=fetch, visibility=visibility))
        pictures = tuple(next(given) if is_class_name(name) else None for name in names)
        names = tuple(str(p.file) if p else name for p, name in zip(pictures, names, strict=True))
    if trained is not None:
        if source is not None and "photo" not in trained.header.accepts:
            raise ConfigError(f"{trained} knows its classes by itself: leave out --source")
        check_limits(trained, names, accepts=trained.header.accepts, most=trained.header.max_parents)
    found = choose(host, "dataset-source", source, source_options or {}) if source is not None else None
    for name in names:
        if trained is None or not trained.knows(name, source):
            _check_parent(name, source, trained)
    return FusionRequest(
        parents=names,
        weights=rows,
        seeds=tuple(range(seed, seed + count)),
        size=size or (trained.header.size if trained else DEFAULT_SIZE),
        masks=(*map(str, masks), *(str((p and p.mask) or "auto") for p in pictures[len(masks) :])),
        fuser=chosen,
        device=device,
        source=found,
        is_chosen=model is not None,
        square=square,
        background=check_background(background),
        pictures=pictures,
        originals=dict(originals or {}),
        may_download=fetch is not None or trained is None or trained.trained.form not in ("file", "hub"),
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


def check_limits(
    fuser: object, parents: Sequence[str], *, accepts: Collection[str], most: int | None
) -> None:
    """Check number and kind of parents.

    Raises:
        ConfigError: if a fuser cannot take them.
    """
    if most is not None and len(parents) > most:
        raise ConfigError(f"{fuser} takes {most} parents at most, but {len(parents)} were given")
    files = [parent for parent in parents if os.path.isfile(parent)]
    if files and "photo" not in accepts:
        raise ConfigError(f"{fuser} takes class names, not photographs: leave out {quote(files[0])}")


def untrained(component: Component) -> ConfigError:
    """Report that a fuser learns, and has not yet."""
    name = component.spec.name
    return ConfigError(f"{name} must be trained first: `chimera fuser train {name}`, then name its run")


def _wants_pictures(chosen: FuserChoice, *, is_default: bool) -> bool:
    """Say whether names are pictures to a fuser, and not classes that it knows or means to know.

    Raises:
        ConfigError: if it learns, and has not yet.
    """
    if chosen.trained is not None:
        return "class" not in chosen.trained.header.accepts
    if is_default:  # of photographs; asking its class would import torch before a wrong name is noticed
        return True
    fuser: Any = chosen.component.load_class()
    if fuser.needs_training:
        raise untrained(chosen.component)
    return "photo" in fuser.accepts


def _check_parent(name: str, source: str | None, trained: TrainedFuser | None = None) -> None:
    """Check a parent that is no class of a fuser: a file, or a class of the source."""
    path = Path(name)
    is_bare = len(path.parts) == 1
    if source is not None and is_bare and not os.path.isfile(path):
        # A class name; the source knows whether it has it. It may hold a dot ("St. Bernard"), and a folder of
        # that name may lie here: the class's own.
        return
    if is_class_name(name):
        if trained is None:
            mend = "name an image file, or give --source for class names"
            raise DataError(f"there is no file {quote(name)}: {mend}")
        known = suggest(name, trained.header.classes) if "class" in trained.header.accepts else ""
        raise ConfigError(f"{trained} knows no class {quote(name)}, and there is no such file{known}")
    check_picture(path)
