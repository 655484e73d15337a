"""The scorecard: what is measured of chimeras, by judges that no fuser has looked through.

``docs/reference/scorecard.md`` defines every figure. Legend: n images, P parents, V views, S the size that is scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.errors import ConfigError, DataError, ShapeError
from chimera_core.interfaces.additions import CreatureMetric
from chimera_core.scoring.built_in import BuiltInReference
from chimera_core.scoring.figures.figures import NO_REFERENCE, Look, Measurement, card_of
from chimera_core.scoring.figures.montage import kept_pixels, montage_of
from chimera_core.scoring.figures.patches import patch_distances
from chimera_core.scoring.judge.features import at_size, index_batches
from chimera_core.scoring.judge.judge import Judge
from chimera_core.scoring.parents import (
    ParentImages,
    SeenParents,
    check_parents,
    pictures_of,
    see_parents,
    similarity,
)
from chimera_core.scoring.plugin_metrics import measure_with
from chimera_core.scoring.reference import Reference, SeenReference, Unseen
from chimera_core.scoring.set_card import set_card
from chimera_core.scoring.views import shaken

VIEWS = 8
"""Shifted, noisy, compressed passes over which membership is averaged."""
_BATCH = 32


@dataclass(frozen=True, eq=False)
class PreparedParents:
    """Parents that every judge knows.

    Args:
        seen: by each judge, in their order.
        pictures: that a fuser was given, (m, P, 3, S, S); None if they are not known.
        images: of each parent, (m, 3, S', S').
    """

    labels: tuple[str, ...]
    seen: tuple[SeenParents, ...]
    pictures: Tensor | None = None
    images: tuple[Tensor, ...] = ()

    @property
    def accuracy(self) -> float:
        """Of the first judge's probe on held-out views, every class counting alike."""
        return self.seen[0].membership.accuracy

    @property
    def temperature(self) -> float:
        """By which the first judge's log-odds are divided."""
        return self.seen[0].membership.temperature


