"""Parents as a judge knows them: many views of one photograph's animal, or the real images of a class.

Legend: P parents, n images of one, S the size that is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import DataError, ShapeError
from chimera_core.scoring.built_in import BuiltInReference
from chimera_core.scoring.figures.coats import Coats
from chimera_core.scoring.figures.membership import Likeness, Membership, fit_membership
from chimera_core.scoring.figures.places import Places
from chimera_core.scoring.judge.features import at_size
from chimera_core.scoring.judge.judge import Judge
from chimera_core.scoring.reference import Reference, SeenReference
from chimera_core.scoring.views import (
    double_exposures,
    ground_of,
    nearly_whole,
    placed,
    scrambled,
    varied,
    worn,
)

_VIEWS, _WHOLE, _MOST_VIEWS = 64, 16, 300
_GROUND_VIEWS, _EXPOSURES, _EMPTY = 16, 32, 16
_GROUNDS = 20
_OF_ITS_KIND = 0.1
_MOST_SHOWN = 8
LEAST_REALISM = 0.2
"""Parents that look less real than this count as so real: their chimeras need not look more real than they do."""


@dataclass(frozen=True)
class ParentImages:
    """One parent: ``images`` float32 (n, 3, S, S) in [0, 1], the class's real images or the one photograph.

    ``masks``, float (n, 1, S, S), say where the animal is; S may be larger than the size that is scored, and should be
    for a photograph: views of the animal are cut out of it. Without them the whole picture counts, what surrounds the animal too.

    ``shown``, (m, 3, S', S'), are those of a class's images that the fuser was given: likeness is to them. None: to all.
    """

    label: str
    images: Tensor
    masks: Tensor | None = None
    shown: Tensor | None = None


@dataclass(frozen=True, eq=False)
class SeenParents:
    """Parents in one judge's eyes.

    Args:
        images: features of their images, each (n, D).
        realism: of the less real one's images, their median; in [``LEAST_REALISM``, 1], 1 without a reference.
        coats: of parents that are photographs; None where one is a class, or without a reference.
        places: of the pictures that a fuser was given; None where these are not known, or the judge has no levels.
    """

    membership: Membership
    likeness: Likeness
    images: tuple[Tensor, ...]
    realism: float = 1.0
    coats: Coats | None = None
    places: Places | None = None


def check_parents(parents: Sequence[ParentImages]) -> None:
    """Check number and shapes of parents.

    Raises:
        DataError: for fewer than two, or one without image.
        ShapeError: for images or masks of another shape.
    """
    if len(parents) < 2:
        raise DataError(f"a chimera has two parents or more, but {len(parents)} were given")
    for parent in parents:
        shape = tuple(parent.images.shape)
        if not len(parent.images):
            raise DataError(f"parent {parent.label} has no image: give one or more")
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
            raise ShapeError(f"images of parent {parent.label} are {shape}: pass (n, 3, S, S)")
        if parent.shown is not None and (parent.shown.ndim != 4 or not len(parent.shown)):
            raise ShapeError(f"shown images of parent {parent.label} are {tuple(parent.shown.shape)}")
        if parent.masks is not None and parent.masks.shape != (shape[0], 1, *shape[2:]):
            raise ShapeError(
                f"masks of parent {parent.label} are {tuple(parent.masks.shape)} for images {shape}"
            )


def see_parents(
    parents: Sequence[ParentImages],
    judge: Judge,
    *,
    reference: Reference | BuiltInReference | None,
    seen: SeenReference | None,
    size: int,
    seed: int,
) -> SeenParents:
    """Show parents to a judge, and teach a probe to tell them from each other and from everything else.

    Everything else is the reference; the parents' own grounds, with the animal painted over; double exposures of two
    parents, which hold both and are no creature; and pictures with an animal's spectrum that show nothing.
    """
    grounds = [
        ground_of(image, mask, size=size)
        for parent in parents
        if parent.masks is not None
        for image, mask in zip(parent.images[:_GROUNDS], parent.masks[:_GROUNDS], strict=True)
    ]
    others = [_other_grounds(parents, reference, size, seed)] if reference is not None else []
    # Half of the grounds are the parents' own, each under either animal, so that none of them tells who it is.
    times = max(1, _GROUNDS // max(1, len(grounds)))
    ground = torch.cat([*(g for g in grounds for _ in range(times)), *others]) if grounds else None
    views = [_views(p, ground, size, seed + 100 * k) for k, p in enumerate(parents)]
    examples = [judge.features(v) for v in views]
    rest = [judge.features(_of_no_parent(parents, views, grounds, size, seed))]
    images = tuple(judge.features(at_size(p.images, size)) for p in parents)
    if seen is not None and seen.views is not None and seen.empty is not None:
        known = seen.views if seen.plain is None else seen.plain
        rest += [seen.views[_unlike(known, images)], seen.empty]
    counts = [len(p.images) for p in parents]
    membership = fit_membership([*examples, torch.cat(rest)], images=counts, seed=seed)
    shown = [
        judge.features(_views(ParentImages(p.label, p.shown), None, size, seed + 100 * k))
        if p.shown is not None
        else e
        for k, (p, e) in enumerate(zip(parents, examples, strict=True))
    ]
    realism, coats = 1.0, None
    if seen is not None:
        pictures = [at_size(p.images if p.shown is None else p.shown, size) for p in parents]
        least = min(float(seen.scale.of(judge.textures(p)).median()) for p in pictures)
        realism = max(least, LEAST_REALISM)
        outlined = [(p.images, p.masks) for p in parents if p.masks is not None and len(p.images) == 1]
        if len(outlined) == len(parents) and seen.coats is not None:
            found = [
                torch.cat([at_size(i, size) for i, _ in outlined]),
                torch.cat([F.interpolate(m.float(), (size, size), mode="area") for _, m in outlined]),
            ]
            coats = Coats.fit(judge, seen.coats, *found)
    given = pictures_of(parents, size=size)
    places = None if given is None else Places.fit(judge, given)
    return SeenParents(membership, Likeness.fit(shown), images, realism, coats, places)


def pictures_of(parents: Sequence[ParentImages], *, size: int) -> Tensor | None:
    """Give the pictures that a fuser was given: (m, P, 3, S, S), one or more of each parent; None if some are not known."""
    found = []
    for parent in parents:
        given = parent.shown
        if given is None and (parent.masks is not None or len(parent.images) == 1):
            given = parent.images
        if given is None:
            return None
        found.append(at_size(given, size))
    count = min(_MOST_SHOWN, *(len(f) for f in found))
    return torch.stack([f[:count] for f in found], 1)


def similarity(features: Tensor, others: Tensor) -> Tensor:
    """Give cosines between features (n, D) and (m, D): (n, m)."""
    return F.normalize(features, dim=1) @ F.normalize(others, dim=1).T


def _other_grounds(
    parents: Sequence[ParentImages], reference: Reference | BuiltInReference, size: int, seed: int
) -> Tensor:
    """Take pictures of the reference; where it has none, the parents' spectra and colours without what they show."""
    if isinstance(reference, Reference):
        return reference.some(_GROUNDS)
    own = torch.cat([at_size(p.images, size) for p in parents])
    return scrambled(own[torch.linspace(0, len(own) - 1, _GROUNDS).round().long()], seed=seed)


def _unlike(reference: Tensor, parents: Sequence[Tensor]) -> Tensor:
    """Leave out the tenth of the reference that is most like a parent: it may be of the parent's kind."""
    near = (
        torch.stack([similarity(reference, own.mean(0, keepdim=True))[:, 0] for own in parents]).max(0).values
    )
    return near <= near.quantile(1 - _OF_ITS_KIND)


def _views(parent: ParentImages, grounds: Tensor | None, size: int, seed: int) -> Tensor:
    n = len(parent.images)
    count = _VIEWS if parent.masks is not None else min(max(n, _VIEWS), _MOST_VIEWS)
    if parent.masks is None or grounds is None:
        return varied(at_size(parent.images, size)[torch.arange(count) % n], seed=seed)
    shown = [
        placed(parent.images[k], parent.masks[k], grounds, count=1, size=size, seed=seed + v)
        if n > 1
        else placed(parent.images[0], parent.masks[0], grounds, count=count, size=size, seed=seed)
        for v, k in enumerate((torch.arange(count) % n).tolist() if n > 1 else [0])
    ]
    whole = at_size(parent.images[torch.arange(_WHOLE) % n], size)
    return torch.cat([*shown, varied(whole, seed=seed + 1)])


def _of_no_parent(
    parents: Sequence[ParentImages], views: Sequence[Tensor], grounds: Sequence[Tensor], size: int, seed: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    whole = [
        nearly_whole(at_size(p.images[torch.arange(_EXPOSURES) % len(p.images)], size), seed=seed + k)
        for k, p in enumerate(parents)
    ]
    # Of whole pictures, as they are averaged, and of single animals.
    found = [_exposures(shown, generator, seed + k) for k, shown in enumerate((whole, views))]
    if grounds:
        found.append(varied(torch.cat(list(grounds)).repeat_interleave(_GROUND_VIEWS, 0)[:64], seed=seed + 2))
    found.append(scrambled(torch.cat([v[:_EMPTY] for v in views]), seed=seed + 3))
    return torch.cat(found)


def _exposures(shown: Sequence[Tensor], generator: torch.Generator, seed: int) -> Tensor:
    """Lay views of two parents drawn at random over each other."""
    pairs = [torch.randperm(len(shown), generator=generator)[:2].tolist() for _ in range(_EXPOSURES)]
    first, second = (
        torch.stack([shown[k][int(torch.randint(len(shown[k]), (), generator=generator))] for k in column])
        for column in zip(*pairs, strict=True)
    )
    return worn(double_exposures(first, second, seed=seed), seed=seed)