class Scorecard:
    """Measures chimeras of any parents.

    Args:
        judges: the first one gives all figures; of the others ``fused[NAME]`` and ``score[NAME]``, which must rank alike.
        reference: a broad set of animals, uint8 or float in [0, 1] (n, 3, S, S), or a split; no parents among them; or what
            comes along of such. None: leakage, realism, fused and score are n/a.
        size: everything is brought to this many pixels before anything is measured.
        seed: of views and folds.
        cache: folder where the reference's features lie for the next time; None keeps none.
        metrics: of plugins, by the names that their figures get.
    Raises:
        ConfigError: for no judge.
        DataError: if the reference is too small.
    """

    def __init__(
        self,
        judges: Sequence[Judge],
        *,
        reference: Tensor | ImageSplit | BuiltInReference | None,
        size: int,
        seed: int = 0,
        cache: Path | None = None,
        metrics: Mapping[str, CreatureMetric] = {},
    ) -> None:
        if not judges:
            raise ConfigError("a scorecard needs a judge: name one")
        self.judges, self.size, self.seed = tuple(judges), size, seed
        self.metrics = dict(metrics)
        self._last: PreparedParents | None = None
        self._memory: dict[bytes, tuple[Tensor, Tensor, Tensor]] = {}
        self.reference: Reference | BuiltInReference | None
        if reference is None or isinstance(reference, BuiltInReference):
            self.reference = reference
        else:
            self.reference = Reference(reference, size=size, seed=seed)
        found = [self._shown_to(judge, cache) for judge in judges]
        self._seen = [seen if isinstance(seen, SeenReference) else None for seen in found]
        self._missing = [seen.reason if isinstance(seen, Unseen) else NO_REFERENCE for seen in found]

    @property
    def reference_images(self) -> int:
        """Count the images of the reference as the first judge knows it; 0 without one."""
        return self._seen[0].n if self._seen[0] is not None else 0

    def prepare(self, parents: Sequence[ParentImages]) -> PreparedParents:
        """Teach every judge to know the parents; once for each tuple.

        Raises:
            DataError, ShapeError: for fewer than two parents, or images of another shape.
        """
        check_parents(parents)
        knowing = tuple(
            see_parents(
                parents,
                judge,
                reference=self.reference if seen is not None else None,
                seen=seen,
                size=self.size,
                seed=self.seed,
            )
            for judge, seen in zip(self.judges, self._seen, strict=True)
        )
        return PreparedParents(
            tuple(p.label for p in parents),
            knowing,
            pictures_of(parents, size=self.size),
            tuple(p.images for p in parents),
        )

    def measure(
        self, prepared: PreparedParents, images: Tensor, weights: Tensor
    ) -> list[dict[str, Measurement]]:
        """Measure every image by itself: the same figures whatever its company.

        Args:
            images: chimeras, float (n, 3, S', S') in [0, 1].
            weights: that were asked for, (n, P).
        Raises:
            ShapeError: if images and weights do not fit the parents.
            DataError: if pixels are not finite.
        """
        _check(prepared, images, weights)
        cards: list[dict[str, Measurement]] = []
        for rows in index_batches(len(images), _BATCH):
            pixels = at_size(images[rows], self.size)
            kept = _kept(prepared, pixels, weights[rows])
            found = [
                self._look(k, prepared.seen[k], pixels, kept, weights[rows]) for k in range(len(self.judges))
            ]
            self._remember(prepared, pixels, found[0])
            if prepared.pictures is not None:
                patches = patch_distances(self.judges[0], pixels, prepared.pictures[0])
                found[0] = replace(found[0], patches=patches)
            cards += [card_of(found, k, weights[row].tolist()) for k, row in enumerate(rows.tolist())]
        for name, metric in self.metrics.items():
            pixels = at_size(images, self.size)
            for card, value in zip(
                cards, measure_with(metric, name, pixels, prepared.images, weights), strict=True
            ):
                reason = None if value is not None else f"{name} gives no number"
                card[name] = Measurement(value, 1, name, reason)
        return cards

    def measure_set(
        self, prepared: PreparedParents, images: Tensor, weights: Tensor, *, same_pictures: bool = False
    ) -> dict[str, Measurement]:
        """Measure one fuser's images of these parents together: sweeps, diversity, distances, warnings.

        Args:
            images: chimeras, float (n, 3, S', S') in [0, 1]; the k-th image at each of the weights belongs to seed k.
            weights: that were asked for, (n, P).
            same_pictures: the fuser was given one picture of each parent, the same for every seed: it may make one creature.
        Raises:
            ShapeError, DataError: as in ``measure``.
        """
        _check(prepared, images, weights)
        judge, parents = self.judges[0], prepared.seen[0]
        seen = []
        for rows in index_batches(len(images), _BATCH):
            pixels = at_size(images[rows], self.size)
            if any(key not in self._remembered(prepared) for key in map(_key, pixels)):
                look = self._look(0, parents, pixels, None, weights[rows])
                self._remember(prepared, pixels, look)
            seen += [self._remembered(prepared)[_key(picture)] for picture in pixels]
        plain, probabilities, log_odds = (torch.stack(part) for part in zip(*seen, strict=True))
        return set_card(
            judge.name,
            plain=plain,
            probabilities=probabilities,
            log_odds=log_odds,
            weights=weights,
            parents=parents,
            reference=self._seen[0],
            missing=self._missing[0],
            same_pictures=same_pictures,
        )

    def _shown_to(self, judge: Judge, cache: Path | None) -> SeenReference | Unseen:
        if self.reference is None:
            return Unseen(NO_REFERENCE)
        if isinstance(self.reference, BuiltInReference):
            return self.reference.seen_by(judge, size=self.size)
        return self.reference.seen_by(judge, cache=cache)

    def _remembered(self, prepared: PreparedParents) -> dict[bytes, tuple[Tensor, Tensor, Tensor]]:
        """Give what the first judge saw of these parents' pictures so far; that of other parents is forgotten."""
        if self._last is not prepared:
            self._last, self._memory = prepared, {}
        return self._memory

    def _remember(self, prepared: PreparedParents, pixels: Tensor, look: Look) -> None:
        found = zip(look.plain, look.probabilities.mean(1), look.log_odds, strict=True)
        self._remembered(prepared).update(zip(map(_key, pixels), found, strict=True))

    def _look(
        self, number: int, parents: SeenParents, pixels: Tensor, kept: Tensor | None, weights: Tensor
    ) -> Look:
        """Show pictures to the judge of that number."""
        judge, reference = self.judges[number], self._seen[number]
        plain = judge.features(pixels)
        flat = judge.features(shaken(pixels, copies=VIEWS, seed=self.seed))
        views = flat.view(len(pixels), VIEWS, -1)
        membership = parents.membership
        return Look(
            judge.name,
            plain,
            membership.probabilities(views),
            parents.likeness.of(views),
            membership.log_odds(views),
            (reference.scale.of(judge.textures(pixels)) / parents.realism).clamp(max=1)
            if reference is not None
            else None,
            reference.n if reference is not None else 0,
            torch.stack([similarity(plain, own.mean(0, keepdim=True))[:, 0] for own in parents.images], 1),
            torch.stack([similarity(plain, own).max(1).values for own in parents.images], 1),
            sum(len(own) for own in parents.images),
            None
            if parents.coats is None or kept is None
            else parents.coats.of(judge, pixels, kept.argmax(1)),
            None if kept is None else montage_of(kept, weights),
            None if kept is None or parents.places is None else parents.places.of(judge, pixels),
            missing=self._missing[number],
            no_leakage=reference.lacks.get("leakage") if reference is not None else None,
        )


def _kept(prepared: PreparedParents, pixels: Tensor, weights: Tensor) -> Tensor | None:
    """Return how much pictures repeat of each parent, of the pictures where that is a montage most: (n, P)."""
    if prepared.pictures is None:
        return None
    found = torch.stack([kept_pixels(pixels, given, weights) for given in prepared.pictures])
    montage = torch.stack([montage_of(kept, weights) for kept in found])
    return found[montage.argmax(0), torch.arange(len(pixels))]


def _key(pixels: Tensor) -> bytes:
    return hashlib.sha256(pixels.cpu().contiguous().numpy().tobytes()).digest()


def _check(prepared: PreparedParents, images: Tensor, weights: Tensor) -> None:
    wanted = (len(images), len(prepared.labels))
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ShapeError(f"images are {tuple(images.shape)}: pass (n, 3, S, S), one or more")
    if tuple(weights.shape) != wanted:
        raise ShapeError(
            f"weights are {tuple(weights.shape)}: pass {wanted}, one for each parent of each image"
        )
    if not bool(torch.isfinite(images).all()):
        bad = (~torch.isfinite(images)).flatten(1).any(1).nonzero()[:, 0].tolist()
        raise DataError(f"images {bad} have NaN or infinite pixel values: leave them out")
